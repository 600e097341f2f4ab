package filter_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/sieve"
	"gomaild/storage"
)

// ran is a program that was run.
type ran struct{ name, input, env string }

// event tells the filter of what happened to every message of a mailbox.
func (w *world) event(cause, mailbox, from string, flags ...string) {
	w.t.Helper()
	box, err := w.acc.Open(w.t.Context(), mailbox)
	if err != nil {
		w.t.Fatal(err)
	}
	defer box.Close()
	view, err := box.View(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	e := filter.Event{Account: w.acc, Of: accounts.Mailbox{Address: bob}, User: "bob", Cause: cause, Mailbox: box, From: from}
	for _, m := range view.Messages {
		e.Messages = append(e.Messages, filter.Changed{UID: m.UID, Flags: flags})
	}
	w.f.Event(w.t.Context(), e)
}

// annotate sets an annotation of a mailbox.
func (w *world) annotate(mailbox, entry, value string) {
	w.t.Helper()
	if err := w.acc.Annotate(w.t.Context(), mailbox, map[string]*string{entry: &value}); err != nil {
		w.t.Fatal(err)
	}
}

// imapWorld has mailboxes Junk and Work, and programs that are only noted.
func imapWorld(t *testing.T, rules ...filter.Rule) (*world, *[]ran) {
	t.Helper()
	programs := &[]ran{}
	w := newWorld(t, func(c *filter.Config) {
		c.IMAP = filter.IMAP{Rules: rules, Users: true}
		c.Hostname = "mx.example.net"
		c.Programs = []string{"vnd.dovecot.pipe", "vnd.dovecot.execute"}
		c.Reserved = c.Programs
		c.Program = func(_ context.Context, p sieve.Program) ([]byte, error) {
			if p.Name == "nothing" {
				return nil, sieve.ErrNoProgram
			}
			if p.Name == "fails" {
				return nil, errors.New("exit status 1")
			}
			r := ran{name: p.Name + " " + strings.Join(p.Args, " "), env: strings.Join(p.Environ, " ")}
			if p.Input != nil {
				text, err := io.ReadAll(io.NewSectionReader(p.Input, 0, p.Input.Size()))
				if err != nil {
					return nil, err
				}
				r.input = string(text)
			}
			*programs = append(*programs, r)
			return nil, nil
		}
	})
	for _, name := range []string{"Junk", "Work", "Work/2026"} {
		if err := w.acc.Create(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	w.write("bob/exists", "")
	return w, programs
}

// TestRules holds which scripts of the administrator run where, and when.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule    string
		r       filter.Rule
		cause   string
		mailbox string
		from    string
		runs    bool
	}{
		{"name", filter.Rule{Name: "Junk"}, "COPY", "Junk", "INBOX", true},
		{"another name", filter.Rule{Name: "Junk"}, "COPY", "Work", "Junk", false},
		{"INBOX in any case", filter.Rule{Name: "inbox"}, "APPEND", "INBOX", "", true},
		{"all", filter.Rule{Name: "*"}, "FLAG", "Work/2026", "", true},
		{"one level", filter.Rule{Name: "W%"}, "APPEND", "Work/2026", "", false},
		{"below", filter.Rule{Name: "Work/%"}, "APPEND", "Work/2026", "", true},
		{"a pattern in the middle", filter.Rule{Name: "*k/20*6"}, "APPEND", "Work/2026", "", true},
		{"cause", filter.Rule{Name: "Junk", Causes: []string{"copy"}}, "COPY", "Junk", "INBOX", true},
		{"another cause", filter.Rule{Name: "Junk", Causes: []string{"COPY", "APPEND"}}, "FLAG", "Junk", "", false},
		{"from", filter.Rule{Name: "*", From: "Junk"}, "COPY", "Work", "Junk", true},
		{"from elsewhere", filter.Rule{Name: "*", From: "Junk"}, "COPY", "Work", "INBOX", false},
		{"from, and nothing is copied", filter.Rule{Name: "*", From: "*"}, "APPEND", "Work", "", false},
	} {
		tt.r.Before = "rule.sieve"
		w, programs := imapWorld(t, tt.r)
		w.write("rule.sieve", `require ["vnd.dovecot.pipe","copy","imapsieve"]; pipe :copy "learn" ["spam"];`)
		w.put(tt.mailbox, subject("x"))
		w.event(tt.cause, tt.mailbox, tt.from)
		if got := len(*programs) == 1; got != tt.runs {
			t.Errorf("%s: ran %q", tt.rule, *programs)
		}
		if tt.runs && len(*programs) == 1 {
			p := (*programs)[0]
			if p.name != "learn spam" || p.input != subject("x") || !strings.HasSuffix(p.env, "/bob USER=bob@example.net HOST=mx.example.net RECIPIENT=bob@example.net ORIG_RECIPIENT=bob@example.net") {
				t.Errorf("%s: ran %q", tt.rule, p)
			}
		}
		if got := w.holds(tt.mailbox); !slices.Equal(got, []string{"x"}) {
			t.Errorf("%s: the mailbox holds %q", tt.rule, got)
		}
	}
}

// put stores messages in a mailbox.
func (w *world) put(mailbox string, messages ...string) {
	w.t.Helper()
	box, err := w.acc.Open(w.t.Context(), mailbox)
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

// TestIMAPActions holds what each action does at an event: RFC 6785 section 3.
func TestIMAPActions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, script string
		expunge      bool
		inbox, work  []string // subjects with flags afterwards
		sent         int
		log          string
	}{
		{"nothing is the implicit keep", ``, false, []string{"x"}, nil, 0, ""},
		{"keep", `keep;`, false, []string{"x"}, nil, 0, ""},
		{"flags that are set", `require "imap4flags"; addflag ["\\Flagged","$a"];`, false, []string{`x \Flagged $a`}, nil, 0, ""},
		{"flags that are taken", `require "imap4flags"; if hasflag "\\Seen" { removeflag "\\Seen"; }`, false, []string{"x unseen"}, nil, 0, ""},
		{"keep with flags", `require "imap4flags"; keep :flags "\\Flagged";`, false, []string{`x \Flagged unseen`}, nil, 0, ""},
		{"fileinto leaves the message deleted", `require "fileinto"; fileinto "Work";`, false, []string{"x deleted"}, []string{"x"}, 0, ""},
		{"fileinto, expunged", `require "fileinto"; fileinto "Work";`, true, nil, []string{"x"}, 0, ""},
		{"fileinto :copy", `require ["fileinto","copy","imap4flags"]; fileinto :copy :flags "$b" "Work";`, false, []string{"x"}, []string{"x unseen $b"}, 0, ""},
		{"a change is for the copy alone", `require ["fileinto","copy","editheader"]; deleteheader "subject"; addheader "Subject" "y"; fileinto :copy "Work"; keep;`, false, []string{"x"}, []string{"y"}, 0, ""},
		{"discard", `discard;`, false, []string{"x deleted"}, nil, 0, ""},
		{"discard, expunged", `discard;`, true, nil, nil, 0, ""},
		{"redirect", `redirect "cd@example.com";`, false, []string{"x deleted"}, nil, 1, ""},
		{"redirect :copy", `require "copy"; redirect :copy "cd@example.com";`, false, []string{"x"}, nil, 1, ""},
		{"notify", `require "enotify"; notify "mailto:cd@example.com";`, false, []string{"x"}, nil, 1, ""},
		{"reject is an error", `require "reject"; reject "no";`, false, []string{"x"}, nil, 0, "'reject' cannot be used here"},
		{"ereject is an error", `require "ereject"; ereject "no";`, false, []string{"x"}, nil, 0, "'ereject' cannot be used here"},
		{"vacation is an error", `require "vacation"; vacation "no";`, false, []string{"x"}, nil, 0, "'vacation' cannot be used here"},
		{"the envelope test is an error", `require "envelope"; if not envelope "from" "x" { discard; }`, false, []string{"x"}, nil, 0, "there is no envelope"},
		{"a user's script runs no programs", `require "vnd.dovecot.pipe"; pipe "learn";`, false, []string{"x"}, nil, 0, "reserved to the administrator"},
		{"an administrator's that it includes does", `require "include"; include :global "learn";`, false, []string{"x"}, nil, 0, ""},
		{"an error at run time", `require ["fileinto","variables"]; fileinto "Work"; set "n" ""; fileinto "${n}";`, false, []string{"x"}, nil, 0, "invalid folder name"},
	} {
		w, _ := imapWorld(t)
		w.conf.IMAP.Expunge, w.conf.Global = tt.expunge, "global"
		w.f = filter.New(w.conf)
		w.write("global/learn.sieve", `require ["vnd.dovecot.pipe","copy"]; pipe :copy "learn";`)
		w.write("bob/.sieve/mine.sieve", tt.script)
		w.annotate("INBOX", "/shared/imapsieve/script", "mine")
		w.put("INBOX", subject("x"))
		w.event("APPEND", "INBOX", "")
		if got := w.holdsDeleted("INBOX"); !slices.Equal(got, tt.inbox) {
			t.Errorf("%s: INBOX holds %q, want %q", tt.rule, got, tt.inbox)
		}
		if got := w.holds("Work"); !slices.Equal(got, tt.work) {
			t.Errorf("%s: Work holds %q, want %q", tt.rule, got, tt.work)
		}
		if len(w.sent) != tt.sent || tt.sent > 0 && strings.Contains(tt.rule, "redirect") && !strings.HasPrefix(w.sent[0], "bob@example.net > cd@example.com") {
			t.Errorf("%s: sent %q", tt.rule, w.sent)
		}
		if tt.log == "" && w.log() != "" || !strings.Contains(w.log(), tt.log) {
			t.Errorf("%s: the log holds %q", tt.rule, w.log())
		}
	}
}

// holdsDeleted is holds, with a word for messages that are \Deleted.
func (w *world) holdsDeleted(name string) []string {
	w.t.Helper()
	all := w.holds(name)
	box, err := w.acc.Open(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	defer box.Close()
	view, err := box.View(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for i, m := range view.Messages {
		if m.Flags&storage.Deleted != 0 {
			all[i] += " deleted"
		}
	}
	return all
}

// TestIMAPItems holds what scripts are told of an event (RFC 6785 section 4), and
// that at delivery they are told nothing.
func TestIMAPItems(t *testing.T) {
	t.Parallel()
	w, _ := imapWorld(t)
	w.annotate("", "/shared/imapsieve/script", "all")
	w.put("Work", subject("x"))
	check := func(item, want string, deliver bool) {
		t.Helper()
		script := `require ["environment","fileinto"]; if environment :is "` + item + `" "` + want + `" { fileinto "yes"; }`
		w.write("bob/.sieve/all.sieve", script)
		w.write("bob/.dovecot.sieve", script)
		if deliver {
			w.want(simple, "yes")
			return
		}
		w.event("FLAG", "Work", "", `\Seen`, "$x")
		if len(w.holds("yes")) != 1 {
			t.Errorf("%s is not %q: %s", item, want, w.log())
			return
		}
		if err := w.acc.Delete(t.Context(), "yes"); err != nil {
			t.Fatal(err)
		}
	}
	for item, want := range map[string]string{
		"imap.user": "bob", "imap.email": "bob@example.net", "imap.cause": "FLAG", "imap.mailbox": "Work",
		"imap.changedflags": `\\Seen $x`, "location": "MS", "phase": "post",
	} {
		check(item, want, false)
	}
	for _, item := range []string{"imap.user", "imap.email", "imap.cause", "imap.mailbox", "imap.changedflags"} {
		check(item, "", true)
	}
	check("location", "MDA", true)
}

// TestWhichScript is RFC 6785 section 2.3.1: the mailbox's annotation before the
// account's, and no other in place of one that cannot be used.
func TestWhichScript(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule         string
		own, account string
		want         []string
	}{
		{"none", "", "", nil},
		{"the mailbox's", "a", "", []string{"a"}},
		{"the account's", "", "b", []string{"b"}},
		{"both", "a", "b", []string{"a"}},
		{"one that is not there", "c", "b", nil},
		{"a path", "../../bob/.sieve/a", "b", nil},
	} {
		w, _ := imapWorld(t)
		for _, name := range []string{"a", "b"} {
			w.write("bob/.sieve/"+name+".sieve", `require ["fileinto","copy","mailbox","imapsieve"]; fileinto :copy :create "Ran/`+name+`";`)
		}
		if tt.own != "" {
			w.annotate("Work", "/shared/imapsieve/script", tt.own)
		}
		if tt.account != "" {
			w.annotate("", "/shared/imapsieve/script", tt.account)
		}
		w.put("Work", subject("x"))
		w.event("APPEND", "Work", "")
		var got []string
		for _, name := range []string{"a", "b"} {
			if w.holds("Ran/"+name) != nil {
				got = append(got, name)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: ran %q, want %q", tt.rule, got, tt.want)
		}
	}
	w, _ := imapWorld(t)
	w.conf.IMAP.Users = false
	w.f = filter.New(w.conf)
	w.write("bob/.sieve/a.sieve", `discard;`)
	w.annotate("Work", "/shared/imapsieve/script", "a")
	w.put("Work", subject("x"))
	w.event("APPEND", "Work", "")
	if got := w.holdsDeleted("Work"); !slices.Equal(got, []string{"x"}) {
		t.Errorf("where users have no scripts in IMAP: %q", got)
	}
}

// TestPipeAtDelivery holds what becomes of a message whose program runs, fails,
// or is not there.
func TestPipeAtDelivery(t *testing.T) {
	t.Parallel()
	const require = `require ["vnd.dovecot.pipe","copy","fileinto"]; `
	for _, tt := range []struct {
		rule, script string
		want         []string
		ran          int
		log          bool
	}{
		{"it has the message", `pipe "learn";`, nil, 1, false},
		{"and so have we", `pipe :copy "learn";`, []string{""}, 1, false},
		{"a failure keeps, and nothing else", `fileinto "a"; pipe "fails"; redirect "cd@example.com";`, []string{""}, 0, true},
		{"one that is not there too", `pipe "nothing";`, []string{""}, 0, true},
		{"one that is tried", `pipe :try "fails";`, []string{""}, 0, false},
		{"one that is tried, of a message that is discarded", `pipe :try "fails"; discard;`, nil, 0, false},
		{"one that is tried beside a folder", `fileinto "a"; pipe :try "fails";`, []string{"a"}, 0, false},
		{"one that is tried and runs", `pipe :try "learn";`, nil, 1, false},
	} {
		w, programs := imapWorld(t)
		w.conf.Reserved = nil
		w.f = filter.New(w.conf)
		w.write("bob/.dovecot.sieve", require+tt.script)
		w.want(simple, tt.want...)
		if len(*programs) != tt.ran || (w.log() != "") != tt.log || len(w.sent) > 0 {
			t.Errorf("%s: ran %q, sent %q, the log holds %q", tt.rule, *programs, w.sent, w.log())
		}
		if tt.ran > 0 && len(*programs) == 1 && !strings.Contains((*programs)[0].env, "SENDER=ann@example.org RECIPIENT=bob@example.net") {
			t.Errorf("%s: ran with %q", tt.rule, (*programs)[0].env)
		}
	}
}
