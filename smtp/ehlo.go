package smtp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gomaild/mail"
)

// maxHelo is the longest name a client may give itself: a domain.
const maxHelo = mail.MaxDomain

var errHelo = &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "A domain name or address literal is needed"}

// greet sends the banner to a client that waits for it (RFC 5321 section 3.1:
// it MUST), and sends away one that talked first.
func (s *session) greet(ctx context.Context) error {
	if !s.mayXClient() {
		if err := s.admit(ctx); err != nil {
			return err
		}
	}
	if err := s.open(ctx); err != nil {
		return err
	}
	early, err := s.wire.talksFirst(s.srv.cfg.GreetDelay)
	if err != nil {
		return err
	}
	if early {
		return s.end(errAhead)
	}
	s.reply(220, "", s.hostname()+" "+s.srv.cfg.Greeting)
	return nil
}

// admit ends the session with the reply to a client that may not come in.
func (s *session) admit(ctx context.Context) error {
	if s.srv.cfg.Admit == nil {
		return nil
	}
	return s.sendAway(ctx, s.srv.cfg.Admit(ctx, s.client))
}

// sendAway ends the session with the reply to a client that was refused before it
// said a word.
func (s *session) sendAway(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	status := mail.StatusOf(err)
	s.srv.log.InfoContext(ctx, status.Refused(), "session", s.client.Session, "stage", "connect", "client", s.client.Addr,
		"status", fmt.Sprintf("%d %s", status.Code, status.Enhanced), "reply", status.Text)
	return s.end(greetingOf(status))
}

// greetingOf is a refusal as a greeting can say it: 554 or 421 (RFC 5321 sections
// 3.1 and 4.3.2).
func greetingOf(refusal *mail.Status) *mail.Status {
	s := *refusal
	if s.Code = 554; refusal.Temporary() {
		s.Code = 421
	}
	return &s
}

// open begins the visit at a Receiver that wants to know of it.
func (s *session) open(ctx context.Context) error {
	s.leave()
	o, wants := s.srv.cfg.Receiver.(Opener)
	if !wants {
		return nil
	}
	v, err := o.Open(ctx, s.client)
	if err != nil {
		return s.sendAway(ctx, err)
	}
	s.visit, s.receiver = v, v
	return nil
}

// leave ends the visit.
func (s *session) leave() {
	if s.visit != nil {
		s.visit.Close()
	}
	s.visit, s.receiver = nil, s.srv.cfg.Receiver
}

// talksFirst waits for d and reports whether the client sent anything.
func (w *wire) talksFirst(d time.Duration) (bool, error) {
	if d <= 0 {
		return false, nil
	}
	err := w.fill(time.Now().Add(d))
	if errors.Is(err, errTimeout) {
		w.err = nil // the one timeout that is good news
		return false, nil
	}
	return err == nil, err
}

// parseHelo reads the argument of EHLO, HELO and LHLO: a domain or an address
// literal (RFC 5321 section 4.1.1.1). Real clients give all sorts of names, the
// names of their computers and addresses with zones, so any word will do that
// cannot end a comment or a string; who shows it makes the rest safe.
func parseHelo(arg string) (string, error) {
	if arg == "" || len(arg) > maxHelo {
		return "", errHelo
	}
	for i := range len(arg) {
		if !isHeloOctet(arg[i]) {
			return "", errHelo
		}
	}
	return arg, nil
}

func isHeloOctet(c byte) bool {
	return c > ' ' && c != 0x7f && strings.IndexByte(`<>()"\,;`, c) < 0
}

// ehlo also serves LHLO, which is EHLO by another name (RFC 2033 section 4.1).
func (s *session) ehlo(ctx context.Context, name string) error {
	if err := s.hello(ctx, name, true); err != nil {
		return err
	}
	s.reply(250, "", append([]string{s.hostname()}, s.extensions()...)...)
	return nil
}

func (s *session) helo(ctx context.Context, name string) error {
	if err := s.hello(ctx, name, false); err != nil {
		return err
	}
	s.reply(250, "", s.hostname())
	return nil
}

// hello begins the session anew, as RSET does (RFC 5321 section 4.1.4).
func (s *session) hello(ctx context.Context, name string, extended bool) error {
	s.abort()
	s.client.Helo = name
	s.extended = extended
	s.state = stateStart
	if s.visit != nil {
		if err := s.visit.Hello(ctx, s.client); err != nil {
			return err
		}
	}
	s.state = stateReady
	return nil
}

// extensions are the lines of EHLO after the first. BINARYMIME is not among
// them: content without line ends cannot be handed on as the lines it must be.
func (s *session) extensions() []string {
	lines := []string{"PIPELINING"}
	if size := s.srv.cfg.Limits.MaxMessageSize; size > 0 {
		lines = append(lines, "SIZE "+strconv.FormatInt(size, 10))
	} else {
		lines = append(lines, "SIZE")
	}
	if s.mayStartTLS() {
		lines = append(lines, "STARTTLS")
	}
	if s.mayAuth() {
		if names := s.srv.cfg.Auth.Mechanisms(); len(names) > 0 {
			lines = append(lines, "AUTH "+strings.Join(names, " "))
		}
	}
	if s.mayXClient() {
		lines = append(lines, "XCLIENT "+strings.Join(xclientNames, " "), "XFORWARD "+strings.Join(xforwardNames, " "))
	}
	if s.client.TLS != nil && !s.srv.cfg.LMTP {
		lines = append(lines, "REQUIRETLS") // RFC 8689 section 2
	}
	return append(lines, "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8", "CHUNKING")
}

// protocol is the name of what is spoken in a Received field: RFC 3848, and
// RFC 6531 section 4.3 for messages with SMTPUTF8.
func (s *session) protocol(utf8 bool) string {
	if !s.extended {
		return "SMTP"
	}
	name := "ESMTP"
	switch {
	case s.srv.cfg.LMTP && utf8:
		name = "UTF8LMTP"
	case s.srv.cfg.LMTP:
		name = "LMTP"
	case utf8:
		name = "UTF8SMTP"
	}
	if s.onTLS() {
		name += "S"
	}
	if s.client.Identity != nil {
		name += "A"
	}
	return name
}
