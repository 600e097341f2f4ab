package smtp

import (
	"context"
	"crypto/tls"
	"io"
	"net/netip"

	"gomaild/auth"
	"gomaild/mail"
)

// A Receiver takes responsibility for messages. The MX, the MSA and LMTP are
// three Receivers (package delivery/receive); this package knows only wires.
// Errors of its methods are rendered with mail.StatusOf; what the client is not
// told of them the Receiver logs, which knows whose message it is.
type Receiver interface {
	// Begin is called at MAIL. The Transaction it returns belongs to the
	// session, which ends it with exactly one Commit or Abort.
	Begin(ctx context.Context, c Client, from mail.ReversePath) (Transaction, error)
}

// An Opener is a Receiver that follows each session from its beginning.
type Opener interface {
	// Open is called before the greeting, and again when XCLIENT made the client
	// another. An error sends the client away.
	Open(ctx context.Context, c Client) (Visit, error)
}

// Visit is the Receiver of one session, which ends it with Close.
type Visit interface {
	Receiver
	// Hello is called at EHLO, HELO and LHLO; an error is the reply, and the client
	// has not said hello then.
	Hello(ctx context.Context, c Client) error
	Close()
}

// Transaction is one MAIL to end-of-data.
type Transaction interface {
	// AddRecipient decides about one RCPT. After an error the transaction goes
	// on without that recipient.
	AddRecipient(ctx context.Context, to mail.Recipient) error
	// Commit reads the content, CRLF line ends and dot-stuffing removed, to
	// EOF and returns one result for each accepted recipient, in order; nil
	// means that the message survives a power cut. When reading content fails
	// (a size limit, a bare line end, a lost connection) nothing may have been
	// stored and each result is that error.
	Commit(ctx context.Context, content io.Reader) []error
	// Abort forgets the transaction: RSET, QUIT, a new EHLO, a lost connection.
	Abort()
}

// Client is what a session knows of its peer at the time of MAIL.
type Client struct {
	Session   string     // id of the session in logs
	Message   string     // id of the message in replies and Received fields: the session's and a number
	Addr      netip.Addr // zero for a unix socket
	Port      uint16
	LocalAddr netip.AddrPort
	// ForwardedFor is where a content filter says that the message came from
	// (XFORWARD), for the log; zero where it said nothing.
	ForwardedFor netip.Addr
	Helo         string               // argument of EHLO, HELO or LHLO: one word, often no domain
	Protocol     string               // "SMTP", "ESMTP", "ESMTPS", "ESMTPSA", "LMTP", "UTF8SMTP"...: RFC 3848, RFC 6531
	TLS          *tls.ConnectionState // nil on plaintext
	Identity     *auth.Identity       // nil before AUTH
	Ahead        bool                 // it sends on before the reply to MAIL, and said HELO: PIPELINING was not offered
}
