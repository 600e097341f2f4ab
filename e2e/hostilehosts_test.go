package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	gosmtp "github.com/emersion/go-smtp"

	"gomaild/internal/peertest"
	"gomaild/smtp/client/clienttest"
)

// hostileHost misbehaves until it is healed.
type hostileHost struct {
	port string
	evil func(net.Conn)
	good *clienttest.Sink

	healed atomic.Bool
}

func (h *hostileHost) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	_, h.port, _ = net.SplitHostPort(l.Addr().String())
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				if h.healed.Load() {
					h.good.Serve(conn)
				} else {
					h.evil(conn)
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
}

// TestHostileHosts: hosts of others that do what they should not, over the real
// server. Nothing is lost and nothing bounces; what waits says why; the server's
// memory stays small; and when the hosts have come to their senses everything
// arrives, once, and at most twice where the host had the whole message.
func TestHostileHosts(t *testing.T) {
	t.Parallel()
	const limit = 80 << 20 // octets of resident memory
	long, endless := strings.Repeat("x", 10<<20), strings.Repeat("250-x\r\n", 2<<20)
	replies := func(r map[string]string) func(net.Conn) {
		s := &clienttest.Sink{Replies: r, Extensions: []string{"STARTTLS"}}
		return s.Serve
	}
	garbage := func(conn net.Conn) { // the handshake is answered with what is no TLS
		s := &clienttest.Sink{Extensions: []string{"STARTTLS"}, Replies: map[string]string{"STARTTLS": "220 go\r\nCLOSE"}}
		s.Serve(uncloseable{conn})
		_, _ = io.CopyN(io.Discard, conn, 16)
		_, _ = io.WriteString(conn, strings.Repeat("garbage ", 1000))
		_, _ = io.Copy(io.Discard, conn)
	}
	const (
		notSpoken = "451 4.4.1 Host [127.0.0.1]:%s could not be spoken to"
		lost      = "451 4.4.2 Connection with [127.0.0.1]:%s was lost"
		noTLS     = "451 4.7.5 Host [127.0.0.1]:%s has no TLS as the policy wants it"
	)
	rows := []*struct {
		rule  string
		evil  func(net.Conn)
		tls   string // its policy
		reply string // with the port; "": it is delivered all the same
		twice bool
		hostileHost
	}{
		{rule: "closes at once", evil: replies(map[string]string{"GREETING": ""}), reply: notSpoken},
		{rule: "greets with 554", evil: replies(map[string]string{"GREETING": "554 5.3.2 Go away\r\n"}), reply: notSpoken + ": Go away"},
		{rule: "closes after EHLO", evil: replies(map[string]string{"EHLO": ""}), reply: notSpoken},
		{rule: "closes after MAIL", tls: "none", evil: replies(map[string]string{"MAIL": ""}), reply: lost},
		{rule: "closes after RCPT", tls: "none", evil: replies(map[string]string{"RCPT": ""}), reply: lost},
		{rule: "closes after DATA", tls: "none", evil: replies(map[string]string{"DATA": ""}), reply: lost},
		{rule: "closes in the content", tls: "none", evil: replies(map[string]string{"DATA": "354 go\r\nCLOSE"}), reply: lost},
		{rule: "takes the message and closes", tls: "none", evil: replies(map[string]string{".": ""}), reply: lost, twice: true},
		{rule: "421 to EHLO", evil: replies(map[string]string{"EHLO": "421 4.3.2 Bye\r\nCLOSE"}), reply: notSpoken + ": Bye"},
		{rule: "421 to MAIL", tls: "none", evil: replies(map[string]string{"MAIL": "421 4.3.2 Bye\r\nCLOSE"}), reply: "421 4.3.2 Bye"},
		{rule: "421 to RCPT", tls: "none", evil: replies(map[string]string{"RCPT": "421 4.3.2 Bye\r\nCLOSE"}), reply: "421 4.3.2 Bye"},
		{rule: "421 to DATA", tls: "none", evil: replies(map[string]string{"DATA": "421 4.3.2 Bye\r\nCLOSE"}), reply: "421 4.3.2 Bye"},
		{rule: "421 to the final dot", tls: "none", evil: replies(map[string]string{".": "421 4.3.2 Bye\r\nCLOSE"}), reply: "421 4.3.2 Bye", twice: true},
		{rule: "10 MB of greeting", evil: replies(map[string]string{"GREETING": "220 " + long + "\r\n"}), reply: notSpoken},
		{rule: "10 MB of EHLO", evil: replies(map[string]string{"EHLO": "250-" + long + "\r\n"}), reply: notSpoken},
		{rule: "10 MB in answer to MAIL", tls: "none", evil: replies(map[string]string{"MAIL": "250 " + long + "\r\n"}), reply: lost},
		{rule: "10 MB in answer to the final dot", tls: "none", evil: replies(map[string]string{".": "250 " + long + "\r\n"}), reply: lost, twice: true},
		{rule: "EHLO without end", evil: replies(map[string]string{"EHLO": endless}), reply: notSpoken},
		{rule: "an answer to RCPT without end", tls: "none", evil: replies(map[string]string{"RCPT": endless}), reply: lost},
		{rule: "250 to DATA", tls: "none", evil: replies(map[string]string{"DATA": "250 2.0.0 Fine\r\n"}), reply: lost},
		{rule: "no number", tls: "none", evil: replies(map[string]string{"MAIL": "hello\r\n"}), reply: lost},
		{rule: "TLS must be: refused", tls: "encrypt", evil: replies(map[string]string{"STARTTLS": "454 4.7.0 Not now\r\n"}), reply: noTLS + ": Not now"},
		{rule: "TLS must be: closes in the handshake", tls: "encrypt", evil: replies(map[string]string{"STARTTLS": "220 go\r\nCLOSE"}), reply: noTLS},
		{rule: "TLS must be: garbage", tls: "encrypt", evil: garbage, reply: noTLS},
		{rule: "TLS must be: plaintext behind the 220", tls: "encrypt", evil: replies(map[string]string{"STARTTLS": "220 go\r\n250 injected\r\n"}), reply: noTLS},
		{rule: "TLS may be: refused", tls: "may", evil: replies(map[string]string{"STARTTLS": "454 4.7.0 Not now\r\n"})},
		{rule: "TLS may be: closes in the handshake", tls: "may", evil: replies(map[string]string{"STARTTLS": "220 go\r\nCLOSE"})},
		{rule: "TLS may be: garbage", tls: "may", evil: garbage},
		{rule: "TLS may be: plaintext behind the 220", tls: "may", evil: replies(map[string]string{"STARTTLS": "220 go\r\n250 injected\r\n"})},
	}
	secure := new(tls.Config)
	var transports, policies []string
	for i, r := range rows {
		r.hostileHost.evil = r.evil
		r.good = &clienttest.Sink{Extensions: []string{"STARTTLS"}, TLS: secure}
		r.listen(t)
		hop := fmt.Sprintf("[%s]:%s", host, r.port)
		transports = append(transports, fmt.Sprintf("row%d.test=smtp:%s", i, hop))
		if r.tls != "" {
			policies = append(policies, fmt.Sprintf("{%s = %s}", hop, r.tls))
		}
	}
	port := peertest.FreePort(t)
	w := newWorld(t, fmt.Sprintf("dns.servers = [\"127.0.0.1:1\"]\nqueue.schedule = [\"1h\"]\nqueue.delay_notice = \"0s\"\nrouting.transport_maps = [%q]\nremote.tls_policy_maps = [%q]\n"+
		"[[listener]]\ntype = \"submission\"\naddress = \"%s:%d\"\ntls = \"none\"\ntrusted_networks = [\"127.0.0.0/8\"]\n",
		"inline:{"+strings.Join(transports, ", ")+"}", "inline:{ "+strings.Join(policies, ", ")+" }", host, port))
	cert, err := tls.LoadX509KeyPair(w.certificate(), w.key())
	if err != nil {
		t.Fatal(err)
	}
	secure.Certificates = []tls.Certificate{cert}
	w.start(t)
	c, err := gosmtp.Dial(w.addr(port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i, r := range rows {
		if err := c.SendMail("alice@example.test", []string{fmt.Sprintf("x@row%d.test", i)}, strings.NewReader("From: alice@example.test\r\nSubject: "+r.rule+"\r\n\r\nHi.\r\n")); err != nil {
			t.Fatalf("%s: %v", r.rule, err)
		}
	}
	waits := 0
	for _, r := range rows {
		if r.reply != "" {
			waits++
		}
	}
	var queued map[string]string
	await(t, "every host to be tried", func() bool {
		queued = w.replies(t)
		tried := 0
		for _, reply := range queued {
			if reply != "" {
				tried++
			}
		}
		return tried == waits && len(queued) == waits
	})
	for i, r := range rows {
		reply, isQueued := queued[fmt.Sprintf("x@row%d.test", i)]
		want := strings.ReplaceAll(r.reply, "%s", r.port)
		if isQueued != (want != "") || !strings.HasPrefix(reply, want) {
			t.Errorf("%s: waits with %q, want %q", r.rule, reply, want)
		}
	}
	peak := w.peakMemory(t)
	if t.Logf("%d MB resident at the peak", peak>>20); peak > limit {
		t.Errorf("the limit is %d MB", limit>>20)
	}

	for _, r := range rows {
		r.healed.Store(true)
	}
	peertest.Run(t, "", gomaild(t), "queue", "flush", "-c", w.config)
	await(t, "everything to arrive", func() bool { return len(w.replies(t)) == 0 })
	for _, r := range rows {
		if got := r.good.Messages(); len(got) != 1 && r.reply != "" || len(got) > 0 && !strings.Contains(got[0].Content, "Subject: "+r.rule) {
			t.Errorf("%s: %d arrived", r.rule, len(got))
		}
	}
	if n := len(w.stored(t, "alice@example.test")); n != 0 {
		t.Errorf("alice was told of %d", n)
	}
}

// uncloseable outlives a Sink.
type uncloseable struct{ net.Conn }

func (uncloseable) Close() error { return nil }

// replies is what waits in the queue, by recipient, with what its last attempt
// said.
func (w *world) replies(t *testing.T) map[string]string {
	t.Helper()
	list := map[string]string{}
	dec := json.NewDecoder(strings.NewReader(peertest.Run(t, "", gomaild(t), "queue", "list", "--json", "-c", w.config)))
	for {
		var m struct {
			Recipients []struct{ Address, Reply string }
		}
		switch err := dec.Decode(&m); {
		case err == io.EOF:
			return list
		case err != nil:
			t.Fatal(err)
		}
		for _, r := range m.Recipients {
			list[r.Address] = r.Reply
		}
	}
}
