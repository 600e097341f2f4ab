package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"gomaild/storage"
)

// Annotations lie in dovecot-attributes in the account's directory, which is
// where Dovecot's documentation puts them (mail_attribute_dict =
// file:%h/dovecot-attributes), in the format of its file dictionary: a line
// with the key and a line with the value, both escaped. The key is priv/ or
// shared/, the mailbox's GUID, and the entry. Those of the account are entries
// of INBOX below vendor/vendor.dovecot/pvt/server/.
const (
	attributesFile = "dovecot-attributes"
	serverPrefix   = "vendor/vendor.dovecot/pvt/server/"
)

// attribute is a pair of lines.
type attribute struct{ key, value string }

// escapes are those of Dovecot's tab-escaped text.
var (
	attributeEscaper   = strings.NewReplacer("\x00", "\x010", "\x01", "\x011", "\t", "\x01t", "\r", "\x01r", "\n", "\x01n")
	attributeUnescaper = strings.NewReplacer("\x010", "\x00", "\x011", "\x01", "\x01t", "\t", "\x01r", "\r", "\x01n", "\n")
)

// parseAttributes reads a file. A last key without its value is passed over.
func parseAttributes(data string) []attribute {
	var all []attribute
	for data != "" {
		key, rest, _ := strings.Cut(data, "\n")
		value, after, complete := strings.Cut(rest, "\n")
		if !complete {
			break
		}
		all = append(all, attribute{attributeUnescaper.Replace(key), attributeUnescaper.Replace(value)})
		data = after
	}
	return all
}

func formatAttributes(all []attribute) []byte {
	var b []byte
	for _, a := range all {
		b = append(append(b, attributeEscaper.Replace(a.key)...), '\n')
		b = append(append(b, attributeEscaper.Replace(a.value)...), '\n')
	}
	return b
}

// attributeScope is where the entries of a mailbox, or of the account, lie.
type attributeScope struct{ guid, prefix string }

// key is for an entry as CheckAnnotation returns it.
func (s attributeScope) key(entry string) string {
	if rest, ok := strings.CutPrefix(entry, "/private/"); ok {
		return "priv/" + s.guid + "/" + s.prefix + rest
	}
	return "shared/" + s.guid + "/" + s.prefix + strings.TrimPrefix(entry, "/shared/")
}

// entry is the way back; false for keys of others.
func (s attributeScope) entry(key string) (string, bool) {
	for kind, name := range map[string]string{"priv/": "/private/", "shared/": "/shared/"} {
		rest, ok := strings.CutPrefix(key, kind+s.guid+"/"+s.prefix)
		if ok && (s.prefix != "" || !strings.HasPrefix(rest, serverPrefix)) {
			return name + rest, true
		}
	}
	return "", false
}

func (h *accountHandle) scope(ctx context.Context, name string) (attributeScope, error) {
	var s attributeScope
	if name == "" {
		name, s.prefix = inbox, serverPrefix
	}
	m, err := h.Open(ctx, name)
	if err != nil {
		return s, err
	}
	defer func() { _ = m.Close() }() // returns nil always
	v, err := m.View(ctx)
	if err != nil {
		return s, err
	}
	s.guid = v.MailboxID
	return s, nil
}

// Annotations implements storage.Account.
func (h *accountHandle) Annotations(ctx context.Context, mailbox string) (storage.Annotations, error) {
	s, err := h.scope(ctx, mailbox)
	var notes storage.Annotations
	if err == nil {
		notes, err = h.annotations(s)
	}
	if err != nil {
		return nil, fmt.Errorf("annotations of %q: %w", mailbox, err)
	}
	return notes, nil
}

// AnnotationsVersion implements storage.Account: each change is a new file.
func (h *accountHandle) AnnotationsVersion(context.Context) (string, error) {
	if err := h.alive(); err != nil {
		return "", err
	}
	info, err := h.store.fs.Stat(h.path(attributesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("annotations: %w", err)
	}
	return fmt.Sprint(stampOf(info)), nil
}

// AnnotationsOfOther implements storage.Sharer. As with Dovecot the file of the
// login has what is private to it, whoever the mailbox belongs to.
func (h *accountHandle) AnnotationsOfOther(_ context.Context, id string) (storage.Annotations, error) {
	if err := h.alive(); err != nil {
		return nil, err
	}
	notes, err := h.annotations(attributeScope{guid: id})
	if err != nil {
		return nil, fmt.Errorf("annotations of mailbox %s: %w", id, err)
	}
	return notes, nil
}

func (h *accountHandle) annotations(s attributeScope) (storage.Annotations, error) {
	data, err := h.store.readFile(h.path(attributesFile))
	if err != nil {
		return nil, err
	}
	notes := storage.Annotations{}
	for _, a := range parseAttributes(data) {
		if entry, ok := s.entry(a.key); ok {
			notes[entry] = a.value
		}
	}
	return notes, nil
}

// Annotate implements storage.Account.
func (h *accountHandle) Annotate(ctx context.Context, mailbox string, set map[string]*string) error {
	s, err := h.scope(ctx, mailbox)
	if err == nil && mailbox != "" {
		err = h.raiseModSeq(ctx, mailbox)
	}
	if err == nil {
		err = h.annotate(ctx, s, set)
	}
	if err != nil {
		return fmt.Errorf("annotate %q: %w", mailbox, err)
	}
	return nil
}

// raiseModSeq raises HIGHESTMODSEQ, as a change of an annotation does (RFC 7162
// section 3.2). It comes before the change: where that fails, it is too high.
func (h *accountHandle) raiseModSeq(ctx context.Context, mailbox string) error {
	opened, err := h.Open(ctx, mailbox)
	if err != nil {
		return err
	}
	m := opened.(*handle)
	err = m.change(ctx, func(*dotlock) error {
		e := m.edit()
		e.changed = true
		return m.finish(e)
	})
	return errors.Join(err, m.Close())
}

// AnnotateOther implements storage.Sharer.
func (h *accountHandle) AnnotateOther(ctx context.Context, id string, set map[string]*string) error {
	err := h.alive()
	if err == nil {
		err = h.annotate(ctx, attributeScope{guid: id}, set)
	}
	if err != nil {
		return fmt.Errorf("annotate mailbox %s: %w", id, err)
	}
	return nil
}

func (h *accountHandle) annotate(ctx context.Context, s attributeScope, set map[string]*string) error {
	return h.store.edit(ctx, h.path(attributesFile), func(old string) ([]byte, error) {
		all := parseAttributes(old)
		var err error
		for entry, value := range set {
			if all, err = s.set(all, entry, value); err != nil {
				return nil, err
			}
		}
		if len(all) > storage.MaxAnnotations {
			return nil, storage.ErrAnnotationCount
		}
		return append([]byte{}, formatAttributes(all)...), nil
	})
}

// set changes one entry.
func (s attributeScope) set(all []attribute, entry string, value *string) ([]attribute, error) {
	var text string
	if value != nil {
		text = *value
	}
	entry, err := storage.CheckAnnotation(entry, text)
	if err != nil {
		return nil, err
	}
	key := s.key(entry)
	all = slices.DeleteFunc(all, func(a attribute) bool { return a.key == key })
	if value != nil {
		all = append(all, attribute{key, text})
	}
	return all, nil
}
