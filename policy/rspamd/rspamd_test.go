package rspamd

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/mail"
)

const text = "From: a@r.test\r\nSubject: old\r\nX-Old: 1\r\n\r\nhello\r\n"

// TestAsk holds what a server hears, and what comes of each answer.
func TestAsk(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rule, reply, want string }{
		{"nothing against it", `{"action":"no action"}`, "pass"},
		{"rejected", `{"action":"reject"}`, "554 5.7.1 Spam message rejected"},
		{"in its own words", `{"action":"reject","messages":{"smtp_message":"No\r\n"}}`, "554 5.7.1 No??"},
		{"put off", `{"action":"soft reject"}`, "451 4.7.1 Try again later"},
		{"greylisted", `{"action":"greylist"}`, "451 4.7.1 Try again later"},
		{"discarded", `{"action":"discard"}`, "discard"},
		{"marked", `{"action":"add header"}`, "junk X-Spam: Yes\r\n" + text},
		{"another subject", `{"action":"rewrite subject","subject":"** old"}`, "junk Subject: ** old\r\n" + strings.Replace(text, "Subject: old\r\n", "", 1)},
		{"fields", `{"action":"no action","milter":{"add_headers":{"X-A":{"value":"1\n2\r\n\r\nbody","order":0},"bad name":"x"},"remove_headers":{"x-old":0}}}`,
			"pass X-A: 1\r\n\t2\r\n\tbody\r\n" + strings.Replace(text, "X-Old: 1\r\n", "", 1)},
		{"a list", `{"action":"no action","milter":{"add_headers":{"X-A":["1",{"value":"2"}]}}}`, "pass X-A: 1\r\nX-A: 2\r\n" + text},
		{"unknown", `{"action":"dance"}`, "protocol"},
		{"no JSON", `x`, "protocol"},
		{"without end", `{"action":"` + strings.Repeat("x", maxAnswer) + `"}`, "protocol"},
		{"a fault", "", "protocol"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got := fmt.Sprint(r.URL.Path, r.Header.Get("IP"), r.Header.Get("Helo"), r.Header.Get("From"), r.Header.Values("Rcpt"), r.Header.Get("User"), string(body) == text)
			if want := "/checkv2192.0.2.7h.testa@r.test[b@x.test c@x.test]utrue"; got != want {
				t.Errorf("%s: heard %s, want %s", tt.rule, got, want)
			}
			if tt.reply == "" {
				w.WriteHeader(http.StatusInternalServerError)
			}
			_, _ = io.WriteString(w, tt.reply)
		}))
		c := Client{Address: strings.TrimPrefix(server.URL, "http://")}
		v, err := c.Ask(t.Context(), someMessage(), strings.NewReader(text))
		got := "pass"
		switch {
		case errors.Is(err, ErrProtocol):
			got = "protocol"
		case err != nil:
			got = err.Error()
		case v.Refusal != nil:
			got = v.Refusal.Error()
		case v.Discard:
			got = "discard"
		case v.Junk:
			got = "junk"
		}
		if err == nil && v.IsChanged() {
			changed, _ := io.ReadAll(v.Content(strings.NewReader(text)))
			got += " " + string(changed)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
		}
		server.Close()
	}
}

func someMessage() Message {
	return Message{
		ID: "S1", Client: netip.MustParseAddr("192.0.2.7"), Helo: "h.test", Account: "u",
		From: mail.ReversePath{Address: mail.Address{Local: "a", Domain: "r.test"}}, To: []mail.Address{{Local: "b", Domain: "x.test"}, {Local: "c", Domain: "x.test"}},
	}
}

// TestHang holds that a server that says nothing costs the timeout.
func TestHang(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	c := Client{Address: strings.TrimPrefix(server.URL, "http://"), Timeout: 50 * time.Millisecond}
	if _, err := c.Ask(t.Context(), someMessage(), strings.NewReader(text)); err == nil {
		t.Error("a silent server has answered")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"action":"no action","milter":{"add_headers":{"X-A":["1",{"value":"2\n\nx"}]}}}`))
	f.Fuzz(func(t *testing.T, reply []byte) {
		v, err := parse(reply)
		if err != nil || !v.IsChanged() {
			return
		}
		got, err := io.ReadAll(v.Content(strings.NewReader(text)))
		if err != nil || !strings.HasSuffix(string(got), "\r\n\r\nhello\r\n") && !slices.ContainsFunc(v.remove, func(n string) bool { return n != "" }) {
			t.Errorf("%q: %q, %v", reply, got, err)
		}
		if strings.Count(string(got), "\r\n\r\n") != 1 {
			t.Errorf("the header ends early: %q", got)
		}
	})
}
