package auth

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// patient is a configuration with the throttle's defaults and no other waits.
func patient(store Store) Config {
	cfg := quick(store)
	cfg.Throttle = Throttle{}
	return cfg
}

// guess tries n different wrong passwords and returns the waits.
func guess(t *testing.T, a *Auth, c Client, username string, n int) (waits []time.Duration) {
	t.Helper()
	for i := range n {
		start := time.Now()
		if _, err := a.Login(t.Context(), c, username, fmt.Sprintf("guess %d %d", start.UnixNano(), i)); !errors.Is(err, ErrDenied) {
			t.Fatalf("guess %d: %v", i, err)
		}
		waits = append(waits, time.Since(start))
	}
	return waits
}

// enter logs in with the right password and returns the wait.
func enter(t *testing.T, a *Auth, c Client, username, password string) time.Duration {
	t.Helper()
	start := time.Now()
	if _, err := a.Login(t.Context(), c, username, password); err != nil {
		t.Errorf("%s from %v: %v", username, c.Addr, err)
	}
	return time.Since(start)
}

func TestDelaysGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New(patient(twoAccounts()))
		waits := guess(t, a, somewhere, "alice", 16)
		for i, want := range []time.Duration{10: 1, 11: 2, 12: 4, 13: 8, 14: 15, 15: 15} {
			if waits[i] != want*time.Second {
				t.Errorf("guess %d waited %v, want %v s", i, waits[i], int(want))
			}
		}
		time.Sleep(time.Hour)
		if got := guess(t, a, somewhere, "alice", 1)[0]; got != 0 {
			t.Errorf("after an hour a guess waited %v", got)
		}
	})
}

func TestClientIsPacedOverAllAccounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New(patient(twoAccounts()))
		for i := range 20 {
			guess(t, a, from(fmt.Sprintf("2001:db8::%x", i+1)), fmt.Sprintf("nobody%d", i), 1)
		}
		if got := guess(t, a, from("2001:db8::ffff"), "carol", 1)[0]; got != time.Second {
			t.Errorf("guess 21 from one /64 waited %v", got)
		}
		if got := guess(t, a, from("2001:db8:0:1::1"), "carol", 1)[0]; got != 0 {
			t.Errorf("a guess from another /64 waited %v", got)
		}
		if got := guess(t, a, from("2001:db8::1"), "not an address", 1)[0]; got == 0 {
			t.Error("a name that is no address is not paced")
		}
	})
}

func TestExemptClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := patient(twoAccounts())
		cfg.Throttle.Exempt = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		a := New(cfg)
		for i := range 100 {
			if got := guess(t, a, somewhere, fmt.Sprintf("nobody%d", i), 1)[0]; got != 0 {
				t.Fatalf("guess %d from the webmail server waited %v", i, got)
			}
		}
		waits := guess(t, a, somewhere, "alice", 11)
		if waits[10] == 0 {
			t.Error("guesses at one account from the webmail server are not paced")
		}
	})
}

// Any number of connections at once guesses no faster than one.
func TestParallelGuessesArePaced(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := twoAccounts()
		a := New(patient(store))
		guess(t, a, somewhere, "alice", 15) // the slowest pace
		before, start := store.asked.Load(), time.Now()
		done := make(chan time.Duration)
		for i := range 100 {
			go func() {
				_, err := a.Login(t.Context(), somewhere, "alice", fmt.Sprint(i))
				if !errors.Is(err, ErrDenied) {
					t.Error(err)
				}
				done <- time.Since(start)
			}()
		}
		refused := 0
		for range 100 {
			if <-done == 0 {
				refused++
			}
		}
		if verified := store.asked.Load() - before; verified > 2 || refused != 100-int(verified) {
			t.Errorf("of 100 guesses at once %d were verified within %v, %d refused at once", verified, time.Since(start), refused)
		}
	})
}

// Guesses from everywhere at one account do not keep its owner out of it.
func TestOwnerIsNotLockedOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New(patient(twoAccounts()))
		home := from("198.51.100.7")
		enter(t, a, home, "alice", "Test-pw1")

		ctx, cancel := context.WithCancel(t.Context())
		for i := range 200 {
			go func() {
				for ctx.Err() == nil {
					_, _ = a.Login(ctx, from(fmt.Sprintf("203.0.113.%d", i)), "alice", fmt.Sprint(time.Now(), i))
					_ = sleep(ctx, time.Second)
				}
			}()
		}
		time.Sleep(time.Hour)
		if got := enter(t, a, home, "alice", "Test-pw1"); got != 0 {
			t.Errorf("from the usual address the owner waited %v", got)
		}
		if own := a.throttle.begin(netip.MustParseAddr("198.51.100.99"), mustAddress("alice@example.com")); own.wait == 0 {
			t.Error("an address that was never usual is not paced")
		}
		if got := enter(t, a, from("198.51.100.99"), "bob", "bob's"); got != 0 {
			t.Errorf("another account waited %v", got)
		}
		cancel()
	})
}

func TestUsualClientIsPacedByItsOwnFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New(patient(twoAccounts()))
		enter(t, a, somewhere, "alice", "Test-pw1")
		waits := guess(t, a, somewhere, "alice", 7)
		if waits[4] != 0 || waits[5] != time.Second || waits[6] != 2*time.Second {
			t.Errorf("waits of a usual client: %v", waits)
		}
		if got := enter(t, a, somewhere, "alice", "Test-pw1"); got != 4*time.Second {
			t.Errorf("the right password waited %v", got)
		}
		if waits := guess(t, a, somewhere, "alice", 5); waits[4] != 0 {
			t.Errorf("a success does not begin the count anew: %v", waits)
		}
	})
}

// One valid account buys no guesses at others.
func TestOwnSuccessDoesNotResetTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New(patient(twoAccounts()))
		var waited time.Duration
		for i := range 25 {
			waited += guess(t, a, somewhere, fmt.Sprintf("nobody%d", i), 1)[0]
			enter(t, a, somewhere, "bob", "bob's")
		}
		if waited == 0 {
			t.Error("guesses between logins of one's own are not paced")
		}
	})
}

// A telephone that still has the old password does no harm.
func TestSamePasswordAgainIsNoGuess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New(patient(twoAccounts()))
		for range 1000 {
			if _, err := a.Login(t.Context(), somewhere, "alice", "old"); !errors.Is(err, ErrDenied) {
				t.Fatal(err)
			}
		}
		if got := enter(t, a, somewhere, "alice", "Test-pw1"); got != 0 {
			t.Errorf("the right password waited %v", got)
		}
	})
}

func TestWaitEndsWithTheSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New(patient(twoAccounts()))
		guess(t, a, somewhere, "alice", 14)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := a.Login(ctx, somewhere, "alice", "Test-pw1")
		if !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// Without an address, as on a unix socket, accounts are paced all the same.
func TestClientWithoutAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := New(patient(twoAccounts()))
		waits := guess(t, a, Client{Protocol: "imap"}, "alice", 11)
		if waits[10] != time.Second {
			t.Errorf("waits: %v", waits)
		}
		enter(t, a, Client{Protocol: "imap"}, "bob", "bob's")
	})
}

func TestTablesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := patient(twoAccounts())
		cfg.Throttle.Entries = 10
		a := New(cfg)
		for i := range 100 {
			guess(t, a, from(fmt.Sprintf("203.0.113.%d", i)), fmt.Sprintf("nobody%d", i), 1)
		}
		for k, s := range a.throttle.strains {
			if len(s.entries) > 10 || len(s.entries) != s.order.Len() {
				t.Errorf("table %d has %d entries, %d in order", k, len(s.entries), s.order.Len())
			}
		}
	})
}

func TestTable(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	tab := newTable[string, int](2, time.Minute)
	tab.set(now, "a", 1)
	tab.set(now.Add(time.Second), "b", 2)
	tab.set(now.Add(2*time.Second), "a", 3)
	tab.set(now.Add(3*time.Second), "c", 4)
	if _, ok := tab.look(now.Add(3*time.Second), "b"); ok {
		t.Error("the longest untouched entry is there, over the size")
	}
	if v, ok := tab.look(now.Add(3*time.Second), "a"); !ok || v != 3 {
		t.Errorf("a = %v, %v", v, ok)
	}
	if _, ok := tab.look(now.Add(62*time.Second), "a"); ok {
		t.Error("an entry outlives its life")
	}
	tab.set(now.Add(100*time.Second), "d", 5)
	if len(tab.entries) != 1 || tab.order.Len() != 1 {
		t.Errorf("%d entries after the life of all but one", len(tab.entries))
	}
	tab.drop("d")
	tab.drop("nothing")
	if len(tab.entries) != 0 {
		t.Error("a dropped entry is there")
	}
}
