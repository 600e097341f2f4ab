package smtp

import (
	"context"

	"gomaild/mail"
)

// The commands that move no mail. RFC 5321 sections 4.1.1.5 to 4.1.1.10.

var (
	errNoExpn  = &mail.Status{Code: 502, Enhanced: "5.5.1", Text: "EXPN is not offered"}
	errNotMail = &mail.Status{Code: 554, Enhanced: "5.5.1", Text: "This is a mail server"}
)

func (s *session) rset(_ context.Context, _ string) error {
	s.abort()
	s.reply(250, "2.0.0", "Ok")
	return nil
}

func (s *session) noop(_ context.Context, _ string) error {
	s.reply(250, "2.0.0", "Ok")
	return nil
}

// vrfy tells nobody who exists here (RFC 5321 section 7.3).
func (s *session) vrfy(_ context.Context, arg string) error {
	if arg == "" {
		return &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "Syntax: VRFY address"}
	}
	s.reply(252, "2.1.5", "Cannot verify, but will take a message and try to deliver it")
	return nil
}

func (s *session) expn(_ context.Context, _ string) error { return errNoExpn }

func (s *session) help(_ context.Context, _ string) error {
	s.reply(214, "2.0.0", "See RFC 5321")
	return nil
}

func (s *session) quit(_ context.Context, _ string) error {
	s.reply(221, "2.0.0", s.hostname()+" Bye")
	return errQuit
}

// notMail ends a session of another protocol, whose client was made to send
// commands of ours in what it takes for content.
func (s *session) notMail(_ context.Context, _ string) error { return s.end(errNotMail) }
