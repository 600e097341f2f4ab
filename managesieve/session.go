package managesieve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"gomaild/auth"
	"gomaild/internal/gate"
	"gomaild/internal/lineconn"
	"gomaild/sieve/scripts"
)

// session is one connection. Its fields belong to the goroutine of Serve.
type session struct {
	srv     *Server
	limits  Limits
	log     *slog.Logger
	id      string
	drain   <-chan struct{}
	conn    *lineconn.Conn
	loginBy time.Time

	ended         bool // nothing more is read
	badCommands   int  // in a row
	loginFailures int

	identity auth.Identity
	scripts  *scripts.Store // from login on
}

func (srv *Server) newSession(drain <-chan struct{}, conn net.Conn) *session {
	s := &session{
		srv:     srv,
		limits:  srv.cfg.Limits,
		id:      rand.Text()[:10],
		drain:   drain,
		conn:    lineconn.New(conn, srv.cfg.Limits.WriteTimeout),
		loginBy: time.Now().Add(srv.cfg.Limits.LoginTimeout),
	}
	s.log = srv.cfg.Logger.With("session", s.id, "client", conn.RemoteAddr().String())
	return s
}

func (s *session) close() {
	if s.scripts != nil {
		s.warn("close scripts", s.scripts.Close())
	}
	s.conn.Close()
}

// warn logs an error that changes nothing for the client.
func (s *session) warn(what string, err error) {
	if err != nil {
		s.log.Warn(what, "error", err)
	}
}

// serve runs the session from greeting to end.
func (s *session) serve(ctx context.Context) {
	s.capabilities()
	s.ok("", "gomaild ready")
	for !s.ended {
		if err := s.step(ctx); err != nil {
			s.log.Debug("connection ended", "error", err)
			return
		}
	}
	s.warn("last reply", s.conn.Out.Flush())
}

// step reads one command, runs it and answers. An error is of the connection.
func (s *session) step(ctx context.Context) error {
	if s.draining() {
		s.bye("TRYLATER", "Server is shutting down")
		return nil
	}
	r, err := s.readRequest()
	switch {
	case err == nil:
		return s.settle(s.run(ctx, r))
	case errors.Is(err, gate.ErrWoken):
		return nil // the drain is seen above
	case errors.Is(err, gate.ErrDeadline):
		s.bye("", "Idle for too long")
		return nil
	case errors.Is(err, errTooMuch):
		s.bye("QUOTA/MAXSIZE", "Too much input")
		return nil
	case isFatal(err):
		return err
	}
	return s.settle(no("", err.Error()))
}

// refusal is a NO, with its response code (RFC 5804 section 1.3) where there is
// one.
type refusal struct{ code, text string }

func (r *refusal) Error() string { return r.text }

func no(code, text string) error { return &refusal{code, text} }

// settle answers what a command came to: nil was answered by the command.
func (s *session) settle(err error) error {
	if err == nil {
		s.badCommands = 0
		return nil
	}
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return err
	}
	if s.ended {
		s.reply("BYE", r.code, r.text)
		return nil
	}
	s.reply("NO", r.code, r.text)
	if s.badCommands++; s.badCommands >= s.limits.BadCommands {
		s.bye("", "Too many bad commands")
	}
	return nil
}

func (s *session) deadline() time.Time {
	if s.scripts == nil {
		return s.loginBy
	}
	return time.Now().Add(s.limits.IdleTimeout)
}

func (s *session) draining() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

func (s *session) bye(code, text string) {
	s.reply("BYE", code, text)
	s.ended = true
}

func (s *session) ok(code, text string) { s.reply("OK", code, text) }

// reply writes a response. Errors of writing show at the next flush.
func (s *session) reply(kind, code, text string) {
	line := kind
	if code != "" {
		line += " (" + code + ")"
	}
	if text != "" {
		line += " " + quote(text)
	}
	fmt.Fprintf(s.conn.Out, "%s\r\n", line)
}

// quote is a string as a client reads it: quoted where that can be, else a
// literal (RFC 5804 section 4).
func quote(text string) string {
	if len(text) > maxQuoted || strings.ContainsAny(text, "\r\n\x00") {
		return fmt.Sprintf("{%d}\r\n%s", len(text), text)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
