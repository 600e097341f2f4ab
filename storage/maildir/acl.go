package maildir

import (
	"context"
	"errors"
	"fmt"
	"path"

	"gomaild/storage"
	"gomaild/storage/acltext"
)

// An access control list is dovecot-acl in the mailbox's directory (package
// acltext). dovecot-acl-list in the account's directory is what Dovecot remembers
// of all of them; it does not notice that others change one, so it is removed with
// each change.
const (
	aclFile     = "dovecot-acl"
	aclListFile = "dovecot-acl-list"
)

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
	all, err := acltext.Parse(text)
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
			all, err := acltext.Parse(old)
			if err != nil {
				return nil, err
			}
			if all, err = edit(all); err != nil {
				return nil, err
			}
			text := acltext.Format(all)
			if len(text) > acltext.MaxSize {
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
