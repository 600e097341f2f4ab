// Package scripts keeps the Sieve scripts of one account, in Dovecot's layout,
// for those who edit them:
//
//	.sieve/NAME.sieve    a script
//	.dovecot.sieve       a link to the active one: .sieve/NAME.sieve
//
// A plain file in the place of the link runs at delivery and is the active
// script of nobody; it is put aside as .sieve/dovecot.orig.sieve when another
// becomes active. Every change is durable when the call returns, and a crash
// leaves the old or the new, never no active script where there was one.
package scripts

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"gomaild/internal/durable"
	"gomaild/sieve"
)

// The names on disk.
const (
	link   = ".dovecot.sieve"
	fresh  = ".dovecot.sieve.new" // the link before it is the link
	suffix = ".sieve"
	orig   = "dovecot.orig"
)

// Errors that callers can act on; every other is a fault of the disk.
var (
	ErrNoScript = errors.New("no such script")
	ErrExists   = errors.New("there is a script of that name already")
	ErrActive   = errors.New("the active script cannot be deleted")
	ErrName     = errors.New("not a name for a script")
	ErrQuota    = errors.New("no room for more scripts")
	ErrSize     = errors.New("script is too large")
	ErrFull     = errors.New("the mailbox is full")
)

// Limits bound what an account may keep. Zero fields stand for defaults.
type Limits struct {
	Size    int64 // octets of one script; default 1 MiB
	Scripts int   // how many; default 100
	Total   int64 // octets of all; default 10 MiB
}

func (l Limits) withDefaults() Limits {
	if l.Size <= 0 {
		l.Size = 1 << 20
	}
	if l.Scripts <= 0 {
		l.Scripts = 100
	}
	if l.Total <= 0 {
		l.Total = 10 << 20
	}
	return l
}

// Config is whose scripts and how they are checked. FS and Engine are required.
type Config struct {
	FS       durable.FS // the account's directory; the Store closes it
	Dir      string     // where scripts are in it, default ".sieve"
	Path     string     // its absolute path, for links that others wrote; may be empty
	UID, GID int        // owner of what is made; -1 for the process's
	Engine   *sieve.Engine
	Limits   Limits
	// Global finds a script of the administrator that one includes (RFC 6609):
	// fs.ErrNotExist where there is none. nil: there are none.
	Global func(name string) ([]byte, error)
	// Room says whether the account may hold so many octets more: ErrFull if not,
	// other errors are faults for now. nil: it may.
	Room func(more int64) error
}

// Store is the scripts of one account. Sessions of one account may each have
// one: what counts is on disk.
type Store struct {
	Config
}

// New opens the scripts of an account.
func New(c Config) *Store {
	c.Limits = c.Limits.withDefaults()
	if c.Dir == "" {
		c.Dir = ".sieve"
	}
	return &Store{c}
}

// Close closes the account's directory.
func (s *Store) Close() error { return s.FS.Close() }

// Script is one script of a list.
type Script struct {
	Name   string
	Active bool
	size   int64
}

// maxName is what is left of a file name, in octets.
const maxName = 255 - len(suffix)

// checkName holds RFC 5804 section 1.6 and what a file name can be.
func checkName(name string) error {
	bad := name == "" || len(name) > maxName || !utf8.ValidString(name) || strings.HasPrefix(name, ".") ||
		strings.ContainsFunc(name, func(r rune) bool {
			return r == '/' || unicode.IsControl(r) || r == '\u2028' || r == '\u2029'
		})
	if bad {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}

func (s *Store) file(name string) string { return path.Join(s.Dir, name+suffix) }

// List lists the scripts by name.
func (s *Store) List() ([]Script, error) {
	names, err := s.FS.ReadDirNames(s.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	active, err := s.Active()
	if err != nil {
		return nil, err
	}
	var list []Script
	for _, n := range names {
		name, isScript := strings.CutSuffix(n, suffix)
		if !isScript || checkName(name) != nil {
			continue
		}
		info, err := s.FS.Stat(path.Join(s.Dir, n))
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		list = append(list, Script{name, name == active, info.Size()})
	}
	slices.SortFunc(list, func(a, b Script) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// Active is the name of the active script, "" if there is none.
func (s *Store) Active() (string, error) {
	target, err := s.FS.Readlink(link)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.EINVAL): // nothing, or no link
		return "", nil
	case err != nil:
		return "", err
	}
	target = path.Clean(target)
	if rest, inside := strings.CutPrefix(target, path.Clean(s.Path)+"/"); s.Path != "" && inside {
		target = rest
	}
	name, isScript := strings.CutSuffix(path.Base(target), suffix)
	if path.Dir(target) != s.Dir || !isScript {
		return "", nil
	}
	return name, nil
}

// Get is the text of a script. ErrNoScript, ErrName.
func (s *Store) Get(name string) ([]byte, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	text, err := durable.ReadFile(s.FS, s.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%q: %w", name, ErrNoScript)
	}
	return text, err
}

// HaveSpace reports whether a script of so many octets could be put. ErrName,
// ErrSize, ErrQuota, ErrFull.
func (s *Store) HaveSpace(name string, size int64) error {
	if err := checkName(name); err != nil {
		return err
	}
	if size > s.Limits.Size {
		return fmt.Errorf("%w: at most %d octets", ErrSize, s.Limits.Size)
	}
	list, err := s.List()
	if err != nil {
		return err
	}
	count, total, more := 1, size, size
	for _, one := range list {
		if one.Name == name {
			more -= one.size
			continue
		}
		count++
		total += one.size
	}
	if count > s.Limits.Scripts || total > s.Limits.Total {
		return fmt.Errorf("%w: at most %d scripts and %d octets", ErrQuota, s.Limits.Scripts, s.Limits.Total)
	}
	if s.Room == nil || more <= 0 {
		return nil
	}
	return s.Room(more)
}

// Check compiles a text and returns its warnings. A sieve.CompileError says
// what is wrong with it.
func (s *Store) Check(name string, text []byte) ([]sieve.Diagnostic, error) {
	script, err := s.Engine.Compile(name, text, func(personal bool, included string) ([]byte, error) {
		switch {
		case !personal && s.Global != nil:
			return s.Global(included)
		case !personal:
			return nil, fs.ErrNotExist
		}
		text, err := s.Get(included)
		if errors.Is(err, ErrNoScript) {
			err = fs.ErrNotExist
		}
		return text, err
	})
	if err != nil {
		return nil, err
	}
	return script.Warnings, nil
}

// Put keeps a script whose text has no errors, in place of one of that name, and
// returns its warnings. The errors of HaveSpace and Check.
func (s *Store) Put(name string, text []byte) ([]sieve.Diagnostic, error) {
	if err := s.HaveSpace(name, int64(len(text))); err != nil {
		return nil, err
	}
	warnings, err := s.Check(name, text)
	if err != nil {
		return nil, err
	}
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(s.FS, s.file(name), text, 0o600); err != nil {
		return nil, err
	}
	return warnings, s.own(s.file(name))
}

func (s *Store) makeDir() error {
	err := s.FS.Mkdir(s.Dir, 0o700)
	switch {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return errors.Join(s.own(s.Dir), s.FS.SyncDir("."))
}

func (s *Store) own(name string) error {
	if s.UID < 0 && s.GID < 0 || os.Geteuid() != 0 {
		return nil
	}
	return s.FS.Chown(name, s.UID, s.GID)
}

// SetActive makes a script the active one; "" leaves none. ErrNoScript, ErrName.
func (s *Store) SetActive(name string) error {
	if name == "" {
		return s.deactivate()
	}
	if _, err := s.Get(name); err != nil {
		return err
	}
	if err := s.putAside(); err != nil {
		return err
	}
	return s.point(name)
}

// point makes the link anew and puts it into place in one step.
func (s *Store) point(name string) error {
	if err := s.FS.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.FS.Symlink(s.file(name), fresh); err != nil {
		return err
	}
	if err := s.FS.Rename(fresh, link); err != nil {
		return err
	}
	return s.FS.SyncDir(".")
}

// putAside keeps a plain file that stands where the link should.
func (s *Store) putAside() error {
	info, err := s.FS.Lstat(link)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return err
	}
	if err := s.makeDir(); err != nil {
		return err
	}
	if err := s.FS.Link(link, s.file(orig)); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return s.FS.SyncDir(s.Dir)
}

func (s *Store) deactivate() error {
	if err := s.putAside(); err != nil {
		return err
	}
	err := s.FS.Remove(link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return s.FS.SyncDir(".")
}

// Delete removes a script. ErrActive, ErrNoScript, ErrName.
func (s *Store) Delete(name string) error {
	if _, err := s.Get(name); err != nil {
		return err
	}
	active, err := s.Active()
	switch {
	case err != nil:
		return err
	case active == name:
		return fmt.Errorf("%q: %w", name, ErrActive)
	}
	return s.remove(name)
}

func (s *Store) remove(name string) error {
	if err := s.FS.Remove(s.file(name)); err != nil {
		return err
	}
	return s.FS.SyncDir(s.Dir)
}

// Rename gives a script another name; if it is active it stays so. The script
// has both names until the link points to the new one. ErrExists, ErrNoScript,
// ErrName.
func (s *Store) Rename(from, to string) error {
	if _, err := s.Get(from); err != nil {
		return err
	}
	if err := checkName(to); err != nil {
		return err
	}
	active, err := s.Active()
	if err != nil {
		return err
	}
	err = s.FS.Link(s.file(from), s.file(to))
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%q: %w", to, ErrExists)
	case err != nil:
		return err
	}
	if err := s.FS.SyncDir(s.Dir); err != nil {
		return err
	}
	if active == from {
		if err := s.point(to); err != nil {
			return err
		}
	}
	return s.remove(from)
}
