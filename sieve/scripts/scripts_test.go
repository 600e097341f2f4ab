package scripts

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/sieve"
)

const keep = "keep;\r\n"

func open(t *testing.T, l Limits) (*Store, string) {
	t.Helper()
	home := t.TempDir()
	root, err := durable.OpenRoot(home)
	if err != nil {
		t.Fatal(err)
	}
	s := New(Config{FS: root, Path: home, UID: -1, GID: -1, Engine: sieve.New(sieve.Config{}), Limits: l})
	t.Cleanup(func() { s.Close() })
	return s, home
}

func put(t *testing.T, s *Store, names ...string) {
	t.Helper()
	for _, n := range names {
		if _, err := s.Put(n, []byte(keep)); err != nil {
			t.Fatal(err)
		}
	}
}

// names lists the scripts, the active one with a star.
func names(t *testing.T, s *Store) string {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, one := range list {
		n := one.Name
		if one.Active {
			n += "*"
		}
		all = append(all, n)
	}
	return strings.Join(all, ",")
}

// TestLife holds what Dovecot's notes say of names, links and renames.
func TestLife(t *testing.T) {
	t.Parallel()
	s, home := open(t, Limits{})
	if got := names(t, s); got != "" {
		t.Errorf("a new account has %q", got)
	}
	put(t, s, "main", "Büro und Heim", "other")
	for _, step := range []struct {
		rule string
		do   func() error
		err  error
		want string
	}{
		{"none is active at first", func() error { return nil }, nil, "Büro und Heim,main,other"},
		{"activate", func() error { return s.SetActive("main") }, nil, "Büro und Heim,main*,other"},
		{"activate another", func() error { return s.SetActive("Büro und Heim") }, nil, "Büro und Heim*,main,other"},
		{"activate one that is not there", func() error { return s.SetActive("none") }, ErrNoScript, "Büro und Heim*,main,other"},
		{"delete the active one", func() error { return s.Delete("Büro und Heim") }, ErrActive, "Büro und Heim*,main,other"},
		{"delete", func() error { return s.Delete("other") }, nil, "Büro und Heim*,main"},
		{"delete twice", func() error { return s.Delete("other") }, ErrNoScript, "Büro und Heim*,main"},
		{"rename onto another", func() error { return s.Rename("main", "Büro und Heim") }, ErrExists, "Büro und Heim*,main"},
		{"rename", func() error { return s.Rename("main", "second") }, nil, "Büro und Heim*,second"},
		{"rename the active one", func() error { return s.Rename("Büro und Heim", "first") }, nil, "first*,second"},
		{"none active", func() error { return s.SetActive("") }, nil, "first,second"},
		{"none active, twice", func() error { return s.SetActive("") }, nil, "first,second"},
	} {
		if err := step.do(); !errors.Is(err, step.err) {
			t.Errorf("%s: %v", step.rule, err)
		}
		if got := names(t, s); got != step.want {
			t.Errorf("%s: %s, want %s", step.rule, got, step.want)
		}
	}
	if err := s.SetActive("first"); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(filepath.Join(home, ".dovecot.sieve")); err != nil || target != ".sieve/first.sieve" {
		t.Errorf("the link leads to %q, %v", target, err)
	}
}

// TestForeignLinks holds links as others write them, and a plain file.
func TestForeignLinks(t *testing.T) {
	t.Parallel()
	s, home := open(t, Limits{})
	put(t, s, "main")
	link := filepath.Join(home, ".dovecot.sieve")
	for target, want := range map[string]string{
		filepath.Join(home, ".sieve/main.sieve"): "main",
		"./.sieve/main.sieve":                    "main",
		"/etc/passwd":                            "",
		"../other/.sieve/main.sieve":             "",
		".sieve/main":                            "",
	} {
		os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Active(); got != want || err != nil {
			t.Errorf("%s: %q, %v", target, got, err)
		}
	}
	os.Remove(link)
	if err := os.WriteFile(link, []byte("discard;"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := names(t, s); got != "main" {
		t.Error(got)
	}
	if err := s.SetActive("main"); err != nil {
		t.Fatal(err)
	}
	if text, err := s.Get("dovecot.orig"); string(text) != "discard;" || err != nil {
		t.Errorf("the plain file is %q, %v", text, err)
	}
	if got := names(t, s); got != "dovecot.orig,main*" {
		t.Error(got)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	s, home := open(t, Limits{Size: 20, Scripts: 2, Total: 30})
	for _, bad := range []string{"", "../x", "a/b", ".hidden", "a\nb", "a\x00", "\xff", "a\u2028b", strings.Repeat("x", 250)} {
		if _, err := s.Put(bad, []byte(keep)); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", bad, err)
		}
		if _, err := s.Get(bad); !errors.Is(err, ErrName) {
			t.Errorf("get %q: %v", bad, err)
		}
	}
	if _, err := s.Put("a", []byte(strings.Repeat("#", 21))); !errors.Is(err, ErrSize) {
		t.Error(err)
	}
	if _, err := s.Put("a", []byte("no script at all")); err == nil {
		t.Error("a script with errors was kept")
	} else if _, ok := errors.AsType[sieve.CompileError](err); !ok {
		t.Error(err)
	}
	put(t, s, "a", "b")
	if _, err := s.Put("c", []byte(keep)); !errors.Is(err, ErrQuota) {
		t.Errorf("a third script: %v", err)
	}
	if err := s.HaveSpace("b", 20); err != nil {
		t.Errorf("in place of another: %v", err)
	}
	if err := s.HaveSpace("b", 20); err != nil {
		t.Error(err)
	}
	if files, _ := os.ReadDir(filepath.Join(home, ".sieve")); len(files) != 2 {
		t.Errorf("%d files", len(files))
	}
}

// TestOtherDirectory holds that Dovecot's default directory can be the one, and
// that a script which includes one of the administrator's can be put.
func TestOtherDirectory(t *testing.T) {
	t.Parallel()
	s, home := open(t, Limits{})
	s.Dir = "sieve"
	s.Global = func(name string) ([]byte, error) {
		if name != "common" {
			return nil, fs.ErrNotExist
		}
		return []byte(keep), nil
	}
	if _, err := s.Put("main", []byte(`require "include"; include :global "common";`)); err != nil {
		t.Fatal(err)
	}
	// RFC 6609 section 3.1: in which order scripts are put is nobody's business.
	if warnings, err := s.Put("early", []byte(`require "include"; include "later";`)); err != nil || len(warnings) != 1 || !strings.Contains(warnings[0].Text, "does not exist") {
		t.Errorf("a script that includes one to come: %v, %v", warnings, err)
	}
	if err := s.SetActive("main"); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(filepath.Join(home, ".dovecot.sieve")); target != "sieve/main.sieve" || err != nil {
		t.Errorf("the link goes to %q, %v", target, err)
	}
	if got := names(t, s); got != "early,main*" {
		t.Error(got)
	}
}

// TestFullAccount holds that an account which is full takes no more octets of
// scripts, and lets go of some.
func TestFullAccount(t *testing.T) {
	t.Parallel()
	s, _ := open(t, Limits{})
	put(t, s, "a")
	room := int64(2)
	s.Room = func(more int64) error {
		if more > room {
			return ErrFull
		}
		return nil
	}
	for _, tt := range []struct {
		name, text string
		want       error
	}{
		{"b", keep, ErrFull},
		{"a", keep + "#23", ErrFull},
		{"a", keep + "#2", nil},
		{"a", "stop;", nil},
	} {
		if err := s.HaveSpace(tt.name, int64(len(tt.text))); !errors.Is(err, tt.want) {
			t.Errorf("HAVESPACE %s %q: %v, want %v", tt.name, tt.text, err, tt.want)
		}
		if _, err := s.Put(tt.name, []byte(tt.text)); !errors.Is(err, tt.want) {
			t.Errorf("PUTSCRIPT %s %q: %v, want %v", tt.name, tt.text, err, tt.want)
		}
	}
}

// TestPowerCut cuts the power after every operation of an activation and of a
// rename of the active script: one of them is active at any time, and it can be
// read.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	steps := func(s *Store) error {
		return errors.Join(s.SetActive("b"), s.Rename("b", "c"))
	}
	crashes := 0
	for cut := int64(1); ; cut++ {
		disk := crashfs.New()
		s := New(Config{FS: disk, UID: -1, GID: -1, Engine: sieve.New(sieve.Config{})})
		put(t, s, "a", "b")
		if err := s.SetActive("a"); err != nil {
			t.Fatal(err)
		}
		disk.CutAfter(cut)
		if steps(s) == nil {
			break
		}
		crashes++
		for _, survival := range crashfs.Survivals() {
			after := New(Config{FS: disk.Crash(survival), UID: -1, GID: -1, Engine: s.Engine})
			name, err := after.Active()
			if err != nil || name == "" {
				t.Fatalf("cut %d, %v: active %q, %v", cut, survival, name, err)
			}
			if text, err := after.Get(name); string(text) != keep || err != nil {
				t.Errorf("cut %d, %v: %q is %q, %v", cut, survival, name, text, err)
			}
		}
	}
	if crashes < 8 {
		t.Errorf("only %d cuts", crashes)
	}
}
