package maildir

import (
	"strconv"
	"strings"
	"sync"
	"time"
)

// namer makes base names that nobody else makes: the epoch, the process and the
// host are in them, and within the process no two have the same microsecond. Names rise
// with time even if the clock does not, so the order of names is that of
// arrival.
type namer struct {
	now  func() time.Time
	mark string // X<epoch>P<pid>Q
	host string

	mu    sync.Mutex
	last  int64 // microseconds
	count uint64
}

func newNamer(now func() time.Time, epoch uint64, pid int, host string) *namer {
	return &namer{now: now, mark: epochMark(epoch) + "P" + strconv.Itoa(pid) + "Q", host: safeHost(host)}
}

// epochMark is what the Maildir specification calls the boot number, in
// hexadecimal.
func epochMark(epoch uint64) string {
	if epoch == 0 {
		return ""
	}
	return "X" + strconv.FormatUint(epoch, 16)
}

// safeHost escapes what has a meaning in file names, as the Maildir
// specification wants; the comma begins Dovecot's sizes.
func safeHost(host string) string {
	return strings.NewReplacer("/", `\057`, ":", `\072`, ",", `\054`).Replace(host)
}

// next is a new base name without sizes.
func (n *namer) next() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = max(n.now().UnixMicro(), n.last+1)
	n.count++
	b := make([]byte, 0, 64)
	b = strconv.AppendInt(b, n.last/1e6, 10)
	b = append(b, ".M"...)
	b = strconv.AppendInt(b, n.last%1e6, 10)
	b = append(b, n.mark...)
	b = strconv.AppendUint(b, n.count, 10)
	b = append(b, '.')
	b = append(b, n.host...)
	return string(b)
}

// made reports whether name is one of this namer's.
func (n *namer) made(name string) bool {
	return strings.Contains(name, n.mark) && strings.HasSuffix(name, "."+n.host)
}
