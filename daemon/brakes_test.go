package daemon

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/delivery/queue"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
	"gomaild/policy/rate"
)

// TestGrowth: an account that suddenly writes to new recipients is held, with
// what it has in the queue, postmaster hears of it, and a restart forgets
// nothing.
func TestGrowth(t *testing.T) {
	t.Parallel()
	s, addr := newSink(t)
	w := newWorld(t)
	host, port, _ := strings.Cut(addr, ":")
	head := "remote.relay_host = \"[" + host + "]:" + port + "\"\ndns.servers = [\"127.0.0.1:1\"]\nrouting.postmaster = \"alice@example.test\"\nsubmission.new_recipients = [\"2/1h\"]\n"
	begin := func() {
		t.Helper()
		d, err := New(w.config(t, head, listeners), Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.Daemon = d
		if err := w.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	begin()
	t.Cleanup(func() { _ = w.Stop(t.Context()) })
	for _, to := range []string{"a@far.test", "b@far.test", "a@far.test", "c@far.test"} {
		if err := w.submitTo(t, to, "to "+to); err != nil {
			t.Fatal(err)
		}
	}
	s.await(t, 3)
	if got := w.awaitFile(t, "alice", "", "Mail of bob@example.test is held"); !strings.Contains(got, "gomaild queue release --account bob@example.test") {
		t.Errorf("postmaster reads\n%s", got)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin()
	if err := w.submitTo(t, "a@far.test", "after the restart"); err != nil {
		t.Fatal(err)
	}
	if n, err := w.applyToQueue(queueOrder{queue.Release, queue.Selection{Account: "bob@example.test"}}); n != 2 || err != nil {
		t.Errorf("%d messages were held, %v", n, err)
	}
	s.await(t, 5)

	// One message was released, and the account is on hold still; lifted, it may
	// write to two more new recipients.
	c := w.cfg
	if l, err := Lift(t.Context(), c, mail.Address{Local: "bob", Domain: "example.test"}); !l.WasHeld || err != nil {
		t.Errorf("lifted: %+v, %v", l, err)
	}
	for _, to := range []string{"d@far.test", "e@far.test"} {
		if err := w.submitTo(t, to, "to "+to); err != nil {
			t.Fatal(err)
		}
	}
	s.await(t, 7)
	if err := w.submitTo(t, "f@far.test", "one too many"); err != nil {
		t.Fatal(err)
	}
	for e, err := range queue.List(w.outgoing.Load().dir, queue.Selection{}) {
		if err == nil && e.From.Address.Domain == "" {
			continue // what the postmaster is told may be on its way still
		}
		if err != nil || e.Account.String() != "bob@example.test" || !e.Held {
			t.Errorf("%+v, %v", e, err)
		}
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l, err := Lift(t.Context(), c, mail.Address{Local: "bob", Domain: "example.test"}); !l.WasHeld || l.Messages != 1 || err != nil {
		t.Errorf("lifted without a daemon: %+v, %v", l, err)
	}
	begin()
	s.await(t, 8)
	if err := w.submitTo(t, "g@far.test", "free again"); err != nil {
		t.Fatal(err)
	}
	s.await(t, 9)
}

// TestBrakesSurviveACrash: what was counted is on the disk within its time, not
// only when the daemon stops; what did not change is not written, and nothing is
// when the fence is up.
func TestBrakesSurviveACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk, fence := crashfs.New(), error(nil)
		use := rate.Use{Key: "account messages", Limit: rate.Limit{N: 1, Per: time.Hour}}
		newKept := func() *keptRates {
			return &keptRates{fs: disk, fence: func() error { return fence }, name: "brakes", table: rate.NewTable(0), every: brakesEvery, warn: func(err error) { t.Error(err) }}
		}
		ctx, cancel := context.WithCancel(t.Context())
		k := newKept()
		go k.run(ctx)
		k.table.Take(time.Now(), use)
		time.Sleep(brakesEvery + time.Second)
		synctest.Wait()
		again := newKept()
		again.fs = disk.Crash(crashfs.Nothing)
		if err := again.restore(); err != nil || !again.table.Uses(time.Now(), use.Key) {
			t.Errorf("forgotten: %v", err)
		}
		if err := disk.Remove("brakes"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * brakesEvery)
		synctest.Wait()
		if _, err := disk.Stat("brakes"); err == nil {
			t.Error("written without a change")
		}
		fence = errors.New("another has the mail")
		k.table.Take(time.Now(), rate.Use{Key: "b", Limit: use.Limit})
		time.Sleep(2 * brakesEvery)
		synctest.Wait()
		if _, err := disk.Stat("brakes"); err == nil {
			t.Error("written behind the fence")
		}
		cancel()
		synctest.Wait()
	})
}
