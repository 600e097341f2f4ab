package durable

import (
	"sync"
	"time"
)

// Two ways lead to the disk. fsync(2) makes one file durable; the kernel joins
// the journal commits of those who call at once. syncfs(2) writes back the
// whole file system, and one pass serves everybody who waited when it started.
// A few callers are always served best by fsync. For many it depends on the
// disk, on what else is written to the file system and on the processors, so
// pace tries both and measures.
const (
	crowd  = 12  // callers in flight from which sharing is tried
	window = 512 // commits after which the ways are compared
	trial  = 128 // the same for the slower way, so that trying it costs little
	retry  = 16  // every so many windows the slower way is tried, to see whether it still is
)

// way is how one commit reaches the disk.
type way int

const (
	ownFsync way = iota
	sharedPass
	numWays
)

// pace chooses the way of a crowd.
type pace struct {
	mu      sync.Mutex
	now     way           // of the present window
	length  int           // of the present window, in commits
	cost    time.Duration // sum over the present window
	commits int           // in the present window
	windows int           // ended
	mean    [numWays]time.Duration
}

// newPace tries the shared way first: on a file system of our own it wins.
func newPace() *pace { return &pace{now: sharedPass, length: trial} }

func (p *pace) choose() way {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// took notes that a commit by w took d while n callers were in flight, itself
// included. What counts is d/n, which by Little's law is the time for one
// commit at the rate of all; quiet times between bursts do not disturb it.
func (p *pace) took(w way, d time.Duration, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w != p.now {
		return // began in an earlier window
	}
	p.cost += d / time.Duration(n)
	if p.commits++; p.commits < p.length {
		return
	}
	p.note(p.cost / time.Duration(p.length))
	p.cost, p.commits = 0, 0
	p.windows++
	p.now, p.length = p.next()
}

// note smooths: one slow moment of the disk decides nothing for long.
func (p *pace) note(mean time.Duration) {
	if p.mean[p.now] != 0 {
		mean = (mean + p.mean[p.now]) / 2
	}
	p.mean[p.now] = mean
}

// next is the way of the next window and its length.
func (p *pace) next() (way, int) {
	if p.mean[ownFsync] == 0 { // sharedPass was the first
		return ownFsync, trial
	}
	faster, slower := ownFsync, sharedPass
	if p.mean[sharedPass] < p.mean[ownFsync] {
		faster, slower = sharedPass, ownFsync
	}
	if p.windows%retry == 0 {
		return slower, trial
	}
	return faster, window
}
