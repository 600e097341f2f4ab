package pop3

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
	"gomaild/storage"
)

// session is one connection. Its fields belong to the goroutine of Serve.
type session struct {
	srv     *Server
	limits  Limits
	log     *slog.Logger
	id      string
	drain   <-chan struct{}
	line    *lineconn.Conn
	loginBy time.Time

	state         state
	ended         bool // nothing more is read
	badCommands   int  // in a row
	loginFailures int
	user          string // of USER, for PASS

	identity auth.Identity
	account  storage.Account // from login on
	drop     *maildrop       // in the transaction state
	unlock   func()          // gives the maildrop back
}

// failure is a command that is refused: the text of -ERR, with its response
// code (RFC 2449 section 8) in front where there is one.
type failure struct{ code, text string }

func (f *failure) Error() string {
	if f.code == "" {
		return f.text
	}
	return "[" + f.code + "] " + f.text
}

func fail(text string) error { return &failure{text: text} }

// errTemporary is what a client hears of a fault of ours (RFC 3206 section 4).
var errTemporary = &failure{"SYS/TEMP", "Temporary internal error, try again later"}

func (srv *Server) newSession(drain <-chan struct{}, conn net.Conn) *session {
	s := &session{
		srv:     srv,
		limits:  srv.cfg.Limits,
		id:      rand.Text()[:10],
		drain:   drain,
		state:   authorization,
		loginBy: time.Now().Add(srv.cfg.Limits.LoginTimeout),
	}
	s.line = lineconn.New(conn, s.limits.WriteTimeout)
	s.log = srv.cfg.Logger.With("session", s.id, "client", conn.RemoteAddr().String())
	return s
}

// close gives everything back, however the session ended.
func (s *session) close() {
	if s.drop != nil {
		s.warn("close mailbox", s.drop.box.Close())
	}
	if s.account != nil {
		s.warn("close account", s.account.Close())
	}
	if s.unlock != nil {
		s.unlock()
	}
	s.line.Close()
}

// warn logs an error that changes nothing for the client.
func (s *session) warn(what string, err error) {
	if err != nil {
		s.log.Warn(what, "error", err)
	}
}

// serve runs the session from greeting to end.
func (s *session) serve(ctx context.Context) {
	s.ok(s.srv.cfg.Hostname + " POP3 ready")
	for !s.ended {
		if err := s.step(ctx); err != nil {
			s.log.Debug("connection ended", "error", err)
			return
		}
	}
	s.warn("last reply", s.line.Out.Flush())
}

// step reads one command, runs it and answers. An error is of the connection.
func (s *session) step(ctx context.Context) error {
	if s.draining() {
		s.bye("SYS/TEMP", "Server is shutting down")
		return nil
	}
	text, err := s.line.ReadLine(s.deadline(), s.limits.Line)
	switch {
	case err == nil:
		err = s.run(ctx, text)
	case errors.Is(err, lineconn.ErrLong):
		err = fail("Line is too long")
	case errors.Is(err, gate.ErrWoken):
		return nil // the drain is seen above
	case errors.Is(err, gate.ErrDeadline):
		s.bye("", "Idle for too long")
		return nil
	default:
		return err
	}
	return s.settle(err)
}

// settle answers what a command came to: nil was answered by the command.
func (s *session) settle(err error) error {
	if err == nil {
		s.badCommands = 0
		return nil
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		return err
	}
	s.err(f)
	s.badCommands++
	if s.badCommands >= s.limits.BadCommands && !s.ended {
		s.bye("", "Too many bad commands")
	}
	return nil
}

// run finds the command in the table and runs it.
func (s *session) run(ctx context.Context, text string) error {
	verb, arg, hasArg := strings.Cut(text, " ")
	c := find(strings.ToUpper(verb))
	switch {
	case c == nil:
		return fail("Unknown command")
	case c.states&s.state == 0:
		return fail("Not allowed " + s.state.when())
	case c.args == noArg && hasArg && strings.TrimSpace(arg) != "", c.args == oneArg && strings.TrimSpace(arg) == "":
		return fail("Wrong number of arguments")
	}
	if c.args == oneArg && c.verb != "PASS" {
		arg = strings.TrimSpace(arg)
	}
	return c.run(s, ctx, arg)
}

func (s *session) deadline() time.Time {
	if s.state == authorization {
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

// bye ends the session with a reason.
func (s *session) bye(code, text string) {
	s.err(&failure{code, text})
	s.ended = true
}

// Errors of writing show at the next flush.

func (s *session) ok(text string) { fmt.Fprintf(s.line.Out, "+OK %s\r\n", text) }

func (s *session) err(f *failure) { fmt.Fprintf(s.line.Out, "-ERR %s\r\n", f.Error()) }

// end closes a multi-line reply.
func (s *session) end() { _, _ = s.line.Out.WriteString(".\r\n") }
