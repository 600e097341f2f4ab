package queue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
	"gomaild/message"
)

// world is what the fake agent and the sender have seen.
type world struct {
	mu   sync.Mutex
	got  []string // "recipient body", each attempt that succeeded
	told []string // recipients given up, and others with the notice before them

	delayNotice time.Duration
	answer      func(ctx context.Context, job Job, to mail.Recipient) error
}

func (w *world) Deliver(ctx context.Context, job Job) []Result {
	body, err := io.ReadAll(io.NewSectionReader(job.Content, 0, job.Content.Size()))
	results := make([]Result, len(job.To))
	for i, to := range job.To {
		results[i].Err = err
		if err == nil && w.answer != nil {
			results[i].Err = w.answer(ctx, job, to)
		}
		if results[i].Err == nil {
			w.mu.Lock()
			w.got = append(w.got, to.Address.String()+" "+string(body))
			w.mu.Unlock()
		}
	}
	return results
}

func (w *world) tell(_ context.Context, n Notice, _ Envelope, _ message.Content, to []Outcome) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range to {
		line := o.Address.String()
		if n != NoticeFailed {
			line = string(n) + " " + line
		}
		w.told = append(w.told, line)
	}
	return nil
}

// heard is what was told since the last call, sorted.
func (w *world) heard() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.told
	w.told = nil
	slices.Sort(told)
	return told
}

func (w *world) open(t *testing.T, fs durable.FS) (*Queue, error) {
	t.Helper()
	return Open(t.Context(), Config{FS: fs, Agent: w, Tell: w.tell, Epoch: 7, Settings: Settings{Lifetime: time.Hour, DelayNotice: w.delayNotice}})
}

func mustOpen(t *testing.T, w *world, fs durable.FS) *Queue {
	t.Helper()
	q, err := w.open(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

type text struct{ *strings.Reader }

func (c text) Size() int64 { return c.Reader.Size() }

func content1(s string) message.Content { return text{strings.NewReader(s)} }

// toHosts is an envelope for u@ each host.
func toHosts(hosts ...string) Envelope {
	e := Envelope{From: mail.ReversePath{Address: mail.Address{Local: "s", Domain: "x.test"}}}
	for _, h := range hosts {
		e.To = append(e.To, Recipient{
			Recipient:   mail.Recipient{Address: mail.Address{Local: "u", Domain: h}},
			Destination: Destination{Transport: "smtp", Host: h},
		})
	}
	return e
}

func mustAdd(t *testing.T, q *Queue, e Envelope, body string) {
	t.Helper()
	if _, err := q.Add(e, content1(body)); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, fs durable.FS) []string {
	t.Helper()
	n, err := fs.ReadDirNames(".")
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFirstAttemptIsAtOnceAndNothingStays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, disk := &world{}, crashfs.New()
		q := mustOpen(t, w, disk)
		start := time.Now()
		mustAdd(t, q, toHosts("a.test", "b.test"), "hello")
		synctest.Wait()
		if time.Since(start) != 0 {
			t.Errorf("took %v", time.Since(start))
		}
		slices.Sort(w.got)
		if want := []string{"u@a.test hello", "u@b.test hello"}; !slices.Equal(w.got, want) {
			t.Errorf("delivered %q, want %q", w.got, want)
		}
		q.Close()
		if n := names(t, disk); len(n) != 0 || disk.OpenFiles() != 0 {
			t.Errorf("left: %q, %d open", n, disk.OpenFiles())
		}
	})
}

// Temporary answers follow the schedule, across a restart, until Lifetime.
func TestScheduleAndGivingUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		w, disk := &world{}, crashfs.New()
		w.answer = func(context.Context, Job, mail.Recipient) error {
			at = append(at, time.Since(start))
			return errors.New("away")
		}
		q := mustOpen(t, w, disk)
		mustAdd(t, q, toHosts("a.test"), "x")
		time.Sleep(10 * time.Minute)
		q.Close()
		q = mustOpen(t, w, disk)
		time.Sleep(3 * time.Hour)
		q.Close()
		if want := []time.Duration{0, 5 * time.Minute, 20 * time.Minute, 50 * time.Minute, 110 * time.Minute}; !slices.Equal(at, want) {
			t.Errorf("attempts at %v, want %v", at, want)
		}
		if !slices.Equal(w.told, []string{"u@a.test"}) || len(names(t, disk)) != 0 {
			t.Errorf("told %q, left %q", w.told, names(t, disk))
		}
	})
}

// A 5xx is final for its recipient at once, and for nobody else.
func TestPermanentAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{answer: func(_ context.Context, job Job, _ mail.Recipient) error {
			if job.Destination.Host == "a.test" {
				return &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "nobody"}
			}
			return nil
		}}
		q := mustOpen(t, w, crashfs.New())
		mustAdd(t, q, toHosts("a.test", "b.test"), "x")
		synctest.Wait()
		q.Close()
		if !slices.Equal(w.told, []string{"u@a.test"}) || !slices.Equal(w.got, []string{"u@b.test x"}) {
			t.Errorf("told %q, delivered %q", w.told, w.got)
		}
	})
}

// A destination that hangs holds its own mail only.
func TestDeadDestinationHoldsNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		most := 0
		running := 0
		w := &world{}
		w.answer = func(ctx context.Context, job Job, _ mail.Recipient) error {
			if job.Destination.Host != "dead.test" {
				return nil
			}
			w.mu.Lock()
			running++
			most = max(most, running)
			w.mu.Unlock()
			<-ctx.Done()
			return ctx.Err()
		}
		q := mustOpen(t, w, crashfs.New())
		for i := range 200 {
			mustAdd(t, q, toHosts("dead.test"), fmt.Sprint(i))
			mustAdd(t, q, toHosts("live.test"), fmt.Sprint(i))
		}
		synctest.Wait()
		if len(w.got) != 200 || most != startLimit {
			t.Errorf("%d of 200 delivered, %d attempts at the dead", len(w.got), most)
		}
		q.Close()
	})
}

// The power is cut after each operation of accepting, delivering and removing:
// what Add has promised is delivered, before the cut or after it.
func TestPowerCut(t *testing.T) {
	t.Parallel()
	for _, survival := range crashfs.Survivals() {
		for n := int64(0); ; n++ {
			if !powerCut(t, survival, n) {
				break
			}
		}
	}
}

// powerCut reports whether the power was cut at all.
func powerCut(t *testing.T, survival crashfs.Survival, n int64) (cut bool) {
	synctest.Test(t, func(t *testing.T) {
		disk, w := crashfs.New(), &world{}
		disk.CutAfter(n)
		var promised error = errors.New("not open")
		if q, err := w.open(t, disk); err == nil {
			_, promised = q.Add(toHosts("a.test"), content1("whole"))
			synctest.Wait()
			q.Close()
		}
		cut = disk.Operations() > n
		before := len(w.got)
		next := disk.Crash(survival)
		q := mustOpen(t, w, next)
		time.Sleep(time.Minute)
		q.Close()
		for _, got := range w.got {
			if got != "u@a.test whole" {
				t.Errorf("%v after %d: delivered %q", survival, n, got)
			}
		}
		if promised == nil && len(w.got) == 0 {
			t.Errorf("%v after %d: lost", survival, n)
		}
		if len(w.got) > before+1 {
			t.Errorf("%v after %d: delivered %d times", survival, n, len(w.got))
		}
		if left := names(t, next); len(left) != 0 {
			t.Errorf("%v after %d: left %q", survival, n, left)
		}
	})
	return cut
}

// A file that was changed does not go out, and stays for a person.
func TestDamage(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{contentSuffix, envelopeSuffix} {
		synctest.Test(t, func(t *testing.T) {
			disk, w := crashfs.New(), &world{}
			s := spool{disk}
			e := toHosts("a.test")
			e.ID = "7-x"
			if err := s.add(&e, content1("whole")); err != nil {
				t.Fatal(err)
			}
			if err := durable.WriteFile(disk, e.ID+suffix, []byte("other"), filePerm); err != nil {
				t.Fatal(err)
			}
			q := mustOpen(t, w, disk)
			synctest.Wait()
			q.Close()
			if len(w.got) != 0 || len(names(t, disk)) != 2 {
				t.Errorf("%s: delivered %q, left %q", suffix, w.got, names(t, disk))
			}
		})
	}
}

func FuzzDecode(f *testing.F) {
	e := toHosts("a.test")
	data, err := e.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		if e, err := decode(data); (e == nil) == (err == nil) {
			t.Errorf("decode: %v, %v", e, err)
		}
	})
}

// An envelope that the disk does not give at the start is owed all the same, and
// holds nobody else; who changes the queue by hand finds all of it.
func TestLoadFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		disk, w := crashfs.New(), &world{}
		s := spool{disk}
		for _, id := range []string{"7-x", "7-y", "7-z"} {
			e := toHosts(id + ".test")
			e.ID = id
			if err := s.add(&e, content1("whole")); err != nil {
				t.Fatal(err)
			}
		}
		disk.Inject(func(op crashfs.Op) error {
			if op.Name == "7-y"+envelopeSuffix {
				return syscall.EIO
			}
			return nil
		})
		q := mustOpen(t, w, disk)
		synctest.Wait()
		if slices.Sort(w.got); !slices.Equal(w.got, []string{"u@7-x.test whole", "u@7-z.test whole"}) {
			t.Errorf("beside the fault: delivered %q", w.got)
		}
		disk.Inject(nil)
		apply(t, q, Retry, Selection{}, 1)
		time.Sleep(retryFault)
		synctest.Wait()
		if len(w.got) != 3 || len(q.entries) != 0 {
			t.Errorf("delivered %q, %d left", w.got, len(q.entries))
		}
		q.Close()
	})
}

// TestCutShort: an attempt that the end of the queue cuts short has not been:
// whatever the agent makes of it, nobody is told, it is not counted, and the
// next start makes it at once.
func TestCutShort(t *testing.T) {
	t.Parallel()
	for _, code := range []int{550, 451} {
		synctest.Test(t, func(t *testing.T) {
			var attempts []int
			w, disk := &world{}, crashfs.New()
			w.answer = func(ctx context.Context, job Job, _ mail.Recipient) error {
				attempts = append(attempts, job.Attempt)
				if len(attempts) > 1 {
					return nil
				}
				<-ctx.Done()
				return &mail.Status{Code: code, Text: "cut short"}
			}
			q := mustOpen(t, w, disk)
			mustAdd(t, q, toHosts("a.test"), "x")
			synctest.Wait()
			q.Close()
			q = mustOpen(t, w, disk)
			synctest.Wait()
			q.Close()
			if !slices.Equal(attempts, []int{1, 1}) || len(w.told) != 0 || !slices.Equal(w.got, []string{"u@a.test x"}) {
				t.Errorf("%d: attempts %v, told %q, delivered %q", code, attempts, w.told, w.got)
			}
		})
	}
}

// TestUntold: whose sender cannot be told is kept, and asked for again when the
// disk may be well.
func TestUntold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		w, disk := &world{}, crashfs.New()
		w.answer = func(context.Context, Job, mail.Recipient) error {
			at = append(at, time.Since(start))
			return &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "nobody"}
		}
		tell := func(ctx context.Context, n Notice, e Envelope, c message.Content, to []Outcome) error {
			if len(at) < 3 {
				return errors.New("disk full")
			}
			return w.tell(ctx, n, e, c, to)
		}
		q, err := Open(t.Context(), Config{FS: disk, Agent: w, Tell: tell, Epoch: 7, Settings: Settings{Lifetime: time.Hour}})
		if err != nil {
			t.Fatal(err)
		}
		mustAdd(t, q, toHosts("a.test"), "x")
		time.Sleep(time.Hour)
		q.Close()
		if want := []time.Duration{0, retryFault, 2 * retryFault}; !slices.Equal(at, want) {
			t.Errorf("attempts at %v, want %v", at, want)
		}
		if !slices.Equal(w.told, []string{"u@a.test"}) || len(names(t, disk)) != 0 {
			t.Errorf("told %q, left %q", w.told, names(t, disk))
		}
	})
}
