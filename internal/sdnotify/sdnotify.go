// Package sdnotify tells the service manager how the server is, by datagrams as
// sd_notify(3) describes them. Without a service manager it does nothing.
package sdnotify

import (
	"errors"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Notifier knows the socket of the service manager.
type Notifier struct {
	socket string
}

// New is for the socket that the environment variable NOTIFY_SOCKET names; "" for
// none. A name that begins with @ is in the abstract namespace.
func New(socket string) Notifier { return Notifier{socket} }

// Ready says that the server serves, also after Reloading.
func (n Notifier) Ready(status string) error { return n.send("READY=1", "STATUS="+oneLine(status)) }

// Stopping says that the server begins to stop.
func (n Notifier) Stopping() error { return n.send("STOPPING=1", "STATUS=stopping") }

// Reloading says that the configuration is being read again; Ready follows. The
// time lets the service manager tell this reload from an earlier one.
func (n Notifier) Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return err
	}
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// Watchdog says that the server is alive, which a service manager with WatchdogSec
// wants to hear in time: see WatchdogEvery.
func (n Notifier) Watchdog() error { return n.send("WATCHDOG=1") }

// WatchdogEvery is how often to call Watchdog: twice in the time that the
// environment variable WATCHDOG_USEC gives in microseconds. 0: never, which is so
// too where WATCHDOG_PID names another process than pid (sd_watchdog_enabled(3)).
func WatchdogEvery(usec, watched string, pid int) time.Duration {
	n, err := strconv.ParseInt(usec, 10, 64)
	if err != nil || n <= 0 || n > math.MaxInt64/1000 || watched != "" && watched != strconv.Itoa(pid) {
		return 0
	}
	return time.Duration(n) * time.Microsecond / 2
}

func oneLine(s string) string { return strings.ReplaceAll(s, "\n", " ") }

func (n Notifier) send(lines ...string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	_, err = conn.Write([]byte(strings.Join(lines, "\n")))
	return errors.Join(err, conn.Close())
}
