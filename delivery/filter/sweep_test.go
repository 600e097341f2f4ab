package filter_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/sieve"
	"gomaild/storage"
)

// stock puts messages into bob's INBOX.
func (w *world) stock(messages ...string) {
	w.t.Helper()
	box, err := w.acc.Open(w.t.Context(), "INBOX")
	if err != nil {
		w.t.Fatal(err)
	}
	defer box.Close()
	for _, m := range messages {
		if _, err := box.Append(w.t.Context(), storage.Draft{Content: strings.NewReader(m), Flags: storage.Seen}); err != nil {
			w.t.Fatal(err)
		}
	}
}

// holds is the subjects in a mailbox, with \Flagged and keywords behind them.
func (w *world) holds(name string) []string {
	w.t.Helper()
	box, err := w.acc.Open(w.t.Context(), name)
	if errors.Is(err, storage.ErrNoMailbox) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer box.Close()
	view, err := box.View(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, m := range view.Messages {
		c, err := box.Content(w.t.Context(), m.UID)
		if err != nil {
			w.t.Fatal(err)
		}
		text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		if err := errors.Join(err, c.Close()); err != nil {
			w.t.Fatal(err)
		}
		_, subject, _ := strings.Cut(string(text), "Subject: ")
		subject, _, _ = strings.Cut(subject, "\r\n")
		if m.Flags&storage.Flagged != 0 {
			subject += ` \Flagged`
		}
		if m.Flags&storage.Seen == 0 {
			subject += " unseen"
		}
		all = append(all, strings.Join(append([]string{subject}, view.KeywordNames(m.Keywords)...), " "))
	}
	return all
}

func subject(s string) string {
	return "Return-Path: <ann@example.org>\r\nFrom: ann@example.org\r\nTo: bob@example.net\r\nSubject: " + s + "\r\n\r\nx\r\n"
}

func (w *world) sweep(s filter.Sweep) ([]string, error) {
	w.t.Helper()
	var told []string
	s.Account, s.Of, s.Name = w.acc, accounts.Mailbox{Address: bob}, "script"
	s.Tell = func(m filter.Swept) {
		for _, line := range m.Lines {
			told = append(told, fmt.Sprintf("%d: %s", m.UID, line))
		}
		if m.Err != nil {
			told = append(told, fmt.Sprintf("%d: fault: %v", m.UID, m.Err))
		}
	}
	err := w.f.Sweep(w.t.Context(), s)
	return told, err
}

const sweepScript = `require ["fileinto", "copy", "imap4flags", "editheader", "envelope", "vacation", "reject", "variables"];
if header "subject" "list" { fileinto "Lists"; }
elsif header "subject" "copy" { fileinto :copy :flags "$c" "Copies"; }
elsif header "subject" "flag" { addflag "\\Flagged"; }
elsif header "subject" "away" { vacation "x"; }
elsif header "subject" "far" { redirect "cd@example.com"; }
elsif header "subject" "edit" { deleteheader "Subject"; addheader "Subject" "edited"; fileinto "Lists"; }
elsif header "subject" "bad" { set "x" ""; fileinto "${x}"; }
elsif allof (header "subject" "junk", envelope "from" "ann@example.org") { discard; }
elsif header "subject" "no" { reject "no"; }
`

func TestSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	subjects := []string{"list", "copy", "flag", "away", "far", "edit", "bad", "junk", "no", "other"}
	for _, s := range subjects {
		w.stock(subject(s))
	}
	told, err := w.sweep(filter.Sweep{Script: []byte(sweepScript)})
	if err != nil || len(told) != 9 || !strings.Contains(told[0], `1: store into "Lists" -- script: line 2, column 30`) {
		t.Errorf("told %q, %v", told, err)
	}
	if got := w.holds("INBOX"); !slices.Equal(got, subjects) || w.holds("Lists") != nil {
		t.Errorf("without Apply INBOX holds %q, Lists %q", got, w.holds("Lists"))
	}
	if again, err := w.sweep(filter.Sweep{Script: []byte(sweepScript), Apply: true}); err != nil || !slices.Equal(again, told) {
		t.Errorf("told %q, %v; want what was told before, %q", again, err, told)
	}
	for name, want := range map[string][]string{
		"INBOX":  {"copy", `flag \Flagged`, "away", "far", "bad", "junk", "no", "other"},
		"Lists":  {"list", "edited"},
		"Copies": {"copy $c"},
	} {
		if got := w.holds(name); !slices.Equal(got, want) {
			t.Errorf("%s holds %q, want %q", name, got, want)
		}
	}
	if _, err := w.sweep(filter.Sweep{Script: []byte("discard;"), Apply: true, Expunge: true}); err != nil || len(w.holds("INBOX")) > 0 {
		t.Errorf("%v; after discard INBOX holds %q", err, w.holds("INBOX"))
	}
	if len(w.sent) > 0 {
		t.Errorf("sent %q", w.sent)
	}
}

func TestSweepRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.stock(subject("x"))
	if _, err := w.sweep(filter.Sweep{Script: []byte("nonsense")}); err == nil || !errors.As(err, new(sieve.CompileError)) {
		t.Errorf("got %v", err)
	}
	if _, err := w.sweep(filter.Sweep{Mailbox: "nowhere"}); !errors.Is(err, storage.ErrNoMailbox) {
		t.Errorf("got %v", err)
	}
}
