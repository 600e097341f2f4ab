package ocf

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"gomaild/cluster/control"
)

// patience is how long a server that is well may take to answer on its control
// socket, or to send a banner, in which the disk and the database have no part. It is
// far below the operation's timeout: a server that hangs is noticed sooner.
const patience = 3 * time.Second

// monitor asks how the server is: at level 0 whether it says that it is ready, at
// 10 also for the banner of each listener and a synced write on the mount, at 20
// for the database and a message through the probe account.
func (a *agent) monitor(ctx context.Context) error {
	s, loadErr := a.server()
	p, err := a.find(ctx, s)
	if err != nil {
		return err // NotRunning also where the configuration is missing: a probe asks every node
	}
	if loadErr != nil {
		return loadErr
	}
	if err := p.stopped(); err != nil {
		return err
	}
	status, err := settled(ctx, s)
	if err != nil {
		if err := p.stopped(); err != nil {
			return err // a signal takes its time: it came after the first look
		}
		return err
	}
	if !status.Ready {
		return failed(ErrGeneric, "not ready: %s", strings.Join(status.Problems, "; "))
	}
	if a.level >= 10 {
		err = a.deep(ctx, s, status)
	}
	if err == nil && a.level >= 20 {
		err = a.through(ctx, s, status)
	}
	return err
}

// stopped is an error where a signal has stopped the process.
func (p process) stopped() error {
	if st := p.state(); st == 'T' || st == 't' {
		return failed(ErrGeneric, "process %d was stopped by a signal", p.pid)
	}
	return nil
}

// settled is how the server is, once it has started.
func settled(ctx context.Context, s Server) (status control.Status, err error) {
	until(ctx, func() bool {
		asking, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		status, err = s.client().Status(asking)
		return err != nil || status.Phase != control.Starting
	})
	return status, err
}

// deep is level 10.
func (a *agent) deep(ctx context.Context, s Server, status control.Status) error {
	errs := make([]error, len(status.Listeners)+1)
	var asking sync.WaitGroup
	for i, l := range status.Listeners {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience+time.Duration(l.GreetDelay*float64(time.Second)))
			defer cancel()
			errs[i] = banner(ctx, l)
		})
	}
	asking.Go(func() { _, errs[len(status.Listeners)] = s.client().Ask(ctx, control.PathProbeDisk) })
	asking.Wait()
	return errors.Join(errs...)
}

// banner reads the first line of a listener, which says that it serves.
func banner(ctx context.Context, l control.Listener) error {
	conn, err := dial(ctx, l)
	if err == nil {
		err = readBanner(conn)
	}
	if err != nil {
		return fmt.Errorf("%s at %s: %w", l.Type, l.Address, err)
	}
	return nil
}

func readBanner(conn net.Conn) error {
	line, err := bufio.NewReaderSize(conn, 1024).ReadSlice('\n')
	if closeErr := conn.Close(); err == nil {
		err = closeErr
	}
	for _, good := range []string{"220 ", "220-", "* OK ", "+OK ", "OK", `"IMPLEMENTATION"`} {
		if strings.HasPrefix(string(line), good) {
			return err
		}
	}
	if err != nil && len(line) == 0 {
		return err
	}
	return fmt.Errorf("it says %q", line)
}

// dial connects to a listener of this host until ctx ends.
func dial(ctx context.Context, l control.Listener) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, l.Network, l.Address)
	if err != nil {
		return nil, err
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(time.Minute)
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if l.TLS != "implicit" {
		return conn, nil
	}
	return tls.Client(conn, ownServer()), nil
}

// ownServer is for a server that the kernel leads us to, on this host: its
// certificate is for the names that others call it by.
func ownServer() *tls.Config {
	return &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12} //nolint:gosec // see above
}
