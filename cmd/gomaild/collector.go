package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// What the collector is asked for. Up to maxGCPercent the heap may grow by
// spareHeap before it is collected, above that by as much as lives: a server with a
// small heap is seldom interrupted, and one with a large heap, of a long queue or
// many open mailboxes, does not take five times what it needs.
const (
	maxGCPercent = 400
	minGCPercent = 100
	spareHeap    = 64 << 20 // octets
	gcPercentBy  = 20       // changes smaller than this are not worth a pause
)

// gcPercentFor is the GOGC for a heap of which so many octets live.
func gcPercentFor(live uint64) int {
	percent := uint64(maxGCPercent)
	if live > 0 {
		percent = min(spareHeap*100/live, maxGCPercent)
	}
	return max(int(percent), minGCPercent) / gcPercentBy * gcPercentBy //nolint:gosec // at most 400
}

// cycle is garbage that is found anew by each collection.
type cycle struct{ percent int }

// followHeap sets GOGC now and after each collection, by what lives then.
func followHeap() {
	c := &cycle{maxGCPercent}
	debug.SetGCPercent(c.percent)
	runtime.SetFinalizer(c, (*cycle).collected)
}

// collected runs on the runtime's own goroutine.
func (c *cycle) collected() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if live[0].Value.Kind() == metrics.KindUint64 {
		if percent := gcPercentFor(live[0].Value.Uint64()); percent != c.percent {
			c.percent = percent
			debug.SetGCPercent(percent)
		}
	}
	runtime.SetFinalizer(c, (*cycle).collected)
}
