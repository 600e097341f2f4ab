package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// piped is a message as Postfix's pipe hands it over: LF line ends, trace
// fields already there.
const piped = "Return-Path: <odd@remote.invalid>\nDelivered-To: bob@example.test\nReceived: by mx.example.test; Wed, 25 Nov 2026 00:00:00 +0000\nSubject: piped\n\nGr\xfc\xdfe\n.\nFrom here on\n"

// deliver runs `gomaild deliver` as Postfix runs it: hardly an environment.
func (w *world) deliver(t *testing.T, stdin string, args ...string) (output string, exit int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), gomaild(t), append([]string{"deliver", "-c", w.config}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "LANG=C"}
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exited, ok := errors.AsType[*exec.ExitError](err); ok {
		return out.String(), exited.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), 0
}

// TestDeliver calls the LDA with a daemon behind it and without one: the
// outcome, the exit status and the stored octets are the same.
func TestDeliver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	for _, running := range []bool{false, true} {
		if running {
			w.start(t)
		}
		before := len(w.stored(t, "bob@example.test"))
		for _, tt := range []struct {
			rule  string
			stdin string
			args  []string
			exit  int
			want  string // how the output begins
		}{
			{"a message", piped, []string{"-f", "odd@remote.invalid", "-d", "bob@example.test"}, 0, ""},
			{"the null sender as Postfix passes it", piped, []string{"-f", "MAILER-DAEMON", "-d", "bob@example.test"}, 0, ""},
			{"a sender with a blank", piped, []string{"-f", "Odd Sender@Remote.INVALID", "-d", "bob@example.test"}, 0, ""},
			{"upper case", piped, []string{"-f", "odd@remote.invalid", "-d", "BOB@EXAMPLE.TEST"}, 0, ""},
			{"an unknown user", piped, []string{"-f", "odd@remote.invalid", "-d", "nobody@example.test"}, 67, "5.1.1"},
			{"no recipient", piped, []string{"-f", "odd@remote.invalid"}, 64, ""},
			{"an unknown option", piped, []string{"-z"}, 64, ""},
		} {
			out, exit := w.deliver(t, tt.stdin, tt.args...)
			if exit != tt.exit || !strings.HasPrefix(out, tt.want) || tt.exit == 0 && out != "" {
				t.Errorf("daemon running %v: %s: exit %d, want %d; output %q", running, tt.rule, exit, tt.exit, out)
			}
		}
		names := w.stored(t, "bob@example.test")
		if len(names)-before != 4 {
			t.Errorf("daemon running %v: %d messages came, want 4", running, len(names)-before)
		}
		for _, name := range names {
			if text, err := os.ReadFile(name); err != nil || string(text) != piped {
				t.Errorf("stored is %q, %v; want the octets that were piped", text, err)
			}
		}
	}
}

// TestDeliverWaits holds that what is temporary is exit 75, so that Postfix
// keeps the message: a Maildir that cannot be written and a database that is
// not there.
func TestDeliverWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	if out, exit := w.deliver(t, piped, "-f", "odd@remote.invalid", "-d", "bob@example.test"); exit != 0 {
		t.Fatalf("exit %d: %s", exit, out)
	}
	box := w.maildir("bob@example.test")
	if err := os.Rename(filepath.Join(box, "tmp"), filepath.Join(box, "tmp.away")); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(box, "tmp"), "in the way of the directory")
	if out, exit := w.deliver(t, piped, "-f", "odd@remote.invalid", "-d", "bob@example.test"); exit != 75 {
		t.Errorf("a broken Maildir: exit %d: %s", exit, out)
	}
	if err := os.Rename(filepath.Join(w.dir, "accounts.sqlite"), filepath.Join(w.dir, "away")); err != nil {
		t.Fatal(err)
	}
	if out, exit := w.deliver(t, piped, "-f", "odd@remote.invalid", "-d", "bob@example.test"); exit != 75 {
		t.Errorf("no database: exit %d: %s", exit, out)
	}
	if out, exit := w.deliver(t, piped, "-c", filepath.Join(w.dir, "nowhere.toml"), "-f", "a@b.test", "-d", "bob@example.test"); exit != 75 {
		t.Errorf("no configuration: exit %d: %s", exit, out)
	}
}
