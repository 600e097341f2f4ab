package cluster

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"
)

func record(epoch uint64) Record {
	return Record{Epoch: epoch, Node: "mail1", Boot: "b", PID: 7, Started: time.Unix(1700000000, 0).UTC()}
}

// block has two records, or zeros where there is none.
func block(t testing.TB, records ...Record) []byte {
	t.Helper()
	b := make([]byte, blockSize)
	for _, r := range records {
		data, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		copy(b[half(r.Epoch):], data)
	}
	return b
}

func TestDecode(t *testing.T) {
	t.Parallel()
	torn := block(t, record(4), record(5))
	copy(torn[half(5)+40:], "torn")
	both := bytes.Clone(torn)
	copy(both[half(4)+200:], "x")
	for _, tt := range []struct {
		rule string
		data []byte
		want uint64 // 0: damaged
	}{
		{"the first", block(t, record(1)), 1},
		{"the higher of two", block(t, record(4), record(5)), 5},
		{"the higher of two, in the first half", block(t, record(6), record(5)), 6},
		{"the whole one of two", torn, 4},
		{"both damaged", both, 0},
		{"nothing", nil, 0},
		{"zeros", make([]byte, blockSize), 0},
		{"cut in the second half", block(t, record(4), record(5))[:blockSize-1], 4},
		{"epoch 0 is none", block(t, record(0)), 0},
		{"what is behind the block does not count", append(block(t, record(4)), block(t, record(6))...), 4},
	} {
		got, err := decode(tt.data)
		if got.Epoch != tt.want || (tt.want == 0) != errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, %v", tt.rule, got, err)
		}
	}
}

func TestEncodeLimit(t *testing.T) {
	t.Parallel()
	r := record(1)
	r.Node = strings.Repeat("é", maxNode)
	data, err := r.encode()
	if err != nil || len(data) != halfSize {
		t.Errorf("a long node name: %d octets, %v", len(data), err)
	}
	r.Boot = strings.Repeat("x", halfSize)
	if _, err := r.encode(); err == nil {
		t.Error("a record longer than its half is written")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(block(f, record(1)))
	f.Add(block(f, record(4), record(5)))
	f.Add([]byte(epochMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decode(data)
		if (err == nil) != (r.Epoch > 0) {
			t.Errorf("%v, %v", r, err)
		}
	})
}
