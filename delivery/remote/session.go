package remote

import (
	"context"
	"errors"
	"time"

	"gomaild/mail"
	"gomaild/smtp/client"
)

// session is a connection that is ready for MAIL.
type session struct {
	conn  *client.Conn
	host  string // for the DSN: the name by which we found it, or its address
	since time.Time
	sent  int
}

// explain gives a fault of the connection words for the log and the DSN. What
// a host said stays as it is.
func (s *session) explain(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*mail.Status](err); ok {
		return err
	}
	return &mail.Status{Code: 451, Enhanced: "4.4.2", Text: "Connection with " + s.host + " was lost", Cause: err}
}

// connect makes a session with a host at one address, as the policy wants it.
// Errors are about this host, and temporary but for those of a host that offers
// neither TLS nor REQUIRETLS to a message which wants them.
func (t *attempt) connect(ctx context.Context, h host, addr string) (*session, error) {
	name := h.name
	if name == "" {
		name = addr
	}
	want, err := t.demand(ctx, h)
	if err != nil {
		t.reportTLSA(h, addr, err)
		return nil, put(name, "4.7.5", "could not be asked for its certificates", err)
	}
	s, err := t.begin(ctx, h, addr, want)
	t.reportTLS(h, addr, want, err)
	if errors.Is(err, errTLSFailed) && want.fallsBack && ctx.Err() == nil {
		t.log.InfoContext(ctx, "TLS failed, going on without", "queue_id", t.job.ID, "host", name, "error", err)
		want.tls = nil
		s, err = t.begin(ctx, h, addr, want)
	}
	switch {
	case errors.Is(err, errNoTLS) && t.requiresTLS():
		return nil, &mail.Status{Code: 550, Enhanced: "5.7.10", Text: "Host " + name + " offers no TLS, which the message requires (RFC 8689)", Cause: err}
	case errors.Is(err, errTLSFailed), errors.Is(err, errNoTLS):
		return nil, put(name, "4.7.5", "has no TLS as the policy wants it", err)
	case err != nil:
		return nil, put(name, "4.4.1", "could not be spoken to", err)
	}
	s.host = name
	if _, ok := s.conn.Extension("REQUIRETLS"); t.requiresTLS() && !ok {
		s.conn.Quit(ctx)
		return nil, &mail.Status{Code: 550, Enhanced: "5.7.30", Text: "Host " + name + " does not offer REQUIRETLS (RFC 8689)", Cause: errNoRequireTLS}
	}
	return s, nil
}

// errNoRequireTLS is a host that would not go on with TLS. Another one may.
var errNoRequireTLS = errors.New("REQUIRETLS is not offered")

// put makes err temporary, whatever it is: a greeting of 554 speaks for one
// host, not for the destination.
func put(name, enhanced, what string, err error) error {
	return &mail.Status{Code: 451, Enhanced: enhanced, Text: "Host " + name + " " + what + said(err), Cause: err}
}

// said is what the host said, if it said something.
func said(err error) string {
	if s, ok := errors.AsType[*mail.Status](err); ok {
		return ": " + s.Text
	}
	return ""
}

func (t *attempt) begin(ctx context.Context, h host, addr string, want demand) (*session, error) {
	dctx, cancel := context.WithTimeout(ctx, t.cfg.Connect)
	conn, err := t.cfg.Dial(dctx, h.network, addr)
	cancel()
	if err != nil {
		return nil, err
	}
	c, err := client.New(ctx, conn, client.Config{HELO: t.cfg.HELO, LMTP: t.to.Transport == "lmtp", Timeouts: t.cfg.Timeouts})
	if err != nil {
		return nil, err
	}
	if err = secure(ctx, c, want); err == nil && t.login != (Login{}) {
		err = c.Auth(ctx, t.login.Name, t.login.Password)
	}
	if err != nil {
		c.Quit(ctx)
		return nil, err
	}
	return &session{conn: c, since: time.Now()}, nil
}
