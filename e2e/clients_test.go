package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gomaild/internal/peertest"
)

// patience is how long a real client may take.
const patience = 60 * time.Second

// fill sends bob n messages, numbered from first on.
func (w *world) fill(t *testing.T, first, n int) {
	t.Helper()
	s, err := dialSMTP(t.Context(), w.addr(w.mx))
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for i := first; i < first+n; i++ {
		head := fmt.Sprintf("Message-ID: <%d@remote.invalid>\r\nDate: Tue, 1 Dec 2026 12:00:%02d +0000\r\nSubject: number %d\r\n", i, i%60, i)
		if err := s.send("bob@example.test", append([]byte(head), content(300<<(i%8))...)); err != nil {
			t.Fatal(err)
		}
	}
}

// local is a copy of bob's mailboxes that a client keeps in step with the server.
type local struct {
	name string // of the client
	dir  string // a Maildir for each mailbox
	sync func(t *testing.T)
}

// newMbsync is isync, in both directions.
func newMbsync(t *testing.T, w *world) local {
	t.Helper()
	mbsync := peertest.Need(t, "mbsync", "isync")
	l := local{name: "mbsync", dir: filepath.Join(w.dir, "mbsync")}
	must(t, os.MkdirAll(l.dir, 0o700))
	rc := filepath.Join(w.dir, "mbsync-both")
	writeFile(t, rc, fmt.Sprintf(`IMAPAccount gomaild
Host localhost
Port %d
User bob@example.test
Pass %s
SSLType IMAPS
SystemCertificates no
CertificateFile %s

IMAPStore remote
Account gomaild

MaildirStore local
Path %[4]s/
Inbox %[4]s/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Both
Remove Both
Expunge Both
Sync All
CopyArrivalDate yes
SyncState *
`, w.imaps, password, w.certificate(), l.dir))
	l.sync = func(t *testing.T) { peertest.Run(t, "", mbsync, "-c", rc, "all") }
	return l
}

// newOfflineIMAP is offlineimap3.
func newOfflineIMAP(t *testing.T, w *world) local {
	t.Helper()
	offlineimap := peertest.Need(t, "offlineimap", "offlineimap3")
	l := local{name: "offlineimap", dir: filepath.Join(w.dir, "offlineimap")}
	must(t, os.MkdirAll(l.dir, 0o700))
	rc := filepath.Join(w.dir, "offlineimaprc")
	writeFile(t, rc, fmt.Sprintf(`[general]
accounts = bob
metadata = %[1]s.state
socktimeout = 20
[Account bob]
localrepository = here
remoterepository = there
[Repository here]
type = Maildir
localfolders = %[1]s
sep = /
[Repository there]
type = IMAP
remotehost = localhost
remoteport = %[2]d
remoteuser = bob@example.test
remotepass = %[3]s
sslcacertfile = %[4]s
expunge = yes
`, l.dir, w.imaps, password, w.certificate()))
	l.sync = func(t *testing.T) {
		t.Helper()
		// Its library may read the greeting before it waits for one, and then gives up:
		// a try more continues where that one ended.
		for range 10 {
			out, errOut, err := peertest.Try(t, "", offlineimap, "-c", rc, "-o", "-u", "basic")
			if err == nil && !strings.Contains(out+errOut, "ERROR") {
				return
			}
			if !strings.Contains(out+errOut, "no response after") {
				t.Errorf("offlineimap: %v\n%s%s", err, out, errOut)
				return
			}
		}
		t.Error("offlineimap: never a response")
	}
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// messages are the flags of each message by mailbox and number of its subject;
// what is there twice has a star.
func (l local) messages(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, sub := range []string{"new", "cur"} {
		for _, depth := range []string{"*", "*/*"} {
			names, err := filepath.Glob(filepath.Join(l.dir, depth, sub, "*"))
			must(t, err)
			for _, name := range names {
				box, err := filepath.Rel(l.dir, filepath.Dir(filepath.Dir(name)))
				must(t, err)
				_, flags, _ := strings.Cut(filepath.Base(name), ":2,")
				note(all, box, name, t, strings.ReplaceAll(flags, "T", ""))
			}
		}
	}
	return all
}

func note(all map[string]string, box, name string, t *testing.T, flags string) {
	t.Helper()
	text, err := os.ReadFile(name)
	must(t, err)
	m := regexp.MustCompile(`(?m)^Subject: (.*)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s has no subject:\n%.300s", name, text)
	}
	key := box + " " + strings.TrimSuffix(string(m[1]), "\r")
	if _, twice := all[key]; twice {
		flags += "*"
	}
	all[key] = flags
}

// served is the same as the server shows it.
func (w *world) served(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	var boxes []string
	for line := range strings.SplitSeq(w.imapSession(t, "1 LIST \"\" \"*\"\n"), "\r\n") {
		if m := listLine.FindStringSubmatch(line); m != nil && !strings.Contains(m[2], `\No`) {
			boxes = append(boxes, m[3])
		}
	}
	letters := map[string]string{`\Draft`: "D", `\Flagged`: "F", `\Answered`: "R", `\Seen`: "S"}
	fetched := regexp.MustCompile(`FETCH \([^(]*FLAGS \(([^)]*)\)[^{]*\{\d+\}\r\nSubject: ([^\r]*)`)
	for _, box := range boxes {
		said := w.imapSession(t, "1 EXAMINE "+box+"\n2 UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])\n")
		for _, m := range fetched.FindAllStringSubmatch(said, -1) {
			var flags []string
			for f := range strings.FieldsSeq(m[1]) {
				if letters[f] != "" {
					flags = append(flags, letters[f])
				}
			}
			slices.Sort(flags)
			key, value := strings.Trim(box, `"`)+" "+m[2], strings.Join(flags, "")
			if _, twice := all[key]; twice {
				value += "*"
			}
			all[key] = value
		}
	}
	return all
}

func (l local) inStep(t *testing.T, w *world, messages int) {
	t.Helper()
	here, there := l.messages(t), w.served(t)
	sameFacts(t, l.name+" against gomaild", there, here)
	if len(there) != messages {
		t.Errorf("%s: %d messages are served, want %d", l.name, len(there), messages)
	}
}

// flag adds a letter to the local file of a message.
func (l local) flag(t *testing.T, subject, letter string) {
	t.Helper()
	name := l.find(t, "INBOX", subject)
	base, flags, _ := strings.Cut(filepath.Base(name), ":2,")
	letters := []byte(flags + letter)
	slices.Sort(letters)
	must(t, os.Rename(name, filepath.Join(l.dir, "INBOX", "cur", base+":2,"+string(letters))))
}

func (l local) remove(t *testing.T, subject string) {
	t.Helper()
	must(t, os.Remove(l.find(t, "INBOX", subject)))
}

func (l local) find(t *testing.T, box, subject string) string {
	t.Helper()
	for _, sub := range []string{"new", "cur"} {
		names, err := filepath.Glob(filepath.Join(l.dir, box, sub, "*"))
		must(t, err)
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil && strings.Contains(string(text), "Subject: "+subject+"\n") {
				return name
			}
		}
	}
	t.Fatalf("%s has no message %q in %s", l.name, subject, box)
	return ""
}

// TestTwoWay: mbsync and offlineimap each keep a copy of the same account, with
// changes on all three sides, one after the other and then both at once while
// mail arrives and a third client sets flags.
func TestTwoWay(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	clients := []local{newMbsync(t, w), newOfflineIMAP(t, w)}
	w.start(t)
	w.fill(t, 0, 30)
	w.imapSession(t, "1 CREATE Archive/2026\n2 SELECT INBOX\n3 STORE 1:3 +FLAGS (\\Seen)\n4 COPY 1:2 Archive/2026\n5 STORE 2 +FLAGS (\\Flagged)\n")
	for _, l := range clients {
		l.sync(t)
		l.inStep(t, w, 32)
	}
	for i, l := range clients {
		l.flag(t, fmt.Sprintf("number %d", 10+i), "F")
		l.remove(t, fmt.Sprintf("number %d", 20+i))
		writeFile(t, filepath.Join(l.dir, "INBOX", "cur", "1700000000.1_"+l.name+".here:2,S"), "Subject: written by "+l.name+"\n\nHello\n")
	}
	for _, l := range []local{clients[0], clients[1], clients[0]} {
		l.sync(t)
	}
	for _, l := range clients {
		l.inStep(t, w, 32)
	}

	var wg sync.WaitGroup
	for i, l := range clients {
		l.flag(t, fmt.Sprintf("number %d", 12+i), "R")
		l.remove(t, fmt.Sprintf("number %d", 22+i))
		wg.Go(func() {
			for range 3 {
				l.sync(t)
			}
		})
	}
	wg.Go(func() {
		for i := range 5 {
			w.fill(t, 40+4*i, 4)
			w.imapSession(t, "1 SELECT INBOX\n2 STORE * +FLAGS (\\Flagged)\n3 STORE 1 -FLAGS (\\Seen)\n4 STORE 1 +FLAGS (\\Seen)\n")
		}
	})
	wg.Wait()
	for _, l := range []local{clients[0], clients[1], clients[0], clients[1]} {
		l.sync(t)
	}
	for _, l := range clients {
		l.inStep(t, w, 50)
	}
}

// TestNeomutt: neomutt, which uses CONDSTORE and QRESYNC and keeps headers of its
// own, flags, deletes and saves to a folder; another client changes the mailbox;
// neomutt shows what is there now.
func TestNeomutt(t *testing.T) {
	t.Parallel()
	neomutt := peertest.Need(t, "neomutt", "neomutt")
	peertest.Need(t, "script", "bsdutils")
	w := newWorldWith(t, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	w.start(t)
	w.fill(t, 0, 10)
	w.imapSession(t, "1 CREATE Archive\n")
	rc := filepath.Join(w.dir, "neomuttrc")
	saved := filepath.Join(w.dir, "saved")
	writeFile(t, rc, fmt.Sprintf(`set imap_user = "bob@example.test"
set imap_pass = %q
set folder = "imaps://localhost:%d"
set spoolfile = "+INBOX"
set ssl_force_tls = yes
set ssl_verify_host = yes
set certificate_file = %q
set header_cache = %q
set imap_condstore = yes
set imap_qresync = yes
set delete = yes
set confirmappend = no
set confirmcreate = no
set wait_key = no
set mark_old = no
set mbox_type = mbox
set sort = mailbox-order
`, password, w.imaps, w.certificate(), filepath.Join(w.dir, "headers")))
	run := func(keys string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "script", "-qec", fmt.Sprintf("%s -n -F %s -e 'push %q'", neomutt, rc, keys), "/dev/null")
		cmd.Env = append(os.Environ(), "TERM=vt100", "HOME="+w.dir, "LINES=40", "COLUMNS=120")
		cmd.WaitDelay = time.Second
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("neomutt: %v\n%q", err, out)
		}
	}
	run("<tag-pattern>~s number.[123]$<enter><tag-prefix><set-flag>!<delete-pattern>~s number.9<enter>" +
		"<limit>~s number.7<enter><save-message>+Archive<enter><limit>all<enter><sync-mailbox><quit>")
	got := w.served(t)
	for subject, flags := range map[string]string{"INBOX number 1": "F", "INBOX number 3": "F", "INBOX number 4": "", "Archive number 7": "S"} {
		if now, there := got[subject]; !there || strings.ReplaceAll(now, "S", "") != strings.ReplaceAll(flags, "S", "") {
			t.Errorf("after neomutt %s has flags %q (%v), want %q", subject, now, there, flags)
		}
	}
	if len(got) != 9 {
		t.Errorf("after neomutt: %q", got)
	}
	w.imapSession(t, "1 SELECT INBOX\n2 STORE 1 +FLAGS (\\Flagged)\n3 STORE 2 -FLAGS (\\Flagged)\n4 STORE 5 +FLAGS (\\Deleted)\n5 EXPUNGE\n")
	w.fill(t, 20, 2)
	run("<tag-pattern>~F<enter><tag-prefix><copy-message>" + saved + "<enter><quit>")
	text, err := os.ReadFile(saved)
	must(t, err)
	var subjects []string
	for _, m := range regexp.MustCompile(`(?m)^Subject: (number .*)$`).FindAllStringSubmatch(string(text), -1) {
		subjects = append(subjects, m[1])
	}
	slices.Sort(subjects)
	if want := []string{"number 0", "number 2", "number 3"}; !slices.Equal(subjects, want) {
		t.Errorf("neomutt sees flagged %q, want %q", subjects, want)
	}
	if log := w.readLog(t); strings.Contains(log, "level=ERROR") {
		t.Error(log)
	}
}

// getmail fetches twice into a new Maildir. It writes each message by a child, and where
// that ends before it waits it never hears of it and gives up ("waiting child pid timed
// out"): then all begins anew.
func (w *world) getmail(t *testing.T, program string, box local, rc string) {
	t.Helper()
	const tries = 10
	for try := 1; ; try++ {
		must(t, os.RemoveAll(box.dir))
		for _, sub := range []string{"cur", "new", "tmp"} {
			must(t, os.MkdirAll(filepath.Join(box.dir, "INBOX", sub), 0o700))
		}
		if os.Getuid() == 0 {
			peertest.Run(t, "", "chown", "-R", "nobody", box.dir)
		}
		state := filepath.Join(w.dir, fmt.Sprintf("getmail%d", try)) // what it has fetched before
		must(t, os.Mkdir(state, 0o700))
		var out, errOut string
		var err error
		for range 2 {
			if out, errOut, err = peertest.Try(t, "", program, "--getmaildir", state, "--rcfile", rc); err != nil {
				break
			}
		}
		switch {
		case err == nil:
			must(t, os.RemoveAll(state))
			return
		case try == tries || !strings.Contains(out+errOut, "waiting child pid"):
			t.Fatalf("getmail, try %d: %v\n%s\n%s", try, err, out, errOut)
		}
		must(t, os.RemoveAll(state))
	}
}

// TestFetchers: getmail by IMAP and POP3, fetchmail by IMAP, each twice: every
// message comes once.
func TestFetchers(t *testing.T) {
	t.Parallel()
	getmail := peertest.Need(t, "getmail", "getmail6")
	fetchmail := peertest.Need(t, "fetchmail", "fetchmail")
	w := newWorldWith(t, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	w.start(t)
	w.fill(t, 0, 6)
	for _, kind := range []struct {
		name string
		port int
	}{{"SimpleIMAPSSLRetriever", w.imaps}, {"SimplePOP3SSLRetriever", w.pop3s}} {
		box := local{name: kind.name, dir: filepath.Join(w.dir, kind.name)}
		asNobody := ""
		if os.Getuid() == 0 { // it does not write mail as root
			asNobody = "user = nobody"
			must(t, os.Chmod(filepath.Dir(w.dir), 0o755))
			must(t, os.Chmod(w.dir, 0o755))
		}
		rc := filepath.Join(w.dir, kind.name+".rc")
		writeFile(t, rc, fmt.Sprintf(`[retriever]
type = %s
server = localhost
port = %d
timeout = 20
username = bob@example.test
password = %s
ca_certs = %s
[destination]
type = Maildir
path = %s/INBOX/
%s
[options]
read_all = false
delete = false
`, kind.name, kind.port, password, w.certificate(), box.dir, asNobody))
		w.getmail(t, getmail, box, rc)
		w.imapSession(t, "1 SELECT INBOX\n2 STORE 1:* -FLAGS (\\Seen)\n") // RETR has set it
		box.inStep(t, w, 6)
	}

	box := filepath.Join(w.dir, "fetched")
	rc := filepath.Join(w.dir, "fetchmailrc")
	must(t, os.WriteFile(rc, fmt.Appendf(nil, `set pidfile %q
poll localhost protocol imap port %d
  user "bob@example.test" password %q
  mda "cat >>%s" keep ssl sslcertfile %q sslcertck
`, rc+".pid", w.imaps, password, box, w.certificate()), 0o700))
	w.imapSession(t, "1 SELECT INBOX\n2 STORE 1:* -FLAGS (\\Seen)\n")
	for range 2 {
		_, errOut, err := peertest.Try(t, "", fetchmail, "--nosyslog", "--fetchmailrc", rc)
		if err != nil && !strings.Contains(err.Error(), "exit status 1") {
			t.Fatalf("fetchmail: %v\n%s", err, errOut)
		}
	}
	text, err := os.ReadFile(box)
	must(t, err)
	if got := strings.Count(string(text), "\nSubject: number "); got != 6 {
		t.Errorf("fetchmail fetched %d messages by IMAP, want each of 6 once", got)
	}
}

// TestCurl: curl lists, stores, fetches and searches over IMAPS, and lists and
// fetches over POP3S.
func TestCurl(t *testing.T) {
	t.Parallel()
	curl := peertest.Need(t, "curl", "curl")
	w := newWorld(t, "")
	w.start(t)
	w.fill(t, 1, 3)
	mail := filepath.Join(w.dir, "mail.eml")
	writeFile(t, mail, "Subject: stored by curl\r\n\r\nHello\r\n")
	imaps, pop3s := fmt.Sprintf("imaps://localhost:%d/", w.imaps), fmt.Sprintf("pop3s://localhost:%d/", w.pop3s)
	for _, tt := range []struct {
		rule string
		args []string
		want string // in the output
	}{
		{"list", []string{imaps}, `"/" INBOX`},
		{"store", []string{"-T", mail, imaps + "INBOX"}, ""},
		{"fetch what was stored", []string{imaps + "INBOX;UID=4"}, "Subject: stored by curl\r\n\r\nHello\r\n"},
		{"fetch a section", []string{imaps + "INBOX;UID=2;SECTION=HEADER.FIELDS%20(SUBJECT)"}, "Subject: number 2\r\n"},
		{"by message number", []string{imaps + "INBOX;MAILINDEX=3"}, "Subject: number 3\r\n"},
		{"search", []string{imaps + "INBOX?SUBJECT%20curl"}, "* SEARCH 4\r\n"},
		{"a command of the user's", []string{"-X", "STATUS INBOX (MESSAGES)", imaps}, "MESSAGES 4"},
		{"POP3 list", []string{pop3s}, "\r\n4 "},
		{"POP3 fetch", []string{pop3s + "4"}, "Subject: stored by curl\r\n\r\nHello\r\n"},
		{"POP3 UIDL", []string{"-X", "UIDL", pop3s}, "\r\n4 "},
	} {
		out := peertest.Run(t, "", curl, append([]string{"-sS", "--max-time", "20", "--cacert", w.certificate(), "-u", "bob@example.test:" + password}, tt.args...)...)
		if !strings.Contains("\r\n"+out, tt.want) {
			t.Errorf("%s: %q, want %q in it", tt.rule, out, tt.want)
		}
	}
	if _, err := exec.Command(curl, "-sS", "--max-time", "20", "--cacert", w.certificate(), "-u", "bob@example.test:wrong", imaps).Output(); err == nil {
		t.Error("curl got in with a wrong password")
	} else if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		t.Error(err)
	}
}
