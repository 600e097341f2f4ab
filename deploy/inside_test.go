package deploy

import (
	"os"
	"testing"

	"gomaild/internal/peertest"
)

// systemCopy runs a script as root in a throw-away copy of this machine's
// system: what it installs and edits is gone with it. /run and /tmp are empty,
// so nothing there finds a running service manager; "$1"... are the arguments.
const systemCopy = `
	mount --make-rprivate /
	mount -t tmpfs -o mode=755 tmpfs /mnt
	mkdir /mnt/upper /mnt/work /mnt/root
	mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
	for d in proc sys dev; do mount --rbind /$d /mnt/root/$d; done
	for d in run tmp; do mount -t tmpfs tmpfs /mnt/root/$d; done
	mkdir /mnt/root/tmp/in
	mount --bind "$1" /mnt/root/tmp/in
	script=$2
	shift 2
	exec chroot /mnt/root sh -ec "cd /tmp/in; $script" sh "$@"`

// insideCopy runs script in a copy of the system, in /tmp/in, where the
// directory dir is seen. It returns what the script prints. Only root can make
// such a copy; elsewhere ok is false.
func insideCopy(t *testing.T, dir, script string, args ...string) (out string, ok bool) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Log("NOT ROOT, so nothing is tried out in a copy of the system")
		return "", false
	}
	args = append([]string{"--mount", "--uts", "--net", "sh", "-ec", systemCopy, "sh", dir, script}, args...)
	return peertest.Run(t, "", "unshare", args...), true
}
