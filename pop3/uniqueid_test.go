package pop3

import (
	"strings"
	"testing"

	"gomaild/storage"
)

func TestUniqueIDs(t *testing.T) {
	t.Parallel()
	e := storage.MaildropEntry{UID: 16, Name: "1795410666.M1P2.host,S=1,W=2"}
	for format, want := range map[string]string{
		"%08Xu%08Xv": "000000106b03caea", // as notes of Dovecot show it: lower case
		"%u":         "16",
		"%v.%u":      "1795410666.16", // UW IMAP's
		"%Xv%Xu":     "6b03caea10",
		"%f":         "1795410666.M1P2.host,S=1,W=2",
		"%g":         "1795410666.M1P2.host,S=1,W=2",
		"%%%5u":      "%00016",
	} {
		f, err := ParseUniqueIDFormat(format)
		if err != nil {
			t.Errorf("%s: %v", format, err)
			continue
		}
		if got := f.uniqueID(e, 1795410666); got != want {
			t.Errorf("%s: %q, want %q", format, got, want)
		}
	}
	for _, bad := range []string{"", "%", "%v", "%x", "text", "%99u", "%u blank", "%08", "%X"} {
		if _, err := ParseUniqueIDFormat(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// TestUniqueIDsThatStay holds that a `P` field comes before the format, and
// that what no list can carry is hashed.
func TestUniqueIDsThatStay(t *testing.T) {
	t.Parallel()
	f := defaultUniqueIDs()
	if got := f.uniqueID(storage.MaildropEntry{UID: 1, UniqueID: "old-one"}, 9); got != "old-one" {
		t.Error(got)
	}
	for _, bad := range []string{"with blank", "dos\r\n.", strings.Repeat("x", 71)} {
		got := f.uniqueID(storage.MaildropEntry{UID: 1, UniqueID: bad}, 9)
		if len(got) != 32 || got != f.uniqueID(storage.MaildropEntry{UID: 2, UniqueID: bad}, 9) {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

func FuzzUniqueIDFormat(f *testing.F) {
	for _, s := range []string{"%08Xu%08Xv", "%f", "%%%5u", "%99u", "a%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		format, err := ParseUniqueIDFormat(s)
		if err != nil {
			return
		}
		id := format.uniqueID(storage.MaildropEntry{UID: 4294967295, Name: "name"}, 4294967295)
		if id == "" || len(id) > maxUniqueID || strings.ContainsAny(id, " \r\n") {
			t.Errorf("%q makes %q", s, id)
		}
	})
}
