package mail

import (
	"errors"
	"fmt"
)

// Status is the outcome for one recipient or one command, an error that any
// depth may return and that the wire turns into a reply. Text is shown to the
// client, so it holds nothing of our inside; Cause is for the log.
type Status struct {
	Code     int    // SMTP reply code, 200 to 599
	Enhanced string // enhanced status code (RFC 3463), "5.1.1"
	Text     string // for the client, lines end in LF; what is not ASCII only a SMTPUTF8 session sees
	Cause    error  // what happened, may be nil; logged, never sent
}

// Error is the reply line, with the cause behind it.
func (s *Status) Error() string {
	t := fmt.Sprintf("%d %s %s", s.Code, s.Enhanced, s.Text)
	if s.Cause != nil {
		t += ": " + s.Cause.Error()
	}
	return t
}

// Unwrap is the cause, for errors.Is.
func (s *Status) Unwrap() error { return s.Cause }

// Temporary reports a 4xx status: the client should try again.
func (s *Status) Temporary() bool { return s.Code >= 400 && s.Code < 500 }

// WithCause is a copy of s that remembers err for the log.
func (s *Status) WithCause(err error) *Status {
	c := *s
	c.Cause = err
	return &c
}

// StatusOf finds the Status that err carries. An error without one is not
// classified, and what is not classified is temporary: mail waits, it never
// bounces because of a fault of ours. Its text stays in Cause, for the log.
// StatusOf(nil) is nil.
func StatusOf(err error) *Status {
	if err == nil {
		return nil
	}
	if s, ok := errors.AsType[*Status](err); ok {
		return s
	}
	return &Status{Code: 451, Enhanced: "4.3.0", Text: "Temporary internal error, try again later", Cause: err}
}
