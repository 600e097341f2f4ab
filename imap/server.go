package imap

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"gomaild/auth"
	"gomaild/imap/wire"
	"gomaild/internal/gate"
	"gomaild/storage"
)

// Config is what a Server works with. Auth and Accounts are required.
type Config struct {
	Hostname string // in the greeting

	// TLS makes STARTTLS possible on connections without TLS. It may change
	// its certificate through GetCertificate or GetConfigForClient.
	TLS *tls.Config

	Auth auth.Authenticator
	// Accounts opens the home of a login; the session closes it.
	Accounts func(ctx context.Context, id auth.Identity) (storage.Account, error)

	// AccessLists says that mailboxes have access control lists: Accounts returns
	// storage.Guarded accounts, and ACL is among the capabilities.
	AccessLists bool

	// Event hears of messages that commands stored, copied, moved or flagged, each
	// time before the command is answered; what goes wrong there is its own to log.
	// nil: nobody.
	Event func(ctx context.Context, e Event)
	// SieveURL is the ManageSieve server where users keep the scripts that events
	// run (RFC 6785 section 2.1), "" where they have none.
	SieveURL string

	// NoUnauthenticate takes UNAUTHENTICATE away: a proxy that looks at the login
	// only would not see the next one (RFC 8437 section 8).
	NoUnauthenticate bool

	// PlaintextAuth allows passwords on connections without TLS. Otherwise
	// only clients in TrustedNetworks may log in there, and the others are
	// told LOGINDISABLED (RFC 3501 section 6.2.3).
	PlaintextAuth   bool
	TrustedNetworks []netip.Prefix

	// Changes is what sessions tell each other; Servers of one store share it.
	// Default: one of its own.
	Changes *Changes

	Limits Limits
	Logger *slog.Logger // default: discards
}

// Limits bound what a client can cost. A zero field stands for its default.
type Limits struct {
	Line    int   // octets of a command line; default 65536
	Literal int64 // octets of a literal that is not a message; default 65536
	Command int64 // octets of a command without messages; default 262144
	Message int64 // octets of a message in APPEND; default 104857600
	Discard int64 // octets of a refused command to read past; default Message + 1048576

	LoginTimeout  time.Duration // from connection to login; default 3 min
	IdleTimeout   time.Duration // between commands after login; default 30 min (RFC 3501 section 5.4)
	StallTimeout  time.Duration // without an octet inside a command; default 5 min
	WriteTimeout  time.Duration // for a client to take what is written; default 5 min
	ProgressAfter time.Duration // between signs of life during a search; default 10 s
	IdleNotify    time.Duration // between signs of life during IDLE; default 2 min

	BadCommands   int // BAD in a row before BYE; default 20
	LoginFailures int // refused logins before BYE; default 10
	SearchDepth   int // nested NOT, OR and parentheses; default 500
	SearchKeys    int // keys of one SEARCH; default 5000
	FetchItems    int // items of one FETCH; default 100
	SortKeys      int // criteria of one SORT; default 50

	UserSessions    int           // of one account on all Servers that share Changes; default any number
	NotifyMailboxes int           // mailboxes that one NOTIFY watches; default 500
	NotifyPoll      time.Duration // between looks at names of mailboxes for NOTIFY; default 2 s
}

func (l Limits) withDefaults() Limits {
	l.Line = cmp.Or(l.Line, 64<<10)
	l.Literal = cmp.Or(l.Literal, 64<<10)
	l.Command = cmp.Or(l.Command, 256<<10)
	l.Message = cmp.Or(l.Message, 100<<20)
	l.Discard = cmp.Or(l.Discard, l.Message+1<<20)
	l.LoginTimeout = cmp.Or(l.LoginTimeout, 3*time.Minute)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 30*time.Minute)
	l.StallTimeout = cmp.Or(l.StallTimeout, 5*time.Minute)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 5*time.Minute)
	l.ProgressAfter = cmp.Or(l.ProgressAfter, 10*time.Second)
	l.IdleNotify = cmp.Or(l.IdleNotify, 2*time.Minute)
	l.BadCommands = cmp.Or(l.BadCommands, 20)
	l.LoginFailures = cmp.Or(l.LoginFailures, 10)
	l.SearchDepth = cmp.Or(l.SearchDepth, 500)
	l.SearchKeys = cmp.Or(l.SearchKeys, 5000)
	l.FetchItems = cmp.Or(l.FetchItems, 100)
	l.SortKeys = cmp.Or(l.SortKeys, 50)
	l.NotifyMailboxes = cmp.Or(l.NotifyMailboxes, 500)
	l.NotifyPoll = cmp.Or(l.NotifyPoll, 2*time.Second)
	return l
}

func (l Limits) wire() wire.Limits {
	return wire.Limits{Line: l.Line, Literal: l.Literal, Command: l.Command, Discard: l.Discard}
}

// Server serves IMAP sessions. It is safe for concurrent use.
type Server struct {
	cfg       Config
	drains    gate.Drains
	deflaters sync.Pool // of *flate.Writer, for COMPRESS
	printed   sync.Pool // of *[]byte, what encoders printed into
}

// New makes a Server.
func New(cfg Config) *Server {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Changes == nil {
		cfg.Changes = new(Changes)
	}
	cfg.Hostname = cmp.Or(cfg.Hostname, "localhost")
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg}
}

// Serve serves one connection and returns when it is done with. When drain
// closes, an idle client hears BYE at once and a running command is finished
// first. The caller closes conn, also to end the session by force.
func (srv *Server) Serve(ctx context.Context, drain <-chan struct{}, conn net.Conn) {
	s := srv.newSession(drain, conn)
	defer s.close()
	leave := srv.drains.Join(drain, s.gate.Wake)
	defer leave()
	s.serve(ctx)
}
