package postfixadmin

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin/fixture"
	"gomaild/mail"
)

// notOurs are the rows of postmap.tsv that we answer with no, and why.
var notOurs = map[string]string{
	"virtual_alias_maps\talice@example.com ":   "identity: MySQL's collation ignores a trailing blank, we do not",
	"virtual_mailbox_maps\talice@example.com ": "identity: MySQL's collation ignores a trailing blank, we do not",
}

// TestPostmap holds the single map look-ups that real Postfix made over the
// fixture, as a Lookup sees them.
func TestPostmap(t *testing.T) {
	t.Parallel()
	for name, c := range filledDatabases(t) {
		t.Run(name, func(t *testing.T) {
			c.Deployed = true
			db := open(t, c)
			met := 0
			for line := range strings.Lines(fixture.Read(t, "postmap.tsv")) {
				if strings.HasPrefix(line, "#") {
					continue
				}
				f := strings.Split(strings.TrimRight(line, "\n"), "\t")
				want := strings.TrimSuffix(f[2], "~")
				if _, ok := notOurs[f[0]+"\t"+f[1]]; ok {
					met++
					want = ""
				}
				got, err := askMap(t.Context(), db, f[0], f[1])
				if !errors.Is(err, accounts.ErrNotFound) && err != nil || !sameAnswer(f[0], got, want) {
					t.Errorf("%s %q: %q, %v; want %q", f[0], f[1], got, err, want)
				}
			}
			if met != len(notOurs) {
				t.Errorf("met %d of the rows in notOurs", met)
			}
		})
	}
}

// askMap asks what one of the deployment's maps asked.
func askMap(ctx context.Context, db *DB, name, key string) (string, error) {
	local, domain, ok := strings.Cut(key, "@")
	if !ok {
		local, domain = "", key
	}
	a := mail.Address{Local: local, Domain: domain}
	switch name {
	case "relay_domains", "virtual_mailbox_domains":
		if ok {
			return "", accounts.ErrNotFound // a domain map is asked for domains
		}
		d, err := db.Domain(ctx, key)
		if (d.Class == accounts.Relay) != (name == "relay_domains") {
			return "", err
		}
		return d.Name, err
	case "virtual_mailbox_maps":
		m, err := db.Mailbox(ctx, a)
		return m.Maildir, err
	case "virtual_alias_domain_maps":
		d, err := db.Domain(ctx, domain)
		if err != nil || d.Target == "" || local == "" {
			return "", err
		}
		a.Domain = d.Target
	}
	if !ok {
		return "", accounts.ErrNotFound // an alias map is asked for addresses
	}
	list, err := db.Alias(ctx, a)
	return joined(list), err
}

// sameAnswer compares alias lists as lists and domains folded.
func sameAnswer(name, got, want string) bool {
	if strings.HasPrefix(name, "virtual_alias") {
		list, _ := parseGoto(want)
		again, _ := parseGoto(got)
		return slices.Equal(list, again)
	}
	return got == mail.FoldASCII(want)
}
