package imap

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/memory"
)

// TestNotifyLimits: more mailboxes than a session may watch are refused, and
// when they become too many the client hears that there is no more to hear.
func TestNotifyLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits.NotifyMailboxes = 3 })
	address := w.listen()
	c, other := w.login(address), w.login(address)
	for _, name := range []string{"a", "b", "c"} {
		c.do("CREATE " + name)
	}
	last := func(lines []string) string { return lines[len(lines)-1] }
	const all = "NOTIFY SET (personal (MailboxName MessageNew MessageExpunge))"
	if got := last(c.do(all)); !strings.HasPrefix(got, "t NO [NOTIFICATIONOVERFLOW]") {
		t.Errorf("four mailboxes: %q", got)
	}
	if got := last(c.do("NOTIFY SET (mailboxes (a b c d) NONE)")); !strings.HasPrefix(got, "t NO [NOTIFICATIONOVERFLOW]") {
		t.Errorf("four names: %q", got)
	}
	c.do("DELETE c")
	if got := last(c.do(all)); !strings.HasPrefix(got, "t OK") {
		t.Errorf("three mailboxes: %q", got)
	}
	other.do("CREATE d")
	if got := c.line(); !strings.HasPrefix(got, "* OK [NOTIFICATIONOVERFLOW]") {
		t.Errorf("a fourth one: %q", got)
	}
	other.do("CREATE e")
	if got := c.do("NOOP"); len(got) != 1 {
		t.Errorf("after the overflow: %q", got)
	}
}

// TestNotifyMissed: what a session does not take in time is not kept for ever.
func TestNotifyMissed(t *testing.T) {
	t.Parallel()
	var changes Changes
	l, by := changes.join("x"), changes.join("x")
	for i := range maxNews + 1 {
		changes.tell("x", by, news{mailbox: fmt.Sprint(i), entries: []string{"/shared/comment"}})
	}
	changes.tell("y", nil, news{})
	if queue, missed := l.take(); len(queue) != maxNews || !missed {
		t.Errorf("%d are kept, missed %v", len(queue), missed)
	}
	if queue, missed := by.take(); len(queue) != 0 || missed {
		t.Errorf("who did it hears of it: %d, %v", len(queue), missed)
	}
	if queue, missed := l.take(); len(queue) != 0 || missed {
		t.Errorf("again: %d, %v", len(queue), missed)
	}
	changes.leave("x", l)
	changes.leave("x", by)
	if len(changes.listeners) != 0 {
		t.Errorf("left over: %v", changes.listeners)
	}
}

// TestNotifyOfOthers: what other programs and other users do is noticed too.
func TestNotifyOfOthers(t *testing.T) {
	t.Parallel()
	store := &memory.Store{}
	w := newWorldOn(t, withACL(store), func(c *Config) { c.AccessLists, c.Limits.NotifyPoll = true, 10*time.Millisecond })
	address := w.listen()
	bob, alice := w.loginAs(address, "bob"), w.login(address)
	if got := bob.do("NOTIFY SET (personal (MailboxName)) (subtree Shared (MailboxName MessageNew MessageExpunge))"); len(got) != 1 {
		t.Fatalf("%q", got)
	}
	expect := func(what, want string) {
		t.Helper()
		if got := bob.line(); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	account, err := store.Account(t.Context(), storage.Owner{Address: mail.Address{Local: "bob", Domain: "example.test"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := account.Create(t.Context(), "Foreign"); err != nil {
		t.Fatal(err)
	}
	expect("another program", `* LIST (\HasNoChildren) "/" Foreign`)
	bob.do("NOTIFY SET (personal (MailboxMetadataChange)) (mailboxes Foreign (ServerMetadataChange))")
	note := "x"
	if err := account.Annotate(t.Context(), "Foreign", map[string]*string{"/private/b": &note, "/private/a": &note}); err != nil {
		t.Fatal(err)
	}
	expect("annotations by another program", `* METADATA Foreign /private/a /private/b`)
	if err := account.Annotate(t.Context(), "", map[string]*string{"/shared/admin": &note}); err != nil {
		t.Fatal(err)
	}
	expect("of the account", `* METADATA "" /shared/admin`)
	if err := account.Annotate(t.Context(), "Foreign", map[string]*string{"/private/b": nil}); err != nil {
		t.Fatal(err)
	}
	expect("one is taken away", `* METADATA Foreign /private/b`)
	bob.do("NOTIFY SET (personal (MailboxName)) (subtree Shared (MailboxName MessageNew MessageExpunge))")
	const box = "Shared/alice@example.test/Box"
	alice.do("CREATE Box")
	alice.do("SETACL Box bob@example.test l")
	expect("l without r", `* LIST (\NoAccess) "/" `+box)
	expect("l is given", `* LIST (\HasNoChildren) "/" `+box)
	alice.do("SETACL Box bob@example.test lr")
	expect("r is given", `* LIST (\HasNoChildren) "/" `+box)
	alice.do("APPEND Box {3+}\r\nx\r\n")
	expect("a message", `* STATUS `+box+` (MESSAGES 1 UIDNEXT 2)`)
	alice.do("DELETEACL Box bob@example.test")
	expect("l is taken", `* LIST (\NonExistent) "/" `+box)
}

// TestEnableMetadata: annotations that another session sets, without NOTIFY (RFC
// 5464 section 4.4).
func TestEnableMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	address := w.listen()
	c, other := w.login(address), w.login(address)
	c.do("ENABLE METADATA")
	other.do(`SETMETADATA INBOX (/shared/comment "x")`)
	if got := c.do("NOOP"); len(got) != 2 || got[0] != "* METADATA INBOX /shared/comment" {
		t.Errorf("%q", got)
	}
	c.send("t IDLE\r\n")
	c.line()
	other.do(`SETMETADATA "" (/private/comment "x")`)
	if got := c.line(); got != `* METADATA "" /private/comment` {
		t.Errorf("during IDLE: %q", got)
	}
	c.send("DONE\r\n")
	c.until("t")
	c.do("UNAUTHENTICATE")
	if n := len(w.server.cfg.Changes.listeners); n != 0 {
		t.Errorf("%d listeners are left", n)
	}
}
