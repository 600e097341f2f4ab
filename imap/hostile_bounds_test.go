package imap

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"gomaild/internal/durable"
	"gomaild/storage/maildir"
)

// TestWrongStates sends every command in every state that is not its own.
func TestWrongStates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	address := w.listen()
	before, after := w.dial(address), w.login(address)
	before.line()
	for i, cmd := range commands {
		if i%15 == 0 { // twenty faults in a row end a session
			before.do("NOOP")
			after.do("NOOP")
		}
		for c, s := range map[*client]state{before: notAuthenticated, after: authenticated} {
			if cmd.states&s != 0 {
				continue
			}
			// With arguments and without: the state counts first.
			for _, line := range []string{cmd.name, cmd.name + " 1 x y"} {
				if got := c.do(line); len(got) != 1 || !strings.HasPrefix(got[0], "t BAD "+cmd.name+" is not allowed ") {
					t.Errorf("%s: %q", line, got)
				}
			}
			c.do("NOOP")
		}
	}
}

// TestNamesStayBelowTheRoot holds that no name of a mailbox, in any command that
// takes one, reaches anything that is not the login's own.
func TestNamesStayBelowTheRoot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := maildir.New(maildir.Config{FS: root, Special: []maildir.SpecialFolder{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(store.Close(), root.Close()); err != nil {
			t.Error(err)
		}
	})
	w := newWorldOn(t, store, nil)
	address := w.listen()
	bob := w.loginAs(address, "bob")
	bob.do("CREATE Secret")
	bob.do("APPEND INBOX {12+}\r\nSubject: b\r\n\r\n")
	bob.do("LOGOUT")
	alice := w.login(address)
	alice.do("CREATE Own")
	others := func() []string {
		var all []string
		err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case strings.Contains(name, "alice@"):
				return fs.SkipDir
			case strings.Contains(e.Name(), "gomaild."): // locks that are being made, an index that is written when bob has left
				return nil
			}
			info, err := e.Info()
			if err == nil && !e.IsDir() {
				name += fmt.Sprint(info.Size(), info.ModTime())
			}
			all = append(all, name)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	want := others()
	for _, name := range []string{
		"../bob@example.test", "..", ".", "/", "//", "/etc/passwd", "../../etc/passwd", "Own/../../bob@example.test", "Own/..", "Own//x",
		"~bob", "~", "cur", "new", "tmp", "../bob@example.test/Secret", "&AC4ALg-/bob@example.test", "&AC8-etc", "..DOVECOT-TRASHED",
		"a\x7fb", "dovecot-uidlist", ".sieve", "Shared/bob@example.test", strings.Repeat("../", 100) + "etc", strings.Repeat("a/", 400),
	} {
		quoted := fmt.Sprintf("{%d+}\r\n%s", len(name), name)
		for _, command := range []string{
			"SELECT %s", "EXAMINE %s", "STATUS %s (MESSAGES)", "CREATE %s", "RENAME Own %s", "RENAME %s Other", "SUBSCRIBE %s", "DELETE %s",
			"APPEND %s {3+}\r\nx\r\n", "LIST %s *", `LIST "" %s`, "GETMETADATA %s /private/x", `SETMETADATA %s (/private/x "y")`, "LSUB %s *",
			"NOTIFY SET STATUS (mailboxes %s (MessageNew MessageExpunge))",
		} {
			lines := alice.do(fmt.Sprintf(command, quoted))
			answer := lines[len(lines)-1]
			if !strings.HasPrefix(answer, "t OK") && !strings.HasPrefix(answer, "t NO") && !strings.HasPrefix(answer, "t BAD") {
				t.Fatalf("%s of %q: %q", command, name, lines)
			}
			if all := strings.Join(lines, "\n"); strings.Contains(all, "Secret") && !strings.Contains(name, "Secret") || strings.Contains(all, "root:") {
				t.Errorf("%s of %q: %q", command, name, lines)
			}
			alice.do("NOOP")
			alice.do("RENAME " + quoted + " Own") // where it could be made
			alice.do("NOOP")
		}
		if now := others(); !slices.Equal(now, want) {
			t.Fatalf("%q changed what is not alice's: %q, was %q", name, now, want)
		}
	}
}

// TestHostileMemory holds how much is allocated in all for what is hostile. It
// is not parallel: others' octets would count.
func TestHostileMemory(t *testing.T) { //nolint:paralleltest // it measures the process
	w := newWorld(t, nil)
	address := w.listen()
	c := w.login(address)
	for n, text := range []string{
		nested(1000), nested(20000), strings.Repeat("Content-Type: multipart/mixed; boundary=x\n\n--x\n", 1000) + "\nx\n",
		"Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\n\n\n", 100000) + "--x--\n",
		strings.Repeat("X-A: b\n", 100000) + "\nx\n",
	} {
		w.put("INBOX", text, 0)
		c.do("SELECT INBOX")
		used := allocated(func() {
			c.do(fmt.Sprintf("FETCH %d (ENVELOPE BODY BODYSTRUCTURE BODY.PEEK[1.1.1.MIME] BODY.PEEK[HEADER])", n+1))
		})
		if limit := uint64(40<<20 + 20*len(text)); used > limit {
			t.Errorf("message %d of %d octets: %d octets allocated, at most %d", n, len(text), used, limit)
		}
	}
	for _, tt := range []struct {
		command string
		limit   uint64
	}{
		{"SEARCH " + strings.Repeat("(", 10000) + "ALL", 2 << 20},
		{"SEARCH " + strings.Repeat("NOT ", 10000) + "ALL", 2 << 20},
		{"UID FETCH " + strings.Repeat("1:4294967295,*:1,", 3700) + "1 FLAGS", 4 << 20},
		{"LOGIN {1073741824}", 2 << 20},
		{"APPEND INBOX {1073741824}", 2 << 20},
		{strings.Repeat("x", 10<<20), 40 << 20}, // the line itself, in the test
	} {
		c := w.login(address)
		c.do("SELECT INBOX")
		if used := allocated(func() { c.do(tt.command) }); used > tt.limit {
			t.Errorf("%.30q: %d octets allocated, at most %d", tt.command, used, tt.limit)
		}
	}
	// A literal of 1 GB that does not wait for the server: BYE, whatever comes.
	used := allocated(func() {
		c := w.login(address)
		c.send("t APPEND INBOX {1073741824+}\r\nEVIL CREATE pwned\r\n")
		for line := c.line(); line != "" || !c.ended(); line = c.line() {
			if strings.HasPrefix(line, "t OK") {
				t.Errorf("it says %q", line)
			}
		}
	})
	if used > 2<<20 {
		t.Errorf("a literal of 1 GB: %d octets allocated", used)
	}
}

// allocated is how many octets of memory work asks for in all.
func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
