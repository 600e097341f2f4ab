package routing

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomaild/accounts"
	"gomaild/accounts/accountstest"
	"gomaild/internal/peertest"
	"gomaild/internal/tables"
	"gomaild/mail"
)

func mustTables(t *testing.T, o tables.Options, specs ...string) *tables.List {
	t.Helper()
	l, err := tables.Open(specs, o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestParseTransport(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]Transport{
		":":                          {},
		"smtp:":                      {Kind: BySMTP},
		"smtp":                       {Kind: BySMTP},
		"relay:[mx.test]:2525":       {Kind: BySMTP, Hop: mail.NextHop{Host: "mx.test", NoMX: true, Port: 2525}},
		"smtp:inet:[192.0.2.1]":      {Kind: BySMTP, Hop: mail.NextHop{Host: "192.0.2.1", NoMX: true}},
		":[mx.test]":                 {Hop: mail.NextHop{Host: "mx.test", NoMX: true}},
		"lmtp:unix:/run/lmtp":        {Kind: ByLMTP, Socket: "/run/lmtp"},
		"lmtp:inet:127.0.0.1:24":     {Kind: ByLMTP, Hop: mail.NextHop{Host: "127.0.0.1", Port: 24}},
		"local:":                     {Kind: InMailbox},
		"virtual":                    {Kind: InMailbox},
		"discard:whatever it says":   {Kind: Dropped},
		"error:5.7.1 not from here":  {Kind: Failing},
		"retry:4.7.1 not now":        {Kind: Failing},
		"error:no such thing":        {Kind: Failing},
		"error:4.3.2 back on Monday": {Kind: Failing},
	} {
		got, err := ParseTransport(s)
		if got.Status != nil {
			got.Status = nil
		}
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", s, got, err, want)
		}
	}
	for s, want := range map[string]string{
		"error:5.7.1 not from here":  "550 5.7.1 not from here",
		"error:no such thing":        "550 5.0.0 no such thing",
		"error:":                     "550 5.0.0 Mail for this address is not taken",
		"error:4.3.2 back on Monday": "451 4.3.2 back on Monday",
		"retry:5.1.1 not now":        "451 4.0.0 5.1.1 not now",
		"retry:not now":              "451 4.0.0 not now",
		"error:5.1.1.1 odd":          "550 5.0.0 5.1.1.1 odd",
	} {
		if got, err := ParseTransport(s); err != nil || got.Status.Error() != want {
			t.Errorf("%q: %v, %v; want %s", s, got.Status, err, want)
		}
	}
	for _, bad := range []string{"uucp:x", "smtp:[x", "lmtp:unix:private/lmtp", "smtp:a b", "/a"} {
		if got, err := ParseTransport(bad); !errors.Is(err, ErrTransport) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
		if CheckTransport(bad) == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func FuzzParseTransport(f *testing.F) {
	for _, s := range []string{"smtp:[a.test]:25", "error:5.1.1 x", "lmtp:unix:/x", ":"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := ParseTransport(s); err == nil && (got.Kind == Failing) != (got.Status != nil) {
			t.Errorf("%q is %+v", s, got)
		}
	})
}

// TestTransports: which transport an address has, and what becomes of it.
func TestTransports(t *testing.T) {
	t.Parallel()
	m := accountstest.NewMemory(accountstest.World{
		Domains: []accountstest.Domain{
			{Domain: accounts.Domain{Name: "x.test", Class: accounts.Hosted, Transport: "virtual"}},
			{Domain: accounts.Domain{Name: "moved.test", Class: accounts.Hosted, Transport: "smtp:[old.test]"}},
			{Domain: accounts.Domain{Name: "odd.test", Class: accounts.Hosted, Transport: "dovecot:"}},
			{Domain: accounts.Domain{Name: "self.test", Class: accounts.Hosted, Transport: "relay:"}},
			{Domain: accounts.Domain{Name: "relay.test", Class: accounts.Relay, Transport: "smtp:[192.0.2.1]:26"}},
			{Domain: accounts.Domain{Name: "mx.test", Class: accounts.Relay, Transport: "relay"}},
		},
		Mailboxes: []accountstest.Mailbox{
			{Mailbox: accounts.Mailbox{Address: one("alice@x.test")}}, {Mailbox: accounts.Mailbox{Address: one("bob@x.test")}},
			{Mailbox: accounts.Mailbox{Address: one("a@moved.test")}}, {Mailbox: accounts.Mailbox{Address: one("a@odd.test")}},
			{Mailbox: accounts.Mailbox{Address: one("a@self.test")}},
		},
		Aliases: []accountstest.Alias{
			{Address: one("list@x.test"), To: addrs("alice@x.test drop@far.test no@far.test x@far.test")},
			{Address: one("gone@x.test"), To: addrs("no@far.test drop@far.test")},
			{Address: one("row@relay.test"), To: addrs("row@relay.test")},
		},
	})
	r := New(Config{Lookup: m, Delimiter: '+', DomainTransport: true, RelayRecipients: mustTables(t, tables.Options{}, "inline:{joe@relay.test=x, @mx.test=x}"), Transports: mustTables(t, tables.Options{Check: CheckTransport},
		"inline:{ drop@far.test=discard:, {no@far.test = error:5.7.1 not there}, {later@far.test = retry:4.7.0 later}, .far.test=smtp:[sub.test], far.test=:[hop.test]:587,"+
			" bob@x.test=smtp:[elsewhere.test], bob+here@x.test=:, nobody@x.test=smtp:[e.test], {a@other.test = local:} }")})
	show := func(list []Destination) string {
		var out []string
		for _, d := range list {
			s := fmt.Sprintf("%d:%s %s:%s", d.Class, d.Address, d.Transport.Kind, d.Transport.Hop)
			if d.Transport.Status != nil {
				s += " " + d.Transport.Status.Error()
			}
			out = append(out, s)
		}
		return strings.Join(out, ", ")
	}
	for _, tt := range []struct{ rule, to, want string }{
		{"a mailbox here", "alice@x.test", "0:alice@x.test :"},
		{"a mailbox whose mail is sent on", "bob@x.test", "2:bob@x.test smtp:[elsewhere.test]"},
		{"with a detail, the address without", "bob+x@x.test", "2:bob+x@x.test smtp:[elsewhere.test]"},
		{"the address with its detail first", "bob+here@x.test", "0:bob+here@x.test :"},
		{"who does not exist does not by a transport either", "nobody@x.test", "550 5.1.1 <nobody@x.test>: Recipient address rejected: User unknown in virtual mailbox table"},
		{"a domain of ours by its column", "a@moved.test", "2:a@moved.test smtp:[old.test]"},
		{"a column that only master.cf knows", "a@odd.test", "0:a@odd.test :"},
		{"a column without a host would go round", "a@self.test", "0:a@self.test :"},
		{"a relay domain by its column", "joe@relay.test", "2:joe@relay.test smtp:[192.0.2.1]:26"},
		{"an alias row is a listed recipient", "row@relay.test", "2:row@relay.test smtp:[192.0.2.1]:26"},
		{"not in the list", "jim@relay.test", "550 5.1.1 <jim@relay.test>: Recipient address rejected: User unknown in relay recipient table"},
		{"a whole domain in the list", "jim@mx.test", "2:jim@mx.test :"},
		{"another host's, by domain", "x@far.test", "1:x@far.test :[hop.test]:587"},
		{"below a domain", "x@deep.sub.far.test", "1:x@deep.sub.far.test smtp:[sub.test]"},
		{"not in the map", "x@z.test", "1:x@z.test :"},
		{"refused", "no@far.test", "550 5.7.1 <no@far.test>: Recipient address rejected: not there"},
		{"put off", "later@far.test", "451 4.7.0 <later@far.test>: Recipient address rejected: later"},
		{"thrown away", "drop@far.test", "4:drop@far.test discard:"},
		{"a member that is refused does not stop the others", "list@x.test", "0:alice@x.test :, 4:drop@far.test discard:, 5:no@far.test error: 550 5.7.1 not there, 1:x@far.test :[hop.test]:587"},
		{"some of it is taken", "gone@x.test", "5:no@far.test error: 550 5.7.1 not there, 4:drop@far.test discard:"},
		{"local where nobody has a mailbox", "a@other.test", "3:a@other.test local:"},
	} {
		list, err := r.Relay(t.Context(), one(tt.to))
		got := show(list)
		if err != nil {
			got = mail.StatusOf(err).Error()
		}
		if got != tt.want {
			t.Errorf("%s: %s is %s, want %s", tt.rule, tt.to, got, tt.want)
		}
	}
	if _, err := r.Resolve(t.Context(), one("x@far.test")); !errors.Is(err, ErrNotLocal) {
		t.Errorf("a stranger may send to far.test: %v", err)
	}
}

// TestUnreadableTransport: what a pattern makes of an address may be nothing
// that can be read; mail waits.
func TestUnreadableTransport(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "transport")
	if err := os.WriteFile(path, []byte("/^(.*)@far\\.test$/ smtp:[$1]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := New(Config{Lookup: world("alice@x.test"), Transports: mustTables(t, tables.Options{Check: CheckTransport}, "regexp:"+path)})
	if _, err := r.Relay(t.Context(), one("a_b!@far.test")); err == nil || mail.StatusOf(err).Code != 451 {
		t.Errorf("a next hop that cannot be read: %v", err)
	}
	if list, err := r.Relay(t.Context(), one("mx.example@far.test")); err != nil || list[0].Transport.Hop.Host != "mx.example" {
		t.Errorf("%+v, %v", list, err)
	}
}

// TestCopies: BCC maps.
func TestCopies(t *testing.T) {
	t.Parallel()
	r := New(Config{Lookup: world(""), Delimiter: '+', Origin: "mail.x.test",
		SenderCopies:    mustTables(t, tables.Options{Check: CheckCopy}, "inline:{boss@x.test=archive@x.test, bare@x.test=root, bob@x.test=alice@x.test}"),
		RecipientCopies: mustTables(t, tables.Options{Check: CheckCopy}, "inline:{alice@x.test=archive@x.test, @z.test=z@far.test}")})
	for _, tt := range []struct{ rule, from, to, want string }{
		{"by sender", "boss@x.test", "c@y.test", "archive@x.test"},
		{"by recipient, its detail apart", "c@y.test", "alice+x@x.test", "archive@x.test"},
		{"once", "boss@x.test", "alice@x.test c@z.test d@z.test", "archive@x.test z@far.test"},
		{"a name alone", "bare@x.test", "c@y.test", "root@mail.x.test"},
		{"who gets it anyway", "bob@x.test", "Alice@x.test", "archive@x.test"},
		{"the null reverse-path", "@", "c@y.test", ""},
		{"nobody", "c@y.test", "d@y.test", ""},
	} {
		list, err := r.Copies(one(tt.from), addrs(tt.to))
		var got []string
		for _, a := range list {
			got = append(got, a.String())
		}
		if strings.Join(got, " ") != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.rule, got, err, tt.want)
		}
	}
	bad := New(Config{Lookup: world(""), Origin: "x.test", RecipientCopies: mustTables(t, tables.Options{}, "static:a b@c d")})
	if _, err := bad.Copies(one("a@x.test"), addrs("b@x.test")); err == nil || mail.StatusOf(err).Code != 451 {
		t.Errorf("a copy to no address: %v", err)
	}
	if _, err := tables.Open([]string{"static:a b@c d"}, tables.Options{Check: CheckCopy}); err == nil {
		t.Error("a copy to no address is taken at start")
	}
}

// TestExplosion: an alias of 100 000 members, and one whose members are aliases
// of more, cost bounded work and are deferred, not served in part.
func TestExplosion(t *testing.T) {
	t.Parallel()
	var wide, outer, inner []string
	for i := range 100_000 {
		wide = append(wide, fmt.Sprintf("m%d@far.test", i))
	}
	for i := range 300 {
		outer = append(outer, fmt.Sprintf("l%d@x.test", i))
	}
	rows := []string{"wide@x.test: " + strings.Join(wide, " "), "outer@x.test: " + strings.Join(outer, " ")}
	for i, l := range outer {
		inner = wide[i*300 : i*300+300]
		rows = append(rows, l+": "+strings.Join(inner, " "))
	}
	r := New(Config{Lookup: world("alice@x.test", rows...)})
	for _, to := range []string{"wide@x.test", "outer@x.test"} {
		var list []Destination
		var err error
		took := peertest.ThreadTime(t, func() { list, err = r.Resolve(t.Context(), one(to)) })
		if !errors.Is(err, ErrExpansion) || list != nil {
			t.Errorf("%s: %d destinations, %v", to, len(list), err)
		}
		if took > 5*time.Second {
			t.Errorf("%s took %v", to, took)
		}
	}
}
