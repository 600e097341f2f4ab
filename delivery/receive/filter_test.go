package receive

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/smtp"
)

// filterFunc is a Filter.
type filterFunc func(content string) (Filtered, error)

func (f filterFunc) Filter(_ context.Context, _ smtp.Client, _ mail.ReversePath, _ []mail.Address, c message.Content) (Filtered, error) {
	text, err := io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
	if err != nil {
		return Filtered{}, err
	}
	return f(string(text))
}

// TestFilters holds what filters do to a message: each sees what the one before
// made of it, and one that refuses or fails leaves nothing behind.
func TestFilters(t *testing.T) {
	t.Parallel()
	add := func(field string) filterFunc {
		return func(c string) (Filtered, error) {
			return Filtered{Content: strings.NewReader(field + "\r\n" + c)}, nil
		}
	}
	always := func(f Filtered, err error) filterFunc {
		return func(string) (Filtered, error) { return f, err }
	}
	refusal := &mail.Status{Code: 554, Enhanced: "5.7.9", Text: "Virus"}
	for _, tt := range []struct {
		rule    string
		filters []Filter
		want    string // the reply
		stored  string // in what is stored, "" for nothing
		log     string
	}{
		{"none", nil, "250", hello, "msg=delivered"},
		{"nothing against it", []Filter{always(Filtered{}, nil)}, "250", hello, "msg=delivered"},
		{"two change it", []Filter{add("X-One: 1"), add("X-Two: 2")}, "250", "X-Two: 2\r\nX-One: 1\r\n" + hello, "msg=delivered"},
		{"refused", []Filter{add("X-One: 1"), always(Filtered{}, refusal)}, "554 5.7.9 Virus", "", "msg=rejected"},
		{"a fault", []Filter{always(Filtered{}, errors.New("down"))}, "451 4.3.0 Temporary internal error, try again later", "", "msg=deferred"},
		{"discarded", []Filter{always(Filtered{Discard: true}, nil)}, "250", "", "msg=discarded"},
		{"quarantined", []Filter{always(Filtered{Quarantine: true}, nil)}, "250", "Junk!", "msg=delivered"},
		{"made into a loop", []Filter{add(strings.Repeat("Received: x\r\n", 60) + "X: y")}, "554 5.4.6 Too many hops: this message is going round in a circle", "", "msg=rejected"},
	} {
		b := newBench()
		b.config.Filters, b.config.JunkFolder = tt.filters, "Junk"
		got := session(t, NewMX(b.config), client, "s@r.test", []string{"bob@example.org"}, hello)
		if want := []string{"250", "250", tt.want}; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", tt.rule, got, want)
		}
		stored := strings.Join(b.got["bob@example.org"], "")
		if (stored == "") != (tt.stored == "") || !strings.Contains(stored, tt.stored) {
			t.Errorf("%s: stored %q", tt.rule, stored)
		}
		if !strings.Contains(b.log.String(), tt.log) {
			t.Errorf("%s: the log says\n%s", tt.rule, &b.log)
		}
		if b.open != 0 {
			t.Errorf("%s: %d contents are open", tt.rule, b.open)
		}
	}
}
