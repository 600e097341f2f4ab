//go:build peer

package imap

import (
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"
)

// TestPeerRunsLiteralAsCommand shows the fault for which the engine is ours
// (docs/decisions/0002): imapserver refuses a large literal, does not read past
// it, and runs what is in it. When this test fails, upstream has mended it and
// the decision can be looked at again.
func TestPeerRunsLiteralAsCommand(t *testing.T) {
	t.Parallel()
	store, user := imapmemserver.New(), imapmemserver.NewUser("alice", "secret")
	if err := user.Create("INBOX", nil); err != nil {
		t.Fatal(err)
	}
	store.AddUser(user)
	peer := imapserver.New(&imapserver.Options{
		NewSession: func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return store.NewSession(), nil, nil
		},
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapLiteralPlus: {}},
		InsecureAuth: true,
	})
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- peer.Serve(ln) }()
	t.Cleanup(func() {
		peer.Close()
		<-served
	})

	const attack = "a APPEND INBOX {200000000+}\r\nevil CREATE pwned\r\n"
	theirs := (&world{t: t}).login(ln.Addr().String())
	theirs.send(attack)
	if got := theirs.until("evil"); !strings.HasPrefix(got[len(got)-1], "evil OK") {
		t.Errorf("imapserver does not run it any more: %q", got)
	}

	w := newWorld(t, nil)
	ours := w.login(w.listen())
	ours.send(attack)
	if got := ours.until("evil"); strings.Contains(strings.Join(got, "\n"), "evil OK") {
		t.Errorf("we do: %q", got)
	}
}
