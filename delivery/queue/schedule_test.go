package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
	"gomaild/message"
)

// fromUser is toHosts with another sender.
func fromUser(user string, hosts ...string) Envelope {
	e := toHosts(hosts...)
	e.From.Address.Local = user
	return e
}

// Who sends much to one destination does not hold up another's mail to it.
func TestSendersTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var order []string
		w := &world{}
		w.answer = func(_ context.Context, job Job, _ mail.Recipient) error {
			time.Sleep(time.Second)
			w.mu.Lock()
			order = append(order, job.From.Address.Local)
			w.mu.Unlock()
			return nil
		}
		q := mustOpen(t, w, crashfs.New())
		for range 300 {
			mustAdd(t, q, fromUser("much", "a.test"), "x")
		}
		for range 3 {
			mustAdd(t, q, fromUser("little", "a.test"), "x")
		}
		time.Sleep(time.Hour)
		q.Close()
		last := len(order) - 1 - slices.Index(reversed(order), "little")
		if len(order) != 303 || last > 30 {
			t.Errorf("%d delivered, the last of the few as number %d", len(order), last)
		}
	})
}

func reversed(list []string) []string {
	out := slices.Clone(list)
	slices.Reverse(out)
	return out
}

// However many destinations hang, the others are served: the dead have half of
// the attempts at most, once they are known.
func TestManyDeadDestinations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		w.answer = func(ctx context.Context, job Job, _ mail.Recipient) error {
			if !strings.HasPrefix(job.Destination.Host, "dead") {
				return nil
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(2 * time.Minute): // a connection that times out
				return errors.New("away")
			}
		}
		q := mustOpen(t, w, crashfs.New())
		for i := range 150 { // more than there are attempts
			for range 3 {
				mustAdd(t, q, toHosts(fmt.Sprintf("dead%d.test", i)), "x")
			}
		}
		time.Sleep(30 * time.Minute) // all have been tried, more than once
		start := time.Now()
		for i := range 20 {
			mustAdd(t, q, toHosts(fmt.Sprintf("live%d.test", i)), "x")
		}
		synctest.Wait()
		if took := time.Since(start); len(w.got) != 20 || took != 0 {
			t.Errorf("%d of 20 delivered after %v", len(w.got), took)
		}
		if s := q.Stats(); s.Messages != 450 || s.Running > 50 {
			t.Errorf("%+v", s)
		}
		q.Close()
	})
}

// What is due for a destination that does not answer is put off without waiting
// at it, message by message; a person's retry asks it again.
func TestSuspension(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		w, disk := &world{}, crashfs.New()
		w.answer = func(context.Context, Job, mail.Recipient) error {
			w.mu.Lock()
			tries++
			w.mu.Unlock()
			time.Sleep(10 * time.Second)
			return errors.New("no route to host")
		}
		q := mustOpen(t, w, disk)
		for range 100 {
			mustAdd(t, q, toHosts("dead.test"), "x")
		}
		time.Sleep(4 * time.Minute)
		if tries > 10 {
			t.Errorf("%d attempts for 100 messages", tries)
		}
		for e, err := range List(disk, Selection{}) {
			if err != nil || e.To[0].Attempts != 1 || e.To[0].Last == "" {
				t.Fatalf("%v: %+v", err, e)
			}
		}
		before := tries
		apply(t, q, Retry, Selection{}, 100)
		synctest.Wait()
		time.Sleep(time.Second)
		if tries == before {
			t.Error("a retry by hand asked nobody")
		}
		q.Close()
	})
}

// A destination that puts each message off is alive: it keeps its pace.
func TestAliveKeepsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		running, most := 0, 0
		a := agentFunc(func(_ context.Context, job Job) []Result {
			return []Result{{Err: &mail.Status{Code: 451, Enhanced: "4.7.1", Text: "greylisted"}, Alive: true}}
		})
		w := &world{}
		slow := agentFunc(func(ctx context.Context, job Job) []Result {
			w.mu.Lock()
			running++
			most = max(most, running)
			w.mu.Unlock()
			time.Sleep(time.Second)
			w.mu.Lock()
			running--
			w.mu.Unlock()
			return a(ctx, job)
		})
		q, err := Open(t.Context(), Config{FS: crashfs.New(), Agent: slow, Tell: w.tell, Settings: Settings{PerHost: 8}})
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			mustAdd(t, q, toHosts("grey.test"), "x")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if most != 8 {
			t.Errorf("%d attempts at once, want 8", most)
		}
		q.Configure(Settings{PerHost: 2, Lifetime: time.Minute})
		most = 0
		apply(t, q, Retry, Selection{}, 100)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if most > 2 {
			t.Errorf("%d attempts at once after a change to 2", most)
		}
		q.Close()
		if len(w.told) == 0 {
			t.Error("nobody was given up after a change of the lifetime")
		}
	})
}

type agentFunc func(context.Context, Job) []Result

func (f agentFunc) Deliver(ctx context.Context, job Job) []Result { return f(ctx, job) }

// TestNotices: who is told what, once.
func TestNotices(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, disk := &world{delayNotice: 15 * time.Minute}, crashfs.New()
		results := map[string]Result{
			"took":    {TookDSN: true},
			"relayed": {},
			"box":     {Delivered: true},
			"later":   {Err: errors.New("away")},
			"never":   {Err: errors.New("away")},
			"fail":    {Err: errors.New("away")},
			"delay":   {Err: errors.New("away")},
		}
		agent := agentFunc(func(_ context.Context, job Job) (list []Result) {
			for _, r := range job.To {
				list = append(list, results[r.Address.Local])
			}
			return list
		})
		open := func() *Queue {
			q, err := Open(t.Context(), Config{FS: disk, Agent: agent, Tell: w.tell, Settings: Settings{Lifetime: time.Hour, DelayNotice: 15 * time.Minute}})
			if err != nil {
				t.Fatal(err)
			}
			return q
		}
		q := open()
		e := Envelope{From: mail.ReversePath{Address: mail.Address{Local: "s", Domain: "x.test"}}}
		for user, n := range map[string]mail.Notify{"took": mail.NotifySuccess, "relayed": mail.NotifySuccess, "box": mail.NotifySuccess | mail.NotifyDelay,
			"later": 0, "never": mail.NotifyNever, "fail": mail.NotifyFailure, "delay": mail.NotifyDelay} {
			e.To = append(e.To, Recipient{Recipient: mail.Recipient{Address: mail.Address{Local: user, Domain: "a.test"}, Notify: n}, Destination: Destination{Transport: "smtp", Host: "a.test"}})
		}
		null := e
		null.From = mail.ReversePath{}
		null.To = slices.Clone(e.To)
		mustAdd(t, q, e, "x")
		time.Sleep(30 * time.Minute)
		q.Close()
		q = open() // what was told is not told again
		time.Sleep(15 * time.Minute)
		got := w.heard()
		want := []string{"delayed delay@a.test", "delayed later@a.test", "delivered box@a.test", "relayed relayed@a.test"}
		if !slices.Equal(got, want) {
			t.Errorf("told %q, want %q", got, want)
		}
		time.Sleep(2 * time.Hour)
		got = w.heard()
		if want := []string{"delay@a.test", "fail@a.test", "later@a.test", "never@a.test"}; !slices.Equal(got, want) {
			t.Errorf("given up %q, want %q", got, want)
		}
		mustAdd(t, q, null, "x")
		time.Sleep(30 * time.Minute)
		if got := w.heard(); len(got) != 0 {
			t.Errorf("of the null reverse-path %q were told", got)
		}
		q.Close()
	})
}

// The power is cut after each operation of an attempt that serves one recipient,
// gives one up and puts one off: nobody is lost, nobody is told of too little.
func TestPowerCutInParts(t *testing.T) {
	t.Parallel()
	for _, survival := range crashfs.Survivals() {
		for n := int64(0); ; n++ {
			if !powerCutInParts(t, survival, n) {
				break
			}
		}
	}
}

func powerCutInParts(t *testing.T, survival crashfs.Survival, n int64) (cut bool) {
	synctest.Test(t, func(t *testing.T) {
		disk := crashfs.New()
		disk.CutAfter(n)
		got, told, first := map[string]int{}, map[string]int{}, map[string]bool{}
		agent := agentFunc(func(_ context.Context, job Job) (list []Result) {
			for _, r := range job.To {
				switch user := r.Address.Local; {
				case user == "bad":
					list = append(list, Result{Err: &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "nobody"}})
				case user == "slow" && !first[user]:
					first[user] = true
					list = append(list, Result{Err: errors.New("away")})
				default:
					got[user]++
					list = append(list, Result{})
				}
			}
			return list
		})
		tell := func(_ context.Context, _ Notice, _ Envelope, c message.Content, to []Outcome) error {
			if _, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size())); err != nil {
				return err
			}
			for _, o := range to {
				told[o.Address.Local]++
			}
			return nil
		}
		e := Envelope{From: mail.ReversePath{Address: mail.Address{Local: "s", Domain: "x.test"}}}
		for _, user := range []string{"good", "bad", "slow"} {
			e.To = append(e.To, Recipient{Recipient: mail.Recipient{Address: mail.Address{Local: user, Domain: "a.test"}}, Destination: Destination{Transport: "smtp", Host: "a.test"}})
		}
		var promised error = errors.New("not open")
		cfg := Config{FS: disk, Agent: agent, Tell: tell, Epoch: 7}
		if q, err := Open(t.Context(), cfg); err == nil {
			_, promised = q.Add(e, content1("whole"))
			time.Sleep(10 * time.Minute)
			q.Close()
		}
		cut = disk.Operations() > n
		cfg.FS = disk.Crash(survival)
		q, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		q.Close()
		if promised == nil && (got["good"] == 0 || got["slow"] == 0 || told["bad"] == 0) {
			t.Errorf("%v after %d: delivered %v, told %v", survival, n, got, told)
		}
		if got["good"] > 2 || got["slow"] > 2 || told["bad"] > 2 {
			t.Errorf("%v after %d: delivered %v, told %v", survival, n, got, told)
		}
	})
	return cut
}

// TestSilentTakeHalf: destinations that do not answer have half of the attempts
// and no more, whoever comes first.
func TestSilentTakeHalf(t *testing.T) {
	t.Parallel()
	s := scheduler{lines: make(map[Destination]*line)}
	set, later := &Settings{Concurrency: 4, PerHost: 10}, time.Now().Add(time.Hour)
	add := func(host string, n int) {
		for range n {
			s.ready(leg{msg: &entry{}, to: Destination{Transport: "smtp", Host: host}})
		}
	}
	hosts := []string{"a.test", "b.test", "c.test", "d.test"}
	for _, host := range hosts {
		add(host, 2)
		for range 2 { // from startLimit down to one
			one, _, ok := s.next(set, later)
			if !ok || one.to.Host != host {
				t.Fatalf("%v, %t", one.to, ok)
			}
			s.done(one.to, verdict{silence: errors.New("away")}, set)
		}
	}
	for _, host := range hosts {
		add(host, 2)
	}
	add("live.test", 3)
	running := map[string]int{}
	for one, _, ok := s.next(set, later); ok; one, _, ok = s.next(set, later) {
		running[one.to.Host]++
	}
	if live := running["live.test"]; live != 2 || s.running != 4 || s.silent != 2 {
		t.Errorf("%d of %d attempts are for hosts that do not answer: %v", s.silent, s.running, running)
	}
}
