package ocf

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"
)

// stop ends the server: it may drain for a part of the timeout, then it is killed.
// After Success nothing of gomaild has anything of the mail root open.
func (a *agent) stop(ctx context.Context) error {
	drain, cancel := context.WithTimeout(ctx, a.drainTime())
	defer cancel()
	s, _ := a.server() // a configuration that is gone or wrong keeps nothing running
	for {
		p, err := a.find(ctx, s)
		if f, ok := errors.AsType[*failure](err); ok && f.code == NotRunning {
			return a.clear(ctx, s)
		}
		if err == nil {
			err = a.end(ctx, drain, p)
		}
		if err != nil {
			return err
		}
	}
}

// end asks the process to end, and ends it when drain is over.
func (a *agent) end(ctx, drain context.Context, p process) error {
	// Who was stopped (SIGSTOP) must go on to hear of it.
	if err := errors.Join(p.signal(syscall.SIGTERM), p.signal(syscall.SIGCONT)); err != nil {
		return err
	}
	if p.gone(drain) {
		return nil
	}
	fmt.Fprintf(a.Err, "gomaild: process %d has not ended within %v and is killed\n", p.pid, a.drainTime())
	return p.kill(ctx)
}

// drainTime leaves a fifth of the timeout, and two seconds at least, for the kill
// and the kernel's cleaning up.
func (a *agent) drainTime() time.Duration {
	b := a.budget()
	return max(b-max(a.timeout/5, 2*time.Second), b/2)
}

// clear kills what else of gomaild has the mail root open, and names who of others
// has: they are the Filesystem agent's to deal with.
func (a *agent) clear(ctx context.Context, s Server) error {
	if s.Root == "" {
		return nil
	}
	root, err := filepath.Abs(s.Root)
	if err != nil {
		return err
	}
	for _, h := range holders(root) {
		if h.name != "gomaild" {
			fmt.Fprintf(a.Err, "gomaild: process %d (%s) has %s open\n", h.pid, h.name, h.what)
			continue
		}
		fmt.Fprintf(a.Err, "gomaild: process %d of gomaild has %s open and is killed\n", h.pid, h.what)
		if err := h.kill(ctx); err != nil {
			return err
		}
	}
	return nil
}
