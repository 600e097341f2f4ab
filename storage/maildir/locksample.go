package maildir

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// Making a file costs ten times what linking one costs, and on ext4 much more
// where many were removed lately, as locks are. So a store that locks often has a
// sample: a file of its own in the mail root with what stands in each of its
// locks. A lock is a link to it. The name is the lock, as with every dotlock, and
// who looks at it sees the same as in one that was made for itself.
const (
	samplePrefix = ".gomaild.lock-"
	sampleAfter  = 8 // locks; a command that locks once makes no sample
)

// sample is the file that locks are linked to.
type sample struct {
	mu   sync.Mutex
	used int
	name string // "" if there is none
	ends bool   // the store is being closed, or samples cannot be made
}

// sampleName is what a lock may be linked to, "" for nothing.
func (l *locker) sampleName() string {
	s := &l.sample
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used++; s.name != "" || s.ends || s.used <= sampleAfter {
		return s.name
	}
	l.sweepSamples()
	name := samplePrefix + strconv.Itoa(l.pid) + "-" + strconv.FormatUint(rand.Uint64(), 36)
	if err := l.makeSample(name); err != nil {
		s.ends = true // it would be nothing but faster
		return ""
	}
	s.name = name
	return name
}

func (l *locker) makeSample(name string) error {
	f, err := l.fs.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, lockMode)
	if err != nil {
		return err
	}
	_, err = f.Write(l.owner())
	if err = errors.Join(err, f.Close(), l.own(name)); err != nil {
		return errors.Join(err, l.fs.Remove(name))
	}
	return nil
}

// dropSample removes the sample; there will be no other.
func (l *locker) dropSample() error {
	s := &l.sample
	s.mu.Lock()
	defer s.mu.Unlock()
	name := s.name
	s.name, s.ends = "", true
	if name == "" {
		return nil
	}
	return ignoreMissing(l.fs.Remove(name))
}

// sweepSamples removes those of processes that were killed. One that is still in
// use elsewhere may go, too: locks are made in the long way then.
func (l *locker) sweepSamples() {
	names, err := l.fs.ReadDirNames(".")
	if err != nil {
		return
	}
	for _, name := range names {
		rest, isSample := strings.CutPrefix(name, samplePrefix)
		number, _, _ := strings.Cut(rest, "-")
		pid, err := strconv.Atoi(number)
		if !isSample || err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		_ = l.fs.Remove(name) // it is in nobody's way
	}
}
