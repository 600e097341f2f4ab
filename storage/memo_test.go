package storage

import (
	"fmt"
	"testing"
)

// TestMemo holds that a mailbox remembers the last things, and not more.
func TestMemo(t *testing.T) {
	t.Parallel()
	var m Memo
	if m.Load("x") != nil {
		t.Error("something is known of nothing")
	}
	for i := range maxMemos + 1 {
		m.Store(fmt.Sprint(i), i)
		m.Store("again", i)
	}
	for i := range maxMemos + 1 {
		want := any(i)
		if i < 2 {
			want = nil
		}
		if got := m.Load(fmt.Sprint(i)); got != want {
			t.Errorf("%d is %v, want %v", i, got, want)
		}
	}
	if m.Load("again") != maxMemos {
		t.Errorf("again is %v", m.Load("again"))
	}
}
