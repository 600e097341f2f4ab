package srs

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gomaild/mail"
)

var (
	oldSecret = []byte("the old secret of the test")
	newSecret = []byte("the new secret of the test")
	noon      = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
)

func rewriter(t testing.TB, domain string, at time.Time, secrets ...[]byte) *Rewriter {
	r, err := New(Config{Domain: domain, Secrets: secrets, Now: func() time.Time { return at }})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestThereAndBack(t *testing.T) {
	t.Parallel()
	one, two, three := rewriter(t, "one.test", noon, oldSecret), rewriter(t, "two.test", noon, newSecret), rewriter(t, "three.test", noon, newSecret)
	for _, s := range []string{"a@x.test", "A=b+c@x.test", `"a b"@x.test`, "SRS0@x.test", "srs-a@x.test", "é@x.test", "a@[192.0.2.1]"} {
		from, err := mail.ParseAddress(s)
		if err != nil {
			t.Fatal(err)
		}
		a, err1 := one.Forward(from)
		b, err2 := two.Forward(a)
		c, err3 := three.Forward(b)
		if err := errors.Join(err1, err2, err3); err != nil || a.Domain != "one.test" || b.Domain != "two.test" || c.Domain != "three.test" {
			t.Fatalf("%s: %v, %v, %v, %v", s, a, b, c, err)
		}
		if len(c.Local) > len(b.Local) {
			t.Errorf("%s grows at each hop: %s", s, c)
		}
		// From the third forwarder straight to the first, then home.
		back, err := three.Reverse(c)
		if back != a || err != nil {
			t.Errorf("%s: three leads to %v, %v; want %v", s, back, err, a)
		}
		if home, err := one.Reverse(back); home != from || err != nil {
			t.Errorf("%s: home is %v, %v", s, home, err)
		}
		upper := mail.Address{Local: strings.ToUpper(a.Local), Domain: a.Domain}
		if from.NeedsUTF8() {
			continue
		}
		if home, err := one.Reverse(upper); err != nil || !strings.EqualFold(home.String(), from.String()) {
			t.Errorf("%s: in upper case home is %v, %v", s, home, err)
		}
	}
}

func TestWhatStays(t *testing.T) {
	t.Parallel()
	r := rewriter(t, "one.test", noon, oldSecret)
	for _, a := range []mail.Address{{}, {Local: "a", Domain: "one.test"}} {
		if got, err := r.Forward(a); got != a || err != nil {
			t.Errorf("%v became %v, %v", a, got, err)
		}
	}
	if got, err := r.Forward(mail.Address{Local: strings.Repeat("a", 120), Domain: "x.test"}); err == nil {
		t.Errorf("too long and taken: %v", got)
	}
}

func TestReverseRefuses(t *testing.T) {
	t.Parallel()
	r := rewriter(t, "one.test", noon, newSecret, oldSecret)
	good, err := rewriter(t, "one.test", noon, oldSecret).Forward(mail.Address{Local: "a", Domain: "x.test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Reverse(good); err != nil {
		t.Errorf("signed with the secret before: %v", err)
	}
	flipped := good
	flipped.Local = strings.Replace(good.Local, "x.test", "y.test", 1)
	for _, tt := range []struct {
		rule string
		at   time.Time
		to   mail.Address
		want error
	}{
		{"another domain in it", noon, flipped, ErrForged},
		{"on its last day", noon.Add(21 * day), good, nil},
		{"a day later", noon.Add(22 * day), good, ErrExpired},
		{"from the future", noon.Add(-day), good, ErrExpired},
		{"an ordinary address", noon, mail.Address{Local: "srs0", Domain: "one.test"}, ErrNotSRS},
		{"of another forwarder", noon, mail.Address{Local: good.Local, Domain: "two.test"}, ErrNotSRS},
		{"nothing in it", noon, mail.Address{Local: "SRS0=", Domain: "one.test"}, ErrForged},
		{"no hash", noon, mail.Address{Local: "SRS1==x.test==a", Domain: "one.test"}, ErrForged},
	} {
		if _, err := rewriter(t, "one.test", tt.at, newSecret, oldSecret).Reverse(tt.to); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.rule, err, tt.want)
		}
	}
	if _, err := rewriter(t, "one.test", noon, newSecret).Reverse(good); !errors.Is(err, ErrForged) {
		t.Errorf("a secret that is gone: %v", err)
	}
}

func TestBadConfigurations(t *testing.T) {
	t.Parallel()
	for rule, cfg := range map[string]Config{
		"no secret":    {Domain: "one.test"},
		"short secret": {Domain: "one.test", Secrets: [][]byte{[]byte("x")}},
		"no domain":    {Secrets: [][]byte{oldSecret}},
		"too old":      {Domain: "one.test", Secrets: [][]byte{oldSecret}, MaxAge: days * day},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: taken", rule)
		}
	}
}

// FuzzReverse holds that nothing made up leads anywhere, and that what is
// forwarded leads back.
func FuzzReverse(f *testing.F) {
	for _, s := range []string{"SRS0=AAAAAAAA=AB=x.test=a", "SRS1=AAAAAAAA=x.test==AAAAAAAA=AB=y.test=a", "SRS0+", "a"} {
		f.Add(s)
	}
	r := rewriter(f, "one.test", noon, oldSecret)
	f.Fuzz(func(t *testing.T, local string) {
		if a, err := r.Reverse(mail.Address{Local: local, Domain: "one.test"}); err == nil {
			t.Fatalf("%q leads to %v", local, a)
		}
		from, err := mail.ParseAddress(mail.Address{Local: local, Domain: "x.test"}.String())
		if err != nil {
			return
		}
		a, err := r.Forward(from)
		if err != nil {
			return
		}
		if strings.HasPrefix(a.Local, "SRS0") {
			if back, err := r.Reverse(a); back != from || err != nil {
				t.Fatalf("%v leads back to %v, %v", from, back, err)
			}
		}
	})
}
