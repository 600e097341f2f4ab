package daemon

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"gomaild/smtp/client/clienttest"
)

// TestRelayHosts: mail goes through the relay host of its sender, with that
// sender's login within TLS, the rest through the one for all; from the address and
// with the name that are set, and a transport map knows better than both.
func TestRelayHosts(t *testing.T) {
	t.Parallel()
	conf, _ := selfSigned(t)
	ext := []string{"STARTTLS", "AUTH PLAIN"}
	all, own, direct := &clienttest.Sink{Extensions: ext, TLS: conf}, &clienttest.Sink{Extensions: ext, TLS: conf}, &clienttest.Sink{Extensions: ext, TLS: conf}
	host, allPort := serveSink(t, all)
	_, directPort := serveSink(t, direct)
	var from atomic.Value
	_, ownPort := serveSink(t, own, func(c net.Conn) { from.Store(c.RemoteAddr().String()) })
	w := newWorld(t)
	head := fmt.Sprintf("dns.servers = [\"127.0.0.1:1\"]\nremote.helo = \"out.example.test\"\nremote.source = \"127.0.0.3\"\n"+
		"remote.relay_host = \"[%[1]s]:%[2]s\"\nremote.sender_relay_maps = [\"inline:{bob@example.test=[%[1]s]:%[3]s}\"]\n"+
		"remote.password_maps = [\"inline:{bob@example.test=bobby:s3cret}\"]\nrouting.transport_maps = [\"inline:{direct.test=smtp:[%[1]s]:%[4]s}\"]\n", host, allPort, ownPort, directPort)
	d, err := New(w.config(t, head, listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	if err := w.submitTo(t, "x@far.test", "by bob's own"); err != nil {
		t.Fatal(err)
	}
	if err := w.submitTo(t, "x@direct.test", "by the map"); err != nil {
		t.Fatal(err)
	}
	if got := awaitMessages(t, own, 1); !got[0].OnTLS || !strings.Contains(got[0].Content, "Subject: by bob's own") || !slices.Equal(got[0].To, []string{"RCPT TO:<x@far.test>"}) {
		t.Errorf("bob's relay host got %+v", got)
	}
	commands := own.Commands()
	login := slices.Index(commands, "AUTH PLAIN AGJvYmJ5AHMzY3JldA==")
	if commands[0] != "EHLO out.example.test" || login < slices.Index(commands, "STARTTLS") {
		t.Errorf("said %q", commands)
	}
	if addr, _ := from.Load().(string); !strings.HasPrefix(addr, "127.0.0.3:") {
		t.Errorf("came from %s", addr)
	}
	if got := awaitMessages(t, direct, 1); !strings.Contains(got[0].Content, "Subject: by the map") {
		t.Errorf("the map's host got %+v", got)
	}
	if err := w.submitAs(t, "alice", "x@far.test", nil, strings.Replace(content("by the one for all"), "From: bob", "From: alice", 1)); err != nil {
		t.Fatal(err)
	}
	if got := awaitMessages(t, all, 1); !got[0].OnTLS || !strings.HasPrefix(got[0].From, "MAIL FROM:<alice@example.test>") {
		t.Errorf("the relay host for all got %+v", got)
	}
	if text := strings.Join(all.Commands(), "\n"); strings.Contains(text, "AUTH") {
		t.Errorf("said to it %q", text)
	}
}
