package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"gomaild/internal/peertest"
)

// TestFullDisk fills a real file system under a running server. What is answered
// with 250 is there and whole, everything else is 452 and leaves nothing behind;
// users can read, and delete what is theirs, and then there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root mounts a file system")
	}
	if !peertest.InOwnMounts(t) {
		return
	}
	w := newWorldWith(t, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	image := filepath.Join(w.dir, "image")
	writeFile(t, image, "")
	if err := os.Truncate(image, 24<<20); err != nil {
		t.Fatal(err)
	}
	peertest.Run(t, "", peertest.Need(t, "/usr/sbin/mkfs.ext4", "e2fsprogs"), "-q", "-F", "-m", "0", image)
	peertest.Run(t, "", "mount", "-o", "loop", image, w.root)
	t.Cleanup(func() { _ = unix.Unmount(w.root, unix.MNT_DETACH) })
	w.start(t)
	send := func() (taken bool) {
		t.Helper()
		said := w.talk(t, w.mx, "220", "EHLO x.test\r\nMAIL FROM:<a@remote.invalid>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"+
			"Subject: x\r\n\r\n"+strings.Repeat(strings.Repeat("x", 70)+"\r\n", 4000)+"end\r\n.\r\nQUIT\r\n")
		taken = strings.Contains(said, "250 2.0.0 Ok, accepted")
		if !taken && !strings.Contains(said, "452 4.3.1 ") {
			t.Fatalf("the reply is %.500q", said)
		}
		return taken
	}
	if !send() {
		t.Fatal("the empty disk is full")
	}
	w.imapSession(t, "1 SELECT INBOX\n") // the first has its UID, what follows has none
	taken := 1
	for send() {
		taken++
	}
	fill(t, filepath.Join(w.root, "filler"))
	before := w.openFiles(t)
	for range 5 {
		if send() {
			t.Error("a message was taken on a full disk")
		}
	}
	w.nothingLeft(t, before)
	if left, _ := filepath.Glob(filepath.Join(w.maildir("bob@example.test"), "tmp", "*")); len(left) > 0 {
		t.Errorf("left in tmp/: %q", left)
	}
	if said := w.imapSession(t, "1 SELECT INBOX\n2 FETCH 1 (UID BODY.PEEK[TEXT]<288000.100>)\n3 STORE 1 +FLAGS (\\Deleted)\n4 EXPUNGE\n"); !strings.Contains(said, "UID 1 ") || !strings.Contains(said, "end\r\n") || !strings.Contains(said, "* 1 EXPUNGE") {
		t.Errorf("on the full disk: %.1000q", said)
	}
	if !strings.Contains(w.readLog(t), "no space left on device") {
		t.Error("the log says nothing of the disk")
	}
	if err := os.Remove(filepath.Join(w.root, "filler")); err != nil {
		t.Fatal(err)
	}
	if said := w.imapSession(t, "1 SELECT INBOX\n2 UID FETCH 1:* BODY.PEEK[TEXT]<288000.100>\n"); strings.Count(said, "end\r\n") != taken-1 {
		t.Errorf("%d messages are whole, %d were taken", strings.Count(said, "end\r\n"), taken-1)
	}
	if !send() {
		t.Error("refused with room again")
	}
}

// fill makes a file of whatever room is left.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := f.Sync(); err != nil {
		t.Logf("the filler: %v", err)
	}
}
