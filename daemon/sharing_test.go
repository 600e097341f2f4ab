package daemon

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"

	"gomaild/internal/config"
)

// TestSharing: what alice shares bob sees, through the whole server; mail that
// her script files in his mailbox goes there once she may post (p), and to her
// INBOX until then. The files are where Dovecot has them.
func TestSharing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, err := New(w.config(t, "acl.enabled = true\n", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	alice, bob := w.login(t), w.loginAs(t, "bob")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	rights := func(letters string) imap.RightSet { return imap.RightSet(letters) }
	const box = "Shared/bob@example.test/Lists"
	ok(bob.Create("Lists", nil).Wait())
	ok(bob.SetACL("Lists", "alice@example.test", imap.RightModificationReplace, rights("lr")).Wait())
	listed, err := alice.List("", "Shared/*", nil).Collect()
	ok(err)
	if !slices.ContainsFunc(listed, func(l *imap.ListData) bool { return l.Mailbox == box }) {
		t.Errorf("alice sees %+v", listed)
	}

	home := w.path("mail/example.test/alice@example.test")
	ok(os.WriteFile(home+"/.dovecot.sieve", []byte("require \"fileinto\";\nfileinto \""+box+"\";\n"), 0o600))
	mx := func(subject string) {
		t.Helper()
		ok(transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, subject))
	}
	mx("without p")
	if got := subjects(t, alice); !slices.Equal(got, []string{"without p"}) {
		t.Errorf("in her INBOX: %q", got)
	}
	ok(bob.SetACL("Lists", "alice@example.test", imap.RightModificationAdd, rights("p")).Wait())
	mx("with p")
	if got := subjects(t, alice); !slices.Equal(got, []string{"without p"}) {
		t.Errorf("in her INBOX: %q", got)
	}
	selected, err := alice.Select(box, nil).Wait()
	ok(err)
	if selected.NumMessages != 1 {
		t.Errorf("%d messages in %s", selected.NumMessages, box)
	}
	for name, want := range map[string]string{
		"mail/example.test/bob@example.test/.Lists/dovecot-acl": "user=alice@example.test lpr\n",
		"mail/shared-folders/shared-mailboxes.db":               "shared/shared-boxes/user/alice@example.test/bob@example.test\n1\n",
	} {
		if got, err := os.ReadFile(w.path(name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}

	// Another user than those of the database, and one of a domain that is not.
	for _, name := range []string{"Shared/nobody@example.test/x", "Shared/x@elsewhere.test/x"} {
		if _, err := alice.Select(name, nil).Wait(); err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNotShared: without acl.enabled lists are not looked at, and nobody sees
// others' mailboxes.
func TestNotShared(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	alice := w.login(t)
	if caps := alice.Caps(); caps.Has("ACL") {
		t.Error("ACL is offered")
	}
	if _, err := alice.MyRights("INBOX").Wait(); err == nil {
		t.Error("MYRIGHTS is answered")
	}
	if _, err := alice.Select("Shared/bob@example.test", nil).Wait(); err == nil {
		t.Error("bob's INBOX can be opened")
	}
}

// TestGroupsAndGlobalLists: groups from a table, and the administrator's list,
// which the owner sees and cannot change.
func TestGroupsAndGlobalLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	global := w.path("global-acls")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(os.WriteFile(global, []byte("Shared/bob@example.test/Lists group=staff lrs\n"), 0o600))
	d, err := New(w.config(t, "acl.enabled = true\nacl.global = \""+global+"\"\nacl.group_maps = [\"inline:{alice@example.test=team, @example.test=other}\"]\n", listeners), Options{})
	ok(err)
	w.Daemon = d
	w.start(t)
	alice, bob := w.login(t), w.loginAs(t, "bob")
	const box = "Shared/bob@example.test/Lists"
	rights := func() string {
		t.Helper()
		data, err := alice.MyRights(box).Wait()
		if err != nil {
			return err.Error()
		}
		return string(data.Rights)
	}
	ok(bob.Create("Lists", nil).Wait())
	ok(bob.SetACL("Lists", "$other", imap.RightModificationReplace, imap.RightSet("lrx")).Wait())
	if got := rights(); !strings.Contains(got, "does not exist") {
		t.Errorf("alice is in no group with rights, and has %q", got)
	}
	ok(bob.SetACL("Lists", "$team", imap.RightModificationReplace, imap.RightSet("lri")).Wait())
	if got := rights(); got != "lri" {
		t.Errorf("as one of the team alice has %q", got)
	}
	listed, err := alice.List("", "Shared/*", nil).Collect()
	ok(err)
	if !slices.ContainsFunc(listed, func(l *imap.ListData) bool { return l.Mailbox == box }) {
		t.Errorf("alice sees %+v", listed)
	}
	ok(os.WriteFile(global, []byte("Shared/* group=team l\nLists authenticated lra\n"), 0o600))
	if got := rights(); got != "l" {
		t.Errorf("with a global list alice has %q", got)
	}
	own, err := bob.MyRights("Lists").Wait()
	if err != nil || string(own.Rights) != "lra" {
		t.Errorf("bob has %q, %v", own.Rights, err)
	}
	shown, err := bob.GetACL("Lists").Wait()
	if err != nil || string(shown.Rights["#authenticated"]) != "lra" || string(shown.Rights["$team"]) != "lri" {
		t.Errorf("bob sees %+v, %v", shown, err)
	}
}
