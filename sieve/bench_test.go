package sieve_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"gomaild/sieve"
)

// hundredRules is a script of a hundred rules of which the last one hits.
func hundredRules() string {
	var b strings.Builder
	b.WriteString("require [\"fileinto\"];\n")
	for i := range 99 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "if header :contains \"subject\" \"[project-%d]\" { fileinto \"p%d\"; stop; }\n", i, i)
		case 1:
			fmt.Fprintf(&b, "if address :is :domain \"from\" \"host%d.example\" { fileinto \"h%d\"; stop; }\n", i, i)
		case 2:
			fmt.Fprintf(&b, "if header :matches [\"to\", \"cc\"] \"*team-%d@*\" { fileinto \"t%d\"; stop; }\n", i, i)
		}
	}
	b.WriteString("if exists \"from\" { fileinto \"rest\"; }\n")
	return b.String()
}

var benchMessage = "Received: from a.example by b.example; Mon, 02 Mar 2026 13:00:00 +0100\r\nFrom: Ann <ann@example.org>\r\nTo: Bob <bob@example.net>, cd@example.com\r\nCc: ef@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from here\r\nMessage-ID: <1@example.org>\r\nDate: Mon, 02 Mar 2026 13:00:00 +0100\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n" + strings.Repeat("All the words of a letter.\r\n", 100)

// BenchmarkHundredRules is one message through a compiled script, from its
// octets to the actions.
func BenchmarkHundredRules(b *testing.B) {
	e := sieve.New(sieve.Config{})
	s, err := e.Compile("rules", []byte(hundredRules()), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := cpuTime(b)
	for b.Loop() {
		r, err := e.Run(b.Context(), &sieve.Env{Message: strings.NewReader(benchMessage)}, s)
		if err != nil || len(r.Actions) != 1 {
			b.Fatal(r, err)
		}
	}
	b.ReportMetric(float64(cpuTime(b)-before)/float64(b.N), "cpu-ns/message")
}

// cpuTime is what this process has used, in nanoseconds.
func cpuTime(b testing.TB) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}
