package receive

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/smtp"
)

var badClient = netip.MustParseAddr("192.0.2.66")

// filterFunc is a Filter, one session and one message at it.
type filterFunc func(content string) (Filtered, error)

func (f filterFunc) Open(_ context.Context, c smtp.Client) (FilterVisit, error) {
	if c.Addr == badClient {
		return nil, &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Bad client"}
	}
	return f, nil
}

func (f filterFunc) Hello(_ context.Context, c smtp.Client) error {
	if c.Helo == "bad.test" {
		return &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Bad name"}
	}
	return nil
}

func (f filterFunc) Begin(_ context.Context, c smtp.Client, from mail.ReversePath) (Filtering, error) {
	if from.Address.Local == "bad" {
		return nil, &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Bad sender"}
	}
	return f, nil
}

func (f filterFunc) Recipient(_ context.Context, to mail.Address) error {
	if to.Local == "carol" {
		return &mail.Status{Code: 450, Enhanced: "4.7.1", Text: "Not now"}
	}
	return nil
}

func (f filterFunc) Refused(context.Context, mail.Address, *mail.Status) {}

func (f filterFunc) Close() {}

func (f filterFunc) Content(_ context.Context, c message.Content) (Filtered, error) {
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

// TestFilterEnvelope holds what filters refuse within the session, and what they
// do to recipients and reverse-path.
func TestFilterEnvelope(t *testing.T) {
	t.Parallel()
	address := func(local, domain string) mail.Address { return mail.Address{Local: local, Domain: domain} }
	other := address("other", "r.test")
	for _, tt := range []struct {
		rule   string
		wants  Filtered
		from   string
		to     []string
		want   []string
		stored string // who has it
		owed   string
	}{
		{"a sender", Filtered{}, "bad@r.test", nil, []string{"550 5.7.1 Bad sender"}, "", ""},
		{"a recipient, not the others", Filtered{}, "s@r.test", []string{"carol@example.org", "bob@example.org"}, []string{"250", "450 4.7.1 Not now", "250", "250"}, "bob", ""},
		{"one is added", Filtered{Added: []mail.Address{address("alice", "example.org"), address("BOB", "example.org")}}, "s@r.test", []string{"bob@example.org"},
			[]string{"250", "250", "250"}, "alice bob", ""},
		{"one is put in the place of another", Filtered{Added: []mail.Address{address("carol", "example.org")}, Removed: []mail.Address{address("Bob", "example.org")}}, "s@r.test",
			[]string{"bob@example.org"}, []string{"250", "250", "250"}, "carol", ""},
		{"all are removed", Filtered{Removed: []mail.Address{address("bob", "example.org")}}, "s@r.test", []string{"bob@example.org"}, []string{"250", "250", "250"}, "", ""},
		{"one elsewhere, from another", Filtered{Added: []mail.Address{address("x", "far.test")}, From: &other}, "s@r.test", []string{"bob@example.org"},
			[]string{"250", "250", "250"}, "bob", "<other@r.test> x@far.test"},
		{"one who is nobody", Filtered{Added: []mail.Address{address("nobody", "example.org")}}, "s@r.test", []string{"bob@example.org"},
			[]string{"250", "250", "550 5.1.1 <nobody@example.org>: User unknown"}, "", ""},
		{"held, here and elsewhere", Filtered{Hold: true, Added: []mail.Address{address("x", "far.test")}}, "s@r.test", []string{"bob@example.org"},
			[]string{"250", "250", "250"}, "", "held <s@r.test> bob@example.org x@far.test"},
	} {
		b := newBench()
		d, held := &debts{}, &debts{}
		b.config.Filters = []Filter{filterFunc(func(string) (Filtered, error) { return tt.wants, nil })}
		b.config.Owe, b.config.Hold, b.config.Elsewhere = d.owe, held.owe, true
		if got := session(t, NewMX(b.config), client, tt.from, tt.to, hi); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.want)
		}
		var has []string
		for _, name := range []string{"alice", "bob", "carol"} {
			if len(b.got[name+"@example.org"]) == 1 {
				has = append(has, name)
			}
		}
		owed := strings.Join(d.calls, "; ")
		if len(held.calls) > 0 {
			owed += "held " + strings.Join(held.calls, "; ")
		}
		if got := strings.Join(has, " "); got != tt.stored || owed != tt.owed {
			t.Errorf("%s: %q have it, owed %q", tt.rule, got, owed)
		}
	}
}

// listening is a filter that writes down who was refused.
type listening struct {
	filterFunc
	refused *[]string
}

func (l listening) Open(context.Context, smtp.Client) (FilterVisit, error) { return l, nil }

func (l listening) Begin(context.Context, smtp.Client, mail.ReversePath) (Filtering, error) {
	return l, nil
}

func (l listening) Refused(_ context.Context, to mail.Address, why *mail.Status) {
	*l.refused = append(*l.refused, to.Local+" "+why.Enhanced)
}

// TestFilterHearsOfRefused: filters are told of recipients that others refuse, and
// not of those that a filter itself refused.
func TestFilterHearsOfRefused(t *testing.T) {
	t.Parallel()
	b := newBench()
	var refused []string
	b.config.Filters = []Filter{listening{func(string) (Filtered, error) { return Filtered{}, nil }, &refused}}
	session(t, NewMX(b.config), client, "s@r.test", []string{"nobody@example.org", "carol@example.org", "bob@example.org"}, hello)
	if want := []string{"nobody 5.1.1"}; !slices.Equal(refused, want) {
		t.Errorf("told of %q, want %q", refused, want)
	}
}

// TestFilterSession: filters are asked about the client and its HELO, and a message
// of a session that none has heard of is taken nowhere.
func TestFilterSession(t *testing.T) {
	t.Parallel()
	b := newBench()
	b.config.Filters = []Filter{filterFunc(func(string) (Filtered, error) { return Filtered{}, nil })}
	r := NewMX(b.config)
	if _, err := r.Begin(t.Context(), client, mail.ReversePath{}); !errors.Is(err, errNotOpened) {
		t.Errorf("not opened: %v", err)
	}
	bad := client
	bad.Addr = badClient
	if _, err := r.(smtp.Opener).Open(t.Context(), bad); reply(err) != "550 5.7.1 Bad client" {
		t.Errorf("open: %v", err)
	}
	v, err := r.(smtp.Opener).Open(t.Context(), client)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	bad = client
	bad.Helo = "bad.test"
	if err := v.Hello(t.Context(), bad); reply(err) != "550 5.7.1 Bad name" {
		t.Errorf("hello: %v", err)
	}
}
