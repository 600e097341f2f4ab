package postfixadmin

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestSigningKeys asks every schema of both engines for keys: one, one that is too
// long to be a key and one that nobody signs with. Older releases have none.
func TestSigningKeys(t *testing.T) {
	t.Parallel()
	for name, c := range emptyDatabases(t) {
		t.Run(name, func(t *testing.T) {
			c.SigningKeys = true
			db := open(t, c)
			if d, err := db.Dump(t.Context()); err != nil || d.SigningKeys == nil {
				t.Fatalf("dumped when empty: %v, %v", d.SigningKeys, err)
			}
			got, err := db.SigningKeys(t.Context())
			if err != nil || len(got) != 0 {
				t.Fatalf("empty: %v, %v", got, err)
			}
			s, err := db.probed(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !s.has("dkim_signing", "dkim_id") {
				return
			}
			insert(t, db, "domain", columns{{"domain", "k.test"}, {"description", ""}, {"transport", "virtual"}, {"active", true}})
			for i, text := range []string{"text of a", "unused", strings.Repeat("x", maxPrivateKey+1)} {
				insert(t, db, "dkim", columns{{"id", i + 1}, {"domain_name", "k.test"}, {"selector", fmt.Sprint("s", i+1)}, {"private_key", text}})
			}
			for i, row := range []struct {
				author string
				key    int
			}{{"*@k.test", 1}, {"bob@k.test", 3}, {"k.test", 1}} {
				insert(t, db, "dkim_signing", columns{{"id", i + 1}, {"author", row.author}, {"dkim_id", row.key}})
			}
			got, err = db.SigningKeys(t.Context())
			var lines []string
			for _, k := range got {
				lines = append(lines, fmt.Sprintf("%s %s %s %s", k.Author, k.Domain, k.Selector, k.PEM))
			}
			before, err := db.Version(t.Context())
			if err != nil {
				t.Error(err)
			}
			if d, err := db.Dump(t.Context()); err != nil || !slices.Equal(d.SigningKeys, got) {
				t.Errorf("dumped %v, %v", d.SigningKeys, err)
			}
			insert(t, db, "dkim", columns{{"id", 9}, {"domain_name", "k.test"}, {"selector", "s9"}, {"private_key", "text"}})
			if after, err := db.Version(t.Context()); err != nil || after == before {
				t.Errorf("a new key leaves version %q, %v", after, err)
			}
			if want := []string{"*@k.test k.test s1 text of a", "bob@k.test k.test s3 ", "k.test k.test s1 text of a"}; err != nil || !slices.Equal(lines, want) {
				t.Errorf("%q, %v, want %q", lines, err, want)
			}
		})
	}
}
