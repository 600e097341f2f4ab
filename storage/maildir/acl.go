package maildir

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"gomaild/storage"
)

// An access control list is dovecot-acl in the mailbox's directory, as Dovecot's
// backend vfile writes it: a line `<identifier> <letters>[ :<name>...]` each, a
// '-' before the identifier for rights that are taken away, the identifier in
// quotes if a blank is in it, '#' before comments. dovecot-acl-list in the
// account's directory is what Dovecot remembers of all of them; it does not
// notice that others change one, so it is removed with each change.
const (
	aclFile     = "dovecot-acl"
	aclListFile = "dovecot-acl-list"
	maxACL      = 64 << 10 // octets, far more than a list has
)

// rightNames are Dovecot's long names, in the order of storage.RightLetters.
var rightNames = []string{
	"lookup", "read", "write", "write-seen", "write-deleted", "insert", "post", "expunge", "create", "delete", "admin",
}

// parseACL reads a list. One line that cannot be read makes all of it
// storage.ErrACL, as with Dovecot: what it would have taken away is not known.
func parseACL(text string) ([]storage.Grant, error) {
	var all []storage.Grant
	if len(text) > maxACL {
		return nil, fmt.Errorf("%w: longer than %d octets", storage.ErrACL, maxACL)
	}
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		g, err := parseGrant(line)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", storage.ErrACL, n+1, err)
		}
		all = append(all, g)
	}
	return all, nil
}

func parseGrant(line string) (storage.Grant, error) {
	id, rest, err := cutIdentifier(line)
	if err != nil {
		return storage.Grant{}, err
	}
	g := storage.Grant{}
	id, g.Negative = strings.CutPrefix(id, "-")
	if g.Kind, g.Name, err = parseIdentifier(id); err != nil {
		return g, err
	}
	return g, parseRightNames(&g, strings.TrimLeft(rest, " \t"))
}

// cutIdentifier cuts the line behind its first word, which may be in quotes.
func cutIdentifier(line string) (id, rest string, err error) {
	if line[0] != '"' {
		id, rest, _ = strings.Cut(line, " ")
		return id, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case c == '"':
			rest = line[i+1:]
			if rest != "" && rest[0] != ' ' {
				return "", "", errors.New("no blank behind the quotes")
			}
			return b.String(), rest, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("quotes are not closed")
}

func parseIdentifier(id string) (storage.GrantKind, string, error) {
	switch id {
	case "owner":
		return storage.GrantOwner, "", nil
	case "authenticated":
		return storage.GrantAuthenticated, "", nil
	case "anyone", "anonymous":
		return storage.GrantAnyone, "", nil
	}
	for _, k := range []storage.GrantKind{storage.GrantUser, storage.GrantGroup, storage.GrantGroupOverride} {
		if name, ok := strings.CutPrefix(id, identifierPrefix(k)); ok {
			return k, name, nil
		}
	}
	return 0, "", fmt.Errorf("unknown identifier %q", id)
}

func identifierPrefix(k storage.GrantKind) string {
	switch k {
	case storage.GrantUser:
		return "user="
	case storage.GrantGroup:
		return "group="
	case storage.GrantGroupOverride:
		return "group-override="
	case storage.GrantAnyone:
		return "anyone"
	case storage.GrantAuthenticated:
		return "authenticated"
	case storage.GrantOwner:
		return "owner"
	}
	return ""
}

// parseRightNames reads `letters[ :name...]`.
func parseRightNames(g *storage.Grant, text string) error {
	end := strings.IndexAny(text, " \t:")
	if end < 0 {
		end = len(text)
	}
	letters := text[:end]
	if strings.ContainsAny(letters, "cd") { // of IMAP only; Dovecot refuses them here
		return fmt.Errorf("unknown right in %q", letters)
	}
	rights, ok := storage.ParseRights(letters)
	if !ok {
		return fmt.Errorf("unknown right in %q", letters)
	}
	g.Rights = rights
	rest := strings.TrimLeft(text[end:], " \t")
	if rest == "" {
		return nil
	}
	names, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return errors.New("':' is missing before the names of rights")
	}
	for _, name := range strings.FieldsFunc(names, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		switch i := slices.Index(rightNames, name); {
		case i >= 0:
			g.Rights |= 1 << i
		case !slices.Contains(g.Others, name):
			g.Others = append(g.Others, name)
		}
	}
	return nil
}

// formatACL writes a list as Dovecot does: entries by kind and name, letters in
// the order of the rights' names.
func formatACL(all []storage.Grant) []byte {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b storage.Grant) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return strings.Compare(a.Name, b.Name)
	})
	b := []byte{}
	for _, g := range all {
		id := identifierPrefix(g.Kind) + g.Name
		if g.Negative {
			id = "-" + id
		}
		if strings.ContainsAny(id, " \"\\\t") {
			id = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(id) + `"`
		}
		b = append(append(b, id...), ' ')
		b = append(b, lettersByName(g.Rights)...)
		if len(g.Others) > 0 {
			b = append(append(b, " :"...), strings.Join(g.Others, " ")...)
		}
		b = append(b, '\n')
	}
	return b
}

func lettersByName(r storage.Rights) string {
	letters := []byte(r.String())
	slices.SortFunc(letters, func(a, b byte) int {
		return strings.Compare(rightNames[strings.IndexByte(storage.RightLetters, a)], rightNames[strings.IndexByte(storage.RightLetters, b)])
	})
	return string(letters)
}

// aclPath finds the file of a mailbox without making anything.
func (h *accountHandle) aclPath(ctx context.Context, name string) (string, error) {
	if err := errors.Join(h.alive(), ctx.Err()); err != nil {
		return "", err
	}
	folder, err := folderOf(canonical(name))
	if err != nil {
		return "", err
	}
	if folder == "." {
		return h.path(aclFile), nil
	}
	switch kind, target, err := h.look(folder); {
	case err != nil:
		return "", err
	case kind == isAlias:
		folder = target
	case kind != isFolder:
		return "", storage.ErrNoMailbox
	}
	return h.path(path.Join(folder, aclFile)), nil
}

var _ storage.Sharer = (*accountHandle)(nil)

// ACL implements storage.Sharer.
func (h *accountHandle) ACL(ctx context.Context, mailbox string) ([]storage.Grant, error) {
	name, err := h.aclPath(ctx, mailbox)
	if err != nil {
		return nil, fmt.Errorf("access control list of %q: %w", mailbox, err)
	}
	text, err := h.store.readFile(name)
	if err != nil || text == "" {
		return nil, err
	}
	all, err := parseACL(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return all, nil
}

// EditACL implements storage.Sharer. Comments are not kept, as with Dovecot.
func (h *accountHandle) EditACL(ctx context.Context, mailbox string, edit func([]storage.Grant) ([]storage.Grant, error)) error {
	name, err := h.aclPath(ctx, mailbox)
	if err == nil {
		err = h.store.edit(ctx, name, func(old string) ([]byte, error) {
			all, err := parseACL(old)
			if err != nil {
				return nil, err
			}
			if all, err = edit(all); err != nil {
				return nil, err
			}
			text := formatACL(all)
			if len(text) > maxACL {
				return nil, storage.ErrACLSize
			}
			return text, nil
		})
	}
	if err == nil {
		err = h.ACLsChanged(ctx)
	}
	if err != nil {
		return fmt.Errorf("access control list of %q: %w", mailbox, err)
	}
	return nil
}

// ACLsChanged implements storage.Sharer.
func (h *accountHandle) ACLsChanged(context.Context) error {
	return h.store.remove(h.path(aclListFile))
}

// SubscribeOther implements storage.Sharer.
func (h *accountHandle) SubscribeOther(ctx context.Context, name string, on bool) error {
	if err := h.alive(); err != nil {
		return err
	}
	if err := h.subscribe(ctx, name, on); err != nil {
		return fmt.Errorf("subscribe %q: %w", name, err)
	}
	return nil
}

// SharedFile is a file below the mail root that several programs edit, each
// through the same kind of lock.
type SharedFile struct {
	store *Store
	name  string
}

// SharedFile is the file of that name, which need not exist; its directory
// neither.
func (s *Store) SharedFile(name string) *SharedFile { return &SharedFile{s, path.Clean(name)} }

// Read returns its content, "" if there is none.
func (f *SharedFile) Read(context.Context) (string, error) { return f.store.readFile(f.name) }

// Edit puts what change returns in the place of the content, durably; nil
// changes nothing.
func (f *SharedFile) Edit(ctx context.Context, change func(old string) ([]byte, error)) error {
	if err := f.store.makeDirs(path.Dir(f.name)); err != nil {
		return err
	}
	return f.store.edit(ctx, f.name, change)
}
