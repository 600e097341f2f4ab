package smtp

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"gomaild/mail"
)

// visits is a Receiver that writes down what it hears of sessions.
type visits struct {
	fakeReceiver
	heard   strings.Builder
	refuse  string // "open", "hello" or nothing
	refusal *mail.Status
}

func (r *visits) Open(_ context.Context, c Client) (Visit, error) {
	r.heard.WriteString("open " + c.Addr.String() + "\n")
	if r.refuse == "open" {
		return nil, r.refusal
	}
	return visiting{r}, nil
}

type visiting struct{ *visits }

func (v visiting) Hello(_ context.Context, c Client) error {
	v.heard.WriteString("hello " + c.Helo + "\n")
	if v.refuse == "hello" {
		return v.refusal
	}
	return nil
}

func (v visiting) Close() { v.heard.WriteString("close\n") }

// TestVisit holds what a Receiver hears of a session from its beginning, and what
// the client hears when it is refused there.
func TestVisit(t *testing.T) {
	t.Parallel()
	permanent := &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "no"}
	temporary := &mail.Status{Code: 451, Enhanced: "4.7.1", Text: "not now"}
	for _, tt := range []struct {
		rule, refuse string
		refusal      *mail.Status
		in           string
		heard        string
		replies      string
	}{
		{"each hello, and the end", "", nil, "EHLO a\r\nHELO b\r\nQUIT\r\n", "open 192.0.2.1\nhello a\nhello b\nclose\n", "220 250 250 221"},
		{"a client that goes away", "", nil, "", "open 192.0.2.1\nclose\n", "220"},
		{"another client by XCLIENT", "", nil, "EHLO a\r\nXCLIENT ADDR=192.0.2.9\r\nEHLO b\r\nQUIT\r\n",
			"open 192.0.2.1\nhello a\nclose\nopen 192.0.2.9\nhello b\nclose\n", "220 250 220 250 221"},
		{"refused for good at connect", "open", permanent, "EHLO a\r\n", "open 192.0.2.1\n", "554"},
		{"refused for now at connect", "open", temporary, "EHLO a\r\n", "open 192.0.2.1\n", "421"},
		{"refused at hello, which then was not said", "hello", permanent, "EHLO a\r\nMAIL FROM:<>\r\nQUIT\r\n", "open 192.0.2.1\nhello a\nclose\n", "220 550 503 221"},
		{"put off at hello", "hello", temporary, "HELO a\r\nQUIT\r\n", "open 192.0.2.1\nhello a\nclose\n", "220 451 221"},
	} {
		r := &visits{refuse: tt.refuse, refusal: tt.refusal}
		conn := &script{}
		for line := range strings.Lines(tt.in) {
			conn.segments = append(conn.segments, []byte(line))
		}
		New(Config{Receiver: r, XClientNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}).Serve(t.Context(), nil, conn)
		if got := r.heard.String(); got != tt.heard {
			t.Errorf("%s: it heard %q, want %q", tt.rule, got, tt.heard)
		}
		var codes []string
		for line := range strings.Lines(conn.out.String()) {
			if line[3] == ' ' {
				codes = append(codes, line[:3])
			}
		}
		if got := strings.Join(codes, " "); got != tt.replies {
			t.Errorf("%s: replies %q, want %q", tt.rule, got, tt.replies)
		}
	}
}
