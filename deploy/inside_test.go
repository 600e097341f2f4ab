package deploy

import (
	"os"
	"testing"

	"gomaild/internal/peertest"
)

// insideCopy runs a script of the shell in lab/system-copy, where dir is seen,
// and returns what it prints. Only root can make such a copy; elsewhere ok is
// false.
func insideCopy(t *testing.T, dir, script string) (out string, ok bool) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Log("NOT ROOT, so nothing is tried out in a copy of the system")
		return "", false
	}
	return peertest.Run(t, "", "lab/system-copy", dir, "sh", "-ec", script), true
}
