package sieve

import (
	"cmp"
	"context"
	"strings"
	"time"

	"gomaild/message"
)

// Env is what a run may know. Message is required; the zero of everything else
// works.
type Env struct {
	Message message.Content
	From    string // envelope sender, without brackets; "" is the null path
	To      string // envelope recipient, final
	OrigTo  string // envelope recipient as the client gave it; "": To
	Auth    string // who logged in to submit the message
	// UserEmail is the address of the user, who may have others; "": To.
	UserEmail string
	Answers   Answers           // how answers are sent
	Now       time.Time         // of currentdate and of answers
	Config    map[string]string // ${vnd.dovecot.config.NAME} of vnd.dovecot.environment
	Items     map[string]string // of environment: "domain", "host", "remote-ip" ...
	Zone      *time.Location    // in which date tests read, default UTC

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

// Answers says how vacation, notify and report send, in the terms of
// Pigeonhole's settings. The zero value works.
type Answers struct {
	AnyRecipient    bool   // vacation answers what does not name the user, too (against RFC 5230 section 4.5)
	FinalRecipient  bool   // OrigTo is no address of the user
	FromRecipient   bool   // the envelope sender of an answer is the user, not the null path
	ToHeader        bool   // To of an answer is who the message says it is from
	MaxSubject      int    // characters of a subject that are repeated; 0: 256
	Subject         string // where there is none to repeat
	SubjectTemplate string // with %$ or %{subject} for the one to repeat
	NotifyFrom      string // source of a notification's envelope sender
	ReportFrom      string // source of a report's From
}

// source is an address by a source as Pigeonhole's settings name one: sender,
// recipient, orig_recipient, user_email, postmaster, <address>, and default or
// nothing.
func (e *Env) source(setting, absent string) string {
	switch setting = strings.TrimSpace(setting); setting {
	case "sender":
		return e.From
	case "recipient":
		return e.To
	case "orig_recipient":
		return cmp.Or(e.OrigTo, e.To)
	case "user_email":
		return cmp.Or(e.UserEmail, e.To)
	case "postmaster":
		return e.postmaster()
	}
	if strings.HasPrefix(setting, "<") && strings.HasSuffix(setting, ">") {
		return strings.TrimSpace(setting[1 : len(setting)-1])
	}
	return absent
}

// postmaster is that of the user's domain, as with Dovecot: where notices come
// from that the user did not write.
func (e *Env) postmaster() string {
	_, domain, ok := splitPath(e.To)
	if !ok || domain == "" {
		return e.To
	}
	return "postmaster@" + domain
}

func isNullPath(s string) bool { return s == "" || s == "<>" }
