package listener

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/certs"
	"gomaild/internal/durable"
)

func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := certs.SelfSigned(root, "localhost"); err != nil {
		t.Fatal(err)
	}
	s, err := certs.New([]certs.Pair{{Cert: filepath.Join(dir, certs.CertFile), Key: filepath.Join(dir, certs.KeyFile)}})
	if err != nil {
		t.Fatal(err)
	}
	return s.TLSConfig()
}

func TestImplicitTLS(t *testing.T) {
	t.Parallel()
	ln := newPipeListener()
	l := start(t, Config{TLS: serverTLS(t), Handler: handlerFunc(func(_ context.Context, _ <-chan struct{}, conn net.Conn) {
		if c, ok := conn.(*tls.Conn); !ok || !c.ConnectionState().HandshakeComplete {
			t.Errorf("the handler got %T before the handshake was done", conn)
		}
		_, _ = io.WriteString(conn, "hello\r\n")
	})}, ln)

	silent := ln.dial("192.0.2.1") // says nothing, and must hold up nobody
	conn := tls.Client(ln.dial("192.0.2.2"), &tls.Config{InsecureSkipVerify: true})
	if got := readAll(t, conn); got != "hello\r\n" {
		t.Errorf("read %q", got)
	}
	// Stop does not wait for the silent client: it has nothing to finish.
	stop(t, l)
	if got := readAll(t, silent); got != "" {
		t.Errorf("a client without a handshake read %q", got)
	}
}

func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	config := serverTLS(t)
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		var log bytes.Buffer
		l := start(t, Config{TLS: config, Busy: "421 busy\r\n", MaxConns: 1, Logger: slog.New(slog.NewTextHandler(&log, nil)), Handler: untilDrained}, ln)
		conn := ln.dial("192.0.2.1")
		begin := time.Now()
		if got := readAll(t, ln.dial("192.0.2.2")); got != "" {
			t.Errorf("a refused TLS client read plain text: %q", got)
		}
		if got := readAll(t, conn); got != "" || time.Since(begin) != DefaultHandshakeTimeout {
			t.Errorf("a silent client read %q and was closed after %v", got, time.Since(begin))
		}
		stop(t, l)
		if !strings.Contains(log.String(), "TLS handshake") {
			t.Errorf("not logged: %s", log.String())
		}
	})
}

func TestNoTLSAtAll(t *testing.T) {
	t.Parallel()
	ln := newPipeListener()
	l := start(t, Config{TLS: serverTLS(t), Handler: untilDrained}, ln)
	conn := ln.dial("192.0.2.1")
	go func() { _, _ = io.WriteString(conn, "EHLO plain\r\n") }()
	_, _ = io.Copy(io.Discard, conn) // an alert, then the end
	stop(t, l)
}
