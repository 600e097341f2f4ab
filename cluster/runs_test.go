package cluster

import (
	"math"
	"testing"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
)

func TestRuns(t *testing.T) {
	t.Parallel()
	tree := crashfs.New()
	c := Config{FS: tree, Node: "a", Boot: "1"}
	if Runs(c) {
		t.Error("somebody runs on a root that was never started on")
	}
	hold, err := Take(c)
	if err != nil {
		t.Fatal(err)
	}
	if !Runs(c) {
		t.Error("we are not seen")
	}
	for _, other := range []Config{{FS: tree, Node: "b", Boot: "1"}, {FS: tree, Node: "a", Boot: "2"}} {
		if Runs(other) {
			t.Errorf("we are seen on %s after boot %s", other.Node, other.Boot)
		}
	}
	if err := hold.Release(); err != nil {
		t.Fatal(err)
	}
	gone := hold.Record()
	gone.PID = math.MaxInt32 // above every process
	data, err := gone.encode()
	if err != nil {
		t.Fatal(err)
	}
	block := make([]byte, blockSize)
	copy(block[half(gone.Epoch):], data)
	if err := durable.WriteFile(tree, epochFile(Config{Dir: DefaultDir}), block, 0o600); err != nil {
		t.Fatal(err)
	}
	if Runs(c) {
		t.Error("a process that is gone is seen")
	}
	if err := durable.WriteFile(tree, epochFile(Config{Dir: DefaultDir}), []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if !Runs(c) {
		t.Error("nobody runs where that cannot be told")
	}
}
