package e2e

import (
	"bufio"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gomaild/internal/peertest"
)

// travellers are the accounts of testdata/maildir/dovecot.tar.gz.
var travellers = []string{
	"alice@example.com", "bob@example.com", "dave@example.com", "frank@example.com", "fwdkeep@example.com",
	"a_b@example.com", "mixed.case@example.com", "expired@example.com", "one@quota.test",
}

// TestRoundTrip: Maildirs that Dovecot, other programs and broken hands made go
// from Dovecot to gomaild, back to Dovecot and to gomaild again, and each server
// changes them on the way: flags, keywords, copies, moves, expunges, new, renamed
// and deleted folders, subscriptions, deliveries, mail taken by POP3. Whoever
// comes next must show an IMAP and a POP3 client what the one before showed.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	peertest.Run(t, "", "tar", "-xzf", "../testdata/maildir/dovecot.tar.gz", "-C", w.root, "--strip-components=1", "--no-same-owner")
	// Its name tells sizes that are not its own: Dovecot drops whoever asks for it.
	if err := os.Remove(filepath.Join(w.maildir("dave@example.com"), "cur", "1600000013.M1P1.otherhost,S=99999,W=99999:2,S")); err != nil {
		t.Fatal(err)
	}
	for _, user := range travellers {
		w.addAccount(t, user)
	}
	d := newHost(t, w)
	d.observe(t) // it mends frank's list and dave's names, in more than one look
	shown := d.observe(t)
	if n := len(shown); n < 300 {
		t.Fatalf("%d facts", n)
	}
	late := withLateKeywords(shown)
	if len(late) != 7 {
		t.Fatalf("keywords beyond the letters: %q", late)
	}

	g := ourHost(t, w)
	sameFacts(t, "gomaild after Dovecot", withoutLateKeywords(shown), g.observe(t))
	g.change(t, "g")
	shown = g.observe(t)
	modseq := g.highestModSeq("alice@example.com")
	g.stop()

	d = newHost(t, w)
	back := d.observe(t)
	sameFacts(t, "Dovecot after gomaild", shown, withoutLateKeywords(back))
	sameFacts(t, "keywords that only Dovecot has", late, withLateKeywords(back))
	d.atLeastModSeq("alice@example.com", modseq)
	if now := d.highestModSeq("alice@example.com"); now < modseq {
		t.Errorf("HIGHESTMODSEQ went from %d to %d", modseq, now)
	}
	d.change(t, "d")
	shown = withoutLateKeywords(d.observe(t))

	g = ourHost(t, w)
	sameFacts(t, "gomaild after Dovecot again", shown, g.observe(t))
	g.stop()
	peertest.Run(t, "", gomaild(t), append([]string{"account", "repair", "-c", w.config}, travellers...)...)
	sameFacts(t, "Dovecot after a repair", shown, withoutLateKeywords(newHost(t, w).observe(t)))
}

// lateKeyword are keywords of ManyKeywords for which no letter was left. Dovecot
// has them in its index only, where they stay as long as others leave it alone
// (docs/decisions/0010-keywords-beyond-the-letters.md).
var lateKeyword = regexp.MustCompile(` kw2[6-9]`)

func withLateKeywords(facts map[string]string) map[string]string {
	late := map[string]string{}
	for what, value := range facts {
		if found := lateKeyword.FindAllString(value, -1); found != nil {
			late[what] = strings.Join(found, "")
		}
	}
	return late
}

func withoutLateKeywords(facts map[string]string) map[string]string {
	rest := map[string]string{}
	for what, value := range facts {
		rest[what] = strings.Replace(lateKeyword.ReplaceAllString(value, ""), "FLAGS INTERNAL", "FLAGS  INTERNAL", 1)
	}
	return rest
}

// sameFacts compares what two servers showed.
func sameFacts(t *testing.T, when string, want, got map[string]string) {
	t.Helper()
	wrong := 0
	report := func(what, a, b string) {
		if wrong++; wrong <= 20 {
			t.Errorf("%s: %s: %q, before %q", when, what, b, a)
		}
	}
	for fact, value := range want {
		if now, there := got[fact]; !there || now != value {
			report(fact, value, now)
		}
	}
	for fact, value := range got {
		if _, there := want[fact]; !there {
			report(fact, "", value)
		}
	}
	if wrong > 20 {
		t.Errorf("%s: %d differences", when, wrong)
	}
}

// mailHost is one of the two servers on the same Maildirs.
type mailHost struct {
	imap    func(user string) *dialog
	pop3    func(user string) *dialog
	deliver func(user, text string)
	stop    func()
	doveadm func(user string, args ...string)
}

// ourHost is gomaild.
func ourHost(t *testing.T, w *world) mailHost {
	t.Helper()
	w.start(t)
	dial := func(port int, secure bool) *dialog {
		conn, err := net.Dial("tcp", w.addr(port))
		if err != nil {
			t.Fatal(err)
		}
		if secure {
			conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the certificate is the test's own
		}
		c := &dialog{t: t, r: bufio.NewReader(conn), w: conn, end: conn.Close}
		c.line()
		return c
	}
	return mailHost{
		imap: func(user string) *dialog {
			c := dial(w.imap, false)
			c.do("LOGIN %s %s", user, password)
			return c
		},
		pop3: func(user string) *dialog {
			c := dial(w.pop3s, true)
			c.ask("USER %s", user)
			c.ask("PASS %s", password)
			return c
		},
		deliver: func(user, text string) {
			s, err := dialSMTP(t.Context(), w.addr(w.mx))
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			if err := s.send(user, []byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
				t.Fatal(err)
			}
		},
		stop: func() { w.stop(t) },
	}
}

// newHost is Dovecot as it is deployed where gomaild takes its place, each session
// a process of its own. It refuses to work as root, so as root it works as nobody,
// and the mail is given to that user.
func newHost(t *testing.T, w *world) mailHost {
	t.Helper()
	d := newDovecot(t)
	conf := filepath.Join(d.dir, "dovecot.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^mail_location.*$`).ReplaceAll(text, []byte("mail_location = maildir:"+w.root+"/%d/%u"))
	writeFile(t, conf, string(text)+`pop3_uidl_format = %08Xu%08Xv
postmaster_address = postmaster@example.com
namespace inbox {
  inbox = yes
  separator = /
  mailbox Sent {
    special_use = \Sent
    auto = subscribe
  }
  mailbox Drafts {
    special_use = \Drafts
    auto = subscribe
  }
  mailbox Trash {
    special_use = \Trash
    auto = subscribe
  }
  mailbox Junk {
    special_use = \Junk
    auto = subscribe
  }
}
`)
	if os.Getuid() == 0 {
		peertest.Run(t, "", "chown", "-R", fmt.Sprintf("%d:%d", d.uid, d.uid), d.dir, w.root)
	}
	for dir := w.root; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // so that nobody gets there
			t.Fatal(err)
		}
	}
	command := func(user, program string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join("/usr/lib/dovecot", program), "-c", conf)
		cmd.Env = append(os.Environ(), "USER="+user, "HOME="+w.maildir(user))
		return cmd
	}
	run := func(user, program string) *dialog {
		cmd := command(user, program)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c := &dialog{t: t, r: bufio.NewReader(out), w: in}
		c.end = func() error {
			err := errors.Join(in.Close(), cmd.Wait())
			if said := stderr.String(); strings.Contains(said, "Panic:") || strings.Contains(said, "Error:") && !isKnownComplaint(said) {
				err = errors.Join(err, errors.New(said))
			}
			return err
		}
		return c
	}
	return mailHost{
		imap: func(user string) *dialog {
			c := run(user, "imap")
			c.line() // PREAUTH; pop3 begins without a greeting
			return c
		},
		pop3: func(user string) *dialog { return run(user, "pop3") },
		deliver: func(user, text string) {
			cmd := command(user, "dovecot-lda")
			cmd.Stdin = strings.NewReader(text)
			if os.Getuid() == 0 { // root would have to ask a server who the user is
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(d.uid), Gid: uint32(d.uid)}} //nolint:gosec // small
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("dovecot-lda: %v\n%s", err, out)
			}
		},
		stop: func() {},
		doveadm: func(user string, args ...string) {
			cmd := command(user, "../../bin/doveadm")
			cmd.Args = append(cmd.Args, args...)
			if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "Error:") {
				t.Errorf("doveadm %q: %v\n%s", args, err, out)
			}
		},
	}
}

// isKnownComplaint tells what Dovecot says of frank's uidlist, which is broken
// when it comes to it, and of the directory among dave's messages.
func isKnownComplaint(said string) bool {
	return strings.Contains(said, "frank@example.com") || strings.Contains(said, "unwanted empty directory")
}

// dialog is a session with a server of IMAP or POP3.
type dialog struct {
	t    *testing.T
	r    *bufio.Reader
	w    io.Writer
	end  func() error
	tags int

	tagged string // the last tagged response, without its tag
}

func (c *dialog) close() {
	c.t.Helper()
	if err := c.end(); err != nil {
		c.t.Error(err)
	}
}

// line reads one line; for each literal in it, which is read too, stands its
// digest.
func (c *dialog) line() string {
	c.t.Helper()
	var all strings.Builder
	for {
		text, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatalf("%v after %q", err, all.String()+text)
		}
		text = strings.TrimSuffix(text, "\r\n")
		open := strings.LastIndexByte(text, '{')
		if open < 0 || !strings.HasSuffix(text, "}") {
			all.WriteString(text)
			return all.String()
		}
		size, err := strconv.Atoi(text[open+1 : len(text)-1])
		if err != nil {
			all.WriteString(text)
			return all.String()
		}
		literal := make([]byte, size)
		if _, err := io.ReadFull(c.r, literal); err != nil {
			c.t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s%d:%x", text[:open], size, sha256.Sum256(literal))
	}
}

// do sends an IMAP command and returns the untagged responses. Anything but OK
// ends the test.
func (c *dialog) do(format string, args ...any) []string {
	c.t.Helper()
	c.tags++
	tag := "t" + strconv.Itoa(c.tags) + " "
	command := fmt.Sprintf(format, args...)
	if _, err := io.WriteString(c.w, tag+command+"\r\n"); err != nil {
		c.t.Fatal(err)
	}
	var untagged []string
	for {
		line := c.line()
		rest, tagged := strings.CutPrefix(line, tag)
		if !tagged {
			untagged = append(untagged, line)
			continue
		}
		c.tagged = rest
		if !strings.HasPrefix(rest, "OK") {
			c.t.Fatalf("%.200s: %s", command, rest)
		}
		return untagged
	}
}

// ask sends a POP3 command and returns the first line of the reply, which must be
// +OK.
func (c *dialog) ask(format string, args ...any) string {
	c.t.Helper()
	fmt.Fprintf(c.w, format+"\r\n", args...)
	line := c.line()
	if !strings.HasPrefix(line, "+OK") {
		c.t.Fatalf("%s: %s", fmt.Sprintf(format, args...), line)
	}
	return line
}

// list is ask for a reply of many lines.
func (c *dialog) list(format string, args ...any) []string {
	c.t.Helper()
	c.ask(format, args...)
	var all []string
	for {
		line, err := c.r.ReadString('\n')
		if err != nil {
			c.t.Fatal(err)
		}
		if line == ".\r\n" {
			return all
		}
		all = append(all, strings.TrimSuffix(line, "\r\n"))
	}
}

// observe is all that clients of all accounts can see.
func (h mailHost) observe(t *testing.T) map[string]string {
	t.Helper()
	facts := map[string]string{}
	for _, user := range travellers {
		c := h.imap(user)
		c.observe(func(what, value string) { facts[user+" "+what] = value })
		c.do("LOGOUT")
		c.close()
		p := h.pop3(user)
		p.maildrop(func(what, value string) { facts[user+" POP3 "+what] = value })
		p.ask("QUIT")
		p.close()
	}
	return facts
}

var (
	listLine  = regexp.MustCompile(`^\* (LIST|LSUB) \(([^)]*)\) "/" (.*)$`)
	fetchLine = regexp.MustCompile(`^\* \d+ FETCH \((.*)\)$`)
	uidItem   = regexp.MustCompile(`UID (\d+)`)
)

// isOurs tells the names that only one of the two shows, and why.
func onlyDovecotLists(name string) bool {
	name = strings.Trim(name, `"`)
	return name == "sieve" || name == "dovecot" || strings.HasPrefix(name, "dovecot/") || // directories of Sieve scripts are no mailboxes
		strings.HasPrefix(name, "Shared") || // mailboxes of others: another namespace
		name == "&-AOk" || name == "bad&-name" || name == "raw&AOk-" || // not modified UTF-7 on disk: Dovecot lists them and cannot open them
		name == "Linked" // another name of Archive, as mailbox_alias makes
}

// observe logs what IMAP shows: names, subscriptions, and each mailbox.
func (c *dialog) observe(see func(what, value string)) {
	c.t.Helper()
	var open []string
	for _, line := range c.do(`LIST "" "*" RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)`) {
		m := listLine.FindStringSubmatch(line)
		if m == nil || onlyDovecotLists(m[3]) {
			continue
		}
		see("LIST "+m[3], listFlags(m[2]))
		if !strings.Contains(m[2], `\No`) {
			open = append(open, m[3])
		}
	}
	for _, line := range c.do(`LSUB "" "*"`) {
		if m := listLine.FindStringSubmatch(line); m != nil && !onlyDovecotLists(m[3]) {
			see("LSUB "+m[3], "")
		}
	}
	for _, name := range open {
		c.mailbox(name, func(what, value string) { see(name+" "+what, value) })
	}
}

// listFlags puts attributes in order; \HasChildren differs where only one of the
// servers lists the children.
func listFlags(flags string) string {
	all := slices.DeleteFunc(strings.Fields(flags), func(f string) bool {
		return f == `\Marked` || f == `\UnMarked` || f == `\HasChildren` || f == `\HasNoChildren` || f == `\Noselect`
	})
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (c *dialog) mailbox(name string, see func(what, value string)) {
	c.t.Helper()
	selected := strings.Join(c.do("EXAMINE %s", name), "\n")
	for _, code := range []*regexp.Regexp{uidValidityCode, uidNextCode} {
		if m := code.FindStringSubmatch(selected); m != nil {
			see(code.String()[2:9], m[1])
		}
	}
	if strings.Contains("\n"+selected, "\n* 0 EXISTS") {
		return
	}
	for _, items := range []string{"FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[]", "ENVELOPE", "BODYSTRUCTURE"} {
		for _, line := range c.do("UID FETCH 1:* (UID %s)", items) {
			m := fetchLine.FindStringSubmatch(line)
			if m == nil {
				continue
			}
			uid := uidItem.FindStringSubmatch(m[1])
			if uid == nil {
				c.t.Fatalf("no UID in %q", line)
			}
			see("UID "+uid[1]+" "+items, fetched(m[1]))
		}
	}
}

// foldedSubject is the digest of "long folded header", which Dovecot sends as a
// literal and we as a quoted string.
const foldedSubject = "18:9395d79a3e2d94b078a77244d6d3b107171e48e4d78feb4713a071a930a8513b"

// fetched puts the items of a FETCH response in order, as far as each server
// chooses that.
func fetched(data string) string {
	items := regexp.MustCompile(`(FLAGS \([^)]*\)|RFC822\.SIZE \d+|INTERNALDATE "[^"]*"|BODY\[\] \S+|UID \d+)`).FindAllString(data, -1)
	if !strings.Contains(data, "RFC822.SIZE") {
		_, structure, _ := strings.Cut(uidItem.ReplaceAllString(data, ""), "(")
		return strings.ReplaceAll(structure, foldedSubject, `"long folded header"`)
	}
	for i, item := range items {
		if m := flagList.FindStringSubmatch(item); m != nil {
			items[i] = "FLAGS " + sortedFlags(m[1])
		}
	}
	slices.Sort(items)
	return strings.Join(items, " ")
}

// maildrop logs what POP3 shows. TOP sets no flag, RETR does.
func (c *dialog) maildrop(see func(what, value string)) {
	c.t.Helper()
	for _, command := range []string{"UIDL", "LIST"} {
		for _, line := range c.list("%s", command) {
			number, value, _ := strings.Cut(line, " ")
			see(command+" "+number, value)
			if command == "LIST" {
				see("TOP "+number, fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(c.list("TOP %s 1000", number), "\n")))))
			}
		}
	}
}

// change does to each account with some mail what its users may do; name tells
// the names of one turn from those of another.
func (h mailHost) change(t *testing.T, name string) {
	t.Helper()
	for _, user := range travellers {
		h.deliver(user, "From: <a@remote.invalid>\nTo: <"+user+">\nSubject: delivered in "+name+"\n\nHello\n")
		h.deliver(user, "Subject: another of "+name+"\n\nEnd\n")
		c := h.imap(user)
		c.change(name)
		c.do("LOGOUT")
		c.close()
		p := h.pop3(user)
		p.list("RETR 1")
		p.ask("DELE 1")
		p.ask("QUIT")
		p.close()
	}
}

func (c *dialog) change(name string) {
	c.t.Helper()
	text := "Subject: appended\r\n\r\n" + name + "\r\n"
	c.do("CREATE Made-%s", name)
	c.do("CREATE Made-%s/&ZeVnLIqe-", name)
	c.do("CREATE INBOX/Below-%s", name)
	c.do("SUBSCRIBE Made-%s/&ZeVnLIqe-", name)
	c.do("SUBSCRIBE INBOX/Below-%s", name)
	c.do("APPEND Made-%s (\\Flagged Label-%s) \"17-Jul-1996 02:44:25 -0700\" {%d+}\r\n%s", name, name, len(text), text)
	c.do("SELECT INBOX")
	c.do("STORE 1 +FLAGS (\\Flagged $Forwarded Label-%s)", name)
	c.do("STORE 2 FLAGS (\\Seen \\Answered)")
	c.do("STORE * -FLAGS (\\Seen)")
	c.do("COPY 1:3 Made-%s", name)
	c.do("COPY 2 INBOX/Below-%s", name)
	c.do("COPY 1 INBOX")
	c.do("MOVE 2 Made-%s/&ZeVnLIqe-", name)
	c.do("STORE 3 +FLAGS (\\Deleted)")
	c.do("EXPUNGE")
	c.do("SELECT Made-%s", name)
	c.do("STORE 2 +FLAGS (\\Deleted)")
	c.do("EXPUNGE")
	c.do("CLOSE")
	c.do("RENAME Made-%s Renamed-%s", name, name)
	c.do("SUBSCRIBE Renamed-%s", name)
	c.do("CREATE Gone-%s", name)
	c.do("APPEND Gone-%s {%d+}\r\n%s", name, len(text), text)
	c.do("DELETE Gone-%s", name)
	c.do("CREATE Gone-%s", name)
	c.do("SELECT Gone-%s", name)
	c.do("SELECT Trash")
	c.do("APPEND Trash {%d+}\r\n%s", len(text), text)
	if strings.Contains(strings.Join(c.do(`LIST "" ManyKeywords`), ""), "ManyKeywords") {
		c.do("SELECT ManyKeywords") // with keywords that are not in the names
		c.do("STORE 1,27 +FLAGS (\\Answered)")
		c.do("STORE 28 +FLAGS (kw01)")
	}
}

// highestModSeq is that of an INBOX.
func (h mailHost) highestModSeq(user string) uint64 {
	c := h.imap(user)
	defer c.close()
	said := strings.Join(c.do("STATUS INBOX (HIGHESTMODSEQ)"), "")
	c.do("LOGOUT")
	_, number, _ := strings.Cut(said, "HIGHESTMODSEQ ")
	n, err := strconv.ParseUint(strings.TrimSuffix(number, ")"), 10, 64)
	if err != nil {
		c.t.Fatalf("%q: %v", said, err)
	}
	return n
}

// atLeastModSeq is what docs/operations.md says for the way back to Dovecot.
func (h mailHost) atLeastModSeq(user string, n uint64) {
	h.doveadm(user, "mailbox", "update", "--min-highest-modseq", strconv.FormatUint(n, 10), "INBOX")
}
