package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"gomaild/auth/scheme"
	"gomaild/mail"
)

// Config is what New needs. Only Store is required.
type Config struct {
	Store Store
	// DefaultScheme is for stored passwords without {SCHEME}; default "CRYPT",
	// which takes every form of crypt(3). Dovecot calls it default_pass_scheme.
	DefaultScheme string
	// DefaultDomain is added to a login name without @; empty: such a name is
	// no account.
	DefaultDomain string

	// FailureDelay is when a refusal is answered, counted from the start of the
	// verification; default 2 s, negative for at once. It makes the time of a
	// refusal tell nothing about its reason.
	FailureDelay time.Duration
	Throttle     Throttle

	CacheEntries int           // verified logins remembered; default 16384, negative for none
	CacheLife    time.Duration // how long each is; default 1 h

	HashLimits      scheme.Limits // what a stored password may cost
	HashConcurrency int           // hashes computed at once; default GOMAXPROCS

	Logger *slog.Logger
}

// Auth verifies logins. It is safe for concurrent use and has no goroutines.
type Auth struct {
	cfg      Config
	log      *slog.Logger
	throttle *throttle
	verified *verified
	slots    chan struct{} // holds one element for each hash being computed

	// decoy is what the passwords of unknown users are verified against: the
	// stored passwords that were verified last, so that the work is that of a
	// real account here, whatever schemes there are.
	decoy atomic.Pointer[[]scheme.Stored]
}

var _ Authenticator = (*Auth)(nil)

// New makes an Auth.
func New(cfg Config) *Auth {
	if cfg.DefaultScheme == "" {
		cfg.DefaultScheme = "CRYPT"
	}
	set(&cfg.CacheLife, time.Hour)
	set(&cfg.HashConcurrency, runtime.GOMAXPROCS(0))
	if cfg.FailureDelay == 0 {
		cfg.FailureDelay = 2 * time.Second
	}
	if cfg.CacheEntries == 0 {
		cfg.CacheEntries = 1 << 14
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	a := &Auth{
		cfg:      cfg,
		log:      cfg.Logger,
		throttle: newThrottle(cfg.Throttle),
		verified: newVerified(max(cfg.CacheEntries, 0), cfg.CacheLife),
		slots:    make(chan struct{}, cfg.HashConcurrency),
	}
	a.decoy.Store(firstDecoy(cfg.DefaultScheme))
	return a
}

// Hash makes a stored password for a new account or password: see scheme.Hash.
func Hash(name, password string) (string, error) { return scheme.Hash(name, password) }

// decoyMD5 and decoySHA512 are well-formed and the hashes of no password that
// anybody knows.
const (
	decoyMD5    = "$1$f0Hk2xQp$LuB8bGqCkXJ8xw5m1Zr3e/"
	decoySHA512 = "$6$4pXr0eNfZ1sYqDbw$S2b3J0m8pQ5eKc9rVtYxW7uHnLfGdAzRiTsOwEjBqMlNkPhXvCyUaZgI4D6F8oT1w3K5j7R9x2QnVbLmEsYpG."
)

func firstDecoy(defaultScheme string) *[]scheme.Stored {
	stored := decoySHA512
	if defaultScheme == "MD5-CRYPT" {
		stored = decoyMD5
	}
	s, err := scheme.Parse(stored, "CRYPT")
	if err != nil {
		return &[]scheme.Stored{}
	}
	return &[]scheme.Stored{s}
}

// reason is why a login was refused. It is for the log; the client hears
// ErrDenied for all of them.
type reason string

const (
	granted       reason = ""
	wrongPassword reason = "wrong password"
	unknownUser   reason = "unknown user"
	emptyPassword reason = "empty password"
	noName        reason = "malformed name"
	otherIdentity reason = "authorization identity" // RFC 4616: not one's own
	throttled     reason = "throttled"
)

// Login implements Authenticator.
func (a *Auth) Login(ctx context.Context, c Client, username, password string) (Identity, error) {
	return a.login(ctx, attempt{client: c, mechanism: "LOGIN command", username: username, password: password})
}

// attempt is one login as the client sent it.
type attempt struct {
	client    Client
	mechanism string
	identity  string // authorization identity (RFC 4616), often empty
	username  string
	password  string
}

// outcome is what came of an attempt.
type outcome struct {
	id     Identity
	why    reason
	cached bool // verified from memory
	waited time.Duration
}

// login verifies an attempt in its turn and logs its outcome in one line.
func (a *Auth) login(ctx context.Context, at attempt) (Identity, error) {
	login, isName := loginName(at.username, a.cfg.DefaultDomain)
	own := a.throttle.begin(at.client.Addr, login)
	o := outcome{why: throttled, waited: own.wait}
	start := time.Now()
	var err error
	if !own.refused {
		if err = sleep(ctx, own.wait); err == nil {
			start = time.Now()
			o, err = a.verify(ctx, at, login, isName)
			o.waited = own.wait
		}
	}
	if err != nil {
		a.report(at, login, o, err)
		return Identity{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if o.why == granted {
		a.throttle.succeeded(own)
		a.report(at, login, o, nil)
		return o.id, nil
	}
	if o.why != throttled {
		a.throttle.failed(own, a.verified.mark(login, "", at.password))
	}
	a.report(at, login, o, nil)
	if err := sleep(ctx, time.Until(start.Add(a.cfg.FailureDelay))); err != nil {
		return Identity{}, fmt.Errorf("%w: %w", ErrDenied, err)
	}
	return Identity{}, ErrDenied
}

// verify asks the store and compares. An error means that it could not be
// asked; nothing else is an error.
func (a *Auth) verify(ctx context.Context, at attempt, login mail.Address, isName bool) (outcome, error) {
	if at.password == "" {
		return outcome{why: emptyPassword}, nil
	}
	if !isName {
		return outcome{why: noName}, a.pretend(ctx, login, at.password)
	}
	if identity, ok := loginName(at.identity, a.cfg.DefaultDomain); at.identity != "" && (!ok || identity != login) {
		return outcome{why: otherIdentity}, a.pretend(ctx, login, at.password)
	}
	cred, err := a.cfg.Store.Credential(ctx, login)
	if errors.Is(err, ErrUnknownUser) {
		return outcome{why: unknownUser}, a.pretend(ctx, login, at.password)
	}
	if err != nil {
		return outcome{}, fmt.Errorf("look up %v: %w", login, err)
	}
	return a.compare(ctx, cred, login, at.password)
}

// compare tries the password on what the store holds now: first on what is
// remembered of it, then by its scheme.
func (a *Auth) compare(ctx context.Context, cred Credential, login mail.Address, password string) (outcome, error) {
	o := outcome{id: Identity{Account: cred.Account, MaySend: cred.MaySend}}
	for _, stored := range cred.Hashes {
		if a.verified.has(a.verified.mark(cred.Account, stored, password)) {
			o.cached = true
			return o, nil
		}
	}
	var tried []scheme.Stored
	for _, stored := range cred.Hashes {
		s, err := scheme.Parse(stored, a.cfg.DefaultScheme)
		if err != nil {
			a.log.Warn("stored password is of no use", "account", cred.Account, "error", err)
			continue
		}
		tried = append(tried, s)
		ok, err := a.try(ctx, s, login, password)
		if err != nil {
			return outcome{}, err
		}
		if ok {
			a.verified.add(a.verified.mark(cred.Account, stored, password))
			a.decoy.Store(&tried)
			return o, nil
		}
	}
	if len(tried) == 0 {
		return outcome{why: wrongPassword}, a.pretend(ctx, login, password)
	}
	a.decoy.Store(&tried)
	return outcome{why: wrongPassword}, nil
}

// try verifies by the scheme, when there is a slot for it. An error means that
// ctx ended.
func (a *Auth) try(ctx context.Context, s scheme.Stored, login mail.Address, password string) (bool, error) {
	if s.Heavy() {
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	ok, err := s.Verify(login.String(), password, a.cfg.HashLimits)
	if err != nil {
		a.log.Warn("stored password is of no use", "account", login, "error", err)
	}
	return ok, nil
}

// pretend does the work of a wrong password, for a name without an account.
func (a *Auth) pretend(ctx context.Context, login mail.Address, password string) error {
	for _, s := range *a.decoy.Load() {
		if _, err := a.try(ctx, s, login, password); err != nil {
			return err
		}
	}
	return nil
}

// sleep waits for d, or less if ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// report is the one line of a login. The name is in it only if it is an
// account's or was typed as an address: people type passwords into name fields.
func (a *Auth) report(at attempt, login mail.Address, o outcome, err error) {
	if (o.why == unknownUser || o.why == throttled) && !strings.Contains(at.username, "@") {
		login = mail.Address{}
	}
	log := a.log.With("protocol", at.client.Protocol, "session", at.client.Session, "client", at.client.Addr,
		"tls", at.client.OnTLS, "mechanism", at.mechanism, "account", login.String())
	if o.waited > 0 {
		log = log.With("waited", o.waited)
	}
	switch {
	case err != nil:
		log.Error(mail.EventLoginUnavailable, "error", err)
	case o.why == granted:
		log.Info(mail.EventLogin, "cached", o.cached)
	default:
		log.Info(mail.EventLoginRefused, "reason", string(o.why))
	}
}
