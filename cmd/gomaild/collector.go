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

// followHeap sets GOGC now and after each collection, by what lives then.
func followHeap() {
	now := maxGCPercent
	debug.SetGCPercent(now)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	onCollection(func() {
		metrics.Read(live)
		if live[0].Value.Kind() != metrics.KindUint64 {
			return
		}
		if percent := gcPercentFor(live[0].Value.Uint64()); percent != now {
			now = percent
			debug.SetGCPercent(percent)
		}
	})
}

// cycle is garbage that is found anew by each collection. It is as large as to
// share its place with nothing that lives longer (runtime.SetFinalizer).
type cycle struct {
	do func()
	_  [24]byte
}

// onCollection has do called after each collection, for as long as the process
// lives, on the runtime's own goroutine.
func onCollection(do func()) { runtime.SetFinalizer(&cycle{do: do}, (*cycle).collected) }

func (c *cycle) collected() {
	c.do()
	runtime.SetFinalizer(c, (*cycle).collected)
}
