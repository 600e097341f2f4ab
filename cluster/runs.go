package cluster

import (
	"errors"
	"syscall"
)

// Runs reports whether the daemon that was started last on the mail root may
// still run, for programs that work beside it: true where that cannot be told.
// It takes no lock, so it never stands in the way of a start.
func Runs(config Config) bool {
	c, err := config.withDefaults()
	if err != nil {
		return true
	}
	last, err := lastStart(c)
	if err != nil {
		return true
	}
	if last.Epoch == 0 || last.Node != c.Node || last.Boot != c.Boot {
		return false // a root is mounted on one node at a time
	}
	return !errors.Is(syscall.Kill(last.PID, 0), syscall.ESRCH)
}
