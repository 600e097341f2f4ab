package auth

import (
	"net/netip"
	"sync"
	"time"

	"gomaild/internal/peer"
	"gomaild/mail"
)

// The throttle slows guessing without locking anybody out.
//
// Failures are counted per client (an IPv4 address or IPv6 /64), per account,
// and per pair of both. Above a number of free failures the attempts of a key
// get a pace: one start per Base, then per twice that, up to MaxPace. An
// attempt waits for its start, so any number of parallel connections guesses
// no faster than one; if it would wait longer than MaxWait it is refused
// unverified. Counts halve every Forget.
//
// Guesses from many clients against one account must not keep out its owner.
// So a client from which an account has logged in before is a usual one: its
// attempts for that account are paced by their own failures alone, whatever
// others do. An unusual client is paced by all failures of the account and all
// of its own. Nobody can make a client usual for an account without a password
// of that account.
//
// A wrong password that was the last one already, as a telephone sends it
// every minute after a change, is not counted again: it is no guess.
//
// Everything is in memory and bounded. A restart forgets it; clients become
// usual again with their first login.

// Throttle is the setting of the throttle. Zero fields stand for the defaults.
type Throttle struct {
	FreePerPair    int           // failures without a pace, of a usual client for an account; default 5
	FreePerAccount int           // of an account from unusual clients; default 10
	FreePerClient  int           // of a client; default 20
	Base           time.Duration // pace after the free failures, doubled by each further one; default 1 s
	MaxPace        time.Duration // slowest pace; default 15 s
	MaxWait        time.Duration // an attempt that would wait longer is refused; default 30 s
	Forget         time.Duration // counts halve in this time; default 10 min
	Entries        int           // of each table; default 65536 (about 20 MB in all)

	// Exempt are networks from which many people log in, such as the webmail
	// server's: failures are not counted against these clients as a whole, only
	// for each account.
	Exempt []netip.Prefix
	// Off switches the throttle off.
	Off bool
}

// usualFor is how long a client stays usual for an account without a login.
const usualFor = 30 * 24 * time.Hour

// maxDoublings bounds how far a count rises above the free failures, and with
// it the time that forgetting takes.
const maxDoublings = 10

func (c Throttle) orDefault() Throttle {
	set(&c.FreePerPair, 5)
	set(&c.FreePerAccount, 10)
	set(&c.FreePerClient, 20)
	set(&c.Base, time.Second)
	set(&c.MaxPace, 15*time.Second)
	set(&c.MaxWait, 30*time.Second)
	set(&c.Forget, 10*time.Minute)
	set(&c.Entries, 1<<16)
	return c
}

// set gives *v its default when it is not positive.
func set[T int | time.Duration](v *T, byDefault T) {
	if *v <= 0 {
		*v = byDefault
	}
}

// key is what failures are counted for: a client, an account, or a pair, when
// both fields are set.
type key struct {
	client  netip.Prefix
	account mail.Address
}

// strain is what a key has done.
type strain struct {
	failures int
	last     time.Time // of the last failure
	next     time.Time // earliest start of the next attempt
	guess    mark      // the last wrong password
}

type throttle struct {
	cfg Throttle

	mu      sync.Mutex
	strains [3]*table[key, strain] // by kind
	usual   *table[key, struct{}]
}

// kind is the kind of a key; each has its own table, so that a flood of one
// kind pushes nothing out of another.
type kind int

const (
	ofClient kind = iota
	ofAccount
	ofPair
)

func newThrottle(cfg Throttle) *throttle {
	cfg = cfg.orDefault()
	t := &throttle{cfg: cfg, usual: newTable[key, struct{}](cfg.Entries, usualFor)}
	for i := range t.strains {
		t.strains[i] = newTable[key, strain](cfg.Entries, cfg.Forget*maxDoublings)
	}
	return t
}

// turn is one attempt's place in the throttle.
type turn struct {
	pair     key
	counting []counting // what a failure counts against
	wait     time.Duration
	refused  bool // the wait would be longer than MaxWait
}

type counting struct {
	kind kind
	key  key
}

// begin gives an attempt its place. account is the zero Address where the name
// was none.
func (t *throttle) begin(addr netip.Addr, account mail.Address) turn {
	client := peer.Network(addr)
	own := turn{pair: key{client, account}}
	if t.cfg.Off {
		return own
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	own.counting = t.against(now, own.pair, peer.In(t.cfg.Exempt, addr))
	start := now
	for _, c := range own.counting {
		if s, ok := t.strains[c.kind].look(now, c.key); ok && t.pace(now, c.kind, s) > 0 && s.next.After(start) {
			start = s.next
		}
	}
	own.wait = start.Sub(now)
	if own.refused = own.wait > t.cfg.MaxWait; own.refused {
		return own
	}
	for _, c := range own.counting {
		t.reserve(now, start, c)
	}
	return own
}

// against lists what a failure of the pair counts against.
func (t *throttle) against(now time.Time, pair key, exempt bool) (list []counting) {
	if pair.client.IsValid() && !exempt {
		list = append(list, counting{ofClient, key{client: pair.client}})
	}
	if pair.account.IsZero() {
		return list
	}
	if _, ok := t.usual.look(now, pair); ok {
		return []counting{{ofPair, pair}}
	}
	return append(list, counting{ofAccount, key{account: pair.account}})
}

// reserve takes the start that was given, so that the next attempt gets a
// later one.
func (t *throttle) reserve(now, start time.Time, c counting) {
	s, ok := t.strains[c.kind].look(now, c.key)
	if !ok {
		return
	}
	if pace := t.pace(now, c.kind, s); pace > 0 {
		s.next = start.Add(pace)
		t.strains[c.kind].set(now, c.key, s)
	}
}

// pace is the time between two attempts, 0 while failures are free.
func (t *throttle) pace(now time.Time, k kind, s strain) time.Duration {
	over := t.count(now, s) - t.free(k)
	if over < 0 {
		return 0
	}
	return min(t.cfg.Base<<over, t.cfg.MaxPace)
}

func (t *throttle) free(k kind) int {
	return [...]int{ofClient: t.cfg.FreePerClient, ofAccount: t.cfg.FreePerAccount, ofPair: t.cfg.FreePerPair}[k]
}

// count is the failures that are not forgotten yet.
func (t *throttle) count(now time.Time, s strain) int {
	halvings := uint(now.Sub(s.last) / t.cfg.Forget)
	return s.failures >> min(halvings, 62)
}

// failed counts a wrong password. guess tells whether it is the same one again.
func (t *throttle) failed(own turn, guess mark) {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range own.counting {
		s, _ := t.strains[c.kind].look(now, c.key)
		if s.guess == guess && s.failures > 0 {
			continue
		}
		s.failures = min(t.count(now, s)+1, t.free(c.kind)+maxDoublings)
		s.last, s.guess = now, guess
		if pace := t.pace(now, c.kind, s); s.next.Before(now.Add(pace)) {
			s.next = now.Add(pace)
		}
		t.strains[c.kind].set(now, c.key, s)
	}
}

// succeeded makes the client a usual one of the account and forgets the pair's
// failures. The counts of client and account stay: one valid account must not
// buy more guesses at others.
func (t *throttle) succeeded(own turn) {
	if t.cfg.Off || !own.pair.client.IsValid() {
		return
	}
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.strains[ofPair].drop(own.pair)
	t.usual.set(now, own.pair, struct{}{})
}
