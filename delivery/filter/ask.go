package filter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"gomaild/sieve"
	"gomaild/storage"
)

// env is what the scripts may ask.
func (r *run) env(ctx context.Context) *sieve.Env {
	to := r.q.Recipient.DeliveredTo
	if to.IsZero() {
		to = r.q.Recipient.Mailbox.Address
	}
	env := &sieve.Env{
		Message: r.q.Content,
		From:    addressOrNothing(r.q.From.Address),
		To:      r.q.Recipient.Mailbox.Address.String(),
		OrigTo:  to.String(),
		Now:     r.Now(),
		Items:   r.items(),
		Metadata: func(mailbox, entry string) (string, bool) {
			all, err := r.q.Account.Annotations(ctx, mailbox)
			if err != nil && !errors.Is(err, storage.ErrNoMailbox) {
				r.log.WarnContext(ctx, "read annotations for sieve", "folder", mailbox, "error", err)
			}
			v, ok := all[strings.ToLower(entry)]
			return v, ok
		},
		MailboxExists: func(name string) bool {
			box, err := r.q.Account.Open(ctx, name)
			if err != nil {
				return false
			}
			return box.Close() == nil
		},
		SpecialUse: func(mailbox, use string) bool { return r.hasUse(ctx, mailbox, use) },
		MailboxID:  func(id string) bool { return r.withID(ctx, id) != "" },
		List:       r.list,
		Debug: func(at sieve.Pos, text string) {
			r.log.DebugContext(ctx, "sieve debug_log", "at", at.String(), "text", text)
		},
		Duplicate: func(id string) (bool, error) {
			s, err := r.memory()
			return err == nil && s.has(id), err
		},
	}
	if r.Program != nil {
		env.Program = func(ctx context.Context, p sieve.Program) ([]byte, error) {
			r.hold()
			p.Environ = r.environ(env)
			return r.Program(ctx, p)
		}
	}
	return env
}

// items are those of the environment test (RFC 5183 section 4.1).
func (r *run) items() map[string]string {
	items := map[string]string{
		"vnd.dovecot.username": r.q.Recipient.Mailbox.Address.String(), "vnd.dovecot.default-mailbox": "INBOX",
	}
	if r.Hostname != "" {
		items["host"] = r.Hostname
		if _, domain, ok := strings.Cut(r.Hostname, "."); ok {
			items["domain"] = domain
		}
	}
	if r.q.Client.IsValid() {
		items["remote-ip"] = r.q.Client.Unmap().String()
	}
	return items
}

// hasUse looks for a mailbox of a special use (RFC 8579), or asks of one.
func (r *run) hasUse(ctx context.Context, mailbox, use string) bool {
	boxes, err := r.q.Account.Mailboxes(ctx)
	if err != nil {
		return false
	}
	for _, b := range boxes {
		if b.HasUse(use) && (mailbox == "" || b.Name == mailbox) {
			return true
		}
	}
	return false
}

// folder is the mailbox that a FileInto means: the one of the id it asks for,
// or one of the special use, if there is one.
func (r *run) folder(ctx context.Context, a sieve.Action) string {
	if a.MailboxID != "" {
		if name := r.withID(ctx, a.MailboxID); name != "" {
			return name
		}
	}
	if a.SpecialUse == "" {
		return a.Mailbox
	}
	boxes, err := r.q.Account.Mailboxes(ctx)
	if err != nil {
		return a.Mailbox
	}
	for _, b := range boxes {
		if b.HasUse(a.SpecialUse) && !b.NoSelect {
			return b.Name
		}
	}
	return a.Mailbox
}

// withID is the name of the mailbox with an id (RFC 8474), "" if none has it
// or it cannot be said now: RFC 9042 then files by name.
func (r *run) withID(ctx context.Context, id string) string {
	boxes, err := r.q.Account.Mailboxes(ctx)
	if err != nil {
		r.log.WarnContext(ctx, "look for a mailbox by its id", "error", err)
		return ""
	}
	for _, b := range boxes {
		if b.NoSelect || b.NonExist {
			continue
		}
		if has, err := r.hasID(ctx, b.Name, id); err != nil {
			r.log.WarnContext(ctx, "look for a mailbox by its id", "folder", b.Name, "error", err)
		} else if has {
			return b.Name
		}
	}
	return ""
}

func (r *run) hasID(ctx context.Context, name, id string) (has bool, err error) {
	box, err := r.q.Account.Open(ctx, name)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	view, err := box.View(ctx)
	return err == nil && view.MailboxID == id, err
}

// list reads an external list: NAME.list beside the user's scripts or, where
// there is none, in the directory of include :global.
func (r *run) list(name string) (members []string, ok bool, err error) {
	short, ok := sieve.ListName(name)
	if !ok {
		return nil, false, nil
	}
	dirs := []string{path.Join(r.dir, r.Dir)}
	if r.Global != "" {
		dirs = append(dirs, r.Global)
	}
	for _, dir := range dirs {
		data, _, err := r.read(path.Join(dir, short+".list"))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("read list %s: %w", short, err)
		}
		return sieve.ParseList(data), true, nil
	}
	return nil, false, nil
}
