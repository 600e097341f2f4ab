package smtp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"gomaild/internal/peer"
	"gomaild/mail"
	"gomaild/smtp/reply"
)

// state is where a session stands. States are bits, so that a row of the
// command table can name several.
type state uint8

const (
	stateStart state = 1 << iota // before EHLO
	stateReady                   // between messages
	stateMail                    // after MAIL
	stateRcpt                    // a recipient was accepted
	stateBdat                    // after a BDAT that was not the last

	anyState = stateStart | stateReady | stateMail | stateRcpt | stateBdat
)

// How long a connection that we end is kept to let the client read why.
const (
	lingerTimeout = 2 * time.Second
	goodbyeTime   = 5 * time.Second
	maxLinger     = 1 << 20 // octets of input thrown away meanwhile
)

// How a session ends whose last reply is written already.
var (
	errQuit  = errors.New("the client said QUIT")
	errEnded = errors.New("sent away")
)

// session is one connection.
type session struct {
	srv     *Server
	wire    *wire
	drain   <-chan struct{}
	log     *slog.Logger
	trusted bool // in TrustedNetworks

	receiver Receiver // the visit, where there is one
	visit    Visit    // nil for a Receiver that wants none

	// What STARTTLS makes us forget.
	state    state
	client   Client
	extended bool // EHLO or LHLO, not HELO

	// The message, from MAIL to its end.
	tx       Transaction
	from     mail.ReversePath
	accepted int // recipients

	pending *request // read inside a BDAT message that it ended

	errors       int // 5xx replies
	idle         int // commands that moved no mail
	transactions int
}

func newSession(srv *Server, w *wire, drain <-chan struct{}) *session {
	c := clientOf(w.conn)
	return &session{
		srv:     srv,
		wire:    w,
		drain:   drain,
		log:     srv.log.With("session", c.Session),
		trusted: peer.In(srv.cfg.TrustedNetworks, c.Addr),
		state:   stateStart,
		client:  c,

		receiver: srv.cfg.Receiver,
	}
}

// serve is the life of the session; the error says how it ended.
func (s *session) serve(ctx context.Context) error {
	err := s.greet(ctx)
	for err == nil {
		err = s.step(ctx)
	}
	s.goodbye(err)
	return err
}

// step reads one command, runs it and answers it. An error ends the session.
func (s *session) step(ctx context.Context) error {
	req, err := s.next()
	if err == nil {
		err = s.run(ctx, req)
	}
	return s.settle(ctx, err)
}

// settle answers what a command came to. nil was answered by the command; a
// Status is a reply, and the end after 421 or too many errors; everything else
// ends the session.
func (s *session) settle(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if s.wire.err != nil {
		return s.wire.err
	}
	status, ok := errors.AsType[*mail.Status](err)
	if !ok {
		return err
	}
	if status.Code == 421 {
		return s.end(status)
	}
	s.refuse(status)
	if status.Code < 500 {
		return nil
	}
	return s.countError(ctx)
}

// countError slows a client that makes many errors, then ends the session.
func (s *session) countError(ctx context.Context) error {
	l := s.srv.cfg.Limits
	s.errors++
	switch {
	case s.errors >= l.MaxErrors:
		return s.end(&mail.Status{Code: 421, Enhanced: "4.7.0", Text: s.hostname() + " Too many errors"})
	case s.errors > l.MaxErrors/2:
		s.pause(ctx, l.ErrorDelay)
	}
	return nil
}

// pause holds back the replies that wait; a stopping server does not wait.
func (s *session) pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.drain:
	case <-ctx.Done():
	}
}

// goodbye tells the client why the session ends, if it does not know yet and
// can still hear it.
func (s *session) goodbye(err error) {
	w := s.wire
	var last *mail.Status
	switch {
	case errors.Is(err, errDraining):
		last = &mail.Status{Code: 421, Enhanced: "4.3.2", Text: s.hostname() + " Service shutting down"}
	case errors.Is(err, errTimeout):
		last = &mail.Status{Code: 421, Enhanced: "4.4.2", Text: s.hostname() + " Timeout"}
	case errors.Is(err, errTooSlow):
		last = &mail.Status{Code: 421, Enhanced: "4.4.2", Text: s.hostname() + " Too slow"}
	case w.err != nil:
		return
	}
	if last != nil {
		w.out = reply.Of(last).Append(w.out, false)
	}
	if len(w.out) > 0 && w.send(time.Now().Add(goodbyeTime)) != nil {
		return
	}
	s.linger(err)
}

// linger half-closes the connection, which in TLS says that nothing was cut
// off. Unless the client is going anyway it reads on for a moment: closing with
// input unread would reset the connection, and the last reply might be lost.
func (s *session) linger(reason error) {
	conn := s.wire.conn
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || errors.Is(reason, errQuit) {
		return
	}
	if conn.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, conn, maxLinger) // whatever came, the session is over
}

// reply writes a positive reply.
func (s *session) reply(code int, enhanced string, lines ...string) {
	r := reply.Reply{Code: code, Enhanced: enhanced, Lines: lines}
	s.wire.out = r.Append(s.wire.out, s.from.UTF8)
	s.wire.replied()
}

// refuse writes the reply of a Status.
func (s *session) refuse(status *mail.Status) {
	s.wire.out = reply.Of(status).Append(s.wire.out, s.from.UTF8)
	s.wire.replied()
}

// end writes the last reply of the session and returns the error that ends it.
func (s *session) end(status *mail.Status) error {
	s.refuse(status)
	return fmt.Errorf("%w: %s", errEnded, status.Text)
}

func (s *session) hostname() string { return s.srv.cfg.Hostname }

// onTLS reports that the connection is encrypted.
func (s *session) onTLS() bool { return s.client.TLS != nil }

// abort forgets the message in hand.
func (s *session) abort() {
	if s.tx != nil {
		s.tx.Abort()
	}
	s.forget()
}

// take hands over the transaction to be committed: it is the caller's from here.
func (s *session) take() Transaction {
	tx := s.tx
	s.tx = nil
	return tx
}

// forget goes back to between messages.
func (s *session) forget() {
	s.client.ForwardedFor = netip.Addr{}
	s.tx, s.from, s.accepted = nil, mail.ReversePath{}, 0
	if s.state != stateStart {
		s.state = stateReady
	}
}
