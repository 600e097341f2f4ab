package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/internal/peertest"
	"gomaild/sieve"
)

// TestLearnProgram calls the shipped program with a stand-in for rspamc, and
// compiles the scripts that call it.
func TestLearnProgram(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rspamc := "#!/bin/sh\necho \"$*: $(cat)\"\n"
	peertest.WriteProgram(t, filepath.Join(dir, "rspamc"), []byte(rspamc))
	for _, tt := range []struct {
		args  []string
		want  string
		fails bool
	}{
		{[]string{"spam", "a@b"}, "-t 5 --deliver-to a@b learn_spam: text\n", false},
		{[]string{"ham", "a@b"}, "-t 5 --deliver-to a@b learn_ham: text\n", false},
		{[]string{"other"}, "", true},
		{nil, "", true},
	} {
		c := exec.CommandContext(t.Context(), "sieve/programs/learn", tt.args...)
		c.Env = []string{"PATH=" + dir + ":/usr/bin:/bin"}
		c.Stdin = strings.NewReader("text")
		out, err := c.Output()
		if string(out) != tt.want || (err != nil) != tt.fails {
			t.Errorf("%q: %q, %v", tt.args, out, err)
		}
	}
	scripts, err := filepath.Glob("sieve/*.sieve")
	if err != nil || len(scripts) != 2 {
		t.Fatalf("%q, %v", scripts, err)
	}
	engine := sieve.New(sieve.Config{Place: sieve.InIMAP, Programs: []string{"vnd.dovecot.pipe"}})
	for _, s := range scripts {
		text, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := engine.CompileTrusted(s, text, nil); err != nil {
			t.Error(err)
		}
	}
}
