package acl

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"
	"syscall"
	"time"

	"gomaild/storage"
	"gomaild/storage/acltext"
)

// Global are lists of the administrator for the mailboxes of all, as Dovecot's
// `acl = vfile:PATH` has them: either a file whose lines begin with a pattern of
// mailbox names, or a directory with a list in a file of each mailbox's name
// (.DEFAULT in a directory of that name). The names are those that the user in
// question sees. What a global list says of somebody is in the place of what the
// mailbox's own says. Without the file there are none; one that cannot be read
// gives nobody anything (storage.ErrACL).
type Global struct {
	fsys fs.FS
	name string

	mu    sync.Mutex
	seen  stamp
	rules []acltext.Rule
	err   error
}

// stamp tells one state of a file from another.
type stamp struct {
	size  int64
	mtime time.Time
}

// NewGlobal is the file or directory of that name in fsys.
func NewGlobal(fsys fs.FS, name string) *Global { return &Global{fsys: fsys, name: name} }

// For are the entries for a mailbox.
func (g *Global) For(mailbox string) ([]storage.Grant, error) {
	if g == nil {
		return nil, nil
	}
	info, err := fs.Stat(g.fsys, g.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: %w", storage.ErrACL, err)
	case info.IsDir():
		return g.inDirectory(mailbox)
	}
	return g.inFile(stamp{info.Size(), info.ModTime()}, mailbox)
}

// inFile are the entries of the rules that match; the file is read when it is
// another than before.
func (g *Global) inFile(now stamp, mailbox string) ([]storage.Grant, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now != g.seen {
		g.rules, g.err = nil, nil
		text, err := fs.ReadFile(g.fsys, g.name)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", storage.ErrACL, err)
		}
		if g.rules, err = acltext.ParseRules(string(text)); err != nil {
			g.err = fmt.Errorf("%s: %w", g.name, err)
		}
		g.seen = now
	}
	var all []storage.Grant
	for _, r := range g.rules {
		if r.Matches(mailbox) {
			all = append(all, r.Grant)
		}
	}
	return all, g.err
}

// inDirectory are the entries of the mailbox's own file. A name that is none
// below the directory has none.
func (g *Global) inDirectory(mailbox string) ([]storage.Grant, error) {
	name := path.Join(g.name, mailbox)
	if !fs.ValidPath(mailbox) {
		return nil, nil
	}
	info, err := fs.Stat(g.fsys, name)
	if err == nil && info.IsDir() {
		name = path.Join(name, ".DEFAULT")
		info, err = fs.Stat(g.fsys, name)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil, nil
	}
	if err == nil && info.Size() > acltext.MaxSize {
		err = errors.New("too long")
	}
	var text []byte
	if err == nil {
		text, err = fs.ReadFile(g.fsys, name)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", storage.ErrACL, name, err)
	}
	all, err := acltext.Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i := range all {
		all[i].Global = true
	}
	return all, nil
}
