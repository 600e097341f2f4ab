package smtp

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"gomaild/mail"
)

// Replies to STARTTLS.
var (
	errTLSOff   = &mail.Status{Code: 502, Enhanced: "5.5.1", Text: "STARTTLS is not offered"}
	errTLSTwice = &mail.Status{Code: 503, Enhanced: "5.5.1", Text: "TLS is active already"}
)

// mayStartTLS reports that STARTTLS is offered now.
func (s *session) mayStartTLS() bool { return s.srv.cfg.TLS != nil && !s.onTLS() }

// starttls begins TLS and forgets all that was said before (RFC 3207 section
// 4.2). That nothing was sent ahead in plaintext, which might be taken for what
// came encrypted, the table has seen to; what comes now is for the handshake.
func (s *session) starttls(ctx context.Context, _ string) error {
	switch {
	case s.onTLS():
		return errTLSTwice
	case s.srv.cfg.TLS == nil:
		return errTLSOff
	}
	s.reply(220, "2.0.0", "Ready to start TLS")
	if err := s.wire.flush(); err != nil {
		return err
	}
	conn := tls.Server(s.wire.conn, s.srv.cfg.TLS)
	handshake, cancel := context.WithTimeout(ctx, s.srv.cfg.Limits.TLSTimeout)
	defer cancel()
	if err := s.wire.upgrade(handshake, conn); err != nil {
		return fmt.Errorf("STARTTLS: %w", err)
	}
	s.abort()
	s.log = s.srv.log.With("session", s.client.Session)
	s.client.Helo, s.client.Identity, s.extended = "", nil, false
	s.client.TLS = tlsState(conn)
	s.state = stateStart
	return nil
}

// upgrade goes on in TLS. A handshake that fails is the end of the wire: there
// is no way back to plaintext, not even for a farewell. A drain ends it.
func (w *wire) upgrade(ctx context.Context, conn *tls.Conn) error {
	err := w.conn.SetDeadline(time.Time{})
	if err == nil {
		err = w.beginRead(time.Time{})
	}
	if err == nil {
		err = conn.HandshakeContext(ctx)
		w.endRead()
	}
	if err != nil {
		w.err = fmt.Errorf("handshake: %v", err) // not a cause that goodbye would tell
		return w.err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = conn
	return nil
}
