package usage

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/accounts"
	"gomaild/mail"
)

var (
	alice = mail.Address{Local: "alice", Domain: "x.test"}
	bob   = mail.Address{Local: "bob", Domain: "x.test"}
)

// database is a Database in memory.
type database struct {
	mu        sync.Mutex
	rows      map[mail.Address]accounts.Usage
	max       int64
	down      error
	writes    int
	asked     int
	unwritten []mail.Address
	during    func() // called while the sum is asked for, without the lock
}

func (d *database) WriteUsage(_ context.Context, all []accounts.Usage) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down != nil {
		return d.down
	}
	d.writes++
	for _, u := range all {
		d.rows[u.Address] = u
	}
	return nil
}

// written is how many batches were written.
func (d *database) written() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes
}

func (d *database) DomainUsage(context.Context, string) (accounts.DomainUsage, error) {
	d.mu.Lock()
	sum := accounts.DomainUsage{Max: d.max}
	for _, u := range d.rows {
		sum.Bytes += u.Bytes
	}
	for _, a := range d.unwritten {
		if _, written := d.rows[a]; !written {
			sum.Unwritten = append(sum.Unwritten, a)
		}
	}
	d.asked++
	err, during := d.down, d.during
	d.mu.Unlock()
	if during != nil {
		during()
	}
	return sum, err
}

func (d *database) row(a mail.Address) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rows[a].Bytes
}

func newDatabase() *database { return &database{rows: map[mail.Address]accounts.Usage{}} }

func (d *database) config() Config { return Config{Database: func() Database { return d }} }

// change is that an account holds now octets, and held before.
func change(a mail.Address, before, now int64) Change {
	return Change{Now: accounts.Usage{Address: a, Bytes: now, Messages: 1}, BytesBefore: before, MessagesBefore: 1}
}

// TestBatches holds that the last value of each account is written once in an
// interval, and that nothing is written when nothing changes.
func TestBatches(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase()
		k := New(db.config())
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { k.Run(ctx) })
		for i := range int64(1000) {
			k.Changed(change(alice, i, i+1))
			k.Changed(change(bob, i, i+2))
		}
		time.Sleep(9 * time.Second)
		if n := db.written(); n != 0 {
			t.Errorf("%d writes before the time", n)
		}
		time.Sleep(time.Minute)
		if n := db.written(); n != 1 || db.row(alice) != 1000 || db.row(bob) != 1001 {
			t.Errorf("%d writes, %d and %d octets", n, db.row(alice), db.row(bob))
		}
		cancel()
		wg.Wait()
	})
}

// TestDatabaseDown holds that values wait for the database, the newest of each
// account.
func TestDatabaseDown(t *testing.T) {
	t.Parallel()
	db := newDatabase()
	db.down = errors.New("down")
	k := New(db.config())
	k.Changed(change(alice, 0, 5))
	k.Changed(change(bob, 0, 6))
	k.Flush(t.Context())
	k.Changed(change(alice, 5, 7))
	k.Flush(t.Context())
	db.down = nil
	k.Flush(t.Context())
	if db.row(alice) != 7 || db.row(bob) != 6 {
		t.Errorf("%v", db.rows)
	}
	none := New(Config{Database: func() Database { return nil }})
	none.Changed(change(alice, 0, 5))
	none.Flush(t.Context())
	if len(none.dirty) != 1 {
		t.Error("forgotten while there is no database")
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	with := func(before, now, limit int64) Change {
		c := change(alice, before, now)
		c.MaxBytes = limit
		return c
	}
	messages := Change{Now: accounts.Usage{Address: alice, Messages: 9}, MessagesBefore: 7, MaxMessages: 10}
	for _, tt := range []struct {
		rule string
		c    Change
		want int
	}{
		{"below", with(0, 79, 100), 0},
		{"on it", with(79, 80, 100), 80},
		{"stays above", with(80, 90, 100), 0},
		{"over two at once: the higher", with(10, 99, 100), 95},
		{"on the way down", with(99, 10, 100), 0},
		{"no limit", with(0, 1<<60, 0), 0},
		{"messages", messages, 80},
		{"a limit that is no multiple of 100", with(118, 119, 150), 0},
		{"its threshold", with(119, 120, 150), 80},
	} {
		if got := tt.c.crossed([]int{80, 95}); got != tt.want {
			t.Errorf("%s: %d", tt.rule, got)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var got []Warning
		c := newDatabase().config()
		c.Thresholds = func() []int { return []int{80} }
		c.Warn = func(_ context.Context, w Warning) { got = append(got, w) }
		k := New(c)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { k.Run(ctx) })
		k.Changed(with(0, 80, 100))
		synctest.Wait()
		cancel()
		wg.Wait()
		for range 2 * maxWarnings { // nobody takes them: no wait, no growth
			k.Changed(with(0, 80, 100))
		}
		if !slices.Equal(got, []Warning{{alice, 80}}) {
			t.Errorf("%v", got)
		}
	})
}

// TestDomain holds what a domain counts: what is written and what has changed,
// each once.
func TestDomain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase()
		db.max = 100
		db.rows[bob] = accounts.Usage{Address: bob, Bytes: 50}
		k := New(db.config())
		k.Changed(change(alice, 0, 20)) // before anybody asked
		db.during = func() { k.Changed(change(bob, 50, 60)) }
		admits := func(rule string, add int64, grace int, want bool) {
			t.Helper()
			giveBack, err := k.Hold(t.Context(), "x.test", add, grace)
			if err == nil {
				giveBack()
				giveBack() // once is enough
			}
			if (err == nil) != want || err != nil && !errors.Is(err, ErrDomainFull) {
				t.Errorf("%s: %v", rule, err)
			}
		}
		admits("all of the rest", 20, 0, true)
		admits("more", 21, 0, false)
		admits("with grace", 30, 10, true)
		admits("what does not grow", -5, 0, true)
		k.Changed(change(alice, 20, 5))
		admits("room again", 35, 0, true)
		admits("not more", 36, 0, false)
		if db.asked != 1 {
			t.Errorf("asked %d times", db.asked)
		}
		db.during = nil
		time.Sleep(2 * sumLife)
		admits("asked again", 35, 0, true)
		admits("asked again, not more", 36, 0, false)
		if db.asked != 2 {
			t.Errorf("asked %d times", db.asked)
		}
		db.down = errors.New("down")
		time.Sleep(2 * sumLife)
		admits("the database is down", 1000, 0, true)
		db.down, db.max = nil, 0
		admits("no limit", 1<<40, 0, true)
	})
}

// TestUnwrittenIsCounted holds that mailboxes of which nothing was written come
// to count in the sum of their domain.
func TestUnwrittenIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		db := newDatabase()
		db.max = 100
		db.unwritten = []mail.Address{bob, alice}
		config := db.config()
		tries := 0
		config.Count = func(_ context.Context, a mail.Address) (accounts.Usage, error) {
			if a == alice {
				tries++
				return accounts.Usage{}, errors.New("disk")
			}
			return accounts.Usage{Address: a, Bytes: 70, Messages: 1}, nil
		}
		k := New(config)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go k.Run(ctx)
		hold := func(add int64) error {
			giveBack, err := k.Hold(ctx, "x.test", add, 0)
			if err == nil {
				giveBack()
			}
			return err
		}
		if err := hold(50); err != nil { // it is not known yet
			t.Error(err)
		}
		synctest.Wait()
		if err := hold(50); !errors.Is(err, ErrDomainFull) {
			t.Errorf("with what bob holds: %v", err)
		}
		if err := hold(30); err != nil {
			t.Error(err)
		}
		if row := db.rows[bob]; row.Bytes != 70 {
			t.Errorf("written: %+v", row)
		}
		if len(k.asking) > 1 {
			t.Errorf("asked twice: %v", k.asking)
		}
		for _, step := range []struct {
			after time.Duration
			tries int // of the one that cannot be counted
		}{{0, 1}, {2 * sumLife, 1}, {countPause, 2}, {2 * sumLife, 2}} {
			time.Sleep(step.after)
			if err := hold(1); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if tries != step.tries {
				t.Errorf("%v later: tried %d times, want %d", step.after, tries, step.tries)
			}
		}
	})
}

// TestDomainRoomIsGivenOnce holds that many who ask at once do not share the last
// room of a domain, whenever their changes come to be known.
func TestDomainRoomIsGivenOnce(t *testing.T) {
	t.Parallel()
	db := newDatabase()
	db.max = 100
	k := New(db.config())
	var wg sync.WaitGroup
	var mu sync.Mutex
	var holds int64
	for range 50 {
		wg.Go(func() {
			giveBack, err := k.Hold(t.Context(), "x.test", 10, 0)
			if err != nil {
				if !errors.Is(err, ErrDomainFull) {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			k.Changed(change(alice, holds, holds+10))
			holds += 10
			mu.Unlock()
			giveBack()
		})
	}
	wg.Wait()
	if holds != 100 || len(k.held) != 0 {
		t.Errorf("%d octets came in, %v are held", holds, k.held)
	}
}
