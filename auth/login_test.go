package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/mail"
)

// accountsInMemory is a Store. err, when set, is the answer to everything.
type accountsInMemory struct {
	mu     sync.Mutex
	hashes map[string][]string
	noMail map[string]bool // smtp_active = 0
	err    error
	asked  atomic.Int64
}

func (m *accountsInMemory) Credential(_ context.Context, login mail.Address) (Credential, error) {
	m.asked.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return Credential{}, m.err
	}
	hashes, ok := m.hashes[login.String()]
	if !ok {
		return Credential{}, ErrUnknownUser
	}
	return Credential{Account: login, Hashes: hashes, MaySend: !m.noMail[login.String()]}, nil
}

func (m *accountsInMemory) set(login string, hashes ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hashes[login] = hashes
}

// twoAccounts hold the deployment's own kind of hash, of "Test-pw1".
func twoAccounts() *accountsInMemory {
	return &accountsInMemory{hashes: map[string][]string{
		"alice@example.com": {"$1$c9809462$Ea41/IzcZFGNdSwRd9JmC."},
		"bob@example.com":   {"{PLAIN}bob's"},
	}}
}

// quick is a configuration without waits.
func quick(store Store) Config {
	return Config{Store: store, DefaultScheme: "MD5-CRYPT", DefaultDomain: "example.com", FailureDelay: -1, Throttle: Throttle{Off: true}}
}

func from(addr string) Client {
	return Client{Addr: netip.MustParseAddr(addr), Protocol: "imap", Session: "s1", OnTLS: true}
}

var somewhere = from("192.0.2.1")

func TestLogin(t *testing.T) {
	t.Parallel()
	store := twoAccounts()
	store.set("app@example.com", "{PLAIN}main", "{PLAIN}telephone")
	store.set("none@example.com")
	store.set("broken@example.com", "{NOSUCH}x", "{PLAIN}works")
	store.set("costly@example.com", "{SHA512-CRYPT}$6$rounds=999999999$salt$"+strings.Repeat("a", 86))
	store.set("empty@example.com", "{PLAIN}")
	store.set(`"a b"@example.com`, "{PLAIN}x")
	store.noMail = map[string]bool{"bob@example.com": true}
	a := New(quick(store))
	for _, tc := range []struct {
		rule, username, password string
		want                     string // the account, or "" for ErrDenied
	}{
		{"right", "alice@example.com", "Test-pw1", "alice@example.com"},
		{"wrong", "alice@example.com", "Test-pw2", ""},
		{"ASCII letters of the name fold", "ALICE@Example.COM", "Test-pw1", "alice@example.com"},
		{"those of the password do not", "alice@example.com", "TEST-PW1", ""},
		{"a name without @ gets the default domain", "alice", "Test-pw1", "alice@example.com"},
		{"a final dot of the domain is dropped", "alice@example.com.", "Test-pw1", "alice@example.com"},
		{"nothing is trimmed from a name", "alice@example.com ", "Test-pw1", ""},
		{"nor from a password", "alice@example.com", "Test-pw1 ", ""},
		{"an accent is another letter", "álice@example.com", "Test-pw1", ""},
		{"a NUL in the name", "alice\x00@example.com", "Test-pw1", ""},
		{"a line end in the name", "alice@example.com\r\n", "Test-pw1", ""},
		{"a quoted name is an address", `"a b"@example.com`, "x", `"a b"@example.com`},
		{"unknown", "carol@example.com", "Test-pw1", ""},
		{"an empty name", "", "Test-pw1", ""},
		{"an empty password", "alice@example.com", "", ""},
		{"an empty password for an empty PLAIN", "empty@example.com", "", ""},
		{"any of several passwords lets in", "app@example.com", "telephone", "app@example.com"},
		{"an account without a password", "none@example.com", "x", ""},
		{"a stored password of no use hides no other", "broken@example.com", "works", "broken@example.com"},
		{"a stored password over the cost limits", "costly@example.com", "x", ""},
	} {
		id, err := a.Login(t.Context(), somewhere, tc.username, tc.password)
		if tc.want == "" && !errors.Is(err, ErrDenied) || tc.want != "" && (err != nil || id.Account.String() != tc.want) {
			t.Errorf("%s: %v, %v, want %q", tc.rule, id.Account, err, tc.want)
		}
	}
	if id, err := a.Login(t.Context(), somewhere, "bob@example.com", "bob's"); err != nil || id.MaySend {
		t.Errorf("an account that may not send: %+v, %v", id, err)
	}
}

func TestNameWithoutDomain(t *testing.T) {
	t.Parallel()
	cfg := quick(twoAccounts())
	cfg.DefaultDomain = ""
	if _, err := New(cfg).Login(t.Context(), somewhere, "alice", "Test-pw1"); !errors.Is(err, ErrDenied) {
		t.Errorf("without a default domain: %v", err)
	}
}

// A database that does not answer is never "authentication failed", on no
// path, and never an accept.
func TestDatabaseFault(t *testing.T) {
	t.Parallel()
	store := twoAccounts()
	a := New(quick(store))
	if _, err := a.Login(t.Context(), somewhere, "alice", "Test-pw1"); err != nil {
		t.Fatal(err)
	}
	store.err = errors.New("connection refused")
	for _, password := range []string{"Test-pw1", "wrong"} {
		_, err := a.Login(t.Context(), somewhere, "alice", password)
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrDenied) || !errors.Is(err, store.err) {
			t.Errorf("password %q: %v", password, err)
		}
	}
	for _, name := range a.Mechanisms() {
		e, err := a.Start(name, somewhere)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, _, err := finish(t, e, "alice", "Test-pw1"); !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDatabaseFaultIsNoGuess(t *testing.T) {
	t.Parallel()
	store := twoAccounts()
	store.err = errors.New("connection refused")
	cfg := quick(store)
	cfg.Throttle = Throttle{FreePerAccount: 1, FreePerClient: 1}
	a := New(cfg)
	for i := range 50 {
		if _, err := a.Login(t.Context(), somewhere, "alice", fmt.Sprint(i)); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
	}
	store.err = nil
	if own := a.throttle.begin(somewhere.Addr, mustAddress("alice@example.com")); own.wait != 0 {
		t.Errorf("after a fault of the database the next login waits %v", own.wait)
	}
}

func TestCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := twoAccounts()
		a := New(quick(store))
		var log bytes.Buffer
		a.log = slog.New(slog.NewTextHandler(&log, nil))
		cached := func(password string, want error) bool {
			t.Helper()
			log.Reset()
			if _, err := a.Login(t.Context(), somewhere, "alice", password); !errors.Is(err, want) {
				t.Errorf("password %q: %v, want %v", password, err, want)
			}
			return strings.Contains(log.String(), "cached=true")
		}
		if cached("Test-pw1", nil) {
			t.Error("the first login came from the cache")
		}
		if !cached("Test-pw1", nil) {
			t.Error("the second login did not come from the cache")
		}
		if cached("Test-pw2", ErrDenied) || cached("Test-pw2", ErrDenied) {
			t.Error("a wrong password came from the cache")
		}

		asked := store.asked.Load()
		store.set("alice@example.com", "{PLAIN}new")
		if cached("Test-pw1", ErrDenied) {
			t.Error("the old password came from the cache after the stored one changed")
		}
		if store.asked.Load() == asked {
			t.Error("the store was not asked")
		}
		if cached("new", nil) {
			t.Error("the new password came from the cache")
		}

		time.Sleep(time.Hour)
		if cached("new", nil) {
			t.Error("a verification is remembered longer than its life")
		}

		store.mu.Lock()
		delete(store.hashes, "alice@example.com")
		store.mu.Unlock()
		cached("new", ErrDenied) // an account that is gone
	})
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	store := twoAccounts()
	cfg := quick(store)
	cfg.CacheEntries = 2
	a := New(cfg)
	for i := range 5 {
		name := fmt.Sprintf("user%d@example.com", i)
		store.set(name, "{PLAIN}x")
		if _, err := a.Login(t.Context(), somewhere, name, "x"); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(a.verified.marks.entries); n != 2 {
		t.Errorf("%d logins are remembered, want 2", n)
	}
	cfg.CacheEntries = -1
	a = New(cfg)
	if _, err := a.Login(t.Context(), somewhere, "bob", "bob's"); err != nil || len(a.verified.marks.entries) != 0 {
		t.Errorf("without a cache: %v, %d remembered", err, len(a.verified.marks.entries))
	}
}

// The parts of a mark cannot run into each other, and processes do not share
// marks.
func TestMarks(t *testing.T) {
	t.Parallel()
	v := newVerified(1, time.Hour)
	alice := mustAddress("alice@example.com")
	if v.mark(alice, "ab", "c") == v.mark(alice, "a", "bc") {
		t.Error("a stored password runs into the password")
	}
	if v.mark(alice, "a", "b") == newVerified(1, time.Hour).mark(alice, "a", "b") {
		t.Error("two processes have the same marks")
	}
}

// A refusal is answered at the same time whatever its reason.
func TestRefusalsTakeTheSameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := quick(twoAccounts())
		cfg.FailureDelay = 0 // the default
		a := New(cfg)
		for _, tc := range [][2]string{{"alice", "wrong"}, {"carol", "wrong"}, {"not an address", "wrong"}, {"alice", ""}} {
			start := time.Now()
			_, err := a.Login(t.Context(), somewhere, tc[0], tc[1])
			if got := time.Since(start); got != 2*time.Second || !errors.Is(err, ErrDenied) {
				t.Errorf("%q with %q: %v after %v", tc[0], tc[1], err, got)
			}
		}
	})
}

// An unknown user costs what a wrong password costs here, also where accounts
// have another scheme than the default.
func TestDecoyFollowsTheAccounts(t *testing.T) {
	t.Parallel()
	a := New(quick(twoAccounts()))
	if s := *a.decoy.Load(); len(s) != 1 || !s[0].Heavy() {
		t.Fatalf("no work for unknown users at start: %v", s)
	}
	if _, err := a.Login(t.Context(), somewhere, "bob", "wrong"); !errors.Is(err, ErrDenied) {
		t.Fatal(err)
	}
	if s := *a.decoy.Load(); s[0].Scheme != "PLAIN" {
		t.Errorf("the decoy is %v after a wrong password for PLAIN", s[0].Scheme)
	}
}

func TestHashesAtOnce(t *testing.T) {
	t.Parallel()
	cfg := quick(twoAccounts())
	cfg.HashConcurrency = 1
	a := New(cfg)
	a.slots <- struct{}{} // somebody computes
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := a.Login(ctx, somewhere, "alice", "Test-pw1")
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("a second hash was computed: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("a login that was given up: %v", err)
	}
	<-a.slots
	if _, err := a.Login(t.Context(), somewhere, "alice", "Test-pw1"); err != nil {
		t.Errorf("with a free slot: %v", err)
	}
	if len(a.slots) != 0 {
		t.Error("the slot is not given back")
	}
}

// One line for each outcome, and no password in any.
func TestLog(t *testing.T) {
	t.Parallel()
	store := twoAccounts()
	cfg := quick(store)
	var log bytes.Buffer
	cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	a := New(cfg)
	for _, tc := range []struct {
		rule, username, password string
		err                      error
		want                     []string
	}{
		{"granted", "alice", "Test-pw1", nil, []string{"level=INFO", "msg=login ", "account=alice@example.com", "client=192.0.2.1", "protocol=imap", "session=s1", "tls=true", "cached=false"}},
		{"refused", "alice", "hunter2!", nil, []string{"level=INFO", `msg="login refused"`, `reason="wrong password"`, "account=alice@example.com"}},
		{"a password typed as a name", "hunter2! with blanks", "x", nil, []string{`reason="malformed name"`, `account=""`}},
		{"one that the default domain makes a name", "hunter2!", "x", nil, []string{`reason="unknown user"`, `account=""`}},
		{"an unknown user", "carol@example.com", "x", nil, []string{`reason="unknown user"`, "account=carol@example.com"}},
		{"unavailable", "alice", "hunter2!", errors.New("connection refused"), []string{"level=ERROR", `msg="login unavailable"`, "connection refused"}},
	} {
		log.Reset()
		store.err = tc.err
		_, _ = a.Login(t.Context(), somewhere, tc.username, tc.password)
		line := log.String()
		if strings.Count(line, "\n") != 1 {
			t.Errorf("%s: not one line: %s", tc.rule, line)
		}
		for _, want := range tc.want {
			if !strings.Contains(line, want) {
				t.Errorf("%s: %q is not in %s", tc.rule, want, line)
			}
		}
		if strings.Contains(line, "Test-pw1") || strings.Contains(line, "hunter2") {
			t.Errorf("%s: a password is in the log: %s", tc.rule, line)
		}
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	stored, err := Hash("", "secret")
	if err != nil || !strings.HasPrefix(stored, "{SHA512-CRYPT}$6$") {
		t.Fatalf("%q, %v", stored, err)
	}
	store := twoAccounts()
	store.set("new@example.com", stored)
	if _, err := New(quick(store)).Login(t.Context(), somewhere, "new", "secret"); err != nil {
		t.Error(err)
	}
}

func mustAddress(s string) mail.Address {
	a, err := mail.ParseAddress(s)
	if err != nil {
		panic(err)
	}
	return a
}

// BenchmarkLoginCached is what webmail costs for each page, without SQL. The
// limit for the whole login with SQL is 2000 a second, 500 µs.
func BenchmarkLoginCached(b *testing.B) {
	a := New(Config{Store: twoAccounts(), DefaultScheme: "MD5-CRYPT", DefaultDomain: "example.com", Logger: slog.New(slog.DiscardHandler)})
	for b.Loop() {
		if _, err := a.Login(b.Context(), somewhere, "alice", "Test-pw1"); err != nil {
			b.Fatal(err)
		}
	}
}
