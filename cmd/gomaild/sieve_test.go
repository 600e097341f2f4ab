package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/internal/peertest"
)

// TestSieveCommands holds what check, run and test print, the line that decided
// among it, and how they end.
func TestSieveCommands(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		peertest.WriteProgram(t, path, []byte(text))
		return path
	}
	message := file("message", "From: ann@example.org\nTo: bob@example.net\nSubject: project x\n\nHi\n")
	rules := file("rules.sieve", "require [\"fileinto\", \"envelope\", \"include\"];\ninclude \"more\";\nif header :contains \"subject\" \"project\" {\n  fileinto \"Work\";\n  stop;\n}\nif envelope \"to\" \"bob@example.net\" { discard; }\n")
	file("more.sieve", "if header \"subject\" \"never\" { discard; }\n")
	bad := file("bad.sieve", "keep;\n  fileinto \"x\";\nif header \"a\" { }\n")
	programs := file("programs.sieve", "require [\"vnd.dovecot.pipe\", \"vnd.dovecot.filter\", \"fileinto\", \"imapsieve\"];\nfilter \"up\";\npipe \"learn\";\nif header :contains \"subject\" \"PROJECT\" { fileinto \"up\"; }\n")
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	file("bin/up", "#!/bin/sh\nexec tr a-z A-Z\n")
	suite := file("suite.svtest", "require \"vnd.dovecot.testsuite\";\ntest \"good\" { if not true { test_fail \"x\"; } }\ntest \"not good\" { test_fail \"because\"; }\n")
	for _, tt := range []struct {
		args     []string
		code     int
		out, err string // each a part
	}{
		{[]string{"check", rules}, 0, "", ""},
		{[]string{"check", rules, bad}, exitFault, "", "bad.sieve: line 2, column 3: error: unknown command 'fileinto'"},
		{[]string{"check", programs}, 0, "", ""},
		{[]string{"run", "-f", "ann@example.org", "-a", "bob@example.net", rules, message}, 0, `store into "Work" -- ` + rules + ": line 4, column 3\n", ""},
		{[]string{"run", programs, message}, exitFault, "keep (implicit)", "line 2, column 1: error: program 'up' not found"},
		{[]string{"run", "--programs", filepath.Join(dir, "bin"), programs, message}, 0, `pipe to "learn" -- ` + programs + ": line 3, column 1\nstore into \"up\" -- " + programs + ": line 4", ""},
		{[]string{"test", suite}, exitFault, "line 3, column 1: not good: line 3: because", ""},
		{[]string{"test", "-v", suite}, exitFault, "1 passed, 1 failed\n", ""},
	} {
		code, out, errOut := gomaild(t, "", append([]string{"sieve"}, tt.args...)...)
		if code != tt.code || !strings.Contains(out, tt.out) || !strings.Contains(errOut, tt.err) {
			t.Errorf("sieve %q: %d, %q, %q; want %d, %q, %q", tt.args, code, out, errOut, tt.code, tt.out, tt.err)
		}
	}
}
