package maildir

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"gomaild/mail"
	"gomaild/storage"
)

// utf7Tests are also the seeds of FuzzUTF7.
var utf7Tests = []struct{ plain, coded string }{
	{"INBOX", "INBOX"},
	{"A & B", "A &- B"},
	{"ünïöcödé", "&APw-n&AO8A9g-c&APY-d&AOk-"},
	{"日本語", "&ZeVnLIqe-"},
	{"emoji😀", "emoji&2D3eAA-"},
	{"ctl\x7f", "ctl&AH8-"},
	{"&", "&-"},
	{"é&é", "&AOk-&-&AOk-"},
	{"", ""},
}

func TestUTF7(t *testing.T) {
	t.Parallel()
	for _, tt := range utf7Tests {
		if got := encodeUTF7(tt.plain); got != tt.coded {
			t.Errorf("encode %q: %q, want %q", tt.plain, got, tt.coded)
		}
		if got, ok := decodeUTF7(tt.coded); !ok || got != tt.plain {
			t.Errorf("decode %q: %q, %v", tt.coded, got, ok)
		}
	}
	for rule, coded := range map[string]string{
		"not closed":              "&AOk",
		"bare ampersand":          "bad&name",
		"raw octets":              "raw\xc3\xa9",
		"ASCII in base64":         "&AGE-",
		"runs that should be one": "&AOk-&AOk-",
		"half a surrogate pair":   "&2D0-",
		"bits left over":          "&AOl-",
		"odd octets":              "&AO-",
		"slash in base64":         "&ZeV/-",
	} {
		if got, ok := decodeUTF7(coded); ok {
			t.Errorf("%s: %q is taken as %q", rule, coded, got)
		}
	}
}

func FuzzUTF7(f *testing.F) {
	for _, tt := range utf7Tests {
		f.Add(tt.plain)
		f.Add(tt.coded)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if plain, ok := decodeUTF7(s); ok && encodeUTF7(plain) != s {
			t.Fatalf("%q is %q, which is %q", s, plain, encodeUTF7(plain))
		}
		folder, err := folderOf(canonical(s))
		if err != nil || folder == "." {
			return
		}
		if name, ok := nameOf(folder); !ok || name != canonical(s) {
			t.Fatalf("%q lies in %q, which is %q", s, folder, name)
		}
		if strings.ContainsAny(folder, "/\x00") || strings.HasPrefix(folder, "..") {
			t.Fatalf("%q lies in %q", s, folder)
		}
	})
}

func TestFolderNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, folder string }{
		{"INBOX", "."},
		{"Sent", ".Sent"},
		{"a/b/c", ".a.b.c"},
		{"INBOX/Child", ".INBOX.Child"},
		{"日本語/も", ".&ZeVnLIqe-.&MII-"},
		{`back\slash "q" %*#`, `.back\slash "q" %*#`},
		{strings.Repeat("x", 254), "." + strings.Repeat("x", 254)},
	} {
		if got, err := folderOf(tt.name); err != nil || got != tt.folder {
			t.Errorf("%q lies in %q, %v; want %q", tt.name, got, err, tt.folder)
		}
	}
	for _, name := range []string{
		"", "a.b", "~a", "a//b", "/a", "a/", "\xff", "a\nb", "a\x00", "a\u0085",
		"sieve", "sieve/x", "dovecot", "dovecot/sieve", "inbox/a", "Inbox/a", strings.Repeat("x", 255),
	} {
		if got, err := folderOf(name); !errors.Is(err, storage.ErrName) {
			t.Errorf("%q lies in %q, %v", name, got, err)
		}
	}
	for _, folder := range []string{".", "..", "...", ".sieve", ".dovecot.sieve", ".dovecot.lda-dupes", "cur", ".a..b", ".a.", ".&AOk", ".rawé", "..DOVECOT-TRASHED"} {
		if got, ok := nameOf(folder); ok {
			t.Errorf("%q is mailbox %q", folder, got)
		}
	}
}

func TestKeywords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ rule, in, out string }{
		{"order and gaps do not matter", "5 five\n0 zero\n", "0 zero\n5 five\n"},
		{"junk is passed over", "x y\n\n1\n2 \n26 late\n-1 a\n3 ok\n", "3 ok\n"},
		{"the last definition counts", "0 a\n0 b\n", "0 b\n"},
		{"not a keyword", "0 with blank\n1 (paren\n2 back\\slash\n3 $ok\n", "3 $ok\n"},
	} {
		k := parseKeywords(tt.in)
		if got := string(k.format()); got != tt.out {
			t.Errorf("%s: %q, want %q", tt.rule, got, tt.out)
		}
	}
	k := parseKeywords("1 b\n")
	if got := k.names(); !slices.Equal(got, []string{"", "b"}) {
		t.Errorf("names %q", got)
	}
	if !k.nameUnknown(storage.KeywordsOf(1, 25)) || k[25] != "unknown-25" || k.nameUnknown(storage.KeywordsOf(25)) {
		t.Errorf("%q", k)
	}
	set, left, changed, err := k.define([]string{"B", "c"}, nil)
	if err != nil || !changed || set != storage.KeywordsOf(0, 1) || k[0] != "c" || left != nil {
		t.Errorf("define: %v, %q, %v, %v", slices.Collect(set.All()), left, changed, err)
	}
	set, left, changed, err = k.define([]string{"c", "late"}, parseMoreKeywords(string(appendNameLine(nil, 30, "LATE"))))
	if err != nil || changed || set != storage.KeywordsOf(0) || !slices.Equal(left, []string{"late"}) {
		t.Errorf("a name without a letter: %v, %q, %v, %v", slices.Collect(set.All()), left, changed, err)
	}
}

func FuzzKeywords(f *testing.F) {
	f.Add("0 a\n25 b\n26 c\njunk\n")
	f.Fuzz(func(t *testing.T, in string) {
		k := parseKeywords(in)
		if again := parseKeywords(string(k.format())); again != k {
			t.Fatalf("%q, then %q", k, again)
		}
	})
}

// subscriptionTests are also the seeds of FuzzSubscriptions.
var subscriptionTests = []struct {
	rule, in string
	names    []string
	added    string // the file after subscribing new/name
}{
	{"missing", "", nil, "V\t2\n\nnew\tname\n"},
	{"version 2", "V\t2\n\nINBOX\tChild\nA &- B\n", []string{"INBOX/Child", "A & B"}, "V\t2\n\nINBOX\tChild\nA &- B\nnew\tname\n"},
	{"version 1 stays", "Sent\nSub.deep\n", []string{"Sent", "Sub/deep"}, "Sent\nSub.deep\nnew.name\n"},
	{"version 1: a slash is no separator", "Sub/deep\n", nil, "Sub/deep\nnew.name\n"},
	{"CR LF", "Sent\r\n", []string{"Sent"}, "Sent\nnew.name\n"},
	{"a last line without end is lost", "V\t2\n\na\nb", []string{"a"}, "V\t2\n\na\nnew\tname\n"},
	{"twice", "V\t2\n\na\na\n", []string{"a"}, "V\t2\n\na\nnew\tname\n"},
	{"names of shared mailboxes", "V\t2\n\nShared\tbob@example.com\tTeam\n", []string{"Shared/bob@example.com/Team"}, "V\t2\n\nShared\tbob@example.com\tTeam\nnew\tname\n"},
	{"what cannot be read is kept", "V\t2\n\nbad&name\n", nil, "V\t2\n\nbad&name\nnew\tname\n"},
}

func TestSubscriptions(t *testing.T) {
	t.Parallel()
	for _, tt := range subscriptionTests {
		s := parseSubscriptions(tt.in)
		if got := s.names(); !slices.Equal(got, tt.names) {
			t.Errorf("%s: %q", tt.rule, got)
		}
		if !s.set("new/name", true) || s.set("new/name", true) || string(s.format()) != tt.added {
			t.Errorf("%s: added: %q", tt.rule, s.format())
		}
		if !s.set("new/name", false) || s.set("new/name", false) {
			t.Errorf("%s: not taken away", tt.rule)
		}
	}
}

func FuzzSubscriptions(f *testing.F) {
	for _, tt := range subscriptionTests {
		f.Add(tt.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s := parseSubscriptions(in)
		again := parseSubscriptions(string(s.format()))
		if !slices.Equal(s.lines, again.lines) && s.v2 == again.v2 {
			t.Fatalf("%q, then %q", s.lines, again.lines)
		}
	})
}

func TestExpand(t *testing.T) {
	t.Parallel()
	owner := func(local, domain, maildir string) storage.Owner {
		return storage.Owner{Address: mail.Address{Local: local, Domain: domain}, Maildir: maildir}
	}
	for _, tt := range []struct {
		rule, template string
		owner          storage.Owner
		want           string // "" is refused
	}{
		{"as Dovecot was set up", "{domain}/{address}", owner("alice", "x.test", ""), "x.test/alice@x.test"},
		{"local part", "{domain}/{local}", owner("alice", "x.test", ""), "x.test/alice"},
		{"the column", "{maildir}", owner("alice", "x.test", "x.test/alice/"), "x.test/alice"},
		{"fixed parts", "v/{domain}/{local}/Maildir", owner("a", "x.test", ""), "v/x.test/a/Maildir"},
		{"odd local part", "{domain}/{address}", owner("a b+c", "x.test", ""), "x.test/a b+c@x.test"},
		{"empty column", "{maildir}", owner("a", "x.test", ""), ""},
		{"empty local part", "{domain}/{local}", owner("", "x.test", ""), ""},
		{"empty address", "{domain}/{address}", owner("", "x.test", ""), ""},
		{"column leads out", "{maildir}", owner("a", "x.test", "../etc/"), ""},
		{"column leads out in the middle", "{maildir}", owner("a", "x.test", "x.test/../../etc"), ""},
		{"column is absolute", "{maildir}", owner("a", "x.test", "/etc/mail"), ""},
		{"column is the root", "{maildir}", owner("a", "x.test", "/"), ""},
		{"column is a dot", "{maildir}", owner("a", "x.test", "."), ""},
		{"column with empty parts", "{maildir}", owner("a", "x.test", "x.test//a"), ""},
		{"column is another's folder", "{maildir}", owner("a", "x.test", "x.test/bob/.Sent"), ""},
		{"local part leads out", "{domain}/{local}", owner("..", "x.test", ""), ""},
		{"local part brings a separator", "{domain}/{local}", owner("bob/cur", "x.test", ""), ""},
		{"local part is a hidden name", "{domain}/{local}", owner(".sieve", "x.test", ""), ""},
		{"NUL", "{maildir}", owner("a", "x.test", "x.test/a\x00b"), ""},
		{"line end", "{maildir}", owner("a", "x.test", "x.test/a\nb"), ""},
		{"not UTF-8", "{maildir}", owner("a", "x.test", "x.test/\xff"), ""},
		{"longer than a name can be", "{maildir}", owner("a", "x.test", strings.Repeat("a", 256)), ""},
		{"a key in a value is not filled in again", "{maildir}", owner("a", "x.test", "{local}"), "{local}"},
	} {
		got, err := expand(tt.template, tt.owner)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%s: %q, %v; want %q", tt.rule, got, err, tt.want)
		}
	}
}

func TestTemplate(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"{domain}", "{local}", "fixed", "/{address}", "../{address}", "{address}/", "{user}/{address}", ".{address}", "{address"} {
		if err := checkTemplate(path); err == nil {
			t.Errorf("%q is taken", path)
		}
	}
	for _, path := range []string{DefaultPath, "{domain}/{local}", "{maildir}", "a/{domain}/{local}/b"} {
		if err := checkTemplate(path); err != nil {
			t.Error(err)
		}
	}
}

// FuzzExpand holds that no account leaves the root.
func FuzzExpand(f *testing.F) {
	f.Add("alice", "x.test", "x.test/alice/")
	f.Add("..", "..", "../../etc")
	f.Fuzz(func(t *testing.T, local, domain, maildir string) {
		o := storage.Owner{Address: mail.Address{Local: local, Domain: domain}, Maildir: maildir}
		for _, template := range []string{"{domain}/{local}", "{maildir}", "{domain}/{address}"} {
			dir, err := expand(template, o)
			if err != nil {
				continue
			}
			for part := range strings.SplitSeq(dir, "/") {
				if part == "" || part[0] == '.' {
					t.Fatalf("%q", dir)
				}
			}
		}
	})
}
