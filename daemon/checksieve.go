package daemon

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gomaild/policy"
	"gomaild/sieve"
)

// policy looks for checks that do not exist: a server would not start with them.
func (k *checker) policy() {
	for _, name := range k.c.Policy.Checks {
		if !slices.Contains(policy.Names(), name) {
			k.fault("policy.checks", nil, "%q is no check; use %s", name, strings.Join(policy.Names(), ", "))
		}
	}
	if len(k.c.Policy.Checks) > 0 {
		_, err := resolver(k.c)
		k.found(err)
	}
}

// sieve looks at what [sieve] names. Mail is kept whatever is wrong there, so
// these are warnings.
func (k *checker) sieve() {
	s := &k.c.Sieve
	if !s.Enabled {
		return
	}
	off := strings.Fields(s.DisableExtensions)
	engine := sieve.New(sieve.Config{Programs: programExtensions(s), Off: off, Delimiter: k.c.Routing.RecipientDelimiter})
	known := sieve.New(sieve.Config{Place: sieve.Anywhere, Programs: []string{"vnd.dovecot.pipe", "vnd.dovecot.filter", "vnd.dovecot.execute"}}).Extensions()
	for _, x := range off {
		if !slices.ContainsFunc(known, func(o string) bool { return strings.EqualFold(o, x) }) {
			k.warn("sieve.disable_extensions", "%q is no extension that scripts could require; write names of %s", x, strings.Join(known, " "))
		}
	}
	for _, p := range []struct{ path, dir string }{
		{"sieve.programs.pipe", s.Programs.Pipe}, {"sieve.programs.filter", s.Programs.Filter}, {"sieve.programs.execute", s.Programs.Execute},
	} {
		if p.dir == "" {
			continue
		}
		if info, err := os.Stat(p.dir); err != nil || !info.IsDir() {
			k.warn(p.path, "%s is no directory, so no script finds a program; name one that exists", p.dir)
		}
	}
	if _, err := os.Stat(k.c.Storage.Root); err != nil {
		return // said already, or mounted elsewhere
	}
	for _, p := range []struct{ path, name string }{{"sieve.before", s.Before}, {"sieve.default", s.Default}, {"sieve.after", s.After}} {
		if p.name == "" {
			continue
		}
		src, err := os.ReadFile(filepath.Join(k.c.Storage.Root, p.name))
		if err != nil {
			k.warn(p.path, "%s cannot be read, so it does not run (%v); write it, or take the key away", p.name, err)
			continue
		}
		included := func(bool, string) ([]byte, error) { return nil, nil } // not looked at
		if _, err := engine.CompileTrusted(p.name, src, included); err != nil {
			k.warn(p.path, "the script is broken and does not run: %v", err)
		}
	}
}
