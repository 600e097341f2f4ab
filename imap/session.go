package imap

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"gomaild/auth"
	"gomaild/imap/wire"
	"gomaild/internal/gate"
	"gomaild/storage"
)

// session is one connection. Its fields belong to the goroutine of Serve.
type session struct {
	srv    *Server
	limits Limits
	log    *slog.Logger
	// baseLog is log before anybody logged in.
	baseLog *slog.Logger
	id      string
	drain   <-chan struct{}

	gate     gate.Gate
	conn     net.Conn
	deflated *deflatedConn // of COMPRESS, nil without
	secure   net.Conn      // the TLS of STARTTLS, ours to close
	dec      *wire.Decoder
	enc      *wire.Encoder
	loginBy  time.Time

	state         state
	tag           string // of the present command
	ended         bool   // nothing more is read
	holds         bool   // the command named message numbers although it is one by UID
	lost          error  // of the connection, found while a command waited for the client
	badCommands   int    // in a row
	loginFailures int
	origin        netip.Addr // whom a trusted client speaks for, zero for itself

	enabled  feature
	identity auth.Identity
	account  storage.Account // from login on
	box      *selected       // in state selectedState
	notify   *notification   // of the last NOTIFY, nil before the first
	heard    *listener       // what other sessions tell, nil if that does not matter
}

func (srv *Server) newSession(drain <-chan struct{}, conn net.Conn) *session {
	s := &session{
		srv:     srv,
		limits:  srv.cfg.Limits,
		id:      rand.Text()[:10],
		drain:   drain,
		state:   notAuthenticated,
		loginBy: time.Now().Add(srv.cfg.Limits.LoginTimeout),
	}
	s.baseLog = srv.cfg.Logger.With("session", s.id, "client", conn.RemoteAddr().String())
	s.log = s.baseLog
	s.attach(conn)
	return s
}

// attach reads and writes conn from now on, knowing nothing of what came
// before.
func (s *session) attach(conn net.Conn) {
	s.conn = conn
	s.gate.Replace(conn)
	s.enc = wire.NewEncoder(output{s})
	s.dec = wire.NewDecoder(input{s}, s.limits.wire(), s.proceed)
	s.speakUTF8()
}

// proceed asks for a synchronising literal.
func (s *session) proceed() error {
	s.enc.Raw("+ OK\r\n")
	return s.enc.Flush()
}

// close gives everything back, however the session ended.
func (s *session) close() {
	s.unlisten()
	if s.box != nil {
		s.deselect()
	}
	if s.account != nil {
		s.warn("close account", s.account.Close())
		s.srv.cfg.Changes.exit(s.accountName())
	}
	if s.deflated != nil {
		s.deflated.stop()
	}
	if s.secure != nil {
		_ = s.secure.Close() // the socket below is the caller's
	}
}

// warn logs an error that changes nothing for the client.
func (s *session) warn(what string, err error) {
	if err != nil {
		s.log.Warn(what, "error", err)
	}
}

// warnUnless is warn for an error that is only a fault if it is not expected.
func (s *session) warnUnless(expected bool, what string, err error) {
	if !expected {
		s.warn(what, err)
	}
}

// serve runs the session from greeting to end.
func (s *session) serve(ctx context.Context) {
	s.greet()
	for !s.ended {
		if err := s.next(ctx); err != nil {
			s.end(err)
			return
		}
	}
	s.warn("last response", s.enc.Flush())
	s.returnBuffer()
}

func (s *session) greet() {
	s.enc.Raw("* OK [CAPABILITY ")
	s.printCapabilities()
	s.enc.Raw("] ")
	s.enc.Raw(s.srv.cfg.Hostname)
	s.enc.Raw(" ready\r\n")
}

// end says why the session ends, where somebody may still listen.
func (s *session) end(err error) {
	switch {
	case errors.Is(err, wire.ErrDiscard):
		s.bye("Command is too long")
	case isTimeout(err):
		s.bye("Timed out")
	case errors.Is(err, wire.ErrShort):
		s.log.Error("message is not of the size that the store says", "error", err)
		return
	case s.enc.Err() != nil:
		s.log.Info("connection lost", "error", s.enc.Err())
		return
	default:
		s.log.Debug("connection ended", "error", err)
		return
	}
	s.warn("goodbye", s.enc.Flush())
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

// bye ends the session with the untagged BYE of RFC 3501 section 7.1.5.
func (s *session) bye(text string) {
	s.enc.Raw("* BYE ")
	s.enc.Raw(text)
	s.enc.CRLF()
	s.ended = true
}

func (s *session) draining() bool {
	select {
	case <-s.drain:
		return true
	default:
		return false
	}
}

// next waits for a command and answers it. An error is of the connection.
func (s *session) next(ctx context.Context) error {
	if s.draining() {
		s.bye("Server is shutting down")
		return nil
	}
	err := s.awaitCommand(ctx)
	if s.ended {
		return nil
	}
	switch err {
	case nil:
	case gate.ErrWoken:
		return nil // the drain is seen above
	case gate.ErrDeadline:
		s.bye("Autologout; idle for too long")
		return nil
	default:
		return err
	}
	tag, err := s.dec.Next()
	if err != nil {
		return err
	}
	return s.execute(ctx, tag)
}

// await waits for the client's next octet, holding little memory meanwhile.
func (s *session) await(deadline time.Time) error { return s.awaitBy(deadline, s.dec.Wait) }

// awaitBy is await with a choice of how.
func (s *session) awaitBy(deadline time.Time, wait func() error) error {
	if s.dec.Buffered() > 0 {
		return nil
	}
	if err := s.enc.Flush(); err != nil {
		return err
	}
	s.returnBuffer()
	return s.gate.Wait(deadline, wait)
}

// borrowBuffer gives the encoder a buffer that another session has done with: so
// it need not grow for each command.
func (s *session) borrowBuffer() {
	if buf, ok := s.srv.printed.Get().(*[]byte); ok {
		s.enc.Lend(*buf)
	}
}

func (s *session) returnBuffer() {
	if buf := s.enc.Release(); cap(buf) > 0 {
		s.srv.printed.Put(&buf)
	}
}

func (s *session) idleDeadline() time.Time {
	if s.state == notAuthenticated {
		return s.loginBy
	}
	return time.Now().Add(s.limits.IdleTimeout)
}

// execute parses and runs the command whose tag was read, reads past it, and
// answers. It does so apart, so that the stack on which the session waits for its
// client stays as small as it began.
func (s *session) execute(ctx context.Context, tag string) error {
	s.tag = tag
	cmd, req, err := s.parse()
	if _, idles := req.(idle); idles {
		return s.finish(ctx, tag, cmd, req, err)
	}
	gate.Apart(func() { err = s.finish(ctx, tag, cmd, req, err) })
	return err
}

// finish runs a command, reads past it, and answers.
func (s *session) finish(ctx context.Context, tag string, cmd *command, req request, err error) error {
	var rep reply
	s.borrowBuffer()
	s.holds = false
	if s.box != nil {
		s.box.fresh = nil
	}
	if err == nil {
		err = s.allow(ctx, cmd)
	}
	if err == nil {
		rep, err = req.run(ctx, s)
	}
	if err := cmp.Or(s.lost, s.enc.Err()); err != nil {
		return err
	}
	if finishErr := s.dec.Finish(); finishErr != nil {
		return finishErr
	}
	if cmd != nil && !s.ended {
		s.afterCommand(ctx, cmd)
	}
	if s.ended && !rep.lastWord {
		return nil // BYE was the answer
	}
	s.answer(cmd, tag, rep, err)
	if err == nil && rep.after != nil {
		return rep.after(ctx)
	}
	return nil
}

// parse reads the command after its tag.
func (s *session) parse() (*command, request, error) {
	d := s.dec
	d.SP()
	name := d.Word()
	if name == "UID" {
		d.SP()
		name += " " + d.Word()
	}
	if err := d.Err(); err != nil {
		return nil, nil, err
	}
	i, known := slices.BinarySearchFunc(commands, name, func(c command, n string) int { return strings.Compare(c.name, n) })
	if !known {
		return nil, nil, &wire.SyntaxError{Text: "unknown command"}
	}
	cmd := &commands[i]
	if cmd.states&s.state == 0 {
		return cmd, nil, &wire.SyntaxError{Text: cmd.name + " is not allowed " + s.state.when()}
	}
	req := cmd.parse(&grammar{Decoder: d, limits: &s.limits, enabled: s.enabled, lists: s.srv.cfg.AccessLists})
	return cmd, req, d.Err()
}

// answer prints the tagged response.
func (s *session) answer(cmd *command, tag string, rep reply, err error) {
	if err == nil {
		s.badCommands = 0
		s.printTagged(tag, "OK", rep.code, rep.textOr(cmd.name+" completed"))
		return
	}
	f := s.failureOf(err)
	s.printTagged(tag, f.kind, f.code, f.text)
	if f.kind != kindBad {
		return
	}
	s.badCommands++
	if s.badCommands >= s.limits.BadCommands {
		s.bye("Too many bad commands")
	}
}

func (s *session) printTagged(tag, kind, code, text string) {
	if tag == "" {
		tag = "*" // RFC 3501 section 7.1.3: an untagged BAD, the command had no tag
	}
	s.enc.Raw(tag)
	s.enc.Byte(' ')
	s.enc.Raw(kind)
	s.enc.Byte(' ')
	if code != "" {
		s.enc.Raw("[" + code + "] ")
	}
	s.enc.Raw(text)
	s.enc.CRLF()
}

// printOK prints an untagged OK with a response code.
func (s *session) printOK(code, text string) { s.printTagged("*", "OK", code, text) }
