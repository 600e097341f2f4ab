package smtp

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/netip"
	"time"

	"gomaild/auth"
)

// What a zero field of Limits stands for.
const (
	DefaultMaxMessageSize  = 50 << 20 // octets
	DefaultMaxRecipients   = 1000
	DefaultMaxErrors       = 20
	DefaultMaxIdleCommands = 100
	DefaultMaxTransactions = 1000
	DefaultErrorDelay      = time.Second
	DefaultCommandTimeout  = 5 * time.Minute // RFC 5321 section 4.5.3.2.7
	DefaultDataTimeout     = 3 * time.Minute // RFC 5321 section 4.5.3.2.5
	DefaultWriteTimeout    = 3 * time.Minute
	DefaultTLSTimeout      = time.Minute
	DefaultMinRate         = 32 // octets a second
)

// minMaxRecipients is the least that RFC 5321 section 4.5.3.1.8 allows.
const minMaxRecipients = 100

// Longest lines, in octets with CRLF.
const (
	// maxCommandLine is RFC 5321's 512 (section 4.5.3.1.4) and what the
	// extensions add: SIZE 26, SMTPUTF8 10, DSN 628, AUTH 500.
	maxCommandLine = 2048
	maxAuthLine    = 12288 // RFC 4954 section 4
)

// Config says how to speak and to whom. Hostname and Receiver are needed; the
// zero value of everything else is an MX without TLS and AUTH.
type Config struct {
	Hostname string // our name in the banner and in EHLO
	Greeting string // text after the name in the banner, default "ESMTP" or "LMTP"

	LMTP bool // LHLO, and one reply for each recipient after the content (RFC 2033)

	// TLS offers STARTTLS on a plaintext connection. Certificates are
	// reloaded through its GetCertificate or GetConfigForClient.
	TLS *tls.Config

	// Auth offers AUTH; nil does not. Without AllowPlaintextAuth that is so on
	// TLS only. RequireAuth is submission: MAIL waits for AUTH.
	Auth               auth.Authenticator
	RequireAuth        bool
	AllowPlaintextAuth bool
	// TrustedNetworks may submit without AUTH, and AUTH without TLS.
	TrustedNetworks []netip.Prefix

	// XClientNetworks may say with XCLIENT whose session this really is, and
	// with XFORWARD where a message came from. Who is in them can be anybody.
	XClientNetworks []netip.Prefix

	// GreetDelay is how long the banner waits for a client that talks first
	// and is sent away for it (RFC 5321 section 3.1). 0 does not wait.
	GreetDelay time.Duration

	// Admit, if set, decides about a client before the banner, and again when
	// XCLIENT has said who it is. An error is the reply in the banner's place,
	// and ends the session. Who may use XCLIENT is not asked about as itself.
	Admit func(ctx context.Context, c Client) error

	Receiver Receiver
	Limits   Limits
	Logger   *slog.Logger
}

// Limits of one connection. A zero field is the default; a negative number is
// no limit where the comment says so.
type Limits struct {
	MaxMessageSize int64 // octets of content; exactly as many are taken; negative: no limit
	MaxRecipients  int   // of one message, never below 100; more are 452
	// MaxErrors is how many 5xx replies end the connection. Replies after half
	// of them are each held back by ErrorDelay. An accepted message counts the
	// errors from zero again, as it does the idle commands.
	MaxErrors       int
	ErrorDelay      time.Duration
	MaxIdleCommands int // commands that move no mail (NOOP, RSET, EHLO ...) between messages
	MaxTransactions int // MAIL commands of one connection; negative, and the default of LMTP: no limit

	CommandTimeout time.Duration // for a whole command line, from the reply before
	DataTimeout    time.Duration // for each piece of content, however small
	WriteTimeout   time.Duration // for the client to take our replies
	TLSTimeout     time.Duration // for the handshake of STARTTLS
	// MinRate is how many octets a second content must keep to on average once
	// DataTimeout has passed, so that a few octets now and then do not hold a
	// connection for days. Negative: no limit.
	MinRate int64
}

// withDefaults is l with its zero fields filled.
func (l Limits) withDefaults() Limits {
	orDefault(&l.MaxMessageSize, DefaultMaxMessageSize)
	orDefault(&l.MaxRecipients, DefaultMaxRecipients)
	orDefault(&l.MaxErrors, DefaultMaxErrors)
	orDefault(&l.ErrorDelay, DefaultErrorDelay)
	orDefault(&l.MaxIdleCommands, DefaultMaxIdleCommands)
	orDefault(&l.MaxTransactions, DefaultMaxTransactions)
	orDefault(&l.CommandTimeout, DefaultCommandTimeout)
	orDefault(&l.DataTimeout, DefaultDataTimeout)
	orDefault(&l.WriteTimeout, DefaultWriteTimeout)
	orDefault(&l.TLSTimeout, DefaultTLSTimeout)
	orDefault(&l.MinRate, DefaultMinRate)
	l.MaxRecipients = max(l.MaxRecipients, minMaxRecipients)
	return l
}

func orDefault[T int | int64 | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
