package maildir

import (
	"fmt"
	"strings"
	"testing"

	"gomaild/storage"
)

// uidListTests are also the seeds of FuzzUIDList. lines is the list as it would
// be rewritten, "" for a file without a usable header.
var uidListTests = []struct {
	rule, in, out string
	rewrite       bool
}{
	{"empty mailbox", "3 V7 N1 Gabc\n", "3 V7 N1 Gabc\n", false},
	{"N is stale by design", "3 V7 N1 Gabc\n1 :a\n5 :b\n", "3 V7 N6 Gabc\n1 :a\n5 :b\n", false},
	{"N above the last UID", "3 V7 N100 Gabc\n1 :a\n", "3 V7 N100 Gabc\n1 :a\n", false},
	{"unknown header fields are kept", "3 V7 N2 Gabc X1 Zy\n1 :a\n", "3 V7 N2 Gabc X1 Zy\n1 :a\n", false},
	{"no GUID", "3 V7 N2\n1 :a\n", "3 V7 N2\n1 :a\n", false},
	{"extensions are kept", "3 V7 N2\n1 W5 S4 Ppop Gguid Znew :a\n", "3 V7 N2\n1 W5 S4 Ppop Gguid Znew :a\n", false},
	{"empty P", "3 V7 N2\n1 P :a\n", "3 V7 N2\n1 P :a\n", false},
	{"blank in a name", "3 V7 N2\n1 :a b :c\n", "3 V7 N2\n1 :a b \n", false},
	{"flags in a line are passed over", "3 V7 N2\n1 :a:2,S\n", "3 V7 N2\n1 :a\n", false},
	{"version 1", "1 9 77\n10 a\n20 b\n", "3 V9 N77\n10 :a\n20 :b\n", true},
	{"broken line ends the list, its UIDs stay used", "3 V7 N1\n1 :a\ngarbage\n5 :b\n", "3 V7 N6\n1 :a\n", true},
	{"UID that does not ascend", "3 V7 N1\n1 :a\n3 :c\n2 :b\n4 :d\n", "3 V7 N5\n1 :a\n3 :c\n", true},
	{"line without a name", "3 V7 N1\n1 :a\n4 :\n", "3 V7 N2\n1 :a\n", true},
	{"last line without its end", "3 V7 N1\n1 :a\n2 :b", "3 V7 N3\n1 :a\n", true},
	{"zeros of a torn write", "3 V7 N1\n1 :a\n\x00\x00\x00\x00", "3 V7 N2\n1 :a\n", true},
	{"garbage does not use up all UIDs", "3 V7 N1\n1 :a\nx\n4294967290 :b\n", "3 V7 N2\n1 :a\n", true},
	{"of two lines for one file the later counts", "3 V7 N1\n1 :a\n2 :b\n3 :a\n", "3 V7 N4\n2 :b\n3 :a\n", true},
	{"empty file", "", "", false},
	{"no end of the header", "3 V7 N1", "", false},
	{"unknown version", "4 V7 N1\n", "", false},
	{"no UIDVALIDITY", "3 N1 Gabc\n", "", false},
	{"UIDVALIDITY 0", "3 V0 N1\n", "", false},
	{"UIDVALIDITY is no number", "3 Vx N1\n", "", false},
	{"version 1 without numbers", "1 x y\n", "", false},
}

func TestParseUIDList(t *testing.T) {
	t.Parallel()
	for _, tt := range uidListTests {
		l, err := parseUIDList(tt.in)
		if err != nil {
			if tt.out != "" {
				t.Errorf("%s: %v", tt.rule, err)
			}
			continue
		}
		if got := string(l.format()); got != tt.out || l.mustRewrite != tt.rewrite {
			t.Errorf("%s: %q, must rewrite %v; want %q, %v", tt.rule, got, l.mustRewrite, tt.out, tt.rewrite)
		}
	}
}

func TestUIDsEnd(t *testing.T) {
	t.Parallel()
	l := &uidlist{validity: 1, next: 4294967290}
	if _, err := l.number(make([]string, 5)); err != nil {
		t.Errorf("the last numbers: %v", err)
	}
	if _, err := l.number(make([]string, 6)); err == nil {
		t.Error("numbered beyond the end")
	}
}

// FuzzUIDList holds that a list that was read and written is read the same
// again, with UIDs that ascend below the next.
func FuzzUIDList(f *testing.F) {
	for _, tt := range uidListTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		l, err := parseUIDList(in)
		if err != nil {
			return
		}
		last := storage.UID(0)
		for _, e := range l.entries {
			if e.uid <= last || e.uid >= l.next && l.next != 4294967295 || !isBaseName(e.base) {
				t.Fatalf("entry %+v, next %d", e, l.next)
			}
			last = e.uid
		}
		out := string(l.format())
		again, err := parseUIDList(out)
		if err != nil || again.mustRewrite || string(again.format()) != out {
			t.Fatalf("%q is written as %q and then %v", in, out, err)
		}
	})
}

func BenchmarkParseUIDList(b *testing.B) {
	var s strings.Builder
	s.WriteString("3 V1795410753 N100001 G5013033541cb036bd369000083ecc375\n")
	for i := range 100000 {
		fmt.Fprintf(&s, "%d :1795410753.M%dP27091.vm,S=404,W=418\n", i+1, i)
	}
	b.ReportAllocs()
	for b.Loop() {
		if l, err := parseUIDList(s.String()); err != nil || l.mustRewrite {
			b.Fatal(err)
		}
	}
}
