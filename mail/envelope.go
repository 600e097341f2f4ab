package mail

import "strings"

// Body is the BODY parameter of MAIL (RFC 6152, RFC 3030).
type Body string

// The body types; the zero Body means that the client did not say.
const (
	Body7Bit     Body = "7BIT"
	Body8BitMIME Body = "8BITMIME"
)

// Ret is the RET parameter of MAIL (RFC 3461 section 4.3): how much of the
// message a failure notification should return.
type Ret string

// The values of RET; the zero Ret leaves it to the server.
const (
	RetFull    Ret = "FULL"
	RetHeaders Ret = "HDRS"
)

// ReversePath is the argument of MAIL with its parameters. The zero Address is
// the null reverse-path `<>`, which is never to be answered.
type ReversePath struct {
	Address Address
	Size    int64  // SIZE (RFC 1870): octets the client announced, 0 if it did not
	Body    Body   // BODY
	UTF8    bool   // SMTPUTF8 (RFC 6531)
	Ret     Ret    // RET
	EnvID   string // ENVID, decoded from xtext

	RequireTLS bool `json:",omitempty"` // REQUIRETLS (RFC 8689)
}

// IsNull reports whether this is `<>`.
func (p ReversePath) IsNull() bool { return p.Address.IsZero() }

// String is the path in angle brackets, as in Return-Path; parameters are not
// part of it.
func (p ReversePath) String() string { return "<" + p.Address.String() + ">" }

// Notify is the NOTIFY parameter of RCPT (RFC 3461 section 4.1), a set.
type Notify uint8

// The members of Notify. NotifyNever stands alone; the zero Notify means that
// the client did not say, which is FAILURE and perhaps DELAY.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// String is the set as RCPT and a DSN write it, "" when empty.
func (n Notify) String() string {
	var s []string
	for i, name := range []string{"NEVER", "SUCCESS", "FAILURE", "DELAY"} {
		if n&(1<<i) != 0 {
			s = append(s, name)
		}
	}
	return strings.Join(s, ",")
}

// Recipient is the argument of one RCPT with its parameters.
type Recipient struct {
	Address Address
	Notify  Notify
	ORcpt   string // ORCPT (RFC 3461 section 4.2), "rfc822;alice@example.org", decoded
}

// Envelope is who a message is from and for, apart from its content.
type Envelope struct {
	From ReversePath
	To   []Recipient
}
