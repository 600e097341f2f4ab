//go:build peer

package smtp

import (
	"bufio"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/smtp/reply"
)

// The tests of this file show the faults of go-smtp's server for which
// docs/decisions/0001-own-smtp-engine.md keeps it off port 25. One that fails
// is good news: the fault is mended, and the decision can be looked at again.
//
//	go test -tags peer ./smtp

// peerBackend remembers what go-smtp hands to a program.
type peerBackend struct {
	recipients []string
	messages   []string
}

func (p *peerBackend) NewSession(*gosmtp.Conn) (gosmtp.Session, error) { return p, nil }
func (p *peerBackend) Reset()                                          {}
func (p *peerBackend) Logout() error                                   { return nil }
func (p *peerBackend) Mail(string, *gosmtp.MailOptions) error          { return nil }

func (p *peerBackend) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	p.recipients = append(p.recipients, to)
	return nil
}

func (p *peerBackend) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err == nil {
		p.messages = append(p.messages, string(b))
	}
	return err
}

// oneConn is a listener with one connection.
type oneConn struct{ conns chan net.Conn }

func (l oneConn) Addr() net.Addr { return &net.TCPAddr{} }
func (l oneConn) Close() error   { return nil }

func (l oneConn) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

// dialPeer begins a session with go-smtp's server in the bubble of the test.
func dialPeer(t *testing.T, timeout time.Duration) (*client, *peerBackend) {
	t.Helper()
	backend := &peerBackend{}
	srv := gosmtp.NewServer(backend)
	srv.Domain, srv.ReadTimeout = "peer.example.org", timeout
	near, far := net.Pipe()
	l := oneConn{conns: make(chan net.Conn, 1)}
	l.conns <- far
	c := &client{t: t, conn: near, in: bufio.NewReader(near), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		srv.Serve(l)
	}()
	t.Cleanup(func() {
		near.Close()
		close(l.conns)
		<-c.done
		srv.Close()
	})
	c.expect("220 ")
	return c, backend
}

// TestPeerExecutesContent: a timeout inside DATA makes commands of the content.
func TestPeerExecutesContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, backend := dialPeer(t, time.Minute)
		c.toData()
		c.send("a message that quotes an SMTP session\r\n")
		time.Sleep(2 * time.Minute)
		go io.Copy(c.conn, strings.NewReader("MAIL FROM:<evil@x.test>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nsmuggled\r\n.\r\nQUIT\r\n"))
		for {
			if r, err := reply.Read(c.in); err != nil || r.Code == 221 {
				break
			}
		}
		if !slices.Contains(backend.recipients, "victim@example.org") || !slices.Contains(backend.messages, "smuggled\r\n") {
			t.Errorf("mended: recipients %q, messages %q", backend.recipients, backend.messages)
		}
	})
}

// TestPeerMissesEndOfData: content that ends in CR CRLF does not end.
func TestPeerMissesEndOfData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, backend := dialPeer(t, 0)
		c.toData()
		c.send("text\r\r\n.\r\nNOOP\r\n")
		c.send("\r\n.\r\n")
		c.expect("250")
		if len(backend.messages) != 1 || !strings.Contains(backend.messages[0], "NOOP") {
			t.Errorf("mended: messages %q", backend.messages)
		}
	})
}

// TestPeerUnquotesAddresses: a quoted local part comes out as something that
// means another recipient when it is written down.
func TestPeerUnquotesAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, backend := dialPeer(t, 0)
		c.say("HELO x", "250")
		c.say("MAIL FROM:<>", "250")
		c.say(`RCPT TO:<"a@b> NOTIFY=NEVER <c"@d.test>`, "250")
		if want := "a@b> NOTIFY=NEVER <c@d.test"; !slices.Equal(backend.recipients, []string{want}) {
			t.Errorf("mended: recipients %q", backend.recipients)
		}
	})
}
