package message

import (
	"io"
	"time"
)

// Summary is what is parsed once of a message and then kept: everything that
// ENVELOPE, BODY, BODYSTRUCTURE and the common search keys need.
type Summary struct {
	Root     Part
	WireSize int64     // RFC822.SIZE
	Date     time.Time // the Date field, zero if absent or unreadable
}

// Span is a range of stored octets.
type Span struct {
	Off, Len int64
}

// Part is one entity of the MIME tree (RFC 2045). Field values are the header's
// own text, unfolded, undecoded: IMAP shows what the message says. Names of
// types and parameters keep their case; compare with strings.EqualFold.
type Part struct {
	Header Span // fields and the empty line after them
	Body   Span

	HeaderWireSize int64
	BodyWireSize   int64
	BodyLines      int64 // lines of the body on the wire

	Type, Subtype     string // "text", "plain" where absent or unreadable
	Params            []Param
	ID                string
	Description       string
	Encoding          string // "7bit" where absent
	MD5               string
	Disposition       string
	DispositionParams []Param
	Language          []string
	Location          string

	Envelope *Envelope // of the root and of a message/rfc822's root
	Parts    []Part    // children of a multipart; the one inner root of a message/rfc822
}

// Param is one parameter of Content-Type or Content-Disposition, RFC 2231 form
// kept as it stands, in the order of the field.
type Param struct {
	Name, Value string
}

// Envelope holds the fields of RFC 3501 section 7.4.2. A nil slice or an empty
// string is NIL there.
type Envelope struct {
	Date, Subject         string
	From, Sender, ReplyTo []Mailbox // Sender and ReplyTo are From's where absent
	To, Cc, Bcc           []Mailbox
	InReplyTo, MessageID  string
}

// Mailbox is one address structure of RFC 3501: Name as in the header (it may
// be an encoded-word), Route nearly always empty, Local and Domain. A group
// starts with an entry that has Local alone and ends with an empty entry.
type Mailbox struct {
	Name, Route, Local, Domain string
	GroupStart, GroupEnd       bool
}

// Content is a message's stored octets, open for reading.
type Content interface {
	io.ReaderAt
	Size() int64 // stored octets
}
