package imap

import (
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/internal/durable"
	"gomaild/storage/maildir"
)

// TestUserSessions holds the limit of sessions of one user, which is told as
// RFC 5530 has it; a session that ended makes room.
func TestUserSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits.UserSessions = 2 })
	address := w.listen()
	first, _ := w.login(address), w.login(address)
	third := w.dial(address)
	third.line()
	if got := third.do("LOGIN alice secret"); !strings.HasPrefix(got[0], "t NO [LIMIT]") {
		t.Errorf("a third session: %q", got)
	}
	if got := third.do("LOGIN bob secret"); !strings.HasPrefix(got[0], "t OK") {
		t.Errorf("another user: %q", got)
	}
	third.do("UNAUTHENTICATE")
	first.do("LOGOUT")
	deadline := time.Now().Add(10 * time.Second)
	for got := third.do("LOGIN alice secret"); !strings.HasPrefix(got[0], "t OK"); got = third.do("LOGIN alice secret") {
		if time.Now().After(deadline) {
			t.Fatalf("after one has ended: %q", got)
		}
	}
}

// TestSlowReaderStallsNobody: a client that asks for a lot and reads nothing
// holds up neither other sessions nor deliveries to the same mailbox.
func TestSlowReaderStallsNobody(t *testing.T) {
	t.Parallel()
	w := newWorldOn(t, maildirStore(t), nil)
	w.put("INBOX", "Subject: large\n\n"+strings.Repeat("0123456789\n", 200_000), 0)
	address := w.listen()
	slow, quick := w.login(address), w.login(address)
	slow.do("SELECT INBOX")
	for range 30 { // 60 MB that nobody takes
		slow.send("s FETCH 1 BODY.PEEK[]\r\n")
	}
	quick.do("SELECT INBOX")
	start := time.Now()
	for range 5 {
		w.put("INBOX", "Subject: x\n\nx\n", 0)
	}
	for _, command := range []string{"STORE 1:6 +FLAGS (\\Seen)", "FETCH 1:* (FLAGS)", "STORE 2 +FLAGS (\\Deleted)", "EXPUNGE", "COPY 2 INBOX", "NOOP"} {
		if got := quick.do(command); !strings.HasPrefix(got[len(got)-1], "t OK") {
			t.Errorf("%s: %q", command, got)
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("others waited %v", took)
	}
}

// TestNamesStayInside holds that no name of a mailbox, in no command, leads out
// of the account's directory.
func TestNamesStayInside(t *testing.T) {
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
		store.Close()
		root.Close()
	})
	w := newWorldOn(t, withACL(store), func(c *Config) { c.AccessLists = true })
	address := w.listen()
	c, bob := w.login(address), w.loginAs(address, "bob")
	bob.do("LIST \"\" *")
	before := tree(t, dir)
	names := []string{
		"..", "../x", "../bob@example.test", "../../x", "a/../../x", "a/..", "/", "/x", "/etc", "//", "./x", ".", "a//b", "a/./b", ".x", "x/.y",
		"../bob@example.test/cur", "cur", "new/x", "tmp", "~", "~bob", "~/x", "a\x01b", "a.b", "..DOVECOT-TRASHED", "sieve", "dovecot",
		"&AC4ALg-/x", "&AC8-x", "&AAA-", "Shared/../x", "Shared/bob@example.test/../x", "Shared/bob@example.test/../../x",
		"Shared/../../x", "Shared//x", "Shared/bob@example.test", "Shared/bob@example.test/x", "Shared/%/x", "Shared/bob@example.test/..",
		"Shared/..@../x", "Shared/x@../x", "Shared/../bob@example.test/x",
	}
	for _, name := range names {
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
		for _, command := range []string{
			"CREATE %", "APPEND % {3+}\r\nx\r\n", "SELECT %", "STATUS % (MESSAGES)", "RENAME % moved", "RENAME INBOX %", "SUBSCRIBE %", "UNSUBSCRIBE %",
			"DELETE %", "SETACL % bob@example.test lr", "SETMETADATA % (/shared/x \"y\")", "GETQUOTAROOT %", "LIST \"\" %", "NOTIFY SET (subtree % (MailboxName))",
		} {
			got := c.do(strings.ReplaceAll(command, "%", quoted))
			if last := got[len(got)-1]; !strings.HasPrefix(last, "t ") || strings.Contains(last, "SERVERBUG") {
				t.Errorf("%s with %q: %q", command, name, got)
			}
		}
	}
	c.do("NOTIFY NONE")
	inside := filepath.Join("example.test", "alice@example.test")
	after := slices.DeleteFunc(tree(t, dir), func(p string) bool {
		return slices.Contains(before, p) || strings.HasPrefix(p, ".gomaild.lock-") || strings.HasPrefix(p, inside+"/") && !strings.Contains(strings.TrimPrefix(p, inside+"/"), "..")
	})
	if len(after) > 0 {
		t.Errorf("outside of the account, or strange in it: %q", after)
	}
	for _, p := range before {
		if !slices.Contains(tree(t, dir), p) && !strings.HasPrefix(p, inside+"/") {
			t.Errorf("%s is gone", p)
		}
	}
}

// tree is every path below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if rel, relErr := filepath.Rel(dir, p); relErr == nil {
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
