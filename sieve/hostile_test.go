package sieve_test

import (
	"context"
	"strings"
	"testing"
	"time"

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
	{"test suite in a user's script", `require "vnd.dovecot.testsuite"; test_fail "x";`, "unknown Sieve capability"},
}

func TestHostileScripts(t *testing.T) {
	t.Parallel()
	e := sieve.New(sieve.Config{})
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			_, err := e.Compile("main", []byte(h.src), nil)
			if err == nil || !strings.Contains(err.Error(), h.want) {
				t.Errorf("got %.300v, want something with %q", err, h.want)
			}
			if d := time.Since(start); d > 5*time.Second {
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
