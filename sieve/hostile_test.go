package sieve_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gomaild/internal/peertest"
	"gomaild/sieve"
)

// hostile are scripts that must be refused, with what the message says.
var hostile = []struct{ name, src, want string }{
	{"64 MB", strings.Repeat("keep;\n", 64<<20/6), "too large"},
	{"blocks 10 000 deep", strings.Repeat("if true {", 10_000), "nesting"},
	{"tests 10 000 deep", "if " + strings.Repeat("not ", 10_000) + "true {}", "nesting"},
	{"lists of tests 10 000 deep", "if " + strings.Repeat("anyof(", 10_000), "nesting"},
	{"long name", strings.Repeat("a", 1000) + ";", "impossibly long identifier"},
	{"NUL in a string", "redirect \"a\x00b\";", "NUL"},
	{"open string", "redirect \"a", "end of file before end of quoted string"},
	{"open comment", "/* a", "end of file before end of block comment"},
	{"open text", "redirect text:\na", "end of file before end of multi-line string"},
	{"number too large", "if size :over 99999999999999999999 {keep;}", "integer limits"},
	{"number with K too large", "if size :over 9999999999999999G {keep;}", "integer limits"},
	{"unknown extension", `require "nothing";`, "unknown Sieve capability 'nothing'"},
	{"not required", `fileinto "a";`, "unknown command 'fileinto'"},
	{"error count is bounded", strings.Repeat("foo \"a\n\";}", 50_000), "found"},
	{"repeats in repeats", `require "regex"; if header :regex "x" "` + strings.Repeat("(x{100}){10}", 300) + `" {}`, "too complex"},
	{"test suite in a user's script", `require "vnd.dovecot.testsuite"; test_fail "x";`, "unknown Sieve capability"},
}

func TestHostileScripts(t *testing.T) {
	t.Parallel()
	e := sieve.New(sieve.Config{})
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			var err error
			d := peertest.ThreadTime(t, func() { _, err = e.Compile("main", []byte(h.src), nil) })
			if err == nil || !strings.Contains(err.Error(), h.want) {
				t.Errorf("got %.300v, want something with %q", err, h.want)
			}
			if d > 5*time.Second {
				t.Errorf("refused after %v", d)
			}
			if err != nil && len(err.Error()) > 32<<10 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
		})
	}
}

func TestPositions(t *testing.T) {
	t.Parallel()
	_, err := sieve.New(sieve.Config{}).Compile("main", []byte("keep;\n  foo;\n"), nil)
	want := "main: line 2, column 3: error: unknown command 'foo' (only reported once at first occurrence)"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestInstructionLimit(t *testing.T) {
	t.Parallel()
	e := sieve.New(sieve.Config{Limits: sieve.Limits{Instructions: 50}})
	s, err := e.Compile("main", []byte(strings.Repeat("if true {}\n", 100)+"discard;"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Run(context.Background(), &sieve.Env{Message: strings.NewReader("Subject: a\r\n\r\n")}, s)
	if err == nil || !strings.Contains(err.Error(), "instruction limit") || !r.ImplicitKeep || len(r.Actions) != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// TestHostileMessages runs every kind of test over headers that are long, hold
// NUL or no UTF-8, or have no end: each run ends soon, with an answer.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("word ", 1<<20/5)
	messages := map[string]string{
		"a value of 1 MB":             "From: a@example.org\r\nSubject: " + long + "\r\n\r\nb",
		"a folded value of 1 MB":      "From: a@example.org\r\nSubject: " + strings.Repeat("a\r\n ", 1<<20/4) + "\r\n\r\nb",
		"a list of 1 MB of addresses": "From: " + strings.Repeat("a@example.org, ", 1<<20/15) + "b@example.org\r\nSubject: x\r\n\r\nb",
		"encoded-words of 1 MB":       "From: a@example.org\r\nSubject: " + strings.Repeat("=?utf-8?q?=C3=BC?= ", 1<<20/18) + "\r\n\r\nb",
		"100 000 fields":              strings.Repeat("X: y\r\n", 100_000) + "From: a@example.org\r\nSubject: x\r\n\r\nb",
		"a name of 1 MB":              strings.Repeat("x", 1<<20) + ": y\r\nFrom: a@example.org\r\nSubject: x\r\n\r\nb",
		"NUL":                         "From: a\x00@example.org\r\nSubject: \x00a\x00\r\nX-\x00: y\r\n\r\nb\x00",
		"no UTF-8":                    "From: \xff\xfe <a@example.org>\r\nSubject: \xc3\x28 \xf0\x28\x8c\xbc\r\n\r\n\xff",
		"lone surrogates and bidi":    "From: a@example.org\r\nSubject: \xed\xa0\x80 \u202e\r\n\r\nb",
		"no header":                   "\r\nb",
		"nothing":                     "",
		"no end":                      "From: a@example.org\r\nSubject",
		"boundaries without an end":   "From: a@example.org\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n", 50_000),
	}
	script := `require ["fileinto","variables","regex","body","mime","foreverypart","extracttext","relational","comparator-i;ascii-numeric","editheader","date","imap4flags","duplicate","vacation"];
if header :matches "subject" "*a*b*c*d*e*?*" { set "s" "${3}"; }
if header :regex "subject" "(a|b|ab)*(c|[[:alpha:]]+)*$" { set "r" "${1}"; }
if header :contains ["subject", "from", "x"] ["nothing at all", "word  word"] { addflag "\\\\Flagged"; }
if address :all :matches "from" "*@*.org" { set "d" "${2}"; }
if header :count "gt" :comparator "i;ascii-numeric" "x" "5" { addflag "many"; }
if body :text :contains "never there" { keep; }
foreverypart { extracttext :first 100 "t"; if header :mime :anychild :contains "content-type" "x" { addflag "mime"; } }
if date "date" "year" "2020" { addflag "old"; }
if duplicate { addflag "again"; }
addheader "X-Seen" "${s}${r}${d}${t}";
vacation "away";
fileinto "a${d}";
`
	e := sieve.New(sieve.Config{})
	s, err := e.Compile("all", []byte(script), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, msg := range messages {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			env := &sieve.Env{Message: strings.NewReader(msg), From: "a@example.org", To: "b@example.org"}
			r, err := e.Run(t.Context(), env, s)
			if err != nil && (!r.ImplicitKeep || len(r.Actions) > 0) {
				t.Errorf("failed with %v and does not keep", err)
			}
			for _, a := range r.Actions {
				if a.Kind == sieve.VacationReply {
					a.Vacation.Reply(env)
				}
				if a.Kind == sieve.FileInto && (!utf8.ValidString(a.Mailbox) || strings.ContainsAny(a.Mailbox, "\x00\r\n")) {
					t.Errorf("files into %q", a.Mailbox)
				}
			}
			if d := time.Since(start); d > 20*time.Second {
				t.Errorf("it took %v", d)
			}
		})
	}
}

// TestRandomBytes compiles octets drawn at random, and scripts with some of
// their octets changed: an answer each, and places that are in the text.
func TestRandomBytes(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	e := sieve.New(sieve.Config{})
	for i := range 2000 {
		var src []byte
		if i%2 == 0 {
			src = make([]byte, rng.IntN(2000))
			for k := range src {
				src[k] = byte(rng.Uint32())
			}
		} else {
			src = []byte(scripts[rng.IntN(len(scripts))])
			for range 1 + rng.IntN(4) {
				src[rng.IntN(len(src))] = byte(rng.Uint32())
			}
		}
		s, err := e.Compile("random", src, nil)
		if (s == nil) == (err == nil) {
			t.Fatalf("%q: %v and %v", src, s, err)
		}
		list, _ := errors.AsType[sieve.CompileError](err)
		for _, d := range list {
			if d.Pos.Line < 1 || d.Pos.Column < 1 || d.Pos.Line > 1+strings.Count(string(src), "\n") {
				t.Fatalf("%q: %v", src, d)
			}
		}
	}
}

// TestVariablesThatDouble holds that values and memory stay bounded.
func TestVariablesThatDouble(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`require ["variables","fileinto"]; set "a" "0123456789";`)
	for range 200 {
		b.WriteString(`set "a" "${a}${a}${a}${a}${a}${a}${a}${a}";`)
	}
	b.WriteString(`if string :matches "${a}" "*" { fileinto "${1}"; }`)
	e := sieve.New(sieve.Config{})
	s, err := e.Compile("main", []byte(b.String()), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Run(t.Context(), &sieve.Env{Message: strings.NewReader("Subject: a\r\n\r\n")}, s)
	if err != nil || len(r.Actions) != 1 || len(r.Actions[0].Mailbox) != 4000 {
		t.Errorf("%v, %v", r, err)
	}
	wide := `require ["variables","fileinto"]; set "a" "` + strings.Repeat("x", 4000) + `"; fileinto "` + strings.Repeat("${a}", 100) + `";`
	s, err = e.Compile("main", []byte(wide), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context(), &sieve.Env{Message: strings.NewReader("Subject: a\r\n\r\n")}, s); err == nil || !strings.Contains(err.Error(), "line 1") || !strings.Contains(err.Error(), "grows beyond") {
		t.Errorf("a string of 400 000: %v", err)
	}
}

// TestIncludeLoops holds that circles, chains and fans of includes end when the
// script is compiled, and that what is included by twos is not run 2^n times.
func TestIncludeLoops(t *testing.T) {
	t.Parallel()
	load := func(_ bool, name string) ([]byte, error) {
		kind, n, _ := strings.Cut(name, "-")
		i, _ := strconv.Atoi(n)
		switch kind {
		case "circle":
			return fmt.Appendf(nil, `require "include"; include "circle-%d";`, (i+1)%3), nil
		case "self":
			return []byte(`require "include"; include "self";`), nil
		case "chain":
			return fmt.Appendf(nil, `require "include"; include "chain-%d";`, i+1), nil
		case "twos":
			if i == 9 {
				return []byte(strings.Repeat("if true {}\n", 3000)), nil
			}
			return fmt.Appendf(nil, `require "include"; include "twos-%d"; include "twos-%d";`, i+1, i+1), nil
		case "leaf":
			return []byte("keep;"), nil
		}
		return nil, fs.ErrNotExist
	}
	e := sieve.New(sieve.Config{})
	for _, tt := range []struct{ name, src, want string }{
		{"itself", `include "self";`, "circular include"},
		{"a circle of three", `include "circle-0";`, "circular include"},
		{"a chain", `include "chain-0";`, "include depth"},
		{"a name that leaves", `include "../../etc/passwd";`, "invalid script name"},
		{"300 of them", func() string {
			var b strings.Builder
			for i := range 300 {
				fmt.Fprintf(&b, "include \"leaf-%d\";\n", i)
			}
			return b.String()
		}(), "maximum number of included scripts"},
	} {
		_, err := e.Compile("main", []byte(`require "include"; `+tt.src), load)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %.300v, want %q", tt.name, err, tt.want)
		}
	}
	s, err := e.Compile("main", []byte(`require "include"; include "twos-0";`), load)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Run(t.Context(), &sieve.Env{Message: strings.NewReader("Subject: a\r\n\r\n")}, s); err == nil || !strings.Contains(err.Error(), "instruction limit") {
		t.Errorf("3000 steps 512 times: %v", err)
	}
}

// FuzzRun compiles and runs any script over any message: it must end, and
// either keep or say why not.
func FuzzRun(f *testing.F) {
	for _, h := range hostile {
		if len(h.src) < 1<<20 {
			f.Add(h.src, "Subject: a\r\n\r\nb")
		}
	}
	for _, s := range scripts {
		f.Add(s, "From: <a@b.c>\r\nSubject: =?utf-8?q?=00?= \xff\r\n\r\nb")
	}
	e := sieve.New(sieve.Config{Limits: sieve.Limits{Instructions: 20_000}})
	f.Fuzz(func(t *testing.T, src, msg string) {
		s, err := e.Compile("fuzz", []byte(src), nil)
		if (s == nil) == (err == nil) {
			t.Fatalf("script %v and error %v", s, err)
		}
		if err != nil {
			return
		}
		r, err := e.Run(t.Context(), &sieve.Env{Message: strings.NewReader(msg), From: "a@example.org", To: "b@example.org"}, s)
		if err != nil && (!r.ImplicitKeep || len(r.Actions) > 0) {
			t.Fatalf("failed with %v and does not keep", err)
		}
		if len(r.Actions) == 0 && !r.ImplicitKeep {
			t.Fatal("nothing is done and nothing kept")
		}
	})
}

// scripts are seeds, and compile.
var scripts = []string{
	`require ["fileinto","envelope","copy"]; if envelope :all :is "from" "a@example.org" { fileinto :copy "x"; stop; } else { discard; }`,
	`require ["variables","regex"]; set "a" "${1}${a}${a}"; if header :regex "subject" "(a|b)*c{1,3}[[:alpha:]]" { keep; } set :length :quoteregex "b" "${a}";`,
	`require ["mime","foreverypart","extracttext","variables","editheader","imap4flags"]; foreverypart { extracttext "t"; if header :mime :anychild :param "x" "content-type" "y" { break; } } addheader "X" "${t}"; deleteheader :matches "a*" "b*"; addflag "\\Seen $x";`,
	`require ["body","date","duplicate","vacation","enotify","include","ihave","environment"]; if body :content "text" :contains "x" { vacation :days 3 "y"; } if date :zone "+0100" "date" "year" "2020" {} if duplicate :last {} notify "mailto:a@example.org?body=x";`,
	`require ["replace","enclose","foreverypart","mime","fcc","vacation","mailbox","extlists"]; foreverypart { replace :mime "x"; } enclose :headers "from" "y"; foreverypart { enclose "z"; } vacation :fcc "a" :create "b"; redirect :list "c";`,
	`require ["notify","vnd.dovecot.report"]; notify :id "a" :options "a@example.org" :message "$text[3]$ $from$"; denotify :is "a" :high; report "abuse" "a" "a@example.org";`,
	`if anyof (header :matches "subject" "*a?b*", not exists ["x","y"], size :over 10K) { redirect "a@example.org"; }`,
}
