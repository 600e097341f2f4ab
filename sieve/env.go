package sieve

import (
	"context"
	"time"

	"gomaild/message"
)

// Env is what a run may know. Message is required; the zero of everything else
// works.
type Env struct {
	Message message.Content
	From    string            // envelope sender, without brackets; "" is the null path
	To      string            // envelope recipient, final
	OrigTo  string            // envelope recipient as the client gave it; "": To
	Auth    string            // who logged in to submit the message
	Now     time.Time         // of currentdate and of answers
	Config  map[string]string // ${vnd.dovecot.config.NAME} of vnd.dovecot.environment
	Items   map[string]string // of environment: "domain", "host", "remote-ip" ...
	Zone    *time.Location    // in which date tests read, default UTC

	// IMAP tells that no delivery is going on but an event of IMAP (RFC 6785):
	// there is no envelope, and Items say what happened.
	IMAP  bool
	Flags []string // of the message, where it is stored already

	// MailboxExists reports a mailbox that can be filed into; nil: none is.
	MailboxExists func(name string) bool
	// Metadata is an annotation of a mailbox, or with "" of the server.
	Metadata func(mailbox, entry string) (string, bool)
	// SpecialUse reports that the mailbox has the use; with "" that one has.
	SpecialUse func(mailbox, use string) bool
	// MailboxID reports whether a mailbox has that id (RFC 8474).
	MailboxID func(id string) bool
	// List is the members of an external list (RFC 6134); false: there is none.
	// An error is a fault for now.
	List func(name string) (members []string, ok bool, err error)
	// Debug gets the lines of debug_log.
	Debug func(at Pos, text string)
	// Program runs a program and returns what it wrote. ErrNoProgram; every other
	// error means that it did not end well. nil: there are none.
	Program func(ctx context.Context, p Program) (output []byte, err error)
	// Duplicate reports whether an id of an earlier Mark is remembered.
	Duplicate func(id string) (bool, error)
}

func (e *Env) now() time.Time { return e.Now.In(e.location()) }

func (e *Env) location() *time.Location {
	if e.Zone == nil {
		return time.UTC
	}
	return e.Zone
}
