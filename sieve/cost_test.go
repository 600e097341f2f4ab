package sieve_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"gomaild/sieve"
)

// TestHostileCosts holds what a script that wants to cost much may cost: every
// run ends within the budget, allocates a bounded amount, holds little of it when
// it is over, and keeps the message if it fails. It is not parallel, so that what
// it counts is its own.
func TestHostileCosts(t *testing.T) {
	header := "From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\n"
	big := header + "\r\n" + strings.Repeat("All the words of a letter, and some more of them.\r\n", 8<<20/51)
	var parts strings.Builder
	parts.WriteString(header + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")
	for i := range 100_000 {
		fmt.Fprintf(&parts, "--b\r\nContent-Type: text/plain\r\nX-N: %d\r\n\r\nx\r\n", i)
	}
	parts.WriteString("--b--\r\n")
	const one = "X-W: word word word word word word word word word word word word word word word word word word word\r\n"
	wide := strings.Repeat(one, 1_900_000/len(one)) + header + "\r\nb"
	edited := strings.Repeat(one, 900_000/len(one)) + header + "\r\nb"
	nested := header + "MIME-Version: 1.0\r\n"
	for i := range 2000 {
		nested += fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i)
	}
	many := func(n int, one string) string { return strings.Repeat(one, n) }
	for _, tt := range []struct {
		rule, script, message string
	}{
		{"loops over 100 000 parts", `require ["foreverypart","mime","variables","extracttext"]; foreverypart { extracttext "t"; if header :mime :contains "x-n" "never" { keep; } }`, parts.String()},
		{"the fields of 100 000 parts, 1000 times", `require ["mime"]; ` + many(1000, `if header :mime :anychild :contains "x-n" "never" { keep; }`), parts.String()},
		{"parts in each other", `require ["foreverypart","mime"]; ` + many(100, `foreverypart { if header :mime :anychild :contains "x-n" "never" { keep; } }`), nested},
		{"the text of 8 MB, 5000 times", `require "body"; ` + many(5000, `if body :text :contains "never" { keep; }`), big},
		{"the octets of 8 MB, 5000 times", `require "body"; ` + many(5000, `if body :raw :contains "never" { keep; }`), big},
		{"the content of 8 MB by regex, 5000 times", `require ["body","regex"]; ` + many(5000, `if body :content "text" :regex "(w|o)*rds of .*never" { keep; }`), big},
		{"a header of 900 kB, changed and measured 5000 times", `require "editheader"; ` + many(5000, `addheader "X" "1"; if size :over 1 { }`), edited},
		{"a header of 900 kB, changed and stored 32 times", `require ["editheader","fileinto","variables"]; ` + func() string {
			var b strings.Builder
			for i := range 32 {
				fmt.Fprintf(&b, "addheader \"X\" \"%d\"; fileinto \"f%d\";", i, i)
			}
			return b.String()
		}(), edited},
		{"a header of 2 MB, changed", `require "editheader"; ` + many(5000, `addheader "X" "1"; deleteheader "X";`), wide},
		{"a header of 2 MB by regex, 1000 times", `require "regex"; ` + many(1000, `if header :regex "x-w" "(w|o|r)*d .*never" { keep; }`), wide},
		{"a header of 2 MB by pattern, 1000 times", many(1000, `if header :matches "x-w" "*w*o*r*d*w*o*r*d*never" { keep; }`), wide},
		{"variables that double", `require "variables"; set "a" "0123456789"; ` + many(20_000, `set "a" "${a}${a}${a}${a}${a}${a}${a}${a}";`), header + "\r\nb"},
		{"patterns made at run time", `require ["variables","regex"]; set "a" "(a|b)"; ` + many(5000, `set "a" "${a}*x"; if string :regex "aaaa" "${a}" { keep; }`), header + "\r\nb"},
		{"enclosed 1000 times", `require "enclose"; ` + many(1000, `enclose :subject "s" "text";`), big},
		{"replaced 1000 times", `require ["replace","foreverypart"]; ` + many(1000, `foreverypart { replace "text"; }`), big},
		{"dates of 2 MB of fields", `require "date"; ` + many(1000, `if date "x-w" "year" "1900" { keep; }`), wide},
	} {
		e := sieve.New(sieve.Config{})
		s, err := e.Compile("main", []byte(tt.script), nil)
		if err != nil {
			t.Errorf("%s: %v", tt.rule, err)
			continue
		}
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		cpu := cpuTime(t)
		r, err := e.Run(t.Context(), &sieve.Env{Message: strings.NewReader(tt.message), From: "a@example.org", To: "b@example.org"}, s)
		used := time.Duration(cpuTime(t) - cpu)
		runtime.ReadMemStats(&after)
		allocated := (after.TotalAlloc - before.TotalAlloc) >> 20
		runtime.GC()
		runtime.ReadMemStats(&after)
		held := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20
		if used > 15*time.Second || allocated > 2000 || held > 48 {
			t.Errorf("%s: %v of processor time, %d MB allocated, %d MB held", tt.rule, used, allocated, held)
		}
		if !r.ImplicitKeep && len(r.Actions) == 0 || err != nil && (!r.ImplicitKeep || len(r.Actions) > 0) {
			t.Errorf("%s: %v, and the message is not kept", tt.rule, err)
		}
		t.Logf("%s: %v, %d MB allocated, %d MB held, %.100v", tt.rule, used, allocated, held, err)
	}
}
