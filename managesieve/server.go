package managesieve

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
	"gomaild/sieve/scripts"
)

// Config is what a Server works with. Auth, Scripts and Extensions are required.
type Config struct {
	TLS *tls.Config // makes STARTTLS possible

	Auth auth.Authenticator
	// Scripts opens the scripts of a login; the session closes it.
	Scripts func(ctx context.Context, id auth.Identity) (*scripts.Store, error)
	// Extensions are what scripts may require, for the SIEVE capability.
	Extensions []string
	Redirects  int // of one script, for MAXREDIRECTS; default 4

	// PlaintextAuth allows passwords on connections without TLS. Otherwise only
	// clients in TrustedNetworks may log in there.
	PlaintextAuth   bool
	TrustedNetworks []netip.Prefix

	Limits Limits
	Logger *slog.Logger // default: discards
}

// Limits bound what a client can cost. A zero field stands for its default.
type Limits struct {
	Line   int   // octets of a command line without its literals; default 8192
	Script int64 // octets of a literal; default 1 MiB, the largest script

	LoginTimeout time.Duration // from connection to login; default 3 min
	IdleTimeout  time.Duration // between commands after login; default 30 min (RFC 5804 section 1.7)
	StallTimeout time.Duration // for the rest of a command; default 5 min
	WriteTimeout time.Duration // for a client to take what is written; default 5 min

	BadCommands   int // refused commands in a row before BYE; default 20
	LoginFailures int // refused logins before BYE; default 10
}

func (l Limits) withDefaults() Limits {
	l.Line = cmp.Or(l.Line, 8<<10)
	l.Script = cmp.Or(l.Script, 1<<20)
	l.LoginTimeout = cmp.Or(l.LoginTimeout, 3*time.Minute)
	l.IdleTimeout = cmp.Or(l.IdleTimeout, 30*time.Minute)
	l.StallTimeout = cmp.Or(l.StallTimeout, 5*time.Minute)
	l.WriteTimeout = cmp.Or(l.WriteTimeout, 5*time.Minute)
	l.BadCommands = cmp.Or(l.BadCommands, 20)
	l.LoginFailures = cmp.Or(l.LoginFailures, 10)
	return l
}

// Server serves ManageSieve sessions. It is safe for concurrent use.
type Server struct {
	cfg    Config
	drains gate.Drains
}

// New makes a Server.
func New(cfg Config) *Server {
	cfg.Limits = cfg.Limits.withDefaults()
	cfg.Redirects = cmp.Or(cfg.Redirects, 4)
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
	leave := srv.drains.Join(drain, s.conn.Gate.Wake)
	defer leave()
	s.serve(ctx)
}
