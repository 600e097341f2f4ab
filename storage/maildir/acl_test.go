package maildir

import "testing"

// TestSubscribeOther: version 1 of the file has no place for a dot in a name.
func TestSubscribeOther(t *testing.T) {
	t.Parallel()
	s := parseSubscriptions("INBOX.Child\nWork\n")
	if !s.set("Shared/bob@example.com/Team", true) {
		t.Fatal("nothing changed")
	}
	if got, want := string(s.format()), "V\t2\n\nINBOX\tChild\nWork\nShared\tbob@example.com\tTeam\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
