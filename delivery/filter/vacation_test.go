package filter_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/mail"
)

// office is what PostfixAdmin's tables say of bob.
type office struct {
	row  accounts.Vacation
	told []string // whom vacation.pl told
	err  error
}

func (o *office) Vacation(context.Context, mail.Address) (accounts.Vacation, error) {
	if o.row.Body == "" && o.err == nil {
		return o.row, accounts.ErrNotFound
	}
	return o.row, o.err
}

func (o *office) Notified(_ context.Context, _, sender mail.Address, _ accounts.Vacation) (bool, error) {
	return slices.Contains(o.told, sender.String()), o.err
}

func newOffice(t *testing.T, row accounts.Vacation) (*world, *office) {
	t.Helper()
	o := &office{row: row}
	w := newWorld(t, func(c *filter.Config) { c.Vacations = o })
	w.maybeAway = true
	w.write("bob/exists", "")
	return w, o
}

func TestPostfixadminVacation(t *testing.T) {
	t.Parallel()
	w, o := newOffice(t, accounts.Vacation{Subject: "Weg", Body: "Bin weg.", Version: "1"})
	w.want(simple, "")
	w.want(simple, "")
	w.f = filter.New(w.conf) // the other node
	w.want(simple, "")
	if len(w.sent) != 1 || !strings.Contains(w.sent[0], "Subject: Weg\r\n") || !strings.HasSuffix(w.sent[0], "\r\n\r\nBin weg.\r\n") {
		t.Fatalf("sent %q", w.sent)
	}
	o.row.Version = "2"
	w.want(simple, "")
	if len(w.sent) != 2 {
		t.Errorf("%d answers after the vacation was set again, want 2", len(w.sent))
	}
	w.write("bob/.dovecot.sieve", `require "fileinto"; fileinto "x";`)
	o.row.Version = "3"
	w.want(simple, "x")
	if len(w.sent) != 3 {
		t.Errorf("%d answers with a script that files, want 3", len(w.sent))
	}
}

func TestPostfixadminInterval(t *testing.T) {
	t.Parallel()
	w, o := newOffice(t, accounts.Vacation{Body: "x", Interval: time.Hour})
	for range 4 { // at 0:00, 0:40, 1:20, 2:00
		w.want(simple, "")
		w.now = w.now.Add(40 * time.Minute)
	}
	if len(w.sent) != 2 {
		t.Errorf("%d answers in two hours, want 2", len(w.sent))
	}
	o.row.Interval = time.Second // PostfixAdmin's "every mail"
	for range 3 {
		w.now = w.now.Add(time.Hour)
		w.want(simple, "")
	}
	if len(w.sent) != 5 {
		t.Errorf("%d answers, want 5", len(w.sent))
	}
}

// TestPostfixadminSilence is every way in which nobody is to be answered.
func TestPostfixadminSilence(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		why    string
		msg    string
		change func(w *world, o *office)
		want   []string
	}{
		{"no alias asks for it", simple, func(w *world, _ *office) { w.maybeAway = false }, []string{""}},
		{"no vacation is in force", simple, func(_ *world, o *office) { o.row.Body = "" }, []string{""}},
		{"the database is away", simple, func(_ *world, o *office) { o.err = errors.New("away") }, []string{""}},
		{"vacation.pl told the sender", simple, func(_ *world, o *office) { o.told = []string{"ann@example.org"} }, []string{""}},
		{"a list", "List-Id: <l.example.org>\r\n" + simple, nil, []string{""}},
		{"spam", "X-Spam-Flag: YES\r\n" + simple, nil, []string{""}},
		{"mail that does not name the user", strings.Replace(simple, "To: bob", "To: all", 1), nil, []string{""}},
		{"a script discards", simple, func(w *world, _ *office) { w.write("bob/.dovecot.sieve", `discard;`) }, nil},
		{"nothing can be sent", simple, func(w *world, _ *office) { w.conf.Submit = nil; w.f = filter.New(w.conf) }, []string{""}},
	} {
		w, o := newOffice(t, accounts.Vacation{Subject: "Weg", Body: "Bin weg."})
		if tt.change != nil {
			tt.change(w, o)
		}
		w.want(tt.msg, tt.want...)
		if len(w.sent) > 0 {
			t.Errorf("%s: sent %q", tt.why, w.sent)
		}
	}
}

// TestScriptAnswersFirst holds that a user's own vacation script takes the
// place of PostfixAdmin's.
func TestScriptAnswersFirst(t *testing.T) {
	t.Parallel()
	w, _ := newOffice(t, accounts.Vacation{Body: "from the table"})
	w.write("bob/.dovecot.sieve", `require "vacation"; vacation "from the script";`)
	w.want(simple, "")
	if len(w.sent) != 1 || !strings.Contains(w.sent[0], "from the script") {
		t.Errorf("sent %q", w.sent)
	}
}
