package snapshot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"gomaild/accounts"
	"gomaild/mail"
)

// Guard answers from a database, and from the copy while that cannot be asked.
// It is safe for concurrent use.
type Guard struct {
	src     Source
	keeper  *Keeper
	most    time.Duration
	log     *slog.Logger
	breaker breaker
}

// NewGuard stands before src. A copy older than most is not used.
func NewGuard(src Source, k *Keeper, most time.Duration, log *slog.Logger) *Guard {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Guard{src: src, keeper: k, most: most, log: log, breaker: breaker{now: k.cfg.Now}}
}

// errAway is the fault of a database that was not asked because it was away a
// moment ago.
var errAway = errors.New("the account database was away a moment ago")

// Domain implements accounts.Lookup.
func (g *Guard) Domain(ctx context.Context, name string) (accounts.Domain, error) {
	return ask(ctx, g, func() (accounts.Domain, error) { return g.src.Domain(ctx, name) }, func(r *rows) (accounts.Domain, error) {
		d, ok := r.domains[mail.FoldASCII(name)]
		return d, known(ok)
	})
}

// Mailbox implements accounts.Lookup.
func (g *Guard) Mailbox(ctx context.Context, a mail.Address) (accounts.Mailbox, error) {
	return ask(ctx, g, func() (accounts.Mailbox, error) { return g.src.Mailbox(ctx, a) }, func(r *rows) (accounts.Mailbox, error) {
		m, ok := r.mailboxes[a.Fold()]
		return m.Mailbox, known(ok)
	})
}

// Alias implements accounts.Lookup. The copy may say no here: see the package
// comment.
func (g *Guard) Alias(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	return ask(ctx, g, func() ([]mail.Address, error) { return g.src.Alias(ctx, a) }, func(r *rows) ([]mail.Address, error) {
		to, ok := r.aliases[a.Fold()]
		if !ok {
			return nil, accounts.ErrNotFound
		}
		return to, nil
	})
}

// Passwords is a mailbox with its stored passwords.
func (g *Guard) Passwords(ctx context.Context, a mail.Address) (accounts.Mailbox, []string, error) {
	c, err := ask(ctx, g, func() (accounts.Credentials, error) {
		m, passwords, err := g.src.Passwords(ctx, a)
		return accounts.Credentials{Mailbox: m, Passwords: passwords}, err
	}, func(r *rows) (accounts.Credentials, error) {
		c, ok := r.mailboxes[a.Fold()]
		return c, known(ok)
	})
	return c.Mailbox, c.Passwords, err
}

// SigningKeys are all DKIM keys. A copy without any list of them does not answer.
func (g *Guard) SigningKeys(ctx context.Context) ([]accounts.SigningKey, error) {
	return ask(ctx, g, func() ([]accounts.SigningKey, error) { return g.src.SigningKeys(ctx) }, func(r *rows) ([]accounts.SigningKey, error) {
		return r.keys, known(r.keys != nil)
	})
}

// errUnknown is a row that the copy does not have: no answer.
var errUnknown = errors.New("not in the snapshot")

func known(ok bool) error {
	if !ok {
		return errUnknown
	}
	return nil
}

// ask asks the database unless it was away a moment ago, and the copy if it
// cannot answer.
func ask[T any](ctx context.Context, g *Guard, database func() (T, error), copied func(*rows) (T, error)) (T, error) {
	fault := errAway
	if g.breaker.mayAsk() {
		v, err := database()
		isFault := err != nil && !errors.Is(err, accounts.ErrNotFound)
		switch {
		case isFault && ctx.Err() != nil:
			g.breaker.gaveUp() // the caller did, which says nothing of the database
			return v, err
		case errors.Is(err, accounts.ErrBusy):
			g.breaker.gaveUp() // nor does a crowd; the copy helps it
		default:
			if changed := g.breaker.tell(!isFault); changed {
				g.say(ctx, err)
			}
			if !isFault {
				return v, err
			}
		}
		fault = err
	}
	var none T
	r := g.keeper.use(g.most)
	if r == nil {
		return none, fault
	}
	v, err := copied(r)
	if errors.Is(err, errUnknown) {
		return none, fmt.Errorf("%w; %w", fault, errUnknown)
	}
	return v, err
}

// say logs that the database went away or came back.
func (g *Guard) say(ctx context.Context, err error) {
	if err == nil || errors.Is(err, accounts.ErrNotFound) {
		g.log.InfoContext(ctx, "the account database answers again")
		return
	}
	age := g.keeper.Status().Age
	if age < 0 || age > g.most {
		g.log.WarnContext(ctx, "the account database does not answer; mail and logins wait, there is no snapshot of an age that is allowed", "error", err)
		return
	}
	g.log.WarnContext(ctx, "the account database does not answer; the snapshot does", "age", age.Round(time.Second), "error", err)
}

// How long the database is left alone after a fault; it doubles.
const (
	firstPause = time.Second
	lastPause  = 10 * time.Second
)

// breaker says whether to ask the database.
type breaker struct {
	now func() time.Time

	mu     sync.Mutex // guards what follows
	away   bool
	asking bool // one caller finds out whether it is back
	until  time.Time
	pause  time.Duration
}

func (b *breaker) mayAsk() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.away:
		return true
	case b.asking || b.now().Before(b.until):
		return false
	}
	b.asking = true
	return true
}

// tell notes what came of asking and reports whether that is news.
func (b *breaker) tell(answered bool) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed = b.away == answered
	b.asking = false
	if answered {
		b.away, b.pause = false, 0
		return changed
	}
	b.away = true
	b.pause = min(max(2*b.pause, firstPause), lastPause)
	b.until = b.now().Add(b.pause)
	return changed
}

func (b *breaker) gaveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asking = false
}
