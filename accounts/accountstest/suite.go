package accountstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"gomaild/accounts"
	"gomaild/mail"
)

// Test runs the suite. load makes a Lookup that holds the rows of the World;
// more adds rows to it later, as an administrator does while mail flows.
func Test(t *testing.T, load func(t *testing.T, w World) (l accounts.Lookup, more func(World))) {
	t.Helper()
	lookup, more := load(t, suiteWorld())
	s := suite{lookup}
	t.Run("Domain", s.domain)
	t.Run("Mailbox", s.mailbox)
	t.Run("Alias", s.alias)
	t.Run("Context", s.context)
	t.Run("Concurrent", s.concurrent)
	t.Run("New", func(t *testing.T) { s.added(t, more) })
}

func addr(local, domain string) mail.Address { return mail.Address{Local: local, Domain: domain} }

func hosted(name string) accounts.Domain {
	return accounts.Domain{Name: name, Class: accounts.Hosted, Transport: "virtual"}
}

func box(local, domain string, quota int64) accounts.Mailbox {
	return accounts.Mailbox{Address: addr(local, domain), Maildir: domain + "/" + local + "/", QuotaBytes: quota, MaySend: true}
}

// suiteWorld is what the suite asks about.
func suiteWorld() World {
	return World{
		Domains: []Domain{
			{Domain: hosted("one.test")},
			{Domain: hosted("Mixed.Test")},
			{Domain: hosted("off.test"), Inactive: true},
			{Domain: accounts.Domain{Name: "other.test", Class: accounts.AliasOf, Target: "one.test", Transport: "virtual"}},
			{Domain: accounts.Domain{Name: "relay.test", Class: accounts.Relay, Transport: "smtp:[192.0.2.1]"}},
		},
		Mailboxes: []Mailbox{
			{Mailbox: box("alice", "one.test", 1<<40)},
			{Mailbox: box("Bob.Mixed", "Mixed.Test", 0)},
			{Mailbox: box("gone", "one.test", 0), Inactive: true},
			{Mailbox: box("negative", "one.test", -1)},
			{Mailbox: box("o'brien%_\\", "one.test", 0)},
		},
		Aliases: []Alias{
			{Address: addr("alice", "one.test"), To: []mail.Address{addr("alice", "one.test")}},
			{Address: addr("List", "one.test"), To: []mail.Address{addr("Someone", "remote.test"), addr("list", "one.test"), addr("root", "")}},
			{Address: addr("off", "one.test"), To: []mail.Address{addr("alice", "one.test")}, Inactive: true},
			{Address: addr("empty", "one.test")},
			{Address: addr("", "one.test"), To: []mail.Address{addr("", "else.test")}},
		},
	}
}

type suite struct{ lookup accounts.Lookup }

func (s suite) domain(t *testing.T) {
	for _, tt := range []struct {
		rule, name string
		want       accounts.Domain
	}{
		{"hosted", "one.test", hosted("one.test")},
		{"keys are folded", "ONE.Test", hosted("one.test")},
		{"rows in mixed case are found", "mixed.test", hosted("mixed.test")},
		{"relayed", "relay.test", accounts.Domain{Name: "relay.test", Class: accounts.Relay, Transport: "smtp:[192.0.2.1]"}},
		{"another's second name", "other.test", accounts.Domain{Name: "other.test", Class: accounts.AliasOf, Target: "one.test", Transport: "virtual"}},
		{"inactive", "off.test", accounts.Domain{}},
		{"unknown", "none.test", accounts.Domain{}},
		{"a blank is part of the name", "one.test ", accounts.Domain{}},
		{"a wildcard is no pattern", "%.test", accounts.Domain{}},
		{"not ASCII", "öne.test", accounts.Domain{}},
		{"nothing", "", accounts.Domain{}},
	} {
		got, err := s.lookup.Domain(t.Context(), tt.name)
		if got != tt.want || !answered(err, tt.want.Name != "") {
			t.Errorf("%s: Domain(%q) = %+v, %v; want %+v", tt.rule, tt.name, got, err, tt.want)
		}
	}
}

// answered reports that err is what a question with a yes or a no gives.
func answered(err error, yes bool) bool {
	if yes {
		return err == nil
	}
	return errors.Is(err, accounts.ErrNotFound)
}

func (s suite) mailbox(t *testing.T) {
	unlimited := func(m accounts.Mailbox) accounts.Mailbox { m.QuotaBytes = 0; return m }
	mixed := box("Bob.Mixed", "Mixed.Test", 0)
	mixed.Address = mixed.Address.Fold()
	mixed.Address.Domain = "mixed.test"
	for _, tt := range []struct {
		rule string
		a    mail.Address
		want accounts.Mailbox
	}{
		{"exact", addr("alice", "one.test"), box("alice", "one.test", 1<<40)},
		{"keys are folded", addr("ALICE", "one.test"), box("alice", "one.test", 1<<40)},
		{"rows in mixed case are found, and named folded", addr("bob.mixed", "mixed.test"), mixed},
		{"a negative quota is no limit", addr("negative", "one.test"), unlimited(box("negative", "one.test", 0))},
		{"marks that mean something to SQL", addr("o'brien%_\\", "one.test"), box("o'brien%_\\", "one.test", 0)},
		{"a wildcard is no pattern", addr("alic_", "one.test"), accounts.Mailbox{}},
		{"inactive", addr("gone", "one.test"), accounts.Mailbox{}},
		{"no detail", addr("alice+x", "one.test"), accounts.Mailbox{}},
		{"no alias domain", addr("alice", "other.test"), accounts.Mailbox{}},
		{"an alias is no mailbox", addr("list", "one.test"), accounts.Mailbox{}},
		{"no catch-all", addr("", "one.test"), accounts.Mailbox{}},
		{"an accent is another letter", addr("alicé", "one.test"), accounts.Mailbox{}},
		{"beyond latin1", addr("алиса", "one.test"), accounts.Mailbox{}},
		{"full-width letters are no ASCII", addr("ａlice", "one.test"), accounts.Mailbox{}},
		{"the Kelvin sign is no k", addr("ali\u212ae", "one.test"), accounts.Mailbox{}},
		{"a blank is part of the name", addr("alice", "one.test "), accounts.Mailbox{}},
		{"so is one in front", addr(" alice", "one.test"), accounts.Mailbox{}},
		{"a NUL does not end the name", addr("alice", "one.test\x00"), accounts.Mailbox{}},
		{"no domain", addr("alice", ""), accounts.Mailbox{}},
	} {
		got, err := s.lookup.Mailbox(t.Context(), tt.a)
		if got != tt.want || !answered(err, tt.want.Address.Local != "") {
			t.Errorf("%s: Mailbox(%q) = %+v, %v; want %+v", tt.rule, tt.a, got, err, tt.want)
		}
	}
}

func (s suite) alias(t *testing.T) {
	for _, tt := range []struct {
		rule string
		a    mail.Address
		want []mail.Address
	}{
		{"itself", addr("alice", "one.test"), []mail.Address{addr("alice", "one.test")}},
		{"in order, with case, with itself, without a domain", addr("list", "one.test"),
			[]mail.Address{addr("Someone", "remote.test"), addr("list", "one.test"), addr("root", "")}},
		{"the catch-all by its own key only", addr("", "one.test"), []mail.Address{addr("", "else.test")}},
		{"no catch-all for a name", addr("nobody", "one.test"), nil},
		{"inactive", addr("off", "one.test"), nil},
		{"a row with no entry is no row", addr("empty", "one.test"), nil},
		{"no detail", addr("list+x", "one.test"), nil},
		{"no alias domain", addr("list", "other.test"), nil},
		{"not ASCII", addr("líst", "one.test"), nil},
		{"a blank is part of the name", addr("list", "one.test "), nil},
	} {
		got, err := s.lookup.Alias(t.Context(), tt.a)
		if !slices.Equal(got, tt.want) || !answered(err, tt.want != nil) {
			t.Errorf("%s: Alias(%q) = %v, %v; want %v", tt.rule, tt.a, got, err, tt.want)
		}
	}
}

// context: a question that was not asked is not answered with no.
func (s suite) context(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, errD := s.lookup.Domain(ctx, "not-asked-before.test")
	_, errM := s.lookup.Mailbox(ctx, addr("not-asked-before", "one.test"))
	_, errA := s.lookup.Alias(ctx, addr("not-asked-before", "one.test"))
	for _, err := range []error{errD, errM, errA} {
		if err == nil || errors.Is(err, accounts.ErrNotFound) {
			t.Errorf("with a context that is over: %v", err)
		}
	}
}

func (s suite) concurrent(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 25 {
				if _, err := s.lookup.Mailbox(t.Context(), addr("alice", "one.test")); err != nil {
					t.Error(err)
				}
				if _, err := s.lookup.Alias(t.Context(), addr(fmt.Sprint("nobody", i), "one.test")); !errors.Is(err, accounts.ErrNotFound) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// added: what was just asked for in vain works the moment it is there.
func (s suite) added(t *testing.T, more func(World)) {
	a := addr("new", "new.test")
	if _, err := s.lookup.Mailbox(t.Context(), a); !errors.Is(err, accounts.ErrNotFound) {
		t.Fatal(err)
	}
	if _, err := s.lookup.Domain(t.Context(), "new.test"); !errors.Is(err, accounts.ErrNotFound) {
		t.Fatal(err)
	}
	more(World{
		Domains:   []Domain{{Domain: hosted("new.test")}},
		Mailboxes: []Mailbox{{Mailbox: box("new", "new.test", 0)}},
		Aliases:   []Alias{{Address: a, To: []mail.Address{a}}},
	})
	if _, err := s.lookup.Domain(t.Context(), "new.test"); err != nil {
		t.Errorf("new domain: %v", err)
	}
	if _, err := s.lookup.Mailbox(t.Context(), a); err != nil {
		t.Errorf("new mailbox: %v", err)
	}
	if _, err := s.lookup.Alias(t.Context(), a); err != nil {
		t.Errorf("new alias: %v", err)
	}
}
