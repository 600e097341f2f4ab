package e2e

import (
	"strings"
	"testing"
	"time"

	"gomaild/internal/peertest"
)

// BenchmarkQueue is a start of the real server with 100 000 messages in its queue,
// a tenth of them due, and then, with `gomaild queue flush`, all of them. It looks
// at the resident memory: after the start, when those that were due are put off,
// and at the peak after the flush. Targets: all read after 5 s, below 200 MB.
func BenchmarkQueue(b *testing.B) {
	const (
		queued, due = 100_000, 10_000
		limit       = 200 << 20
		readTarget  = 5 * time.Second
	)
	w := stocked(b, stock{accounts: 1, messages: 1, queued: queued})
	putOff := func(n int) {
		await(b, "messages to be put off", func() bool { return strings.Count(w.readLog(b), "msg=deferred") >= n })
	}
	for b.Loop() { // longer than a second: what was put off would not be due again
		begun := time.Now()
		ready := w.timedStart(b)
		// What changes the queue waits until all of it is read.
		if out := peertest.Run(b, "", gomaild(b), "queue", "retry", "0-0", "-c", w.config); out != "retry: 0 messages\n" {
			b.Fatal(out)
		}
		read := time.Since(begun)
		putOff(due)
		afterStart := w.peakMemory(b)
		peertest.Run(b, "", gomaild(b), "queue", "flush", "-c", w.config)
		putOff(2 * due)
		peak := w.peakMemory(b)
		w.stop(b)
		b.ReportMetric(float64(ready.Milliseconds()), "ms-ready")
		b.ReportMetric(read.Seconds(), "s-read")
		b.ReportMetric(float64(afterStart)/(1<<20), "MB-RSS")
		b.ReportMetric(float64(peak)/(1<<20), "MB-RSS-flushed")
		if peak > limit || read > readTarget {
			b.Errorf("%d MB resident, all read after %v; the targets are %d MB and %v", peak>>20, read, limit>>20, readTarget)
		}
	}
}
