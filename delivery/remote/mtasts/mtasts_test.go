package mtasts

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/dns/dnstest"
	"gomaild/internal/durable/crashfs"
)

const good = "version: STSv1\r\nmode: enforce\r\nmx: Mx.y.test\r\nmx: *.z.test\r\nmax_age: 86400\r\n"

// policyTests are also the seeds of FuzzParse.
var policyTests = []struct {
	rule, in string
	ok       bool
}{
	{"good", good, true},
	{"LF alone", strings.ReplaceAll(good, "\r\n", "\n"), true},
	{"unknown keys", good + "future: x\r\n", true},
	{"none needs no hosts", "version: STSv1\nmode: none\nmax_age: 1\n", true},
	{"no version", strings.Replace(good, "version", "versio", 1), false},
	{"another version", strings.Replace(good, "STSv1", "STSv2", 1), false},
	{"unknown mode", strings.Replace(good, "enforce", "force", 1), false},
	{"no max_age", strings.Replace(good, "max_age", "age", 1), false},
	{"max_age below 0", strings.Replace(good, "86400", "-1", 1), false},
	{"no hosts", "version: STSv1\nmode: enforce\nmax_age: 1\n", false},
	{"a host that is none", good + "mx: a b\r\n", false},
	{"too many hosts", good + strings.Repeat("mx: a.test\n", 100), false},
	{"too long", good + strings.Repeat("x", MaxPolicy), false},
	{"nothing", "", false},
}

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range policyTests {
		if p, err := Parse(tt.in); (err == nil) != tt.ok {
			t.Errorf("%s: %+v, %v", tt.rule, p, err)
		}
	}
	p, err := Parse(good)
	if err != nil || p.Mode != Enforce || p.MaxAge != 24*time.Hour || !slices.Equal(p.Hosts, []string{"mx.y.test", "*.z.test"}) {
		t.Errorf("%+v, %v", p, err)
	}
	for host, want := range map[string]bool{"mx.y.test": true, "a.z.test": true, "z.test": false, "a.b.z.test": false, "y.test": false, "": false} {
		if p.Allows(host) != want {
			t.Errorf("Allows(%q) = %v", host, !want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, tt := range policyTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := Parse(in)
		if err == nil && (p.MaxAge < 0 || len(p.Hosts) > maxHosts || p.Mode == Enforce && len(p.Hosts) == 0) {
			t.Fatalf("%q: %+v", in, p)
		}
		_ = p.Allows("mx.y.test")
	})
}

func TestParseRecord(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		list []string
		want string
	}{
		{[]string{"v=STSv1; id=20260101;"}, "20260101"},
		{[]string{"v=spf1 -all", "v=STSv1;id=a"}, "a"},
		{[]string{"v=STSv1; id=a", "v=STSv1; id=b"}, ""},
		{[]string{"v=STSv1; id=a/b"}, ""},
		{[]string{"v=STSv1"}, ""},
		{nil, ""},
	} {
		if got := parseRecord(tt.list); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.list, got, tt.want)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add("v=STSv1; id=20260101;", "v=spf1 -all")
	f.Add("v=STSv1;id=a;id=b", "v=STSv1\x00; id=\xff")
	f.Fuzz(func(t *testing.T, one, other string) {
		if id := parseRecord([]string{one, other}); id != "" && !isID(id) || id != parseRecord([]string{other, one}) {
			t.Errorf("%q, %q: %q", one, other, id)
		}
	})
}

// roundTrip is the web server of the test.
type roundTrip func(*http.Request) *http.Response

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) {
	res := f(r)
	if res == nil {
		return nil, net.ErrClosed
	}
	return res, nil
}

func TestCache(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		zone := dnstest.Zone{Records: map[string][]string{"_mta-sts.y.test": {`TXT "v=STSv1; id=1"`}}}
		disk := crashfs.New()
		fetched, status, kind, body := 0, 200, "text/plain; charset=utf-8", good
		web := roundTrip(func(r *http.Request) *http.Response {
			fetched++
			if r.URL.String() != "https://mta-sts.y.test/.well-known/mta-sts.txt" {
				t.Errorf("asked for %s", r.URL)
			}
			w := httptest.NewRecorder()
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = w.WriteString(body)
			return w.Result()
		})
		failure := "sts-policy-fetch-error" // what a fault is in a report
		ask := func(rule string, wantOK, wantErr bool, wantFetched int) {
			t.Helper()
			c := New(Config{Resolver: zone, FS: disk, HTTP: &http.Client{Transport: web}}) // as after a restart
			_, ok, err := c.Policy(t.Context(), "y.test")
			if ok != wantOK || (err != nil) != wantErr || fetched != wantFetched || err != nil && FailureType(err) != failure {
				t.Errorf("%s: %v, %v (%s), fetched %d times", rule, ok, err, FailureType(err), fetched)
			}
		}
		once := New(Config{Resolver: zone, FS: disk, HTTP: &http.Client{Transport: web}})
		kind = "text/html"
		for range 3 {
			if _, ok, err := once.Policy(t.Context(), "y.test"); ok || FailureType(err) != failure || fetched != 1 {
				t.Errorf("a failure a moment ago: %v, %v, fetched %d times", ok, err, fetched)
			}
		}
		time.Sleep(retryAfter)
		if _, _, err := once.Policy(t.Context(), "y.test"); err == nil || fetched != 2 {
			t.Errorf("a while later: %v, fetched %d times", err, fetched)
		}
		fetched, kind = 0, "text/plain; charset=utf-8"
		status = 302
		ask("a redirect is no policy", false, true, 1)
		status, kind = 200, "text/html"
		ask("nor is a page", false, true, 2)
		kind, body = "text/plain", good+strings.Repeat("x", MaxPolicy)
		failure = "sts-policy-invalid"
		ask("nor is what never ends", false, true, 3)
		body = good
		ask("fetched", true, false, 4)
		ask("kept on disk", true, false, 4)
		zone.Records["_mta-sts.y.test"][0] = `TXT "v=STSv1; id=2"`
		status, failure = 500, "sts-policy-fetch-error"
		ask("a new one that cannot be had leaves the old", true, true, 5)
		delete(zone.Records, "_mta-sts.y.test")
		ask("a record that is gone leaves it too", true, false, 5)
		zone.Fail = []string{"_mta-sts.y.test"}
		failure = ""
		ask("and DNS trouble", true, true, 5)
		time.Sleep(24 * time.Hour)
		ask("until max_age is over", false, true, 5)
		c := New(Config{Resolver: zone, FS: disk, HTTP: &http.Client{Transport: web}})
		for _, domain := range []string{"../y.test", "[192.0.2.1]", "", "Y.test", "a/b"} {
			if _, ok, _ := c.Policy(context.Background(), domain); ok {
				t.Errorf("%q has a policy", domain)
			}
		}
	})
}
