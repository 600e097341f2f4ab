package imap

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"gomaild/auth"
	"gomaild/imap/wire"
	"gomaild/storage"
)

// The kinds of a refusal.
const (
	kindNo  = "NO"
	kindBad = "BAD"
)

// reply is the tagged OK of a command.
type reply struct {
	code string // response code without brackets, may be empty
	text string // default: "NAME completed"

	lastWord bool // comes although BYE was said (LOGOUT)
	// after runs when the reply is printed, for what changes the connection.
	after func(ctx context.Context) error
}

func (r reply) textOr(text string) string {
	if r.text != "" {
		return r.text
	}
	return text
}

// failure is a tagged NO or BAD. Its text is shown to the client; what lies
// behind it is for the log.
type failure struct {
	kind, code, text string
}

// Error implements error.
func (f *failure) Error() string { return f.kind + " [" + f.code + "] " + f.text }

func no(code, text string) error { return &failure{kindNo, code, text} }

func bad(format string, args ...any) error {
	return &failure{kind: kindBad, text: fmt.Sprintf(format, args...)}
}

// outcomes are the errors of other packages that a client can do something
// about, with their response codes (RFC 5530).
var outcomes = []struct {
	err     error
	outcome failure
}{
	{storage.ErrNoMailbox, failure{kindNo, "NONEXISTENT", "Mailbox does not exist"}},
	{storage.ErrExists, failure{kindNo, "ALREADYEXISTS", "Mailbox exists already"}},
	{storage.ErrName, failure{kindNo, "CANNOT", "Mailbox name is not possible here"}},
	{storage.ErrNoSelect, failure{kindNo, "NONEXISTENT", "Mailbox cannot be opened"}},
	{storage.ErrPermission, failure{kindNo, "NOPERM", "You lack a right that this needs"}},
	{storage.ErrACLSize, failure{kindNo, "LIMIT", "Access control list would be too long"}},
	{storage.ErrACL, failure{kindNo, "SERVERBUG", "Access control list cannot be read; ask the administrator"}},
	{storage.ErrExpunged, failure{kindNo, "EXPUNGEISSUED", "Some of the messages are gone"}},
	{storage.ErrKeywordLimit, failure{kindNo, "LIMIT", "No room for another keyword"}},
	{storage.ErrQuota, failure{kindNo, "OVERQUOTA", "Quota exceeded (mailbox for user is full)"}},
	{storage.ErrInUse, failure{kindNo, "INUSE", "Mailbox is locked by another program, try again later"}},
	{storage.ErrReadOnly, failure{kindNo, "READ-ONLY", "Mailbox is read-only"}},
	{storage.ErrAnnotationCount, failure{kindNo, "LIMIT", "Too many annotations"}},
	{auth.ErrDenied, failure{kindNo, "AUTHENTICATIONFAILED", "Authentication failed"}},
	{auth.ErrUnavailable, failure{kindNo, "UNAVAILABLE", "Temporary authentication failure"}},
	{auth.ErrCancelled, failure{kindBad, "", "Authentication cancelled"}},
	{auth.ErrMalformed, failure{kindBad, "", "Malformed authentication response"}},
	{auth.ErrMechanism, failure{kindNo, "CANNOT", "Unknown authentication mechanism"}},
}

// faults are those of the disk that pass and that have a name for the client.
var faults = []struct {
	err     error
	outcome failure
}{
	{syscall.ENOSPC, failure{kindNo, "UNAVAILABLE", "The server's disk is full"}},
	{syscall.EDQUOT, failure{kindNo, "UNAVAILABLE", "The server's disk is full"}},
	{syscall.EROFS, failure{kindNo, "UNAVAILABLE", "The server's disk is read-only now"}},
}

// failureOf turns any error into what the client is told. What is not among the
// outcomes is a fault of ours: it is logged, and the text stays here.
func (s *session) failureOf(err error) *failure {
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	if syntax, ok := errors.AsType[*wire.SyntaxError](err); ok {
		if syntax.Code != "" {
			return &failure{kindNo, syntax.Code, syntax.Text}
		}
		return &failure{kind: kindBad, text: syntax.Text}
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			f := o.outcome
			return &f
		}
	}
	s.log.Error("command failed", "error", err)
	for _, f := range faults {
		if errors.Is(err, f.err) {
			f := f.outcome
			return &f
		}
	}
	return &failure{kindNo, "SERVERBUG", "Internal error, see the server's log (session " + s.id + ")"}
}
