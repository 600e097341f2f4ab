package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"gomaild/internal/peertest"
)

// TestLearn holds that the shipped scripts and their configuration teach what
// users move into Junk and out of it, over IMAP, and nothing else.
func TestLearn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const shipped = "../deploy/sieve/"
	programs := w.path("programs")
	for _, dir := range []string{programs, w.path("mail/sieve")} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"learn-spam.sieve", "learn-ham.sieve"} {
		text, err := os.ReadFile(shipped + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(w.path(filepath.Join("mail/sieve", name)), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	taught := w.path("taught")
	learn := fmt.Sprintf("#!/bin/sh\necho \"$1 $2 $(grep ^Subject:)\" >>%s\n", taught)
	peertest.WriteProgram(t, filepath.Join(programs, "learn"), []byte(learn))
	rules, err := os.ReadFile(shipped + "learn.toml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := New(w.config(t, "", strings.Replace(string(rules), "/usr/lib/gomaild/sieve", programs, 1)+listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	c := w.login(t)
	for _, s := range []string{"one", "two", "three"} {
		text := content(s)
		a := c.Append("INBOX", int64(len(text)), nil)
		if _, err := a.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct{ from, to string }{{"INBOX", "Junk"}, {"INBOX", "Archive"}, {"Junk", "INBOX"}, {"INBOX", "Junk"}, {"Junk", "Trash"}} {
		if step.to == "Archive" {
			if err := c.Create("Archive", nil).Wait(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Select(step.from, nil).Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Move(imap.SeqSetNum(1), step.to).Wait(); err != nil {
			t.Fatalf("%v: %v", step, err)
		}
	}
	got, err := os.ReadFile(taught)
	want := "spam alice@example.test Subject: one\r\nham alice@example.test Subject: one\r\nspam alice@example.test Subject: three\r\n"
	if strings.ReplaceAll(string(got), "\r", "") != strings.ReplaceAll(want, "\r", "") || err != nil {
		t.Errorf("taught %q, %v; want %q", got, err, want)
	}
	if log, err := os.ReadFile(w.path("mail/example.test/alice@example.test/.dovecot.sieve.log")); err == nil {
		t.Errorf("the log holds %q", log)
	}
}
