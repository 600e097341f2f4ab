package tlsrpt

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

var us = Sender{Organization: "mx.x.test", Contact: "postmaster@x.test", Addr: "192.0.2.9"}

// filled is a day of one domain.
func filled() *Counter {
	c := New()
	for range 3 {
		c.Add(noon, Result{Domain: "y.test", Policy: "sts", Lines: []string{"version: STSv1", "mode: testing"}, MX: []string{"*.y.test"}, Host: "mx.y.test"})
	}
	for range 2 {
		c.Add(noon, Result{Domain: "y.test", Policy: "sts", Lines: []string{"version: STSv1", "mode: testing"}, MX: []string{"*.y.test"}, Host: "mx.y.test", HostAddr: "192.0.2.1", Failure: "certificate-expired", Reason: "over"})
	}
	c.Add(noon, Result{Domain: "y.test", Policy: "tlsa", Failure: "tlsa-invalid", Host: "mx2.y.test"})
	return c
}

const want = `{"organization-name":"mx.x.test","date-range":{"start-datetime":"2026-01-02T00:00:00Z","end-datetime":"2026-01-02T23:59:59Z"},"contact-info":"postmaster@x.test","report-id":"ID",` +
	`"policies":[{"policy":{"policy-type":"sts","policy-string":["version: STSv1","mode: testing"],"policy-domain":"y.test","mx-host":["*.y.test"]},` +
	`"summary":{"total-successful-session-count":3,"total-failure-session-count":2},"failure-details":[{"result-type":"certificate-expired","sending-mta-ip":"192.0.2.9","receiving-mx-hostname":"mx.y.test","receiving-ip":"192.0.2.1","failed-session-count":2,"failure-reason-code":"over"}]},` +
	`{"policy":{"policy-type":"tlsa","policy-domain":"y.test"},"summary":{"total-successful-session-count":0,"total-failure-session-count":1},"failure-details":[{"result-type":"tlsa-invalid","sending-mta-ip":"192.0.2.9","receiving-mx-hostname":"mx2.y.test","failed-session-count":1}]}]}`

func TestReport(t *testing.T) {
	t.Parallel()
	c := filled()
	if days, _ := c.Due(noon); len(days) != 0 {
		t.Errorf("due before the day is over: %v", days)
	}
	saved, err := c.Save()
	if err != nil {
		t.Fatal(err)
	}
	if c = New(); c.Load(saved) != nil {
		t.Fatal("what was saved is not read")
	}
	days, domains := c.Due(noon.Add(12 * time.Hour))
	if !slices.Equal(days, []string{"2026-01-02"}) || !slices.Equal(domains["2026-01-02"], []string{"y.test"}) {
		t.Fatalf("due: %v, %v", days, domains)
	}
	text, id, err := c.JSON(us, days[0], "y.test")
	if err != nil || strings.Replace(string(text), id, "ID", 1) != want {
		t.Errorf("%v:\n%s\nwant\n%s", err, text, want)
	}
	c.Drop(days[0], "y.test")
	if _, _, err := c.JSON(us, days[0], "y.test"); !errors.Is(err, ErrNone) {
		t.Errorf("after Drop: %v", err)
	}
}

// TestMessage reads a report with the standard library.
func TestMessage(t *testing.T) {
	t.Parallel()
	data, err := Message(us, "tls@y.test", "2026-01-02", "y.test", "ID", []byte(want), noon)
	if err != nil {
		t.Fatal(err)
	}
	m, err := netmail.ReadMessage(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "tlsrpt" || m.Header.Get("TLS-Report-Domain") != "y.test" || m.Header.Get("TLS-Report-Submitter") != "mx.x.test" {
		t.Errorf("%s %v %v %v", kind, params, err, m.Header)
	}
	if s := m.Header.Get("Subject"); s != "Report Domain: y.test Submitter: mx.x.test Report-ID: <ID>" {
		t.Errorf("subject %q", s)
	}
	r := multipart.NewReader(m.Body, params["boundary"])
	if _, err := r.NextPart(); err != nil {
		t.Fatal(err)
	}
	p, err := r.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if p.Header.Get("Content-Type") != "application/tlsrpt+gzip" || p.FileName() != "mx.x.test!y.test!1767312000!1767398399.json.gz" {
		t.Errorf("%v %q", p.Header, p.FileName())
	}
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, p))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || string(text) != want || !json.Valid(text) {
		t.Errorf("%v: %s", err, text)
	}
}

func TestRecipients(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2][]string{
		"v=TLSRPTv1; rua=mailto:a@y.test":                              {{"a@y.test"}, nil},
		"v=TLSRPTv1;rua=mailto:a@y.test,https://y.test/r,mailto:b@z.x": {{"a@y.test", "b@z.x"}, {"https://y.test/r"}},
		"v=TLSRPTv1; rua=mailto:a@y.test?subject=x; other=1":           {{"a@y.test"}, nil},
		"v=TLSRPTv1; rua=HTTPS://y.test , http://y.test,ftp://y.test":  {nil, {"HTTPS://y.test"}},
		"v=TLSRPTv2; rua=mailto:a@y.test":                              {},
		"rua=mailto:a@y.test":                                          {},
		"v=TLSRPTv1; rua=" + strings.Repeat("mailto:a@y.test,", 20):    {slices.Repeat([]string{"a@y.test"}, 10), nil},
		"v=TLSRPTv1; rua=" + strings.Repeat("https://y.test,", 20):     {nil, slices.Repeat([]string{"https://y.test"}, 3)},
	} {
		mail, posts := Recipients([]string{"other", text})
		if !slices.Equal(mail, want[0]) || !slices.Equal(posts, want[1]) {
			t.Errorf("%q: %q, %q, want %q", text, mail, posts, want)
		}
	}
	if mail, _ := Recipients([]string{"v=TLSRPTv1; rua=mailto:a@y.test", "v=TLSRPTv1; rua=mailto:b@y.test"}); mail != nil {
		t.Errorf("two records: %q", mail)
	}
}

// TestPost: a report over HTTPS, and answers that are no success.
func TestPost(t *testing.T) {
	t.Parallel()
	var got []byte
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/full":
			w.WriteHeader(http.StatusInsufficientStorage)
		case "/moved":
			http.Redirect(w, r, "/", http.StatusTemporaryRedirect)
		default:
			z, err := gzip.NewReader(r.Body)
			if err == nil && r.Method == http.MethodPost && r.Header.Get("Content-Type") == "application/tlsrpt+gzip" {
				got, _ = io.ReadAll(z)
			}
			w.WriteHeader(http.StatusCreated)
		}
	}))
	defer server.Close()
	for path, want := range map[string]string{"/full": "507", "/moved": "307"} {
		if err := Post(t.Context(), server.Client().Transport, server.URL+path, []byte("x")); err == nil || !strings.Contains(err.Error(), want) || got != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, uri := range []string{"http://" + server.Listener.Addr().String(), "https:y.test", "https://"} {
		if err := Post(t.Context(), server.Client().Transport, uri, []byte("x")); err == nil {
			t.Errorf("posted to %s", uri)
		}
	}
	if err := Post(t.Context(), server.Client().Transport, server.URL, []byte(want)); err != nil || string(got) != want {
		t.Errorf("%v: %q", err, got)
	}
}

// TestBounds: however much happens, what is kept is bounded.
func TestBounds(t *testing.T) {
	t.Parallel()
	c := New()
	for i := range maxDomains + 10 {
		c.Add(noon, Result{Domain: fmt.Sprint(i, ".test"), Policy: "sts"})
	}
	for i := range maxFailures + 10 {
		c.Add(noon, Result{Domain: "0.test", Policy: "sts", Failure: "validation-failure", Reason: fmt.Sprint(i) + strings.Repeat("x", 1000)})
	}
	d := c.days["2026-01-02"]
	if len(d) != maxDomains || len(d["0.test"].Policies["sts"].Failures) != maxFailures {
		t.Errorf("%d domains, %d failures", len(d), len(d["0.test"].Policies["sts"].Failures))
	}
}

func FuzzLoad(f *testing.F) {
	saved, err := filled().Save()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(saved)
	f.Add([]byte(`{"2026-01-02":{"a":null,"b":{"Policies":{"sts":null}}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := New()
		if c.Load(data) != nil {
			return
		}
		c.Add(noon, Result{Domain: "y.test", Policy: "sts", Failure: "x"})
		days, domains := c.Due(noon.Add(24 * time.Hour))
		for _, d := range days {
			for _, name := range domains[d] {
				if _, _, err := c.JSON(us, d, name); err != nil && !errors.Is(err, ErrNone) {
					t.Error(err)
				}
			}
		}
	})
}

func FuzzRecipients(f *testing.F) {
	f.Add("v=TLSRPTv1; rua=mailto:a@y.test, mailto:b@z.test?subject=x,https://y.test/r; other=1")
	f.Add("v=TLSRPTv1;rua=mailto:;rua=mailto:\r\nBcc: x@y.test")
	f.Fuzz(func(t *testing.T, record string) {
		mail, posts := Recipients([]string{"v=spf1 -all", record})
		again, more := Recipients([]string{record, record})
		if len(mail) > maxMail || len(posts) > maxPosts || len(again)+len(more) > 0 {
			t.Errorf("%q: %q, %q", record, mail, posts)
		}
	})
}
