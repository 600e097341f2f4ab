package maildir

import (
	"slices"
	"testing"

	"gomaild/internal/durable/crashfs"
	"gomaild/storage/storagetest"
)

func FuzzAttributes(f *testing.F) {
	for _, seed := range []string{"", "priv/g/comment\nx\n", "key without value\n", "a\nb\x01t\x01n\x01r\x010\x011\n", "\n\n", "\x01\n\x01x\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data string) {
		once := parseAttributes(data)
		if again := parseAttributes(string(formatAttributes(once))); !slices.Equal(once, again) {
			t.Errorf("%q is written and read as %q", once, again)
		}
	})
}

// The file is as Dovecot's dictionary writes it.
func TestAttributesFile(t *testing.T) {
	t.Parallel()
	fsys := crashfs.New()
	s := newStore(t, fsys, "attributes.test")
	a, err := s.Account(t.Context(), storagetest.Alice())
	if err != nil {
		t.Fatal(err)
	}
	value := "two\nlines"
	if err := a.Annotate(t.Context(), "INBOX", map[string]*string{"/private/comment": &value}); err != nil {
		t.Fatal(err)
	}
	if err := a.Annotate(t.Context(), "", map[string]*string{"/shared/admin": &value}); err != nil {
		t.Fatal(err)
	}
	m, err := a.Open(t.Context(), "INBOX")
	if err != nil {
		t.Fatal(err)
	}
	guid := storagetest.Check(t, m).MailboxID
	want := "priv/" + guid + "/comment\ntwo\x01nlines\nshared/" + guid + "/vendor/vendor.dovecot/pvt/server/admin\ntwo\x01nlines\n"
	if got, err := s.readFile("example.org/alice@example.org/dovecot-attributes"); got != want || err != nil {
		t.Errorf("file %q, %v; want %q", got, err, want)
	}
	for _, c := range []interface{ Close() error }{m, a, s} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
}
