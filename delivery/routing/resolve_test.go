package routing

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"gomaild/accounts/postfixadmin"
	"gomaild/accounts/postfixadmin/fixture"
	"gomaild/internal/mariadbtest"
	"gomaild/internal/tables"
	"gomaild/mail"
)

var mariadb mariadbtest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	mariadb.Stop()
	os.Exit(code)
}

// answer is one row of resolve.tsv: what Postfix did.
type answer struct {
	config, sender, address string
	code, enhanced, text    string
	final                   []string
}

func readAnswers(t *testing.T) []answer {
	t.Helper()
	var list []answer
	for line := range strings.Lines(fixture.Read(t, "resolve.tsv")) {
		f := strings.Split(strings.TrimRight(line, "\r\n"), "\t")
		if strings.HasPrefix(line, "#") || f[0] == "config" {
			continue
		}
		list = append(list, answer{f[0], f[1], f[2], f[3], f[4], f[5], finals(f[6])})
	}
	if len(list) < 200 {
		t.Fatalf("resolve.tsv holds %d rows only", len(list))
	}
	return list
}

// finals splits the last column; blanks in an address are "_" there and a
// deferral is one thing.
func finals(s string) []string {
	if strings.HasPrefix(s, "defer:") {
		return []string{s}
	}
	return strings.Fields(s)
}

// deployedCopies are the deployment's sender_bcc_maps and recipient_bcc_maps.
var deployedCopies = func() *tables.List {
	l, err := tables.Open([]string{"inline:{@postfix.loc=admin@postfix.loc}"}, tables.Options{})
	if err != nil {
		panic(err)
	}
	return l
}()

// deployment is the Postfix that answered, as a Config.
func deployment(config string, deployed bool) Config {
	c := Config{
		Deployed:      deployed,
		Origin:        "mail.postfix.loc",
		SystemDomains: []string{"localhost", "localhost.postfix.loc", "[127.0.0.1]"},
	}
	if config == "plus" {
		c.Delimiter = '+'
	}
	c.SenderCopies, c.RecipientCopies = deployedCopies, deployedCopies
	return c
}

// given parses an address as the SMTP session does before it asks: a source
// route is dropped (RFC 5321 section 3.6.1), and a word without @ is what
// only the bare postmaster may be.
func given(t *testing.T, s string) mail.Address {
	t.Helper()
	if strings.HasPrefix(s, "@") {
		_, s, _ = strings.Cut(s, ":")
	}
	if !strings.Contains(s, "@") {
		return mail.Address{Local: s}
	}
	a, err := mail.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// shown writes destinations in resolve.tsv's way, and after an arrow the
// mailbox that takes the mail of an address with a detail.
func shown(list []Destination) []string {
	words := map[Class]string{Local: "mailbox:", Remote: "remote:", Relay: "relay:", NoUser: "nouser:"}
	var out []string
	for _, d := range list {
		a := d.Address
		if d.Class != Remote {
			a = a.Fold() // pipe(8) folds
		}
		text := words[d.Class] + strings.ReplaceAll(a.String(), " ", "_")
		if d.Class == Local && d.Mailbox.Address != a {
			text += "->" + d.Mailbox.Address.String()
		}
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}

// rcpt is the reply to RCPT as resolve.tsv has it.
func rcpt(err error) (code, enhanced, text string) {
	if err == nil {
		return "250", "2.1.5", "Ok"
	}
	s := mail.StatusOf(err)
	return strings.Fields(s.Error())[0], s.Enhanced, s.Text
}

// outcome is all that resolve.tsv says about an address.
type outcome struct {
	rcpt  string
	final string
}

func (a answer) outcome() outcome {
	list := slices.Clone(a.final)
	for i := range list {
		list[i] = foldRemoteDomain(list[i])
	}
	slices.Sort(list)
	return outcome{a.code + " " + a.enhanced + " " + a.text, strings.Join(list, " ")}
}

// foldRemoteDomain: a mail.Address has its domain in lower case.
func foldRemoteDomain(s string) string {
	i := strings.LastIndex(s, "@")
	if !strings.HasPrefix(s, "remote:") || i < 0 {
		return s
	}
	return s[:i] + strings.ToLower(s[i:])
}

// outcome is what becomes of a message to one address: where it goes, copies
// included.
func (r *Router) outcome(t *testing.T, sender string, a mail.Address) outcome {
	t.Helper()
	code, enhanced, text := rcpt(r.Verify(t.Context(), a))
	list, err := r.Expand(t.Context(), a)
	list = append(list, r.copied(t, sender, a, list)...)
	final := strings.Join(shown(list), " ")
	if err != nil {
		s := mail.StatusOf(err)
		final = "defer:" + strings.TrimSuffix(s.Error(), ": "+ErrExpansion.Error())
	}
	return outcome{code + " " + enhanced + " " + text, final}
}

// copied is where the copies of a message go that are not there yet.
func (r *Router) copied(t *testing.T, sender string, to mail.Address, have []Destination) []Destination {
	t.Helper()
	var from mail.Address
	if sender != "<>" {
		from = given(t, sender)
	}
	copies, err := r.Copies(from, []mail.Address{to})
	if err != nil {
		t.Fatal(err)
	}
	var list []Destination
	for _, c := range copies {
		more, err := r.Expand(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range more {
			if !slices.Contains(have, d) {
				list = append(list, d)
			}
		}
	}
	return list
}

// change is how an answer of ours is meant to differ from Postfix's; "" keeps
// a column.
type change struct {
	why   string
	rcpt  string
	final string
}

func (c change) apply(o outcome) outcome {
	if c.rcpt != "" {
		o.rcpt = c.rcpt
	}
	if c.final != "" {
		o.final = c.final
	}
	return o
}

// elsewhere are the rows whose answer is not routing's, with Deployed or
// without: Postfix's local(8) has system users and its trivial-rewrite undoes
// percent and bang paths for mail sent from the machine itself. There are no
// system users here, and nothing is ever rewritten out of a local part.
var elsewhere = map[string]change{
	"admin@postfix.loc":           {why: "a mailbox gets a message once, also by way of a copy", final: "mailbox:admin@postfix.loc"},
	"root@localhost":              {why: "no system users", final: "nouser:root@localhost"},
	"root@localhost.postfix.loc":  {why: "no system users", rcpt: "550 5.1.1 <root@localhost.postfix.loc>: Recipient address rejected: User unknown in local recipient table", final: "nouser:root@localhost.postfix.loc"},
	"alice@[127.0.0.1]":           {why: "no system users", final: "nouser:alice@[127.0.0.1]"},
	"alice%example.com@localhost": {why: "no percent hack for our own mail either", final: "nouser:alice%example.com@localhost"},
	"example.com!alice@localhost": {why: "no bang paths for our own mail either", final: "nouser:example.com!alice@localhost"},
}

const ok = "250 2.1.5 Ok"

func unknown(a string) string {
	return "550 5.1.1 <" + a + ">: Recipient address rejected: User unknown in virtual mailbox table"
}

func denied(a string) string { return "554 5.7.1 <" + a + ">: Relay access denied" }

// meant are the rows where postfixadmin's meaning, the default, differs from
// the deployed answer, in either configuration. docs/routing.md explains each
// kind in its words.
var meant = map[string]change{
	// A mailbox exists, with or without an alias row, and before a catch-all.
	"boxnoalias@second.test": {why: "mailbox before catch-all", final: "mailbox:boxnoalias@second.test"},

	// An alias domain is all of its target.
	"noalias@alias.test":       {why: "alias domain: mailboxes", rcpt: ok, final: "mailbox:noalias@example.com"},
	"whatever@aliasina.test":   {why: "alias domain: catch-all", rcpt: ok, final: "mailbox:alice@example.com"},
	"boxnoalias@aliasina.test": {why: "alias domain: mailboxes", rcpt: ok, final: "mailbox:boxnoalias@second.test"},

	// What is switched off is off.
	"alice@aliasoff.test": {why: "inactive alias domain", rcpt: unknown("alice@aliasoff.test"), final: "nouser:alice@aliasoff.test"},
	"user@deadalias.test": {why: "inactive target of an alias domain", rcpt: unknown("user@deadalias.test"), final: "nouser:user@deadalias.test"},
	"x@backupoff.test":    {why: "inactive backup-MX domain", rcpt: denied("x@backupoff.test"), final: "remote:x@backupoff.test"},

	// Rows of domains that are not ours do nothing.
	"alice@aliasnodom.test": {why: "alias domain without a domain", final: "remote:alice@aliasnodom.test"},
	"orphan@nodomain.test":  {why: "alias row without a domain", final: "remote:orphan@nodomain.test"},

	// Who would bounce later is refused now.
	"emoji@example.com":      {why: "ghost alias: refused at RCPT", rcpt: unknown("emoji@example.com")},
	"selfonly@example.com":   {why: "ghost alias: refused at RCPT", rcpt: unknown("selfonly@example.com")},
	"ghost@example.com":      {why: "ghost alias: refused at RCPT", rcpt: unknown("ghost@example.com")},
	"tocarol@example.com":    {why: "ghost alias: refused at RCPT", rcpt: unknown("tocarol@example.com")},
	"anyone@fwd.test":        {why: "ghost alias: refused at RCPT", rcpt: unknown("anyone@fwd.test")},
	"nobody@fwd.test":        {why: "ghost alias: refused at RCPT", rcpt: unknown("nobody@fwd.test")},
	"postmaster@postfix.loc": {why: "ghost alias: refused at RCPT", rcpt: unknown("postmaster@postfix.loc")},
	"loopa@example.com":      {why: "loop: refused at RCPT", rcpt: "451 4.6.0 Alias expansion error"},
	"loopb@example.com":      {why: "loop: refused at RCPT", rcpt: "451 4.6.0 Alias expansion error"},
	"loopc@example.com":      {why: "loop: refused at RCPT", rcpt: "451 4.6.0 Alias expansion error"},

	// Nothing is relayed by %, so a name may hold one.
	"100%@example.com": {why: "percent in a mailbox's own name", rcpt: ok},
}

// meantSeed are the differences without a delimiter, beside meant.
var meantSeed = map[string]change{
	"toplus@example.com": {why: "ghost alias: refused at RCPT", rcpt: unknown("toplus@example.com")},
	"alice+x@fwd.test":   {why: "ghost alias: refused at RCPT", rcpt: unknown("alice+x@fwd.test")},
}

// meantPlus are the differences with a delimiter, beside meant: a detail
// reaches the mailbox.
var meantPlus = map[string]change{
	"alice+work@example.com": {why: "detail", final: "mailbox:alice+work@example.com->alice@example.com"},
	"alice+@example.com":     {why: "detail", final: "mailbox:alice+@example.com->alice@example.com"},
	"toplus@example.com":     {why: "detail", final: "mailbox:alice+work@example.com->alice@example.com"},
	"alice+x@fwd.test":       {why: "detail", final: "mailbox:alice+x@example.com->alice@example.com"},
	"alice+x@alias.test":     {why: "detail", final: "mailbox:alice+x@example.com->alice@example.com"},
	"real+tag@second.test":   {why: "detail", final: "mailbox:real+tag@second.test->real@second.test"},
	"jane+x@postfix.loc":     {why: "detail", final: "mailbox:admin@postfix.loc mailbox:jane+x@postfix.loc->jane@postfix.loc"},
	"team+tag@example.com": {why: "detail",
		final: "mailbox:alice+tag@example.com->alice@example.com mailbox:bob+tag@example.com->bob@example.com nouser:carol+tag@example.com remote:bob#example.com+tag@autoreply.example.com"},
}

func changes(config string, deployed bool) map[string]change {
	all := maps.Clone(elsewhere)
	if deployed {
		return all
	}
	maps.Copy(all, meant)
	if config == "plus" {
		maps.Copy(all, meantPlus)
	} else {
		maps.Copy(all, meantSeed)
	}
	return all
}

// databases are the engines and schemas that the answers hold on.
func databases(t *testing.T, deployed bool) map[string]postfixadmin.Config {
	t.Helper()
	server := mariadb.Server(t)
	all := make(map[string]postfixadmin.Config)
	for _, release := range []string{fixture.RowsRelease, "4.0.5"} {
		all["sqlite-"+release] = postfixadmin.Config{Driver: postfixadmin.SQLite, Path: fixture.SQLite(t, release), Deployed: deployed}
		all["mysql-"+release] = postfixadmin.Config{Driver: postfixadmin.MySQL, Host: server.Host, Port: server.Port, User: "root",
			Database: fixture.MySQL(t, server, release), Deployed: deployed}
	}
	return all
}

// TestResolve holds every row of resolve.tsv against both rule sets, on both
// engines and both schemas.
func TestResolve(t *testing.T) {
	t.Parallel()
	rows := readAnswers(t)
	for _, deployed := range []bool{true, false} {
		for name, config := range databases(t, deployed) {
			if deployed {
				name += "-deployed"
			}
			t.Run(name, func(t *testing.T) {
				db, err := postfixadmin.Open(t.Context(), config)
				if err != nil {
					t.Fatal(err)
				}
				defer db.Close()
				for _, setting := range []string{"seed", "plus"} {
					c := deployment(setting, deployed)
					c.Lookup = db
					checkAnswers(t, New(c), rows, setting, changes(setting, deployed))
				}
			})
		}
	}
}

func checkAnswers(t *testing.T, r *Router, rows []answer, setting string, expected map[string]change) {
	t.Helper()
	unused := maps.Clone(expected)
	for _, row := range rows {
		if row.config != setting {
			continue
		}
		want := row.outcome()
		if c, ok := expected[row.address]; ok {
			delete(unused, row.address)
			if changed := c.apply(want); changed == want {
				t.Errorf("%s %s: %q is no difference: take the row out", setting, row.address, c.why)
			} else {
				want = changed
			}
		}
		if got := r.outcome(t, row.sender, given(t, row.address)); got != want {
			t.Errorf("%s %s:\n got %+v\nwant %+v", setting, row.address, got, want)
		}
	}
	for address := range unused {
		t.Errorf("%s: no row for the difference at %s", setting, address)
	}
}

// TestSourceRoute: the parser refuses what `given` takes apart for the row
// "@example.com:alice@second.test", so a route never reaches a look-up whole.
func TestSourceRoute(t *testing.T) {
	t.Parallel()
	if _, err := mail.ParseAddress("@example.com:alice@second.test"); !errors.Is(err, mail.ErrSyntax) {
		t.Errorf("a source route parses: %v", err)
	}
}

// TestDocumented: docs/routing.md names every difference, and no other.
func TestDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/routing.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := make(map[string]bool)
	_, differences, _ := strings.Cut(string(text), "| name | deployed | default |\n|---|---|---|\n")
	for line := range strings.Lines(differences) {
		if !strings.HasPrefix(line, "| ") {
			break
		}
		name, _, _ := strings.Cut(line[2:], " |")
		documented[name] = false
	}
	for _, table := range []map[string]change{meant, meantSeed, meantPlus} {
		for address, c := range table {
			if _, ok := documented[c.why]; !ok {
				t.Errorf("%s: docs/routing.md does not explain %q", address, c.why)
			}
			documented[c.why] = true
		}
	}
	for name, used := range documented {
		if !used {
			t.Errorf("docs/routing.md explains %q, which no row shows", name)
		}
	}
}
