package imap

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"
)

// selfSigned is a server's TLS configuration and a client's that trusts it.
func selfSigned(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mail.example.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return server, &tls.Config{RootCAs: pool, ServerName: "mail.example.test"}
}

func tlsWorld(t *testing.T) (*world, *tls.Config) {
	serverTLS, clientTLS := selfSigned(t)
	return newWorld(t, func(c *Config) { c.TLS, c.PlaintextAuth = serverTLS, false }), clientTLS
}

func TestSTARTTLS(t *testing.T) {
	t.Parallel()
	w, clientTLS := tlsWorld(t)
	c := w.dial(w.listen())
	if got := c.line(); !strings.Contains(got, " STARTTLS LOGINDISABLED]") {
		t.Errorf("greeting %q", got)
	}
	if got := c.do("STARTTLS"); got[0] != "t OK Begin TLS negotiation now" {
		t.Fatalf("STARTTLS: %q", got)
	}
	secure := tls.Client(c.conn, clientTLS)
	c.conn, c.r = secure, bufio.NewReader(secure)
	if got := c.do("CAPABILITY"); strings.Contains(got[0], "STARTTLS") || strings.Contains(got[0], "LOGINDISABLED") || !strings.Contains(got[0], "AUTH=PLAIN") {
		t.Errorf("capabilities in TLS: %q", got)
	}
	if got := c.do("STARTTLS"); !strings.HasPrefix(got[0], "t BAD") {
		t.Errorf("STARTTLS in TLS: %q", got)
	}
	if got := c.do("LOGIN alice secret"); !strings.HasPrefix(got[0], "t OK") {
		t.Errorf("login in TLS: %q", got)
	}
}

// TestSTARTTLSInjection holds that what comes with STARTTLS in one packet is
// not taken as if it had come encrypted.
func TestSTARTTLSInjection(t *testing.T) {
	t.Parallel()
	w, _ := tlsWorld(t)
	c := w.dial(w.listen())
	c.line()
	c.send("t STARTTLS\r\nx LOGIN mallory secret\r\n")
	if got := c.line(); !strings.HasPrefix(got, "* BYE") || !c.ended() {
		t.Errorf("got %q", got)
	}
}
