package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gomaild/accounts"
	"gomaild/accounts/accountstest"
	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
)

// source is a database in memory that counts how often it is asked.
type source struct {
	*accountstest.Memory
	dump    accounts.Dump
	version string
	down    error
	asked   atomic.Int64
	dumped  int
}

func newSource() *source {
	alice := accounts.Mailbox{Address: addr("alice"), Maildir: "x/", QuotaBytes: 7, MaySend: true}
	domain := accounts.Domain{Name: "example.org", Transport: "virtual"}
	list := accountstest.Alias{Address: addr("list"), To: []mail.Address{addr("alice"), {Local: "b", Domain: "far.test"}}}
	return &source{
		Memory: accountstest.NewMemory(accountstest.World{
			Domains:   []accountstest.Domain{{Domain: domain}},
			Mailboxes: []accountstest.Mailbox{{Mailbox: alice}},
			Aliases:   []accountstest.Alias{list},
		}),
		dump: accounts.Dump{
			Domains:   []accounts.Domain{domain},
			Mailboxes: []accounts.Credentials{{Mailbox: alice, Passwords: []string{"{PLAIN}secret"}}},
			Aliases:   []accounts.Alias{{Address: list.Address, To: list.To}},
		},
		version: "1",
	}
}

func addr(local string) mail.Address { return mail.Address{Local: local, Domain: "example.org"} }

// fail takes the database away, or gives it back with nil.
func (s *source) fail(err error) {
	s.down = err
	s.Fail(err)
}

func (s *source) Passwords(ctx context.Context, a mail.Address) (accounts.Mailbox, []string, error) {
	s.asked.Add(1)
	m, err := s.Memory.Mailbox(ctx, a)
	return m, []string{"{PLAIN}secret"}, err
}

func (s *source) Mailbox(ctx context.Context, a mail.Address) (accounts.Mailbox, error) {
	s.asked.Add(1)
	return s.Memory.Mailbox(ctx, a)
}

func (s *source) SigningKeys(context.Context) ([]accounts.SigningKey, error) {
	return s.dump.SigningKeys, s.down
}

func (s *source) Version(context.Context) (string, error) { return s.version, s.down }

func (s *source) Dump(context.Context) (accounts.Dump, error) {
	s.dumped++
	return s.dump, s.down
}

var errDown = errors.New("connection refused")

// world is a database, a copy of it, and the clock.
type world struct {
	*source
	disk   *crashfs.FS
	now    time.Time
	keeper *Keeper
}

func newWorld(t *testing.T) *world {
	w := &world{source: newSource(), disk: crashfs.New(), now: time.Unix(1_800_000_000, 0)}
	w.open(t)
	return w
}

func (w *world) open(t *testing.T) {
	t.Helper()
	var err error
	w.keeper, err = Open(Config{Places: []Place{{w.disk, "accounts"}}, Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) guard() *Guard { return NewGuard(w.source, w.keeper, 24*time.Hour, nil) }

func (w *world) refresh(t *testing.T) {
	t.Helper()
	if err := w.keeper.Refresh(t.Context(), w.source); err != nil {
		t.Fatal(err)
	}
}

// TestSuite holds that a Guard before a database that answers is that database.
func TestSuite(t *testing.T) {
	t.Parallel()
	accountstest.Test(t, func(t *testing.T, rows accountstest.World) (accounts.Lookup, func(accountstest.World)) {
		w := newWorld(t)
		w.Memory = accountstest.NewMemory(rows)
		return w.guard(), w.Add
	})
}

// TestSigningKeys holds that keys which were copied sign on, be they none, and that a
// copy without a list of them is no answer.
func TestSigningKeys(t *testing.T) {
	t.Parallel()
	for rule, keys := range map[string][]accounts.SigningKey{
		"one": {{Author: "*@example.org", Domain: "example.org", Selector: "s", PEM: "text"}}, "none": {}, "not copied": nil,
	} {
		w := newWorld(t)
		w.dump.SigningKeys = keys
		w.refresh(t)
		w.open(t)
		if got, err := w.guard().SigningKeys(t.Context()); err != nil || !slices.Equal(got, keys) {
			t.Errorf("%s, the database answers: %v, %v", rule, got, err)
		}
		w.fail(errDown)
		got, err := w.guard().SigningKeys(t.Context())
		if !slices.Equal(got, keys) || errors.Is(err, errDown) != (keys == nil) {
			t.Errorf("%s, it is away: %v, %v", rule, got, err)
		}
	}
}

// TestAway holds what is answered while the database is away: who is known, and
// no word about others.
func TestAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refresh(t)
	w.open(t) // after a failover, from disk
	w.fail(errDown)
	g, ctx := w.guard(), t.Context()
	if d, err := g.Domain(ctx, "Example.ORG"); err != nil || d != w.dump.Domains[0] {
		t.Errorf("domain: %+v, %v", d, err)
	}
	if m, err := g.Mailbox(ctx, addr("Alice")); err != nil || m != w.dump.Mailboxes[0].Mailbox {
		t.Errorf("mailbox: %+v, %v", m, err)
	}
	if m, passwords, err := g.Passwords(ctx, addr("alice")); err != nil || m.Maildir != "x/" || !slices.Equal(passwords, []string{"{PLAIN}secret"}) {
		t.Errorf("passwords: %+v %q, %v", m, passwords, err)
	}
	if to, err := g.Alias(ctx, addr("list")); err != nil || !slices.Equal(to, w.dump.Aliases[0].To) {
		t.Errorf("alias: %v, %v", to, err)
	}
	if _, err := g.Alias(ctx, addr("alice")); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("an address without an alias: %v", err)
	}
	for what, ask := range map[string]func() error{
		"domain":    func() error { _, err := g.Domain(ctx, "new.test"); return err },
		"mailbox":   func() error { _, err := g.Mailbox(ctx, addr("new")); return err },
		"passwords": func() error { _, _, err := g.Passwords(ctx, addr("new")); return err },
	} {
		if err := ask(); err == nil || errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("an unknown %s is answered with %v", what, err)
		}
	}
	if s := w.keeper.Status(); s.Age != 0 || s.Used != 8 {
		t.Errorf("status %+v", s)
	}
}

// TestAge holds that a copy that is too old is none, that its age is that since
// the database was last seen, and that this survives a restart.
func TestAge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if s := w.keeper.Status(); s.Age >= 0 {
		t.Errorf("without a copy: %+v", s)
	}
	w.fail(errDown)
	if _, err := w.guard().Mailbox(t.Context(), addr("alice")); !errors.Is(err, errDown) {
		t.Errorf("without a copy: %v", err)
	}
	if err := w.keeper.Refresh(t.Context(), w.source); !errors.Is(err, errDown) {
		t.Errorf("refresh: %v", err)
	}
	w.fail(nil)
	w.refresh(t)
	w.now = w.now.Add(20 * time.Hour)
	w.refresh(t) // nothing has changed, and that is known now
	if w.dumped != 1 {
		t.Errorf("copied %d times", w.dumped)
	}
	w.open(t)
	w.fail(errDown)
	w.now = w.now.Add(24 * time.Hour)
	if _, err := w.guard().Mailbox(t.Context(), addr("alice")); err != nil {
		t.Errorf("a day old: %v", err)
	}
	w.now = w.now.Add(time.Second)
	if _, err := w.guard().Mailbox(t.Context(), addr("alice")); !errors.Is(err, errDown) {
		t.Errorf("older: %v", err)
	}
	w.fail(nil)
	w.version = "2"
	w.dump.Mailboxes[0].QuotaBytes = 8
	w.refresh(t)
	w.fail(errDown)
	if m, err := w.guard().Mailbox(t.Context(), addr("alice")); err != nil || m.QuotaBytes != 8 {
		t.Errorf("after a change: %+v, %v", m, err)
	}
}

// TestBreaker holds how often a database that is away is asked.
func TestBreaker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refresh(t)
	w.fail(errDown)
	g := w.guard()
	ask := func() int64 {
		before := w.asked.Load()
		if _, err := g.Mailbox(t.Context(), addr("alice")); err != nil {
			t.Fatal(err)
		}
		return w.asked.Load() - before
	}
	for i, step := range []struct {
		after time.Duration
		asked int64
	}{{0, 1}, {0, 0}, {999 * time.Millisecond, 0}, {time.Millisecond, 1}, {time.Second, 0}, {time.Second, 1}, {3 * time.Second, 0}, {time.Second, 1}} {
		w.now = w.now.Add(step.after)
		if got := ask(); got != step.asked {
			t.Errorf("step %d: asked %d times, want %d", i, got, step.asked)
		}
	}
	w.fail(nil)
	w.now = w.now.Add(time.Minute)
	for range 3 {
		if ask() != 1 {
			t.Error("not asked although it is back")
		}
	}
}

// TestCrowd holds that a crowd before the database is served from the copy, and that
// the database does not count as away for it.
func TestCrowd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refresh(t)
	g := w.guard()
	w.fail(accounts.ErrBusy)
	for range 2 {
		before := w.asked.Load()
		if _, err := g.Mailbox(t.Context(), addr("alice")); err != nil || w.asked.Load() == before {
			t.Errorf("in a crowd: %v, asked %d times", err, w.asked.Load()-before)
		}
	}
	if _, err := g.Mailbox(t.Context(), addr("nobody")); !errors.Is(err, accounts.ErrBusy) {
		t.Errorf("one whom the copy does not know: %v", err)
	}
	w.fail(nil)
	if _, err := g.Mailbox(t.Context(), addr("nobody")); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("afterwards: %v", err)
	}
}

// TestCallerGoesAway holds that a caller that gives up is no fault of the
// database, and that the next one may ask.
func TestCallerGoesAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.refresh(t)
	g := w.guard()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := g.Mailbox(ctx, addr("alice")); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := g.Mailbox(t.Context(), addr("nobody")); !errors.Is(err, accounts.ErrNotFound) {
		t.Errorf("the database was not asked: %v", err)
	}
}

// TestDisk holds that a crash leaves the old copy or the new one, that the file
// is nobody's to read, and that a damaged one is not used.
func TestDisk(t *testing.T) {
	t.Parallel()
	for cut := int64(0); ; cut++ {
		w := newWorld(t)
		w.refresh(t)
		if info, err := w.disk.Stat("accounts"); err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
		w.version, w.dump.Mailboxes[0].QuotaBytes = "2", 8
		w.disk.CutAfter(cut)
		err := w.keeper.Refresh(t.Context(), w.source)
		for _, survival := range crashfs.Survivals() {
			k, err := Open(Config{Places: []Place{{w.disk.Crash(survival), "accounts"}}, Now: func() time.Time { return w.now }})
			if err != nil || k.rows == nil {
				t.Fatalf("cut %d, %v: %v", cut, survival, err)
			}
			if q := k.rows.mailboxes[addr("alice")].QuotaBytes; q != 7 && q != 8 {
				t.Errorf("cut %d, %v: quota %d", cut, survival, q)
			}
		}
		if err == nil {
			break
		}
	}
	w := newWorld(t)
	w.refresh(t)
	text, err := durable.ReadFile(w.disk, "accounts")
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", "x\n{}", strings.Replace(string(text), "alice", "alicf", 1), string(text[:len(text)-1])} {
		if err := durable.WriteFile(w.disk, "accounts", []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := Open(Config{Places: []Place{{w.disk, "accounts"}}})
		if !errors.Is(err, ErrDamaged) || k == nil || k.Status().Age >= 0 {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// TestCarriedOver: the copy moves with the mail. A node that takes over in the
// middle of an outage uses the newer of that and its own, and neither a damaged one
// nor a disk that cannot be written spoils the other.
func TestCarriedOver(t *testing.T) {
	t.Parallel()
	first, second, moves := crashfs.New(), crashfs.New(), crashfs.New()
	w := newWorld(t)
	on := func(own *crashfs.FS) *Keeper {
		t.Helper()
		k, err := Open(Config{Places: []Place{{own, "accounts"}, {moves, "carried"}}, Now: func() time.Time { return w.now }})
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatal(err)
		}
		return k
	}
	quota := func(k *Keeper) int64 {
		t.Helper()
		r := k.use(24 * time.Hour)
		if r == nil {
			return -1
		}
		return r.mailboxes[addr("alice")].QuotaBytes
	}
	refresh := func(k *Keeper) error { return k.Refresh(t.Context(), w.source) }

	if err := refresh(on(second)); err != nil { // it was active long ago
		t.Fatal(err)
	}
	w.now = w.now.Add(100 * 24 * time.Hour)
	w.version, w.dump.Mailboxes[0].QuotaBytes = "2", 8
	if err := refresh(on(first)); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
	if k := on(second); quota(k) != 8 || k.Status().Age != time.Hour {
		t.Errorf("after a failover: quota %d, %+v", quota(k), k.Status())
	}
	if info, err := moves.Stat("carried"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the one that moves: %v, %v", info, err)
	}
	if err := durable.WriteFile(moves, "carried", []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := quota(on(second)); got != -1 { // its own is too old
		t.Errorf("with a damaged one: quota %d", got)
	}
	if got := quota(on(first)); got != 8 {
		t.Errorf("its own beside a damaged one: quota %d", got)
	}
	w.dump.Mailboxes[0].QuotaBytes = 9
	k := on(first)
	first.Inject(func(crashfs.Op) error { return syscall.ENOSPC })
	if err := refresh(k); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("own disk full: %v", err)
	}
	if got := quota(on(second)); got != 9 {
		t.Errorf("the one that moves was not written: quota %d", got)
	}
}

func FuzzDecode(f *testing.F) {
	text, err := encode(newSource().dump)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(fmt.Sprintf("%s%064d\n{}", header, 0)))
	f.Fuzz(func(t *testing.T, text []byte) {
		if d, err := decode(text); err == nil {
			index(d)
		} else if !errors.Is(err, ErrDamaged) {
			t.Error(err)
		}
	})
}
