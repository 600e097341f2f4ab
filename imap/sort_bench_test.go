package imap

import (
	"fmt"
	"testing"
)

// benchSearch measures a command on n messages of the Maildir store, parsed
// before.
func benchSearch(b *testing.B, command string, n int) {
	w := newWorldOn(b, maildirStore(b), nil)
	for i := range n {
		w.put("INBOX", fmt.Sprintf("Date: Mon, 2 Feb 2026 %02d:%02d:00 +0000\nFrom: a%d@example.test\nSubject: Re: topic %d\n"+
			"Message-ID: <%d@example.test>\nReferences: <%d@example.test>\n\ntext\n", i/60%24, i%60, i*7919%n, i%100, i, i-i%10), 0)
	}
	c := w.login(w.listen())
	c.do("SELECT INBOX")
	c.do(command)
	b.ResetTimer()
	for range b.N {
		if got := c.do(command); len(got) != 2 {
			b.Fatalf("%q", got)
		}
	}
	b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkSort(b *testing.B)   { benchSearch(b, "SORT (SUBJECT REVERSE DATE) UTF-8 ALL", 2000) }
func BenchmarkThread(b *testing.B) { benchSearch(b, "THREAD REFERENCES UTF-8 ALL", 2000) }
