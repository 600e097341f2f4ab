package smtp

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/emersion/go-sasl"
	gosmtp "github.com/emersion/go-smtp"
)

// TestGoSMTPSubmits drives the server with a client that is not ours.
func TestGoSMTPSubmits(t *testing.T) {
	t.Parallel()
	serverTLS, clientTLS := certificate(t)
	r := &fakeReceiver{}
	cfg := Config{Hostname: "mx.example.org", Receiver: r, Auth: fakeAuth{}, RequireAuth: true, TLS: serverTLS}
	for rule, dial := range map[string]func() (*gosmtp.Client, error){
		"STARTTLS": func() (*gosmtp.Client, error) {
			return gosmtp.DialStartTLS(serve(t, New(cfg), nil), clientTLS)
		},
		"implicit TLS": func() (*gosmtp.Client, error) {
			return gosmtp.DialTLS(serve(t, New(cfg), serverTLS), clientTLS)
		},
	} {
		c, err := dial()
		if err != nil {
			t.Fatalf("%s: %v", rule, err)
		}
		defer c.Close()
		if err := c.Auth(sasl.NewPlainClient("", "alice@example.org", "secret")); err != nil {
			t.Errorf("%s: AUTH: %v", rule, err)
		}
		if err := c.SendMail("alice@example.org", []string{"carol@example.net"}, strings.NewReader("Subject: x\r\n\r\n.dot\r\n")); err != nil {
			t.Errorf("%s: %v", rule, err)
		}
		if err := c.Quit(); err != nil {
			t.Errorf("%s: QUIT: %v", rule, err)
		}
	}
	all := r.all()
	if len(all) != 2 {
		t.Fatalf("%d messages arrived, want 2", len(all))
	}
	for _, m := range all {
		want := `ESMTPSA <alice@example.org> <carol@example.net> "Subject: x\r\n\r\n.dot\r\n"`
		if m.String() != want {
			t.Errorf("got %v, want %s", m, want)
		}
		if m.client.TLS == nil || m.client.TLS.Version < tls.VersionTLS12 || m.client.Identity == nil || !m.client.Addr.IsLoopback() || m.client.Port == 0 {
			t.Errorf("client is %+v", m.client)
		}
	}
}

// TestGoSMTPDeliversLMTP does so in LMTP, where each recipient has its result.
func TestGoSMTPDeliversLMTP(t *testing.T) {
	t.Parallel()
	r := &fakeReceiver{}
	conn, err := net.Dial("tcp", serve(t, New(Config{Hostname: "mx.example.org", Receiver: r, LMTP: true}), nil))
	if err != nil {
		t.Fatal(err)
	}
	c := gosmtp.NewClientLMTP(conn)
	defer c.Close()
	if err := c.Mail("carol@example.net", &gosmtp.MailOptions{Size: 10, Return: gosmtp.DSNReturnHeaders, EnvelopeID: "a+b"}); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{"alice@example.org", "full@example.org"} {
		if err := c.Rcpt(to, &gosmtp.RcptOptions{Notify: []gosmtp.DSNNotify{gosmtp.DSNNotifyFailure}}); err != nil {
			t.Fatal(err)
		}
	}
	w, err := c.Data()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("x\r\n")); err != nil {
		t.Fatal(err)
	}
	_, err = w.CloseWithLMTPResponse()
	refused, ok := errors.AsType[gosmtp.LMTPDataError](err)
	if !ok || len(refused) != 1 || refused["full@example.org"] == nil || refused["full@example.org"].Code != 452 {
		t.Errorf("got %v, want 452 for full@example.org alone", err)
	}
	want := `LMTP <carol@example.net>RET=HDRSENVID=a+b <alice@example.org>NOTIFY=FAILURE,<full@example.org>NOTIFY=FAILURE "x\r\n"`
	if all := r.all(); len(all) != 1 || all[0].String() != want {
		t.Errorf("got %v, want %s", all, want)
	}
}
