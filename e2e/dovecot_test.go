package e2e

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gomaild/internal/peertest"
)

// script is what both servers are asked about a mailbox.
const script = `1 SELECT %s
2 UID FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE BODY.PEEK[])
3 LOGOUT
`

// TestDovecotOpensIt: after gomaild has delivered, flagged, copied and
// expunged, a real Dovecot opens a copy of the same Maildir and shows what
// gomaild showed: UIDVALIDITY, UIDNEXT, UIDs, flags, keywords, sizes, times,
// octets. Then Dovecot changes it and gomaild shows what Dovecot showed.
func TestDovecotOpensIt(t *testing.T) {
	t.Parallel()
	d := newDovecot(t)
	w := newWorldWith(t, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	w.start(t)
	s, err := dialSMTP(t.Context(), w.addr(w.mx))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := s.send("bob@example.test", content(500*(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	s.close()
	w.imapSession(t, "1 SELECT INBOX\n"+
		"2 STORE 1 +FLAGS (\\Seen \\Flagged $Forwarded)\n"+
		"3 STORE 2 +FLAGS (\\Answered Work)\n"+
		"4 CREATE Archive\n"+
		"5 COPY 1:3 Archive\n"+
		"6 STORE 5 +FLAGS (\\Deleted)\n"+
		"7 EXPUNGE\n"+
		"8 LOGOUT\n")
	folders := []string{"INBOX", "Archive"}
	ours := w.folders(t, folders)
	if n := len(ours["INBOX"].messages); n != 4 {
		t.Fatalf("gomaild shows %d messages, want 4:\n%v", n, ours)
	}

	d.take(t, w.maildir("bob@example.test"))
	theirs := d.folders(t, folders)
	compare(t, "after gomaild, Dovecot", ours, theirs)

	d.session(t, "1 SELECT INBOX\n"+
		"2 STORE 1 -FLAGS (\\Seen)\n"+
		"3 STORE 3 +FLAGS (\\Draft Later)\n"+
		"4 COPY 2 Archive\n"+
		"5 STORE 4 +FLAGS (\\Deleted)\n"+
		"6 EXPUNGE\n"+
		"7 LOGOUT\n")
	theirs = d.folders(t, folders)
	w.stop(t)
	d.giveBack(t, w.maildir("bob@example.test"))
	w.start(t)
	compare(t, "after Dovecot, gomaild", theirs, w.folders(t, folders))
}

// folder is what a client was shown of a mailbox.
type folder struct {
	uidValidity, uidNext string
	messages             []string // one FETCH response each, octets and all
}

func compare(t *testing.T, when string, want, got map[string]folder) {
	t.Helper()
	for name := range want {
		a, b := want[name], got[name]
		if a.uidValidity != b.uidValidity || a.uidNext != b.uidNext || !slices.Equal(a.messages, b.messages) {
			t.Errorf("%s shows of %s\n%.2000q\nwant\n%.2000q", when, name, b, a)
		}
	}
}

var (
	uidValidityCode = regexp.MustCompile(`\[UIDVALIDITY (\d+)\]`)
	uidNextCode     = regexp.MustCompile(`\[UIDNEXT (\d+)\]`)
	flagList        = regexp.MustCompile(`FLAGS \(([^)]*)\)`)
	fetchItem       = regexp.MustCompile(`(UID \d+|FLAGS \([^)]*\)|RFC822\.SIZE \d+|INTERNALDATE "[^"]*"|BODY\[\] )`)
)

// parseFolder reads the transcript of script. Items of FETCH come in an order
// that each server chooses, and \Recent belongs to a session: items and flags
// are put in order, \Recent is left out.
func parseFolder(transcript string) folder {
	var f folder
	if m := uidValidityCode.FindStringSubmatch(transcript); m != nil {
		f.uidValidity = m[1]
	}
	if m := uidNextCode.FindStringSubmatch(transcript); m != nil {
		f.uidNext = m[1]
	}
	for part := range strings.SplitSeq(transcript, "\r\n* ") {
		number, rest, ok := strings.Cut(part, " FETCH (")
		if !ok || strings.Contains(number, " ") {
			continue
		}
		head, body, _ := strings.Cut(rest, "}\r\n")
		body, _, _ = strings.Cut(body, "\r\n2 OK")
		items := fetchItem.FindAllString(head, -1)
		for i, item := range items {
			if m := flagList.FindStringSubmatch(item); m != nil {
				items[i] = "FLAGS " + sortedFlags(m[1])
			}
		}
		slices.Sort(items)
		f.messages = append(f.messages, strings.Join(items, " ")+"\n"+strings.TrimSuffix(body, ")"))
	}
	return f
}

func sortedFlags(list string) string {
	flags := slices.DeleteFunc(strings.Fields(list), func(f string) bool { return f == `\Recent` })
	slices.Sort(flags)
	return strings.Join(flags, " ")
}

// imapSession logs bob in, sends the lines one after the other and returns all
// that the server said. A | is a line end within a command, before a literal.
func (w *world) imapSession(t *testing.T, lines string) string {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr(w.imap))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	var all strings.Builder
	for line := range strings.Lines(fmt.Sprintf("0 LOGIN bob@example.test %s\n", password) + lines) {
		tag, _, _ := strings.Cut(line, " ")
		fmt.Fprintf(conn, "%s\r\n", strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "|", "\r\n"))
		for {
			text, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v after\n%s", line, err, &all)
			}
			all.WriteString(text)
			if rest, tagged := strings.CutPrefix(text, tag+" "); tagged {
				if !strings.HasPrefix(rest, "OK") {
					t.Fatalf("%s: %s", line, text)
				}
				break
			}
		}
	}
	return all.String()
}

func (w *world) folders(t *testing.T, names []string) map[string]folder {
	t.Helper()
	shown := map[string]folder{}
	for _, name := range names {
		shown[name] = parseFolder(w.imapSession(t, fmt.Sprintf(script, name)))
	}
	return shown
}

// dovecot is the IMAP server of Dovecot, run by hand on a Maildir of its own. It
// refuses to work as root, so as root it works as nobody.
type dovecot struct {
	imap, dir string
	uid       int
}

func newDovecot(t *testing.T) *dovecot {
	t.Helper()
	d := &dovecot{imap: peertest.Need(t, "/usr/lib/dovecot/imap", "dovecot-imapd"), uid: os.Getuid()}
	dir, err := os.MkdirTemp("", "gomaild-dovecot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if d.dir = dir; d.uid == 0 {
		d.uid = 65534
	}
	writeFile(t, filepath.Join(dir, "dovecot.conf"), fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
ssl = no
protocols = imap
mail_location = maildir:%[1]s/mail
first_valid_uid = 1
first_valid_gid = 1
mail_uid = %[2]d
mail_gid = %[2]d
default_internal_user = nobody
default_login_user = nobody
`, dir, d.uid))
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

// take copies a Maildir to Dovecot's place, times and all.
func (d *dovecot) take(t *testing.T, maildir string) {
	t.Helper()
	peertest.Run(t, "", "cp", "-a", maildir, filepath.Join(d.dir, "mail"))
	if os.Getuid() == 0 {
		peertest.Run(t, "", "chown", "-R", fmt.Sprintf("%d:%d", d.uid, d.uid), d.dir)
	}
}

// giveBack puts Dovecot's Maildir in the place of another.
func (d *dovecot) giveBack(t *testing.T, maildir string) {
	t.Helper()
	if err := os.RemoveAll(maildir); err != nil {
		t.Fatal(err)
	}
	peertest.Run(t, "", "cp", "-a", filepath.Join(d.dir, "mail"), maildir)
}

func (d *dovecot) session(t *testing.T, lines string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), d.imap, "-c", filepath.Join(d.dir, "dovecot.conf"))
	cmd.Env = append(os.Environ(), "USER=bob", "HOME="+d.dir)
	cmd.Stdin = strings.NewReader(strings.NewReplacer("\n", "\r\n", "|", "\r\n").Replace(lines))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("dovecot: %v\n%s%s", err, out, &stderr)
	}
	if strings.Contains(stderr.String(), "Error:") || strings.Contains(stderr.String(), "Warning:") {
		t.Errorf("dovecot complains: %s", &stderr)
	}
	return string(out)
}

func (d *dovecot) folders(t *testing.T, names []string) map[string]folder {
	t.Helper()
	shown := map[string]folder{}
	for _, name := range names {
		shown[name] = parseFolder(d.session(t, fmt.Sprintf(script, name)))
	}
	return shown
}
