package routing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gomaild/accounts"
	"gomaild/accounts/accountstest"
	"gomaild/mail"
)

// addrs parses "alice@x.test @y.test root" as rows hold them.
func addrs(words string) []mail.Address {
	var list []mail.Address
	for _, w := range strings.Fields(words) {
		local, domain, _ := strings.Cut(w, "@")
		list = append(list, mail.Address{Local: local, Domain: domain})
	}
	return list
}

func one(word string) mail.Address { return addrs(word)[0] }

// world is the small world of these tests: mailboxes by name, aliases as
// "from: to to".
func world(mailboxes string, aliases ...string) *accountstest.Memory {
	w := accountstest.World{Domains: []accountstest.Domain{
		{Domain: accounts.Domain{Name: "x.test", Class: accounts.Hosted}},
		{Domain: accounts.Domain{Name: "also.test", Class: accounts.AliasOf, Target: "x.test"}},
		{Domain: accounts.Domain{Name: "relay.test", Class: accounts.Relay}},
		{Domain: accounts.Domain{Name: "stray.test", Class: accounts.StrayAlias, Target: "x.test"}},
	}}
	for _, a := range addrs(mailboxes) {
		w.Mailboxes = append(w.Mailboxes, accountstest.Mailbox{Mailbox: accounts.Mailbox{Address: a}})
	}
	for _, row := range aliases {
		from, to, _ := strings.Cut(row, ":")
		w.Aliases = append(w.Aliases, accountstest.Alias{Address: one(from), To: addrs(to)})
	}
	return accountstest.NewMemory(w)
}

func resolved(t *testing.T, r *Router, to mail.Address) string {
	t.Helper()
	list, err := r.Resolve(t.Context(), to)
	if err != nil {
		s := mail.StatusOf(err)
		return fmt.Sprint(s.Code, " ", s.Enhanced)
	}
	return strings.Join(shown(list), " ")
}

// TestRoles: RFC 5321 section 4.5.1 wants postmaster, and says nothing of
// where it leads.
func TestRoles(t *testing.T) {
	t.Parallel()
	const pm = "mailbox:pm@x.test"
	for _, tt := range []struct {
		rule       string
		postmaster string
		to         mail.Address
		want       string
	}{
		{"bare postmaster", "pm@x.test", mail.Address{Local: "PostMaster"}, pm},
		{"bare postmaster, nobody named", "", mail.Address{Local: "postmaster"}, "550 5.1.1"},
		{"only postmaster may be bare", "pm@x.test", mail.Address{Local: "abuse"}, "504 5.5.2"},
		{"of a hosted domain that has none", "pm@x.test", one("postmaster@x.test"), pm},
		{"abuse too", "pm@x.test", one("Abuse@x.test"), pm},
		{"of an alias domain", "pm@x.test", one("postmaster@also.test"), pm},
		{"nobody named", "", one("postmaster@x.test"), "550 5.1.1"},
		{"one that leads to nobody", "pm@x.test", one("abuse@lost.test"), pm},
		{"an own row comes first", "pm@x.test", one("postmaster@own.test"), "mailbox:alice@x.test"},
		{"of this host", "pm@x.test", one("postmaster@host.test"), pm},
		{"of this host by its address", "pm@x.test", one("postmaster@[192.0.2.1]"), pm},
		{"nobody else is at this host", "pm@x.test", one("root@host.test"), "550 5.1.1"},
		{"other roles are ordinary names", "pm@x.test", one("hostmaster@x.test"), "550 5.1.1"},
		{"a named one that does not exist", "none@x.test", one("postmaster@x.test"), "550 5.1.1"},
		{"an alias entry without a domain", "pm@x.test", one("list@x.test"), pm},
		{"one that is this host's own", "postmaster@host.test", one("postmaster@x.test"), "550 5.1.1"},
		{"may be elsewhere", "pm@far.test", one("postmaster@x.test"), "remote:pm@far.test"},
		{"of a relay domain is relayed", "pm@x.test", one("postmaster@relay.test"), "relay:postmaster@relay.test"},
		{"not of strangers", "pm@x.test", one("postmaster@far.test"), "554 5.7.1"},
	} {
		m := world("pm@x.test alice@x.test", "postmaster@own.test: alice@x.test", "abuse@lost.test: root@lost.test", "list@x.test: postmaster")
		for _, name := range []string{"own.test", "lost.test"} {
			m.Add(accountstest.World{Domains: []accountstest.Domain{{Domain: accounts.Domain{Name: name}}}})
		}
		c := Config{Lookup: m, Origin: "host.test", SystemDomains: []string{"host.test", "[192.0.2.1]"}}
		if tt.postmaster != "" {
			c.Postmaster = one(tt.postmaster)
		}
		if got := resolved(t, New(c), tt.to); got != tt.want {
			t.Errorf("%s: %s goes to %s, want %s", tt.rule, tt.to, got, tt.want)
		}
	}
}

// TestRefusals: what strangers may not do, whatever rows there are.
func TestRefusals(t *testing.T) {
	t.Parallel()
	m := world("alice@x.test own%name@x.test", "@x.test: alice@x.test")
	for _, deployed := range []bool{false, true} {
		r := New(Config{Lookup: m, Deployed: deployed})
		for _, tt := range []struct {
			rule     string
			to       mail.Address
			want     string
			notLocal bool
		}{
			{"a stranger's domain", one("a@far.test"), "554 5.7.1", true},
			{"an alias domain without a domain", one("alice@stray.test"), "554 5.7.1", true},
			{"percent hack, even under a catch-all", one("victim%far.test@x.test"), "554 5.7.1", false},
			{"bang path", one("far.test!victim@x.test"), "554 5.7.1", false},
			{"quoted @", mail.Address{Local: "victim@far.test", Domain: "x.test"}, "554 5.7.1", false},
			{"percent hack in a relay domain", one("victim%far.test@relay.test"), "554 5.7.1", false},
			{"no dot", one("alice@localhost"), "504 5.5.2", false},
			{"an address literal that is not ours", one("alice@[192.0.2.9]"), "554 5.7.1", true},
		} {
			got := resolved(t, r, tt.to)
			if got != tt.want || errors.Is(r.Verify(t.Context(), tt.to), ErrNotLocal) != tt.notLocal {
				t.Errorf("deployed=%v: %s: %q gets %s, want %s", deployed, tt.rule, tt.to, got, tt.want)
			}
		}
	}
	if got := resolved(t, New(Config{Lookup: m}), one("own%name@x.test")); got != "mailbox:own%name@x.test" {
		t.Errorf("a mailbox with a percent in its name gets %s", got)
	}
}

// TestFault: a database that is down is never an answer, at whatever question
// it goes down.
func TestFault(t *testing.T) {
	t.Parallel()
	fault := errors.New("database down")
	for _, deployed := range []bool{false, true} {
		for n := range 40 {
			l := &failing{Lookup: world("alice@x.test", "list@x.test: @also.test far@far.test", "@x.test: alice@x.test"), after: n, fault: fault}
			r := New(Config{Lookup: l, Deployed: deployed, Delimiter: '+'})
			for _, to := range addrs("list+x@x.test nobody+x@also.test alice+x@also.test") {
				l.asked = 0
				list, err := r.Resolve(t.Context(), to)
				checkFault(t, fmt.Sprint("Resolve ", to, " after ", n), l, err, list != nil)
				l.asked = 0
				may, err := r.MaySendAs(t.Context(), one("alice@x.test"), to)
				checkFault(t, fmt.Sprint("MaySendAs ", to, " after ", n), l, err, may)
			}
		}
	}
}

// checkFault wants the fault, bare of a status, if it was met.
func checkFault(t *testing.T, what string, l *failing, err error, answer bool) {
	t.Helper()
	if l.asked <= l.after {
		return
	}
	if s, ok := errors.AsType[*mail.Status](err); !errors.Is(err, l.fault) || ok || answer {
		t.Errorf("%s: %v (status %v), with an answer: %v", what, err, s, answer)
	}
}

// failing goes down after some questions.
type failing struct {
	accounts.Lookup
	after, asked int
	fault        error
}

func (f *failing) down() bool { f.asked++; return f.asked > f.after }

func (f *failing) Domain(ctx context.Context, name string) (accounts.Domain, error) {
	if f.down() {
		return accounts.Domain{}, f.fault
	}
	return f.Lookup.Domain(ctx, name)
}

func (f *failing) Mailbox(ctx context.Context, a mail.Address) (accounts.Mailbox, error) {
	if f.down() {
		return accounts.Mailbox{}, f.fault
	}
	return f.Lookup.Mailbox(ctx, a)
}

func (f *failing) Alias(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	if f.down() {
		return nil, f.fault
	}
	return f.Lookup.Alias(ctx, a)
}

// TestExpansion: lists, loops and limits.
func TestExpansion(t *testing.T) {
	t.Parallel()
	var members, chain []string
	for i := range 10 {
		members = append(members, fmt.Sprintf("m%d@far.test", i))
		chain = append(chain, fmt.Sprintf("c%d@x.test: c%d@x.test", i, i+1))
	}
	for _, tt := range []struct {
		rule    string
		aliases []string
		to      string
		want    string
	}{
		{"met twice, kept once", []string{"l@x.test: alice@x.test ALICE@x.test k@x.test", "k@x.test: alice@x.test"}, "l@x.test", "mailbox:alice@x.test"},
		{"a list that holds itself", []string{"alice@x.test: alice@x.test far@far.test"}, "alice@x.test", "mailbox:alice@x.test remote:far@far.test"},
		{"two that keep copies for one another", []string{"alice@x.test: alice@x.test bob@x.test", "bob@x.test: bob@x.test alice@x.test"}, "alice@x.test", "mailbox:alice@x.test mailbox:bob@x.test"},
		{"a loop of two", []string{"a@x.test: b@x.test", "b@x.test: a@x.test"}, "a@x.test", "451 4.6.0"},
		{"a loop behind a good address", []string{"a@x.test: alice@x.test b@x.test", "b@x.test: a@x.test"}, "a@x.test", "451 4.6.0"},
		{"a loop by way of an alias domain", []string{"a@x.test: a@also.test"}, "a@x.test", "451 4.6.0"},
		{"a detail that grows", []string{"a@x.test: b+y@x.test", "b@x.test: a@x.test"}, "a+x@x.test", "451 4.6.0"},
		{"as many as allowed", []string{"l@x.test: " + strings.Join(members[:6], " ")}, "l@x.test", "remote:" + strings.Join(members[:6], " remote:")},
		{"more than allowed", []string{"l@x.test: " + strings.Join(members[:8], " ")}, "l@x.test", "451 4.6.0"},
		{"as deep as allowed", append(slices.Clone(chain[:5]), "c5@x.test: alice@x.test"), "c1@x.test", "mailbox:alice@x.test"},
		{"deeper than allowed", append(slices.Clone(chain[:6]), "c6@x.test: alice@x.test"), "c1@x.test", "451 4.6.0"},
		{"a vacation entry is left out", []string{"alice@x.test: alice@x.test alice#x.test@auto.test"}, "alice@x.test", "mailbox:alice@x.test"},
		{"nothing but a vacation entry", []string{"v@x.test: v#x.test@auto.test"}, "v@x.test", "550 5.1.1"},
		{"an entry without a domain, no origin", []string{"a@x.test: root alice@x.test"}, "a@x.test", "mailbox:alice@x.test nouser:root"},
		{"the catch-all keeps the local part for @other", []string{"@also.test: @far.test"}, "Some+x@also.test", "remote:Some+x@far.test"},
		{"own catch-all before the target's", []string{"@also.test: far@far.test", "@x.test: bob@x.test"}, "any@also.test", "remote:far@far.test"},
		{"the target's names before the own catch-all", []string{"@also.test: far@far.test"}, "alice@also.test", "mailbox:alice@x.test"},
		{"a list's detail goes to its members", []string{"l@x.test: alice@x.test far@far.test"}, "l+x@x.test", "mailbox:alice+x@x.test->alice@x.test remote:far+x@far.test"},
		{"an alias row in a relay domain", []string{"joe@relay.test: alice@x.test"}, "joe@relay.test", "mailbox:alice@x.test"},
	} {
		r := New(Config{Lookup: world("alice@x.test bob@x.test", tt.aliases...), Delimiter: '+', VacationDomain: "auto.test", MaxExpansion: 7, MaxDepth: 5})
		if got := resolved(t, r, one(tt.to)); got != tt.want {
			t.Errorf("%s: %s goes to %s, want %s", tt.rule, tt.to, got, tt.want)
		}
	}
}

func TestVacation(t *testing.T) {
	t.Parallel()
	m := world("alice@x.test bob@x.test",
		"alice@x.test: Alice#X.test@auto.test alice@x.test", "bob@x.test: bob@x.test", "l@x.test: bob@x.test alice@x.test", "odd@x.test: alice@auto.test bob@x.test")
	for domain, want := range map[string]map[string]string{
		"auto.test": {"alice@x.test": "alice", "l@x.test": "alice", "bob@x.test": "", "odd@x.test": ""},
		"":          {"alice@x.test": ""},
	} {
		r := New(Config{Lookup: m, VacationDomain: domain})
		for to, want := range want {
			list, err := r.Expand(t.Context(), one(to))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, d := range list {
				if d.Vacation {
					got += d.Mailbox.Address.Local
				}
			}
			if got != want {
				t.Errorf("%s with domain %q: %q are away, want %q", to, domain, got, want)
			}
		}
	}
}

func TestMaySendAs(t *testing.T) {
	t.Parallel()
	m := world("alice@x.test bob@x.test plus+name@x.test",
		"alice@x.test: alice@x.test",
		"bob@x.test: bob@x.test alice@x.test", // bob forwards to alice
		"team@x.test: bob@x.test Alice@x.test",
		"chain@x.test: team@x.test",
		"@x.test: alice@x.test",
		"loop@x.test: pool@x.test", "pool@x.test: loop@x.test",
		"viabob@x.test: bob@x.test",
		"own@also.test: alice@x.test",
		"joe@relay.test: alice@x.test",
		"orphan@far.test: alice@x.test",
		"deep0@x.test: deep1@x.test", "deep1@x.test: deep2@x.test", "deep2@x.test: deep3@x.test",
		"deep3@x.test: deep4@x.test", "deep4@x.test: alice@x.test",
		"percent@x.test: @also.test",
	)
	for _, deployed := range []bool{false, true} {
		r := New(Config{Lookup: m, Delimiter: '+', Deployed: deployed, MaxDepth: 4})
		for _, tt := range []struct {
			rule, login, from string
			want              bool
		}{
			{"the own address", "alice@x.test", "alice@x.test", true},
			{"in any case", "alice@x.test", "ALICE@x.test", true},
			{"with a detail", "alice@x.test", "alice+lists@x.test", true},
			{"under an alias domain", "alice@x.test", "Alice@also.test", true},
			{"both", "alice@x.test", "alice+lists@also.test", true},
			{"a name with the delimiter in it", "plus+name@x.test", "plus+name@x.test", true},
			{"a list that holds it", "alice@x.test", "team@x.test", true},
			{"a list with a detail", "alice@x.test", "team+x@x.test", true},
			{"a list under an alias domain", "alice@x.test", "team@also.test", true},
			{"a chain", "alice@x.test", "chain@x.test", true},
			{"an alias domain's own row", "alice@x.test", "own@also.test", true},
			{"an alias in a relay domain", "alice@x.test", "joe@relay.test", true},
			{"as deep as allowed", "alice@x.test", "deep1@x.test", true},

			{"deeper", "alice@x.test", "deep0@x.test", false},
			{"another's mailbox", "alice@x.test", "bob@x.test", false},
			{"with a detail", "alice@x.test", "bob+x@x.test", false},
			{"by way of another's mailbox", "alice@x.test", "viabob@x.test", false},
			{"the base of a name with the delimiter", "plus+name@x.test", "plus@x.test", false},
			{"another's mailbox that looks like a detail", "plus@x.test", "plus+name@x.test", false},
			{"the same under an alias domain", "plus@x.test", "plus+name@also.test", false},
			{"a catch-all", "alice@x.test", "anybody@x.test", false},
			{"the whole domain", "alice@x.test", "@x.test", false},
			{"a loop", "alice@x.test", "loop@x.test", false},
			{"a stranger's domain", "alice@x.test", "alice@far.test", false},
			{"rows in a stranger's domain", "alice@x.test", "orphan@far.test", false},
			{"an alias domain without a domain", "alice@x.test", "alice@stray.test", false},
			{"a list that does not hold it", "plus+name@x.test", "team@x.test", false},
		} {
			got, err := r.MaySendAs(t.Context(), one(tt.login), one(tt.from))
			if got != tt.want || err != nil {
				t.Errorf("deployed=%v: %s: %s as %s: %v, %v", deployed, tt.rule, tt.login, tt.from, got, err)
			}
		}
		if got, err := r.MaySendAs(t.Context(), one("alice@x.test"), mail.Address{}); got || err != nil {
			t.Errorf("the null reverse-path: %v, %v", got, err)
		}
	}
}

// TestDestination: what local delivery gets to know.
func TestDestination(t *testing.T) {
	t.Parallel()
	r := New(Config{Lookup: world("alice@x.test"), Delimiter: '+'})
	list, err := r.Resolve(t.Context(), one("Alice+Lists.Go@also.test"))
	want := Destination{Class: Local, Address: one("Alice+Lists.Go@x.test"), Mailbox: accounts.Mailbox{Address: one("alice@x.test")}, Detail: "Lists.Go"}
	if err != nil || len(list) != 1 || list[0] != want {
		t.Errorf("%+v, %v; want %+v", list, err, want)
	}
	for _, to := range addrs("far@far.test alice@x.test") {
		if _, err := r.Expand(t.Context(), to); err != nil {
			t.Errorf("Expand(%s): %v", to, err)
		}
	}
}
