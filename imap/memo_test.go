package imap

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestRemembered holds that an order that was remembered is the one that would be
// found anew, when messages came and went.
func TestRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	put := func(i int) {
		w.put("INBOX", fmt.Sprintf("From: a%d@example.test\nSubject: topic %d\nMessage-ID: <%d@example.test>\n\ntext\n", i*31%17, i*7919%1009, i), 0)
	}
	for i := range memoFrom + 100 {
		put(i)
	}
	c := w.login(w.listen())
	c.do("SELECT INBOX")
	order := func(command string) string {
		got := c.do(command)
		i := slices.IndexFunc(got, func(l string) bool { return strings.HasPrefix(l, "* SORT") || strings.HasPrefix(l, "* THREAD") })
		if i < 0 {
			t.Fatalf("%s: %q", command, got)
		}
		return got[i]
	}
	fresh := "SUBJECT REVERSE FROM"
	for round := range 5 {
		// The same order by a name that nobody has asked for.
		fresh += " REVERSE FROM"
		for range 2 {
			if got, want := order("SORT (SUBJECT REVERSE FROM) UTF-8 ALL"), order("SORT ("+fresh+") UTF-8 ALL"); got != want {
				t.Fatalf("round %d: %s\nwant %s", round, got, want)
			}
		}
		if a, b := order("THREAD ORDEREDSUBJECT UTF-8 ALL"), order("THREAD ORDEREDSUBJECT UTF-8 ALL"); a != b {
			t.Errorf("round %d: threads differ", round)
		}
		for i := range round * 20 {
			put(10_000 + round*1000 + i)
		}
		c.do(fmt.Sprintf("UID STORE %d:%d +FLAGS (\\Deleted)", round*30+1, round*30+9))
		c.do("EXPUNGE")
		c.do("NOOP")
	}
}
