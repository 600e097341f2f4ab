package gate

import (
	"strings"
	"testing"
)

func TestApart(t *testing.T) {
	t.Parallel()
	done := false
	Apart(func() { done = true })
	if !done {
		t.Error("the work was not waited for")
	}
	defer func() {
		if p, _ := recover().(string); !strings.HasPrefix(p, "fault\n") || !strings.Contains(p, "apart_test.go") {
			t.Errorf("panic %q", p)
		}
	}()
	Apart(func() { panic("fault") })
}
