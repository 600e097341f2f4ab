// Package usage brings what accounts hold from the mail store to the database,
// knows whether a domain has room, and notices who should be warned.
//
// The truth about an account is on its disk (maildirsize). The database only
// shows it, some seconds later: changes are collected, and the last value of each
// account is written in a batch. While the database does not answer they wait;
// nothing else does. What a domain holds is the sum of what was written and of
// what has changed since; mailboxes of which nothing was written are counted by
// and by.
package usage

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gomaild/accounts"
	"gomaild/mail"
)

// ErrDomainFull means that the mailboxes of a domain hold as much as they may
// together.
var ErrDomainFull = errors.New("domain is over its quota")

// Database is the part of accounts/postfixadmin that is needed here.
type Database interface {
	// WriteUsage writes absolute values; it may be repeated.
	WriteUsage(ctx context.Context, all []accounts.Usage) error
	// DomainUsage is what was written of a domain. accounts.ErrNotFound.
	DomainUsage(ctx context.Context, domain string) (accounts.DomainUsage, error)
}

// Change is that an account holds another amount.
type Change struct {
	Now                   accounts.Usage
	BytesBefore           int64
	MessagesBefore        int64
	MaxBytes, MaxMessages int64 // 0: no limit
}

// Warning is that an account has come to hold Percent of what it may.
type Warning struct {
	Address mail.Address
	Percent int
}

// Config is what a Keeper is made of. Database is required; it gives nil while
// there is none.
type Config struct {
	Database   func() Database
	Thresholds func() []int                         // in percent; default: nobody is warned
	Warn       func(ctx context.Context, w Warning) // is called by Run, one at a time
	// Count finds out what an account holds of which nothing was written yet, by
	// Run, so that a domain's sum is of all its mailboxes after a while. Default:
	// the sum is without them.
	Count  func(ctx context.Context, a mail.Address) (accounts.Usage, error)
	Every  time.Duration // between two writes; default 10 s
	Logger *slog.Logger  // default: none
}

// How long a sum is used before it is asked for again, and how many warnings and
// mailboxes to be counted wait at most.
const (
	sumLife     = time.Minute
	maxWarnings = 1000
	maxCounts   = 1000
	countPause  = time.Hour // until a mailbox that could not be counted is tried again
	writeTime   = 30 * time.Second
)

// Keeper keeps usage. It is safe for concurrent use.
type Keeper struct {
	config Config
	warn   chan Warning
	count  chan mail.Address

	writing sync.Mutex // held by who writes or asks for a sum
	failing bool       // guarded by writing

	mu      sync.Mutex // guards the fields below
	dirty   map[mail.Address]accounts.Usage
	domains map[string]*domain
	held    map[string]int64           // by domain: octets that are on their way in
	asking  map[mail.Address]struct{}  // in count
	unable  map[mail.Address]time.Time // when a mailbox could not be counted
}

// domain is what a domain holds: what was written, and the change since.
type domain struct {
	accounts.DomainUsage
	change int64
	asked  time.Time
}

// New makes a Keeper. Nothing is written until Run or Flush.
func New(c Config) *Keeper {
	if c.Every <= 0 {
		c.Every = 10 * time.Second
	}
	if c.Thresholds == nil || c.Warn == nil {
		c.Thresholds = func() []int { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Keeper{
		config: c, warn: make(chan Warning, maxWarnings), count: make(chan mail.Address, maxCounts), asking: map[mail.Address]struct{}{},
		unable: map[mail.Address]time.Time{},
		dirty:  map[mail.Address]accounts.Usage{}, domains: map[string]*domain{}, held: map[string]int64{},
	}
}

// Changed takes note and returns at once. Changes of one account must come in
// their order.
func (k *Keeper) Changed(c Change) {
	k.mu.Lock()
	k.dirty[c.Now.Address] = c.Now
	if d := k.domains[c.Now.Address.Domain]; d != nil {
		d.change += c.Now.Bytes - c.BytesBefore
	}
	k.mu.Unlock()
	percent := c.crossed(k.config.Thresholds())
	if percent == 0 {
		return
	}
	select {
	case k.warn <- Warning{c.Now.Address, percent}:
	default:
		k.config.Logger.Warn("too many quota warnings at once", "account", c.Now.Address.String())
	}
}

// crossed is the highest threshold that the account has come to, 0 for none.
func (c Change) crossed(thresholds []int) int {
	most := 0
	for _, t := range thresholds {
		if crosses(c.BytesBefore, c.Now.Bytes, c.MaxBytes, t) || crosses(c.MessagesBefore, c.Now.Messages, c.MaxMessages, t) {
			most = max(most, t)
		}
	}
	return most
}

func crosses(before, now, limit int64, percent int) bool {
	if limit <= 0 {
		return false
	}
	at := limit/100*int64(percent) + (limit%100*int64(percent)+99)/100
	return before < at && now >= at
}

// Run writes changes and gives warnings until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	tick := time.NewTicker(k.config.Every)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			k.Flush(ctx)
		case w := <-k.warn:
			k.config.Warn(ctx, w)
		case a := <-k.count:
			k.countOne(ctx, a)
		case <-ctx.Done():
			return
		}
	}
}

// Warnings gives the warnings that wait, for a program without Run.
func (k *Keeper) Warnings(ctx context.Context) {
	for {
		select {
		case w := <-k.warn:
			k.config.Warn(ctx, w)
		default:
			return
		}
	}
}

// Flush writes what has changed. What cannot be written is kept for the next
// time; that is told once.
func (k *Keeper) Flush(ctx context.Context) {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.flush(ctx)
}

func (k *Keeper) flush(ctx context.Context) {
	db := k.config.Database()
	taken := k.take()
	if db == nil || len(taken) == 0 {
		k.giveBack(taken)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, writeTime)
	defer cancel()
	all := make([]accounts.Usage, 0, len(taken))
	for _, u := range taken {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b accounts.Usage) int {
		return cmp.Or(cmp.Compare(a.Address.Domain, b.Address.Domain), cmp.Compare(a.Address.Local, b.Address.Local))
	})
	err := db.WriteUsage(ctx, all)
	if err != nil {
		k.giveBack(taken)
	}
	if err != nil && !k.failing {
		k.config.Logger.Warn("usage cannot be written to the database, will be tried again", "accounts", len(all), "error", err)
	}
	k.failing = err != nil
}

func (k *Keeper) take() map[mail.Address]accounts.Usage {
	k.mu.Lock()
	defer k.mu.Unlock()
	taken := k.dirty
	k.dirty = map[mail.Address]accounts.Usage{}
	return taken
}

// giveBack keeps what has not changed again meanwhile.
func (k *Keeper) giveBack(taken map[mail.Address]accounts.Usage) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for a, u := range taken {
		if _, newer := k.dirty[a]; !newer {
			k.dirty[a] = u
		}
	}
}
