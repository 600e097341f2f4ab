package main

import (
	"runtime"
	"testing"
)

// TestTune holds that the second server of a process does not double the
// processors once more.
func TestTune(t *testing.T) { //nolint:paralleltest // changes what all share
	t.Setenv("GOMAXPROCS", "")
	t.Cleanup(runtime.SetDefaultGOMAXPROCS)
	tune()
	once := runtime.GOMAXPROCS(0)
	tune()
	if again := runtime.GOMAXPROCS(0); again != once {
		t.Errorf("GOMAXPROCS is %d, then %d", once, again)
	}
}
