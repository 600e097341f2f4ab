package tables

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gomaild/mail"
)

// ErrSpec is a table whose name cannot be read: not type:path.
var ErrSpec = errors.New(`not a table; write "hash:/path", "regexp:/path", "pcre:/path", "inline:{key=value}" or "static:value"`)

// table is what one file says.
type table interface {
	// find looks a key up; whole is false for a part of an address, of which
	// patterns know nothing.
	find(key, folded string, whole bool) (string, bool)
	// values calls yield with each value, until it returns false.
	values(yield func(string) bool)
}

// always is static:value.
type always string

func (t always) find(_, _ string, _ bool) (string, bool) { return string(t), true }
func (t always) values(yield func(string) bool)          { yield(string(t)) }

// List is tables that are asked in order. It is safe for concurrent use.
type List struct {
	all []*source
}

// source is one table with its file.
type source struct {
	name  string // type:path
	path  string // "" for one without a file
	parse func(string) (table, error)
	log   *slog.Logger
	check func(string) error

	now atomic.Pointer[table]

	mu    sync.Mutex // guards the fields below
	asked time.Time  // when the file was last looked at
	seen  stamp
	fresh bool   // it had just changed when it was read
	told  string // the fault that the log has
}

// stamp tells one state of a file from another.
type stamp struct {
	size  int64
	mtime time.Time
}

// Options of a List. The zero Options are good.
type Options struct {
	Logger *slog.Logger // gets faults of later readings; nil is none
	// Check tells what is wrong with a value; a table with such a value is not
	// read. A value of a pattern may have groups in it ("${1}"). nil: all are good.
	Check func(value string) error
}

// Open reads tables. Errors name the table, and the line; ErrSpec.
func Open(specs []string, o Options) (*List, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	l := &List{}
	for _, spec := range specs {
		s, err := open(spec, o)
		if err != nil {
			return nil, err
		}
		l.all = append(l.all, s)
	}
	return l, nil
}

// Path is the file of a table's name, "" for one without.
func Path(spec string) string {
	kind, path, ok := strings.Cut(spec, ":")
	if !ok || kind == "static" || kind == "inline" {
		return ""
	}
	return path
}

// WithPath is a table's name with another file.
func WithPath(spec, path string) string {
	kind, _, _ := strings.Cut(spec, ":")
	return kind + ":" + path
}

// parseSpec reads the name of a table and, where it has no file, the table.
func parseSpec(spec string) (s *source, err error) {
	kind, rest, ok := strings.Cut(spec, ":")
	if !ok || strings.TrimSpace(rest) == "" {
		return nil, fmt.Errorf("%q: %w", spec, ErrSpec)
	}
	s = &source{name: spec}
	var fixed table
	switch kind {
	case "hash", "texthash", "btree", "lmdb", "dbm", "cdb", "sdbm":
		s.path, s.parse = rest, parseFixed
	case "regexp":
		s.path, s.parse = rest, func(text string) (table, error) {
			return parsePatterns(text, dialect{longest: true, dotAll: true, switchers: "imx"})
		}
	case "pcre":
		s.path, s.parse = rest, func(text string) (table, error) {
			return parsePatterns(text, dialect{dotAll: true, switchers: "imsxA"})
		}
	case "static":
		fixed = always(strings.TrimSpace(rest))
	case "inline":
		if fixed, err = parseInline(rest); err != nil {
			return nil, fmt.Errorf("inline table: %w", err)
		}
	default:
		return nil, fmt.Errorf("%q: %w", spec, ErrSpec)
	}
	if fixed != nil {
		s.now.Store(&fixed)
	}
	return s, nil
}

// CheckSpec reads the name of a table without its file: ErrSpec, and the faults
// of inline tables.
func CheckSpec(spec string) error {
	_, err := parseSpec(spec)
	return err
}

func open(spec string, o Options) (*source, error) {
	s, err := parseSpec(spec)
	if err != nil {
		return nil, err
	}
	s.log, s.check = o.Logger, o.Check
	if s.path == "" {
		if err := s.checked(*s.now.Load()); err != nil {
			kind, _, _ := strings.Cut(spec, ":")
			return nil, fmt.Errorf("%s table: %w", kind, err) // its text may be a secret
		}
		return s, nil
	}
	s.asked = time.Now()
	if err := s.read(); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return s, nil
}

// read reads the file and puts what it says in place.
func (s *source) read() error {
	text, seen, err := readText(s.path)
	if err != nil {
		return err
	}
	t, err := s.parse(text)
	if err == nil {
		err = s.checked(t)
	}
	if err != nil {
		return err
	}
	s.now.Store(&t)
	s.seen, s.fresh = seen, time.Since(seen.mtime) < quiet
	return nil
}

// checked tells of a value that is not good.
func (s *source) checked(t table) error {
	if s.check == nil {
		return nil
	}
	for v := range t.values {
		if err := s.check(v); err != nil {
			return err
		}
	}
	return nil
}

func readText(path string) (string, stamp, error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return "", stamp{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", stamp{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return "", stamp{}, fmt.Errorf("is not a file of at most %d octets", maxFile)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(text), stamp{info.Size(), info.ModTime()}, err
}

// quiet is how often a file is looked at, and how old its change must be: who
// writes it in place may need a moment.
const quiet = time.Second

// current is the table as the file says it now, or said before it went bad.
func (s *source) current() table {
	if s.path == "" || !s.mu.TryLock() { // somebody else looks right now
		return *s.now.Load()
	}
	defer s.mu.Unlock()
	now := time.Now()
	if now.Sub(s.asked) < quiet {
		return *s.now.Load()
	}
	s.asked = now
	info, err := os.Stat(s.path)
	switch {
	case err == nil && !s.fresh && s.told == "" && s.seen == stamp{info.Size(), info.ModTime()}:
		return *s.now.Load()
	case err == nil && now.Sub(info.ModTime()) < quiet && !info.ModTime().After(now):
		return *s.now.Load() // perhaps it is still being written
	case err == nil:
		err = s.read()
	}
	s.tell(err)
	return *s.now.Load()
}

// tell logs a fault once, and its end.
func (s *source) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == s.told {
		return
	}
	s.told = text
	if err != nil {
		s.log.Error("lookup table not read; what it said before goes on to count", "table", s.name, "error", err)
		return
	}
	s.log.Info("lookup table read again", "table", s.name)
}

// IsEmpty reports that there are no tables; also for nil.
func (l *List) IsEmpty() bool { return l == nil || len(l.all) == 0 }

// Find is the value of the first key that has one: of keys[0] in any table, of
// the others, which are parts of it, in tables of fixed names. Each key is asked
// of all tables before the next one.
func (l *List) Find(keys ...string) (value string, ok bool) {
	if l == nil {
		return "", false
	}
	for i, key := range keys {
		folded := mail.FoldASCII(key)
		for _, s := range l.all {
			if v, ok := s.current().find(key, folded, i == 0); ok {
				return v, true
			}
		}
	}
	return "", false
}
