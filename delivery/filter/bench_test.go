package filter_test

import (
	"fmt"
	"strings"
	"testing"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/delivery/local"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/memory"
)

// BenchmarkFilter is what a script of a hundred rules, of which none hits, adds
// to a delivery before the message is stored.
func BenchmarkFilter(b *testing.B) {
	var rules strings.Builder
	rules.WriteString("require \"fileinto\";\n")
	for i := range 100 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&rules, "if header :contains \"subject\" \"[project-%d]\" { fileinto \"p%d\"; stop; }\n", i, i)
		case 1:
			fmt.Fprintf(&rules, "if address :is :domain \"from\" \"host%d.example\" { fileinto \"h%d\"; stop; }\n", i, i)
		case 2:
			fmt.Fprintf(&rules, "if header :matches [\"to\", \"cc\"] \"*team-%d@*\" { fileinto \"t%d\"; stop; }\n", i, i)
		}
	}
	root, err := durable.OpenRoot(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer root.Close()
	if err := root.Mkdir("bob", 0o700); err != nil {
		b.Fatal(err)
	}
	if err := durable.WriteFile(root, "bob/.dovecot.sieve", []byte(rules.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	f := filter.New(filter.Config{FS: root, UID: -1, GID: -1, Home: func(storage.Owner) (string, error) { return "bob", nil }})
	account, err := new(memory.Store).Account(b.Context(), storage.Owner{Address: bob})
	if err != nil {
		b.Fatal(err)
	}
	message := strings.NewReader(simple + strings.Repeat("All the words of a letter.\r\n", 100))
	b.ReportAllocs()
	for b.Loop() {
		v, err := f.Filter(b.Context(), local.Question{
			Recipient: local.Recipient{Mailbox: accounts.Mailbox{Address: bob}},
			From:      mail.ReversePath{Address: bob}, Content: message, Account: account,
		})
		if err != nil || len(v.Stores) != 1 {
			b.Fatal(v, err)
		}
	}
}
