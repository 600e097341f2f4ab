package e2e

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomaild/internal/peertest"
)

// TestPowerCutOnDisk cuts the power of a real ext4: its image lies on an XFS that
// can take a copy of a file at one instant, so a copy is what the disk held at
// that moment, without anything that was still in the memory of the kernel.
// Senders deliver and a client appends, copies, flags and expunges meanwhile.
// Each copy is mounted, gomaild starts on it, and everything that had been
// acknowledged before the cut must be there, once, whole and under its UID, and
// nothing that had been expunged.
//
// A disk that loses what it said it had written is not simulated: that needs
// dm-log-writes, which not every kernel has.
func TestPowerCutOnDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root mounts file systems")
	}
	if !peertest.InOwnMounts(t) {
		return
	}
	w := newWorldWith(t, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	disks := mountImage(t, filepath.Join(w.dir, "disks"), filepath.Join(w.dir, "xfs"), 600<<20,
		peertest.Need(t, "/usr/sbin/mkfs.xfs", "xfsprogs"), "-q", "-m", "reflink=1")
	image := filepath.Join(disks, "image")
	mountImage(t, w.root, image, 96<<20, peertest.Need(t, "/usr/sbin/mkfs.ext4", "e2fsprogs"), "-q", "-F")
	must(t, os.Chmod(w.root, 0o700))
	w.start(t)

	const cuts = 4
	l := &acknowledged{stored: map[string]string{}, going: map[string]bool{}, gone: map[string]bool{}}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for i := range 3 {
		senders.Go(func() { l.deliver(t, w, fmt.Sprint("s", i), stop) })
	}
	client := &dialog{t: t}
	client.dial(w)
	client.do("CREATE Archive")
	var copies []cut
	for i := range cuts {
		for range 2 + rand.IntN(4) {
			client.work(l)
		}
		c := cut{name: filepath.Join(disks, fmt.Sprint("cut", i)), before: l.clone()}
		copied := make(chan error, 1)
		go func() {
			_, errOut, err := peertest.Try(t, "", "cp", "--reflink=always", image, c.name)
			if err != nil {
				err = fmt.Errorf("%w: %s", err, errOut)
			}
			copied <- err
		}()
		for ended := false; !ended; {
			select {
			case err := <-copied:
				must(t, err)
				ended = true
			default:
				client.work(l)
			}
		}
		c.after = l.clone()
		copies = append(copies, c)
	}
	close(stop)
	senders.Wait()
	client.close()
	w.stop(t)
	must(t, unix.Unmount(w.root, 0))
	if n := len(l.stored); n < 10*cuts {
		t.Errorf("only %d messages were acknowledged", n)
	}
	for _, c := range copies {
		c.check(t, w)
	}
}

// mountImage makes a file system of a size in a file and mounts it.
func mountImage(t *testing.T, dir, image string, size int64, mkfs string, args ...string) string {
	t.Helper()
	must(t, os.MkdirAll(dir, 0o700))
	writeFile(t, image, "")
	must(t, os.Truncate(image, size))
	peertest.Run(t, "", mkfs, append(args, image)...)
	peertest.Run(t, "", "mount", "-o", "loop", image, dir)
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

// acknowledged is what clients were told.
type acknowledged struct {
	mu     sync.Mutex
	stored map[string]string // "UIDVALIDITY UID" by id, "" where that was not told
	going  map[string]bool   // EXPUNGE was sent
	gone   map[string]bool   // and answered
	n      int
}

func (l *acknowledged) clone() *acknowledged {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := &acknowledged{stored: map[string]string{}, going: map[string]bool{}, gone: map[string]bool{}}
	for id, uid := range l.stored {
		c.stored[id] = uid
	}
	for id := range l.going {
		c.going[id] = true
	}
	for id := range l.gone {
		c.gone[id] = true
	}
	return c
}

func (l *acknowledged) note(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
}

// deliver sends messages until stop; some are too large for the journal.
func (l *acknowledged) deliver(t *testing.T, w *world, who string, stop <-chan struct{}) {
	s, err := dialSMTP(t.Context(), w.addr(w.mx))
	if err != nil {
		t.Error(err)
		return
	}
	defer s.close()
	pace := time.NewTicker(5 * time.Millisecond) // so that the disk does not fill up
	defer pace.Stop()
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		case <-pace.C:
		}
		id, size := fmt.Sprintf("<%s.%d>", who, n), 3000
		if n%20 == 19 {
			size = 300_000
		}
		if err := s.send("bob@example.test", append([]byte(idField(id)), content(size)...)); err != nil {
			t.Error(err)
			return
		}
		l.note(func() { l.stored[id] = "" })
	}
}

func idField(id string) string { return "X-Id: " + id + "\r\n" }

// dial logs bob in.
func (c *dialog) dial(w *world) {
	c.t.Helper()
	conn, err := net.Dial("tcp", w.addr(w.imap))
	must(c.t, err)
	c.r, c.w, c.end = bufio.NewReader(conn), conn, conn.Close
	c.line()
	c.do("LOGIN bob@example.test %s", password)
	c.do("SELECT INBOX")
}

var appendUIDCode = regexp.MustCompile(`\[APPENDUID (\d+ \d+)\]`)

// work appends one message, copies it, flags the last, and expunges the one that
// was appended before the last.
func (c *dialog) work(l *acknowledged) {
	c.t.Helper()
	id := fmt.Sprintf("<a.%d>", l.n)
	text := idField(id) + "Subject: appended\r\n\r\nHello\r\n"
	c.do("APPEND INBOX {%d+}\r\n%s", len(text), text)
	code := appendUIDCode.FindStringSubmatch(c.tagged)
	if code == nil {
		c.t.Fatalf("no APPENDUID in %q", c.tagged)
	}
	l.note(func() { l.stored[id] = code[1] })
	_, uid, _ := strings.Cut(code[1], " ")
	c.do("UID COPY %s Archive", uid)
	c.do("UID STORE %s +FLAGS (\\Flagged Keyword)", uid)
	if before := fmt.Sprintf("<a.%d>", l.n-2); l.n%2 == 0 && l.n >= 2 {
		var old string
		l.note(func() { _, old, _ = strings.Cut(l.stored[before], " "); l.going[before] = true })
		c.do("UID STORE %s +FLAGS (\\Deleted)", old)
		c.do("UID EXPUNGE %s", old)
		l.note(func() { l.gone[before] = true })
	}
	l.n++
}

// cut is a copy of the disk, with what was acknowledged before and after it was
// made.
type cut struct {
	name          string
	before, after *acknowledged
}

// check starts gomaild on the copy.
func (c cut) check(t *testing.T, w *world) {
	t.Helper()
	peertest.Run(t, "", "mount", "-o", "loop", c.name, w.root)
	defer func() { must(t, unix.Unmount(w.root, 0)) }()
	w.start(t)
	defer w.stop(t)
	ids := map[string]string{} // by digest of the header field
	for id := range c.after.stored {
		ids[fmt.Sprintf("%x", sha256.Sum256([]byte(idField(id)+"\r\n")))] = id
	}
	client := &dialog{t: t}
	client.dial(w)
	selected := strings.Join(client.do("EXAMINE INBOX"), "\n")
	validity := uidValidityCode.FindStringSubmatch(selected)[1]
	found := map[string]int{}
	digest := regexp.MustCompile(`UID (\d+) .*:([0-9a-f]{64})`)
	for _, line := range client.do("UID FETCH 1:* (UID BODY.PEEK[HEADER.FIELDS (X-Id)])") {
		m := digest.FindStringSubmatch(line)
		if m == nil || ids[m[2]] == "" {
			continue // of later, or one that nobody heard of
		}
		id := ids[m[2]]
		found[id]++
		// What was told during the copy may have come after its instant.
		if told := c.before.stored[id]; told != "" && told != validity+" "+m[1] {
			t.Errorf("%s: %s has UID %s %s, told was %s", c.name, id, validity, m[1], told)
		}
	}
	for id := range c.before.stored {
		if !c.after.going[id] && found[id] != 1 {
			t.Errorf("%s: %s was acknowledged and is there %d times", c.name, id, found[id])
		}
		if c.before.gone[id] && found[id] != 0 {
			t.Errorf("%s: %s was expunged and is there", c.name, id)
		}
	}
	client.do("EXAMINE Archive") // an index may be torn until somebody looks
	client.close()
	peertest.Run(t, "", gomaild(t), "account", "check", "-c", w.config, "bob@example.test")
	t.Logf("%s: %d acknowledged before, %d expunged, %d found", filepath.Base(c.name), len(c.before.stored), len(c.before.gone), len(found))
}
