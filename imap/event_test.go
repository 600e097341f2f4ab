package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gomaild/storage"
)

// TestEvents holds what commands tell of messages, and what they do not.
func TestEvents(t *testing.T) {
	t.Parallel()
	var heard []string
	w := newWorld(t, func(c *Config) {
		c.Event = func(_ context.Context, e Event) {
			var list []string
			for _, m := range e.Messages {
				list = append(list, strings.TrimSpace(fmt.Sprint(m.UID, " ", strings.Join(m.Flags, " "))))
			}
			heard = append(heard, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.Cause, e.Mailbox.Name(), e.From))+": "+strings.Join(list, ", "))
		}
	})
	const text = "From: a@example.org\nSubject: x\n\nbody\n"
	w.put("INBOX", text, storage.Seen)
	w.put("INBOX", text, 0)
	w.put("INBOX", text, 0)
	c := w.login(w.listen())
	ask := func(line string) {
		t.Helper()
		c.send("t " + line + "\r\n")
		if got := c.until("t"); !strings.HasPrefix(got[len(got)-1], "t OK") {
			t.Fatalf("%s: %q", line, got)
		}
	}
	ask("CREATE Junk")
	ask("SELECT INBOX")
	for _, tt := range []struct {
		rule, line string
		want       []string
	}{
		{"APPEND", "APPEND Junk {3+}\r\na:b", []string{"APPEND Junk: 1"}},
		{"several at once", "APPEND Junk {3+}\r\na:b {3+}\r\nc:d", []string{"APPEND Junk: 2, 3"}},
		{"COPY", "COPY 1:2 Junk", []string{"COPY Junk INBOX: 4, 5"}},
		{"STORE", `STORE 1:2 +FLAGS (\Flagged new)`, []string{`FLAG INBOX: 1 \Flagged new, 2 \Flagged new`}},
		{"again changes nothing", `STORE 1:2 +FLAGS (\Flagged new)`, nil},
		{"only what changes", `STORE 1:2 FLAGS (\Seen new)`, []string{`FLAG INBOX: 1 \Flagged, 2 \Flagged \Seen`}},
		{"a keyword goes", `STORE 2 -FLAGS.SILENT (new)`, []string{"FLAG INBOX: 2 new"}},
		{"FETCH that sets \\Seen", "FETCH 1:3 BODY[TEXT]", []string{`FLAG INBOX: 3 \Seen`}},
		{"FETCH that does not", "FETCH 1:3 BODY.PEEK[TEXT]", nil},
		{"MOVE", "MOVE 3 Junk", []string{"COPY Junk INBOX: 6"}},
		{"REPLACE", "REPLACE 2 Junk {3+}\r\ne:f", []string{"APPEND Junk: 7"}},
		{"nothing is copied", "UID COPY 99 Junk", nil},
	} {
		heard = nil
		ask(tt.line)
		if !slices.Equal(heard, tt.want) {
			t.Errorf("%s: heard %q, want %q", tt.rule, heard, tt.want)
		}
	}
}

// TestEventIsAnswered holds that a client is told in the same answer what a
// script made of a message.
func TestEventIsAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) {
		c.SieveURL = "sieve://mail.example.test"
		c.Event = func(ctx context.Context, e Event) {
			for _, m := range e.Messages {
				if err := e.Mailbox.Expunge(ctx, []storage.UID{m.UID}); err != nil {
					t.Error(err)
				}
			}
		}
	})
	w.put("INBOX", "Subject: x\n\nb\n", 0)
	c := w.login(w.listen())
	c.send("c CAPABILITY\r\n")
	if got := strings.Join(c.until("c"), "\n"); !strings.Contains(got, " IMAPSIEVE=sieve://mail.example.test ") {
		t.Errorf("capabilities %q", got)
	}
	c.send("s SELECT INBOX\r\n")
	c.until("s")
	c.send("u UID STORE 1 +FLAGS (\\Flagged)\r\n")
	if got := c.until("u"); !slices.ContainsFunc(got, func(l string) bool {
		return strings.HasSuffix(l, "FETCH (UID 1 FLAGS (\\Flagged))") || strings.Contains(l, "\\Flagged")
	}) ||
		!slices.Contains(got, "* 1 EXPUNGE") {
		t.Errorf("UID STORE: %q", got)
	}
	c.send("a APPEND INBOX {3+}\r\na:b\r\n")
	if got := c.until("a"); !strings.HasPrefix(got[len(got)-1], "a OK [APPENDUID ") {
		t.Errorf("APPEND: %q", got)
	}
}
