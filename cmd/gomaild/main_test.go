package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// gomaild runs the program in this process.
func gomaild(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, streams{strings.NewReader(stdin), &out, &errs})
	return code, out.String(), errs.String()
}

// write makes a file in a new directory and returns its path.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestExitStatus(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "gomaild.toml")
	bad := write(t, "bad.toml", "hostnme = \"x\"\n")
	for _, tt := range []struct {
		rule   string
		args   []string
		code   int
		stdout string // must be in it
		stderr string
	}{
		{"no command is help", nil, exitOK, "gomaild demo", ""},
		{"help", []string{"--help"}, exitOK, "gomaild receives mail", ""},
		{"version", []string{"version"}, exitOK, "gomaild ", ""},
		{"the example", []string{"config", "example"}, exitOK, "#hostname = ", ""},
		{"the documentation", []string{"config", "doc"}, exitOK, "# The configuration", ""},
		{"completion", []string{"completion", "bash"}, exitOK, "bash completion", ""},
		{"an unknown command", []string{"sevre"}, exitUsage, "", `unknown command "sevre"`},
		{"an unknown flag", []string{"serve", "--bogus"}, exitUsage, "", "unknown flag: --bogus"},
		{"a missing argument", []string{"account", "add"}, exitUsage, "", "accepts 1 arg(s), received 0\nUsage: gomaild account add ADDRESS [flags]\nSee gomaild account add --help."},
		{"deliver's help alone is no delivery", []string{"deliver", "--help"}, exitOK, "Usage: gomaild deliver -d RECIPIENT", ""},
		{"help of deliver", []string{"help", "deliver"}, exitOK, "Exit status: 0 delivered", ""},
		{"one argument too many", []string{"check", "x"}, exitUsage, "", "unknown command"},
		{"flags that exclude each other", []string{"account", "list", "-c", "x", "--db", "y"}, exitUsage, "", "none of the others can be"},
		{"serve without a file", []string{"serve", "-c", missing}, exitConfig, "", missing + ": file does not exist"},
		{"serve with a bad file", []string{"serve", "-c", bad}, exitConfig, "", bad + `:1: hostnme: unknown key; did you mean "hostname"?`},
		{"check without a file", []string{"check", "-c", missing}, exitConfig, "", "file does not exist"},
		{"check with a bad file", []string{"check", "-c", bad}, exitConfig, "", "did you mean"},
		{"account with a bad file", []string{"account", "list", "-c", bad}, exitConfig, "", "did you mean"},
		{"deliver says its own usage", []string{"deliver", "-x"}, exitUsage, "Usage: gomaild deliver", `unknown option: "-x"`},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := gomaild(t, "", tt.args...)
			if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("exit %d, want %d\nstdout: %.300s\nstderr: %s", code, tt.code, stdout, stderr)
			}
		})
	}
}
