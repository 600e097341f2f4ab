package pop3

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"gomaild/auth"
	"gomaild/internal/gate"
	"gomaild/mail"
	"gomaild/storage"
)

// Config is what a Server works with. Auth and Accounts are required.
type Config struct {
	Hostname string // in the greeting

	// TLS makes STLS possible on connections without TLS.
	TLS *tls.Config

	Auth auth.Authenticator
	// Accounts opens the home of a login; the session closes it.
	Accounts func(ctx context.Context, id auth.Identity) (storage.Account, error)

	// PlaintextAuth allows passwords on connections without TLS. Otherwise
	// only clients in TrustedNetworks may log in there.
	PlaintextAuth   bool
	TrustedNetworks []netip.Prefix

	// UniqueIDs is how unique-ids look that no `P` field overrides; the zero
	// value is DefaultUniqueIDs. Clients fetch everything again when it changes.
	UniqueIDs UniqueIDFormat
	// MarkSeen sets \Seen at QUIT on the messages that were retrieved.
	MarkSeen bool
	// Lock gives the maildrop to one session at a time (RFC 1939 section 4);
	// the second hears [IN-USE].
	Lock bool

	Limits Limits
	Logger *slog.Logger // default: discards
}

// Limits bound what a client can cost. A zero field stands for its default.
type Limits struct {
	Line     int // octets of a command line; default 1024 (RFC 2449 section 4: at least 255)
	AuthLine int // octets of a line of SASL; default 12288 (RFC 4954 section 4)

	LoginTimeout time.Duration // from connection to login; default 3 min
	IdleTimeout  time.Duration // between commands after login; default 10 min (RFC 1939 section 3)
	WriteTimeout time.Duration // for a client to take what is written; default 5 min

	BadCommands   int // refused commands in a row before the end; default 20
	LoginFailures int // refused logins before the end; default 10
}

func (l Limits) withDefaults() Limits {
	l.Line = cmp.Or(l.Line, 1024)
	l.AuthLine = cmp.Or(l.AuthLine, 12<<10)
	l.LoginTimeout = cmp.Or(l.LoginTimeout, 3*time.Minute)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 10*time.Minute)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 5*time.Minute)
	l.BadCommands = cmp.Or(l.BadCommands, 20)
	l.LoginFailures = cmp.Or(l.LoginFailures, 10)
	return l
}

// Server serves POP3 sessions. It is safe for concurrent use.
type Server struct {
	cfg    Config
	drains gate.Drains
	locks  locks
}

// New makes a Server.
func New(cfg Config) *Server {
	cfg.Limits = cfg.Limits.withDefaults()
	cfg.Hostname = cmp.Or(cfg.Hostname, "localhost")
	if cfg.UniqueIDs.isZero() {
		cfg.UniqueIDs = defaultUniqueIDs()
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Server{cfg: cfg, locks: locks{held: map[mail.Address]bool{}}}
}

// Serve serves one connection and returns when it is done with. When drain
// closes, an idle client is told at once and a running command is finished
// first. The caller closes conn, also to end the session by force.
func (srv *Server) Serve(ctx context.Context, drain <-chan struct{}, conn net.Conn) {
	s := srv.newSession(drain, conn)
	defer s.close()
	leave := srv.drains.Join(drain, s.line.Gate.Wake)
	defer leave()
	s.serve(ctx)
}
