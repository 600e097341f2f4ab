package imap

import "context"

// noop is NOOP and CHECK, RFC 3501 sections 6.1.2 and 6.4.1. What they are
// for, to hear what changed, happens after every command.
type noop struct{}

func (noop) run(context.Context, *session) (reply, error) { return reply{}, nil }

// logout is LOGOUT, RFC 3501 section 6.1.3.
type logout struct{}

func (logout) run(_ context.Context, s *session) (reply, error) {
	s.bye("Logging out")
	return reply{lastWord: true}, nil
}
