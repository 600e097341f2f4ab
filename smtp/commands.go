package smtp

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"gomaild/mail"
)

// rule is a set of things that are true of a verb besides its work.
type rule uint16

const (
	noArgument  rule = 1 << iota // 501 if there is one
	endsGroup                    // the client must wait for the reply (RFC 2920 section 3.1)
	movesNoMail                  // counted by MaxIdleCommands
	needsAuth                    // 530 before AUTH where it is required
	onlySMTP                     // unknown on an LMTP server
	onlyLMTP                     // unknown on an SMTP server
	endsMessage                  // ends the transaction, even between BDAT chunks
	takesChunk                   // is followed by octets that are not commands
)

// command is a row of the table.
type command struct {
	verb   string
	states state // where it may come; 503 elsewhere
	rules  rule
	run    func(s *session, ctx context.Context, arg string) error
}

const inMessage = stateMail | stateRcpt

// commandTable says who may say what, when, on a server of the one kind or the
// other. A handler returns nil when it has
// replied, a *mail.Status that is to be the reply, or an error that ends the
// session.
func commandTable(lmtp bool) []command {
	table := []command{
		{"MAIL", stateReady, needsAuth, parsed(parseMail, (*session).mail)},
		{"RCPT", inMessage, needsAuth, parsed(parseRcpt, (*session).rcpt)},
		{"DATA", stateRcpt, needsAuth | noArgument | endsGroup, (*session).data},
		{"BDAT", stateRcpt, needsAuth | takesChunk, (*session).bdat},
		{"EHLO", anyState, onlySMTP | endsGroup | endsMessage | movesNoMail, parsed(parseHelo, (*session).ehlo)},
		{"HELO", anyState, onlySMTP | endsGroup | endsMessage | movesNoMail, parsed(parseHelo, (*session).helo)},
		{"LHLO", anyState, onlyLMTP | endsGroup | endsMessage | movesNoMail, parsed(parseHelo, (*session).ehlo)},
		{"STARTTLS", stateReady | inMessage, noArgument | endsGroup | movesNoMail, (*session).starttls},
		{"AUTH", stateReady, endsGroup | movesNoMail, parsed(parseAuth, (*session).auth)},
		{"XCLIENT", stateStart | stateReady, endsGroup | movesNoMail, parsed(parseXClient, (*session).xclient)},
		{"XFORWARD", stateReady, movesNoMail, parsed(parseXForward, (*session).xforward)},
		{"RSET", anyState, noArgument | endsMessage | movesNoMail, (*session).rset},
		{"NOOP", anyState, movesNoMail, (*session).noop},
		{"VRFY", anyState, needsAuth | movesNoMail, (*session).vrfy},
		{"EXPN", anyState, needsAuth | movesNoMail, (*session).expn},
		{"HELP", anyState, movesNoMail, (*session).help},
		{"QUIT", anyState, endsMessage, (*session).quit},
		{"GET", anyState, 0, (*session).notMail},
		{"POST", anyState, 0, (*session).notMail},
		{"CONNECT", anyState, 0, (*session).notMail},
	}
	other := onlyLMTP
	if lmtp {
		other = onlySMTP
	}
	return slices.DeleteFunc(table, func(c command) bool { return c.rules&other != 0 })
}

// parsed makes a handler of a parser and the action on what it returns.
func parsed[T any](parse func(arg string) (T, error), act func(*session, context.Context, T) error) func(*session, context.Context, string) error {
	return func(s *session, ctx context.Context, arg string) error {
		v, err := parse(arg)
		if err != nil {
			return err
		}
		return act(s, ctx, v)
	}
}

// request is one command line.
type request struct {
	command
	arg string
}

// Replies that several commands share.
var (
	errUnknownCommand = &mail.Status{Code: 500, Enhanced: "5.5.1", Text: "Command not recognized"}
	errSequence       = &mail.Status{Code: 503, Enhanced: "5.5.1", Text: "Bad sequence of commands"}
	errAhead          = &mail.Status{Code: 554, Enhanced: "5.5.0", Text: "Commands sent without waiting for the reply"}
	errNoArgument     = &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "No argument allowed"}
	errAuthRequired   = &mail.Status{Code: 530, Enhanced: "5.7.0", Text: "Authentication required"}
	errIllegalOctet   = &mail.Status{Code: 500, Enhanced: "5.5.2", Text: "Command holds octets that are not allowed"}
	errCommandTooLong = &mail.Status{Code: 500, Enhanced: "5.5.2", Text: "Line too long"}
	errLineEnd        = &mail.Status{Code: 500, Enhanced: "5.5.2", Text: "Lines must end in CR LF"}
	errTooIdle        = &mail.Status{Code: 421, Enhanced: "4.7.0", Text: "Too many commands without mail"}
)

// next is the command to run now. Its errors are those of a handler.
func (s *session) next() (request, error) {
	if req := s.pending; req != nil {
		s.pending = nil
		return *req, nil
	}
	line, err := s.wire.readLine(lineLimit)
	switch {
	case errors.Is(err, errBareLF):
		return request{}, errLineEnd
	case errors.Is(err, errLongLine):
		return request{}, errCommandTooLong
	case err != nil:
		return request{}, err
	}
	return s.parseLine(line)
}

// lineLimit is how long a line that begins so may be: only AUTH may be long.
func lineLimit(start []byte) int {
	if len(start) >= 5 && bytes.EqualFold(start[:5], []byte("AUTH ")) {
		return maxAuthLine
	}
	return maxCommandLine
}

func (s *session) parseLine(line []byte) (request, error) {
	if !isCommandText(line) {
		return request{}, errIllegalOctet
	}
	verb, arg, _ := strings.Cut(string(line), " ")
	for _, c := range s.srv.commands {
		if strings.EqualFold(c.verb, verb) {
			return request{command: c, arg: strings.Trim(arg, " ")}, nil
		}
	}
	return request{}, errUnknownCommand
}

// isCommandText refuses control characters, NUL and bare CR among them, and
// what is not UTF-8.
func isCommandText(line []byte) bool {
	for _, c := range line {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(line)
}

// run checks what the table says and runs the command. The chunk of a BDAT
// that may not come is thrown away by its own handler.
func (s *session) run(ctx context.Context, req request) error {
	if req.rules&endsGroup != 0 && s.wire.Buffered() > 0 {
		// What it sent ahead must not be taken for anything.
		return s.end(errAhead)
	}
	if req.rules&movesNoMail != 0 {
		if s.idle++; s.idle > s.srv.cfg.Limits.MaxIdleCommands {
			return errTooIdle
		}
	}
	if err := s.allowed(req); err != nil {
		if req.rules&takesChunk != 0 {
			return s.skipChunk(req.arg, err)
		}
		return err
	}
	return req.run(s, ctx, req.arg)
}

// allowed holds the rules and states of the table.
func (s *session) allowed(req request) error {
	switch {
	case req.rules&needsAuth != 0 && s.mustAuth():
		return errAuthRequired
	case s.state&req.states == 0:
		return errSequence
	case req.rules&noArgument != 0 && req.arg != "":
		return errNoArgument
	}
	return nil
}

// mustAuth reports that the client has to log in first.
func (s *session) mustAuth() bool {
	return s.srv.cfg.RequireAuth && !s.trusted && s.client.Identity == nil
}
