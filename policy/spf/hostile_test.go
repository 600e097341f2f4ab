package spf

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gomaild/internal/peertest"
	"gomaild/mail"
)

// counting counts the questions that reach a zone.
type counting struct {
	zone
	asked *atomic.Int64
}

func (c counting) LookupTXT(ctx context.Context, name string) ([]string, error) {
	c.asked.Add(1)
	return c.zone.LookupTXT(ctx, name)
}

func (c counting) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	c.asked.Add(1)
	return c.zone.LookupMX(ctx, name)
}

func (c counting) LookupNetIP(ctx context.Context, network, name string) ([]netip.Addr, error) {
	c.asked.Add(1)
	return c.zone.LookupNetIP(ctx, network, name)
}

func (c counting) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	c.asked.Add(1)
	return c.zone.LookupAddr(ctx, addr)
}

// TestHostile: whatever a domain publishes, the work is bounded and the verdict
// is one of the RFC's.
func TestHostile(t *testing.T) {
	t.Parallel()
	z := zone{
		"TXT loop.test":     "v=spf1 include:loop.test -all",
		"TXT redirect.test": "v=spf1 redirect=redirect.test",
		"TXT one.test":      "v=spf1 include:two.test include:two.test include:two.test -all",
		"TXT two.test":      "v=spf1 include:one.test include:one.test include:one.test -all",
		"TXT wide.test":     "v=spf1" + strings.Repeat(" a:x.wide.test", 5000) + " -all",
		"A x.wide.test":     "203.0.113.1",
		"TXT long.test":     "v=spf1" + strings.Repeat(" ip4:203.0.113.1", 200_000) + " -all",
		"TXT macros.test":   "v=spf1 exists:" + strings.Repeat("%{l}%{s}%{h}", 20_000) + ".test -all",
		"TXT mx.test":       "v=spf1 mx -all",
		"MX mx.test":        strings.Repeat("a.test ", 1000),
		"TXT mxs.test":      "v=spf1" + strings.Repeat(" mx:ten.test", 10) + " -all",
		"MX ten.test":       strings.Repeat("x.wide.test ", 10),
		"TXT ptr.test":      "v=spf1 ptr -all",
		"PTR 192.0.2.1":     strings.Repeat("no.test ", 1000),
		"TXT p.test":        "v=spf1" + strings.Repeat(" exists:%{p}.%{p}.x.test", 10) + " -all",
		"TXT voids.test":    "v=spf1 a:a.voids.test a:b.voids.test a:c.voids.test a:d.voids.test -all",
		"TXT bits.test":     "v=spf1 ip4:192.0.2.1/99999999999999999999 -all",
		"TXT digits.test":   "v=spf1 exists:%{d99999999999999999999}.test -all",
		"TXT open.test":     "v=spf1 exists:%{l -all",
		"TXT binary.test":   "v=spf1 \x00\xff -all",
		"TXT many.test":     strings.Repeat("v=spf1 -all\n", 1000),
	}
	for name, tt := range map[string]struct {
		want Result
		most int64 // questions
	}{
		"loop.test": {PermError, 12}, "redirect.test": {PermError, 12}, "one.test": {PermError, 12}, "wide.test": {PermError, 12},
		"long.test": {Fail, 1}, "macros.test": {Fail, 2}, "mx.test": {PermError, 2}, "mxs.test": {Fail, 111}, "ptr.test": {Fail, 12},
		"p.test": {PermError, 24}, "voids.test": {PermError, 5}, "bits.test": {PermError, 1}, "digits.test": {PermError, 1},
		"open.test": {PermError, 1}, "binary.test": {PermError, 1}, "many.test": {PermError, 1},
	} {
		var asked atomic.Int64
		from := mail.ReversePath{Address: mail.Address{Local: strings.Repeat("l.", 30) + "l", Domain: name}}
		var got Verdict
		took := peertest.ThreadTime(t, func() {
			got = Check(t.Context(), counting{z, &asked}, netip.MustParseAddr("192.0.2.1"), "helo.test", from)
		})
		if got.Result != tt.want || asked.Load() > tt.most {
			t.Errorf("%s: %s (%s) after %d questions, want %s after %d at most", name, got.Result, got.Reason, asked.Load(), tt.want, tt.most)
		}
		if took > 2*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// TestTrouble: where a part cannot be asked for, the verdict is temporary,
// wherever that part stands.
func TestTrouble(t *testing.T) {
	t.Parallel()
	z := zone{"TXT down.test": "fault", "A down.test": "fault", "MX down.test": "fault"}
	for i, terms := range []string{"include:down.test", "a:down.test", "mx:down.test", "exists:down.test", "redirect=down.test", "include:inner.test"} {
		name := fmt.Sprintf("d%d.test", i)
		z["TXT "+name] = "v=spf1 " + terms + map[bool]string{false: " -all"}[strings.HasPrefix(terms, "redirect")]
		z["TXT inner.test"] = "v=spf1 a:down.test -all"
		from := mail.ReversePath{Address: mail.Address{Local: "a", Domain: name}}
		if got := Check(t.Context(), z, netip.MustParseAddr("192.0.2.1"), "x", from); got.Result != TempError {
			t.Errorf("%s: %+v", terms, got)
		}
	}
}

// FuzzRecord: no record takes more than its octets' work, and what is read keeps
// to its bounds.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{
		"v=spf1 -all", "v=spf1 a/24//64 mx:%{d2r.-}.x.test ?ptr ip4:192.0.2.0/28 ip6:2001:db8::/32 redirect=%{o}.test", "v=spf1 exists:%%%_%-%{L}.test exp=%{i}.x.test moo=cow",
	} {
		f.Add(s, "a", "helo.test")
	}
	f.Fuzz(func(t *testing.T, text, local, helo string) {
		if !isRecord(text) {
			return
		}
		p, err := parseRecord(text)
		if err != nil {
			return
		}
		c := evaluation{r: zone{}, client: netip.MustParseAddr("2001:db8::1"), helo: helo, local: local, sender: "example.org"}
		for _, m := range p.mechanisms {
			if m.bits4 > 32 || m.bits6 > 128 {
				t.Errorf("%q: %+v", text, m)
			}
			if name := c.expand(t.Context(), m.domain, "example.org"); len(name) > 253 && isDomain(name) {
				t.Errorf("%q: expands to %q", text, name)
			}
		}
		Check(t.Context(), zone{"TXT example.org": text}, c.client, helo, mail.ReversePath{Address: mail.Address{Local: local, Domain: "example.org"}})
	})
}
