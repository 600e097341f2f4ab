package tables

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/internal/peertest"
)

// tableTests are also seeds of FuzzParse and are asked of postmap. A question is
// "key -> value", "key ->" for none.
var tableTests = []struct {
	rule, kind, text string
	questions        []string
}{
	{"keys fold, blanks and tabs part them from values", "texthash", "Example.ORG  smtp:[a]\nb\tlmtp:x  y\n",
		[]string{"example.org -> smtp:[a]", "EXAMPLE.org -> smtp:[a]", "b -> lmtp:x  y", "c ->"}},
	{"comments and empty lines do not end a line", "texthash", "# head\n\na one,\n# within\n\n  two\n\tthree\n   # not a value\nb x\n",
		[]string{"a -> one,  two\tthree", "b -> x"}},
	{"a quoted key", "texthash", "\"odd name\"@x.test v\n", []string{"\"odd name\"@x.test -> v", "odd name@x.test ->"}},
	{"the first of two counts", "texthash", "a one\na two\n", []string{"a -> one"}},
	{"no line end at the end", "texthash", "a one", []string{"a -> one"}},
	{"a # within a line is of the value", "texthash", "a one # two\n", []string{"a -> one # two"}},

	{"patterns fit in either case", "regexp", "/^alice@/ yes\n/^BOB@/i no\n", []string{"ALICE@x -> yes", "bob@x ->", "BOB@x -> no"}},
	{"groups", "regexp", "/^(.*)-outgoing@(.*)$/ 550 Use ${1}@$2 or $(2) for $$5\n", []string{"a-outgoing@b -> 550 Use a@b or b for $5"}},
	{"a group that did not take part", "regexp", "/^(a)|(b)$/ <$1$2>\n", []string{"b -> <b>"}},
	{"the first that fits", "regexp", "/a/ one\n/a/ two\n", []string{"a -> one"}},
	{"not", "regexp", "!/^a/ other\n/./ a's\n", []string{"b -> other", "ab -> a's"}},
	{"if", "regexp", "if /@x\\.test$/\n/^a@/ ax\nif !/^b/\n/./ notb\nendif\n/./ b\nendif\n/./ rest\n",
		[]string{"a@x.test -> ax", "c@x.test -> notb", "b@x.test -> b", "a@y.test -> rest"}},
	{"another delimiter than a slash", "regexp", "%^a/b%  v\n", []string{"a/b -> v"}},
	{"an escaped delimiter", "regexp", "/^a\\/b$/ v\n", []string{"a/b -> v"}},
	{"the longest", "regexp", "/^(a|ab)(c|bcd)?/ <$1>\n", []string{"abcd -> <a>"}},
	{"classes", "regexp", "/^[[:digit:]]+@/ number\n", []string{"123@x -> number", "a@x ->"}},

	{"pcre's", "pcre", "/^(\\d+)@(?:a|b)$/ n=$1\n/^(a|ab)/ <$1>\n/x.y/s v\n/^u/A v\n/(?-i)^Q/ q\n", []string{"12@a -> n=12", "abc -> <a>", "q ->"}},
	{"pcre if", "pcre", "if !/^a/\n/^(.)/ $1\nendif\n", []string{"b -> b", "a ->"}},
}

// split parts a question into its key and the value, which may be missing.
func split(q string) (key, value string, found bool) {
	key, value, _ = strings.Cut(q, " ->")
	return key, strings.TrimPrefix(value, " "), value != ""
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "table")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-time.Hour) // postmap waits for a file that has just changed
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	t.Parallel()
	for _, tt := range tableTests {
		l, err := Open([]string{tt.kind + ":" + write(t, tt.text)}, Options{})
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		for _, q := range tt.questions {
			key, want, found := split(q)
			if got, ok := l.Find(key); got != want || ok != found {
				t.Errorf("%s: %q is %q, %v; want %q", tt.rule, key, got, ok, want)
			}
		}
	}
}

// TestFindAsPostmap asks the same of Postfix's own program.
func TestFindAsPostmap(t *testing.T) {
	t.Parallel()
	postmap := peertest.Need(t, "/usr/sbin/postmap", "postfix")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.cf"), []byte("compatibility_level = 3.6\nmyhostname = mail.test\ninet_interfaces = loopback-only\ninet_protocols = ipv4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tableTests {
		var keys, want string
		for _, q := range tt.questions {
			key, value, found := split(q)
			if key != strings.ToLower(key) {
				continue // postmap folds keys for patterns too; the programs that ask do not
			}
			keys += key + "\n"
			if found {
				want += key + "\t" + value + "\n"
			}
		}
		cmd := exec.CommandContext(t.Context(), "prlimit", "--nofile=1024", postmap, "-c", dir, "-q", "-", tt.kind+":"+write(t, tt.text))
		cmd.Stdin = strings.NewReader(keys)
		out, err := cmd.Output()
		if _, isExit := errors.AsType[*exec.ExitError](err); err != nil && !isExit {
			t.Fatal(err)
		}
		if string(out) != want {
			t.Errorf("%s: postmap says %q, we %q", tt.rule, out, want)
		}
	}
}

// TestParts: patterns see whole keys only, and a key is asked of all tables
// before the next.
func TestParts(t *testing.T) {
	t.Parallel()
	l, err := Open([]string{"inline:{ @x.test=one, {b@x.test = two words} }", "regexp:" + write(t, "/x/ pattern\n"), "static:rest"}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		keys []string
		want string
	}{
		{[]string{"b@x.test", "@x.test"}, "two words"},
		{[]string{"a@x.test", "@x.test"}, "pattern"},
		{[]string{"a@y.test", "x", "@y.test"}, "rest"},
	} {
		if got, _ := l.Find(tt.keys...); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.keys, got, tt.want)
		}
	}
	if _, ok := (*List)(nil).Find("a"); ok || !(*List)(nil).IsEmpty() {
		t.Error("no tables have an answer")
	}
}

// TestBadTables: each fault is told with its line.
func TestBadTables(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ kind, text, want string }{
		{"hash", "a\n", "line 1: there is no value"},
		{"hash", "\n  a b\n", "line 2: the first line begins with whitespace"},
		{"hash", "a b\n\"c d\n", "line 2: the quote of the key is not closed"},
		{"hash", "a b\x00\n", "line 1: a NUL"},
		{"hash", "a " + strings.Repeat("x", maxLine) + "\n", "line 1: the line is too long"},
		{"hash", "a b\n" + strings.Repeat(" "+strings.Repeat("x", maxLine/2)+"\n", 3), "line 3: the line is too long"},
		{"regexp", "/a/\n", "line 1: there is no value"},
		{"regexp", "x y\n", "line 1: write \"/pattern/flags value\""},
		{"regexp", "/a/q v\n", `line 1: the flag "q" is not known`},
		{"regexp", "/a/x v\n", "the flag x"},
		{"regexp", "/(/ v\n", "line 1: the pattern is none"},
		{"regexp", "/a v\n", "no closing /"},
		{"regexp", "/(a)/ $2\n", "$2 is no group"},
		{"regexp", "!/(a)/ $1\n", "no groups"},
		{"regexp", "/a/ $x\n", "a $ without a number"},
		{"regexp", "if /a/\n", "an if has no endif"},
		{"regexp", "endif\n", "line 1: endif without an if"},
		{"regexp", strings.Repeat("if /a/\n", maxDepth+1), "too many if"},
		{"pcre", "/a(?=b)/ v\n", "no look-around"},
		{"pcre", `/(a)\1/ v` + "\n", "no back-references"},
	} {
		_, err := Open([]string{tt.kind + ":" + write(t, tt.text)}, Options{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.40q: %v, want %q", tt.text, err, tt.want)
		}
	}
	for _, spec := range []string{"", "/path", "mysql:/x", "hash:", "inline:{a}", "inline:a=b", "inline:{{a=b}"} {
		if err := CheckSpec(spec); err == nil {
			t.Errorf("%q is taken for a table", spec)
		}
	}
	if _, err := Open([]string{"hash:" + t.TempDir()}, Options{}); err == nil {
		t.Error("a directory is taken for a table")
	}
}

// TestReadAgain: a change counts without a restart, a fault keeps what was there
// and is told once.
func TestReadAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "table")
		put := func(text string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, time.Time{}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		put("a one\n")
		var log bytes.Buffer
		l, err := Open([]string{"hash:" + path}, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		want := func(value string) {
			t.Helper()
			if got, _ := l.Find("a"); got != value {
				t.Errorf("a is %q, want %q", got, value)
			}
		}
		put("a two\n")
		want("one") // it was looked at a moment ago
		time.Sleep(2 * time.Second)
		want("two")
		time.Sleep(time.Minute)
		put("a three\n")
		want("two") // perhaps it is still being written
		time.Sleep(2 * time.Second)
		want("three")
		put("bad\n")
		for range 3 {
			time.Sleep(2 * time.Second)
			want("three")
		}
		if n := strings.Count(log.String(), "line 1: there is no value"); n != 1 {
			t.Errorf("the fault was logged %d times:\n%s", n, log.String())
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		want("three")
		put("a four\n")
		time.Sleep(2 * time.Second)
		want("four")
		if !strings.Contains(log.String(), "read again") || !strings.Contains(log.String(), "no such file") {
			t.Errorf("the log says\n%s", log.String())
		}
	})
}

// TestCheck: a value that is not good is a fault of the table.
func TestCheck(t *testing.T) {
	t.Parallel()
	no := errors.New("not this")
	check := Options{Check: func(v string) error {
		if strings.Contains(v, "bad") {
			return no
		}
		return nil
	}}
	for _, spec := range []string{"hash:" + write(t, "a good\nb bad\n"), "regexp:" + write(t, "/a/ bad\n"), "static:bad", "inline:{a=bad}"} {
		if _, err := Open([]string{spec}, check); !errors.Is(err, no) {
			t.Errorf("%s: %v", spec, err)
		}
	}
	if _, err := Open([]string{"static:good"}, check); err != nil {
		t.Error(err)
	}
}

// FuzzParse holds that no text breaks the parsers, and that what is read can be
// asked.
func FuzzParse(f *testing.F) {
	for _, tt := range tableTests {
		f.Add(tt.text, "a@x.test")
	}
	f.Add("{a=b, {c = d}}", "c")
	f.Fuzz(func(t *testing.T, text, key string) {
		for _, parse := range []func(string) (table, error){
			parseFixed, parseInline,
			func(s string) (table, error) {
				return parsePatterns(s, dialect{longest: true, dotAll: true, switchers: "imx"})
			},
			func(s string) (table, error) { return parsePatterns(s, dialect{switchers: "imsxA"}) },
		} {
			if got, err := parse(text); err == nil {
				got.find(key, key, true)
			}
		}
	})
}
