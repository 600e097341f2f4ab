package filter_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/delivery/local"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/sieve"
	"gomaild/storage"
	"gomaild/storage/memory"
)

// world is one account with its scripts, and what was sent.
type world struct {
	t         *testing.T
	dir       string
	now       time.Time
	sent      []string
	secret    bool // messages come with REQUIRETLS
	maybeAway bool
	copies    []string // folders of what was stored after the answers
	conf      filter.Config
	f         *filter.Filter
	acc       storage.Account
}

var bob = mail.Address{Local: "bob", Domain: "example.net"}

func newWorld(t *testing.T, change func(*filter.Config)) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	root, err := durable.OpenRoot(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	w.conf = filter.Config{
		FS: root, Root: w.dir, UID: -1, GID: -1,
		Home: func(storage.Owner) (string, error) { return "bob", nil },
		Now:  func() time.Time { return w.now },
		Submit: func(_ context.Context, _ string, from mail.ReversePath, to []mail.Address, c message.Content) error {
			text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
			mark := ""
			if from.RequireTLS {
				mark = " REQUIRETLS"
			}
			w.sent = append(w.sent, from.Address.String()+" > "+to[0].String()+mark+"\n"+string(text))
			return err
		},
	}
	if change != nil {
		change(&w.conf)
	}
	w.f = filter.New(w.conf)
	w.acc, err = new(memory.Store).Account(t.Context(), storage.Owner{Address: bob})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) write(name, text string) {
	w.t.Helper()
	p := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o700); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) log() string {
	b, _ := os.ReadFile(filepath.Join(w.dir, "bob/.dovecot.sieve.log"))
	return string(b)
}

const simple = "From: ann@example.org\r\nTo: bob@example.net\r\nSubject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nx\r\n"

// deliver is where a message goes, as "folder flags".
func (w *world) deliver(msg string) ([]string, error) {
	w.t.Helper()
	v, err := w.f.Filter(w.t.Context(), local.Question{
		Recipient: local.Recipient{Mailbox: accounts.Mailbox{Address: bob}, Vacation: w.maybeAway},
		From:      mail.ReversePath{Address: mail.Address{Local: "ann", Domain: "example.org"}, RequireTLS: w.secret},
		Content:   strings.NewReader(msg), Account: w.acc,
		Client: netip.MustParseAddr("192.0.2.7"),
		Store: func(_ context.Context, s local.Store) error {
			w.copies = append(w.copies, s.Folder)
			return nil
		},
	})
	var where []string
	for _, s := range v.Stores {
		at := s.Folder
		if s.Flags&storage.Flagged != 0 {
			at += ` \Flagged`
		}
		where = append(where, strings.Join(append([]string{at}, s.Keywords...), " "))
	}
	if v.Close != nil {
		defer v.Close()
	}
	if err == nil && v.Done != nil {
		v.Done(w.t.Context())
	}
	return where, err
}

func (w *world) want(msg string, want ...string) {
	w.t.Helper()
	if got, err := w.deliver(msg); err != nil || !slices.Equal(got, want) {
		w.t.Errorf("stored in %q, %v; want %q", got, err, want)
	}
}

func TestWhere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule, script string
		want         []string
	}{
		{"no action is the implicit keep", ``, []string{""}},
		{"fileinto with flags", `require ["fileinto","imap4flags"]; fileinto :flags "\\Flagged $x" "Lists/Go";`, []string{`Lists/Go \Flagged $x`}},
		{"copy keeps too", `require ["fileinto","copy"]; fileinto :copy "a";`, []string{"a", ""}},
		{"discard", `discard;`, nil},
		{"one mailbox by two names gets one copy, with the flags said last", `require ["fileinto","imap4flags"]; fileinto :flags "x" "inbox"; keep; fileinto :flags "y" "INBOX"; keep;`, []string{"INBOX y"}},
		{"an error at run time keeps, and nothing else", `require ["fileinto","variables"]; fileinto "a"; set "x" ""; fileinto "${x}";`, []string{""}},
		{"a script that does not compile keeps", `nonsense`, []string{""}},
	} {
		w := newWorld(t, nil)
		w.write("bob/.dovecot.sieve", tt.script)
		if got, err := w.deliver(simple); err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: stored in %q, %v; want %q", tt.rule, got, err, tt.want)
		}
	}
}

func TestErrorsStandInTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", "keep;\nfoo;\n")
	w.want(simple, "")
	if !strings.Contains(w.log(), "line 2, column 1: error: unknown command 'foo'") {
		t.Errorf("the log holds %q", w.log())
	}
	for range 300 {
		w.want(simple, "")
	}
	if len(w.log()) > 10<<10 {
		t.Errorf("the log has %d bytes", len(w.log()))
	}
}

func TestScriptChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.sieve/one.sieve", `require "include"; include "two";`)
	w.write("bob/.sieve/two.sieve", `discard;`)
	if err := os.Symlink(".sieve/one.sieve", filepath.Join(w.dir, "bob/.dovecot.sieve")); err != nil {
		t.Fatal(err)
	}
	w.want(simple)
	w.write("bob/.sieve/two.sieve", `require "fileinto"; fileinto "changed";`)
	w.want(simple, "changed")
}

// TestLinkChanges is the choice of another script that looks the same from
// outside: of one size, and of one time.
func TestLinkChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	link := filepath.Join(w.dir, "bob/.dovecot.sieve")
	for _, name := range []string{"one", "two", "one"} {
		file := "bob/.sieve/" + name + ".sieve"
		if _, err := os.Stat(filepath.Join(w.dir, file)); err != nil {
			w.write(file, `require "fileinto"; fileinto "`+name+`";`)
		}
		if err := os.Chtimes(filepath.Join(w.dir, file), w.now, w.now); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if err := os.Symlink(".sieve/"+name+".sieve", link); err != nil {
			t.Fatal(err)
		}
		w.want(simple, name)
	}
	if err := os.Remove(filepath.Join(w.dir, "bob/.sieve/one.sieve")); err != nil {
		t.Fatal(err)
	}
	w.want(simple, "") // the link leads nowhere
}

func TestAbsoluteLinkAndWayOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.sieve/one.sieve", `discard;`)
	if err := os.Symlink(filepath.Join(w.dir, "bob/.sieve/one.sieve"), filepath.Join(w.dir, "bob/.dovecot.sieve")); err != nil {
		t.Fatal(err)
	}
	w.want(simple)
	out := newWorld(t, nil)
	out.write("bob/x", "")
	if err := os.Symlink("/etc/passwd", filepath.Join(out.dir, "bob/.dovecot.sieve")); err != nil {
		t.Fatal(err)
	}
	out.want(simple, "")
}

func TestBeforeDefaultAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *filter.Config) {
		c.Before, c.Default, c.After = []string{"before.sieve"}, "default.sieve", []string{"after.sieve"}
	})
	w.write("before.sieve", `if header :contains "subject" "spam" { discard; }`)
	w.write("default.sieve", `require "fileinto"; if header :contains "subject" "default" { fileinto "default"; }`)
	w.write("after.sieve", `require "fileinto"; fileinto "after";`)
	w.want(strings.Replace(simple, "hello", "spam", 1))
	w.want(strings.Replace(simple, "hello", "default", 1), "default")
	w.want(simple, "after")
}

func TestReject(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", "require \"reject\"; reject text:\nGo away,\nplease.\n.\n;")
	_, err := w.deliver(simple)
	status, ok := errors.AsType[*mail.Status](err)
	if !ok || status.Code != 550 || status.Text != "Go away,\nplease." {
		t.Errorf("got %v", err)
	}
}

// TestRejectInOtherLetters: no reply can hold the reason, so that the sender is
// told by a notification, and nothing is stored (RFC 5429 sections 2.1.1 and 2.2);
// ereject is refused in the session all the same.
func TestRejectInOtherLetters(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", "require \"reject\"; reject \"Nein, danke schön.\";")
	w.want(simple)
	if len(w.sent) != 1 || !strings.HasPrefix(w.sent[0], " > ann@example.org\n") {
		t.Fatalf("sent %q", w.sent)
	}
	for _, part := range []string{
		"report-type=disposition-notification;", "Nein, danke schön.", "Final-Recipient: rfc822;bob@example.net\r\n",
		"Disposition: automatic-action/MDN-sent-automatically; deleted\r\n", "Auto-Submitted: auto-replied (rejected)\r\n", "Content-Type: message/rfc822\r\n",
	} {
		if !strings.Contains(w.sent[0], part) {
			t.Errorf("without %q: %s", part, w.sent[0])
		}
	}
	w.write("bob/.dovecot.sieve", "require \"ereject\"; ereject \"Nein, danke schön.\";")
	_, err := w.deliver(simple)
	if status, ok := errors.AsType[*mail.Status](err); !ok || status.Code != 550 {
		t.Errorf("ereject: %v", err)
	}
}

func TestRedirect(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", `redirect "cd@example.com";`)
	w.want(simple)
	if len(w.sent) != 1 || !strings.HasPrefix(w.sent[0], "ann@example.org > cd@example.com\n") {
		t.Fatalf("sent %q", w.sent)
	}
	_, back, _ := strings.Cut(w.sent[0], "\n")
	w.want(back, "")
	if len(w.sent) != 1 {
		t.Error("a message that came back was sent again")
	}
}

func TestRedirectWithoutQueueKeeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *filter.Config) { c.Submit = nil })
	w.write("bob/.dovecot.sieve", `redirect "cd@example.com";`)
	w.want(simple, "")
	if !strings.Contains(w.log(), "cannot send mail; the message was kept") {
		t.Errorf("the log holds %q", w.log())
	}
}

func TestVacationAnswersOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", `require "vacation"; vacation :days 2 "away";`)
	w.want(simple, "")
	w.want(simple, "")
	w.f = filter.New(w.conf) // the other node
	w.want(simple, "")
	if len(w.sent) != 1 || !strings.Contains(w.sent[0], "Auto-Submitted: auto-replied") {
		t.Fatalf("sent %q", w.sent)
	}
	w.now = w.now.Add(49 * time.Hour)
	w.want(simple, "")
	if len(w.sent) != 2 {
		t.Errorf("%d answers after the period, want 2", len(w.sent))
	}
}

func TestCopyOfAnAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", `require ["vacation","fcc","imap4flags"]; vacation :fcc "Sent" :flags "\\Seen" "away";`)
	w.want(simple, "")
	w.want(simple, "")
	if len(w.sent) != 1 || !slices.Equal(w.copies, []string{"Sent"}) {
		t.Errorf("%d answers, copies in %q; want one in Sent", len(w.sent), w.copies)
	}
}

func TestExternalList(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *filter.Config) { c.Global = "global" })
	w.write("global/friends.list", "ann@example.org\n")
	w.write("bob/.dovecot.sieve", `require ["extlists","fileinto","envelope"];
		if envelope :list "from" ":addrbook:../../etc/passwd" { fileinto "out"; }
		if envelope :list "from" ":addrbook:friends" { fileinto "Friends"; }`)
	w.want(simple, "Friends")
	w.write("bob/.sieve/friends.list", "# none\n")
	w.want(simple, "")
}

func TestMailboxID(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	if err := w.acc.Create(t.Context(), "Lists"); err != nil {
		t.Fatal(err)
	}
	box, err := w.acc.Open(t.Context(), "Lists")
	if err != nil {
		t.Fatal(err)
	}
	defer box.Close()
	view, err := box.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.write("bob/.dovecot.sieve", `require ["mailboxid","fileinto"]; if mailboxidexists "`+view.MailboxID+`" { fileinto :mailboxid "`+view.MailboxID+`" "Old"; }`)
	w.want(simple, "Lists")
	w.write("bob/.dovecot.sieve", `require ["mailboxid","fileinto"]; fileinto :mailboxid "Fnothing" "Old";`)
	w.want(simple, "Old")
}

func TestNotify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", `require ["enotify","editheader"]; addheader "X-Seen" "1"; notify "mailto:ann@example.org?subject=news";`)
	w.want(simple, "")
	if len(w.sent) != 1 || !strings.Contains(w.sent[0], "Subject: news\r\n") || !strings.Contains(w.sent[0], "Auto-Submitted: auto-notified") {
		t.Errorf("sent %q", w.sent)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *filter.Config) { c.Hostname, c.Version = "mx.example.net", "9.1" })
	for item, want := range map[string]string{
		"host": "mx.example.net", "domain": "example.net", "remote-ip": "192.0.2.7", "name": "gomaild", "version": "9.1", "location": "MDA", "phase": "during",
		"vnd.dovecot.username": "bob@example.net", "vnd.dovecot.default-mailbox": "INBOX",
	} {
		w.write("bob/.dovecot.sieve", `require ["environment","fileinto"]; if environment "`+item+`" "`+want+`" { fileinto "yes"; }`)
		if got, err := w.deliver(simple); err != nil || !slices.Equal(got, []string{"yes"}) {
			t.Errorf("%s is not %s: %q, %v", item, want, got, err)
		}
	}
}

func TestEnvironmentVariables(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", `require ["vnd.dovecot.environment","variables","fileinto"]; fileinto "${env.vnd.dovecot.username} ${env.vnd.dovecot.default_mailbox} ${env.remote_ip}";`)
	w.want(simple, "bob@example.net INBOX 192.0.2.7")
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	yes := "yes"
	for _, mailbox := range []string{"", "INBOX"} {
		if err := w.acc.Annotate(t.Context(), mailbox, map[string]*string{"/private/filter": &yes}); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []string{
		`metadata "INBOX" "/private/Filter" "yes"`, `metadataexists "INBOX" "/private/filter"`, `not metadataexists "nowhere" "/private/filter"`,
		`servermetadata "/private/filter" "yes"`, `not servermetadataexists ["/private/filter", "/private/other"]`,
	} {
		w.write("bob/.dovecot.sieve", `require ["mboxmetadata","servermetadata","fileinto"]; if `+test+` { fileinto "yes"; }`)
		if got, err := w.deliver(simple); err != nil || !slices.Equal(got, []string{"yes"}) {
			t.Errorf("%s: %q, %v", test, got, err)
		}
	}
}

func TestSpamtest(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *filter.Config) {
		c.Spam = sieve.Scanner{StatusHeader: "X-Spam-Score: ^(-?[0-9.]+)", MaxValue: "10"}
	})
	w.write("bob/.dovecot.sieve", `require ["spamtest","relational","comparator-i;ascii-numeric","fileinto"];
		if spamtest :value "ge" :comparator "i;ascii-numeric" "5" { fileinto "Junk"; }`)
	w.want(simple, "")
	w.want("X-Spam-Score: 7.5 (bad)\r\n"+simple, "Junk")
	w.want("X-Spam-Score: -2\r\n"+simple, "")
}

func TestReport(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", `require "vnd.dovecot.report"; report "abuse" "spam" "abuse@example.com";`)
	w.want(simple, "")
	if len(w.sent) != 1 || !strings.Contains(w.sent[0], "> abuse@example.com\n") || !strings.Contains(w.sent[0], "Feedback-Type: abuse\r\n") {
		t.Errorf("sent %q", w.sent)
	}
}

func TestDuplicate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", `require ["duplicate","fileinto"]; if duplicate { fileinto "again"; }`)
	w.want(simple, "")
	w.want(simple, "again")
	w.want(strings.Replace(simple, "<1@", "<2@", 1), "")
	w.now = w.now.Add(8 * 24 * time.Hour)
	w.want(simple, "")
}

// TestDuplicatesAtOnce holds that of many copies that come at the same time
// exactly one is the first.
func TestDuplicatesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", `require ["duplicate","fileinto"]; if duplicate { fileinto "again"; }`)
	const copies = 40
	folders := make([]string, copies)
	var all sync.WaitGroup
	for i := range copies {
		all.Go(func() {
			where, err := w.deliver(simple)
			if err != nil || len(where) != 1 {
				t.Errorf("%q, %v", where, err)
				return
			}
			folders[i] = where[0]
		})
	}
	all.Wait()
	first := 0
	for _, f := range folders {
		if f == "" {
			first++
		}
	}
	if first != 1 {
		t.Errorf("%d of %d copies were the first", first, copies)
	}
}

func TestFaultIsTemporary(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", `redirect "cd@example.com";`)
	w.conf.Submit = func(context.Context, string, mail.ReversePath, []mail.Address, message.Content) error {
		return errors.New("disk")
	}
	w.f = filter.New(w.conf)
	_, err := w.deliver(simple)
	if err == nil || !mail.StatusOf(err).Temporary() {
		t.Errorf("got %v", err)
	}
}

// TestRequireTLS: what a script sends on or answers is as secret as the message (RFC
// 8689 section 6).
func TestRequireTLS(t *testing.T) {
	t.Parallel()
	for _, secret := range []bool{true, false} {
		w := newWorld(t, nil)
		w.secret = secret
		w.write("bob/.dovecot.sieve", `require ["copy","vacation","enotify"]; redirect :copy "cy@example.com"; vacation "Away."; notify "mailto:di@example.com";`)
		if _, err := w.deliver(simple); err != nil {
			t.Fatal(err)
		}
		if len(w.sent) != 3 {
			t.Fatalf("sent %q", w.sent)
		}
		for _, s := range w.sent {
			first, _, _ := strings.Cut(s, "\n")
			if strings.HasSuffix(first, " REQUIRETLS") != secret {
				t.Errorf("secret: %t, sent %q", secret, first)
			}
		}
	}
}

// TestProblemsAreTold: what goes wrong without ending a script is in the log
// beside it, once, and the script goes on.
func TestProblemsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(*filter.Config) {})
	w.write("bob/.dovecot.sieve", `require ["regex","variables","fileinto"];
set "re" "[";
if anyof (header :regex "to" "${re}", header :regex "from" "${re}") { discard; }
fileinto "on";`)
	if got, err := w.deliver(simple); err != nil || !slices.Equal(got, []string{"on"}) {
		t.Errorf("%q, %v", got, err)
	}
	log := w.log()
	if !strings.Contains(log, "line 3, column 11") || strings.Count(log, "invalid regular expression '['") != 2 {
		t.Errorf("the log says %q", log)
	}
}
