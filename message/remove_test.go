package message

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestRemoveFields(t *testing.T) {
	t.Parallel()
	long := "X: " + strings.Repeat(" bad", 30_000) + "\r\n"
	for _, tt := range []struct{ rule, in, want string }{
		{"one of several", "A: 1\r\nX: bad\r\nx: good\r\nB: 2\r\n\r\nX: bad\r\n", "A: 1\r\nx: good\r\nB: 2\r\n\r\nX: bad\r\n"},
		{"folded", "X:\r\n\tbad\r\n bad\r\nA: 1\r\n\r\n", "A: 1\r\n\r\n"},
		{"one after the other", "X: bad\r\nX: bad\r\nX: good\r\n\r\nb", "X: good\r\n\r\nb"},
		{"LF", "X: bad\nA: 1\n\nbody", "A: 1\n\nbody"},
		{"no body", "A: 1\r\nX: bad\r\n", "A: 1\r\n"},
		{"no line end", "A: 1\r\nX: bad", "A: 1\r\n"},
		{"kept at the end", "A: 1\r\nX: good", "A: 1\r\nX: good"},
		{"a line longer than any buffer", "A: 1\r\n" + long + "B: 2\r\n\r\n", "A: 1\r\nB: 2\r\n\r\n"},
		{"another long one", strings.Replace(long, "X", "Y", 1) + "\r\nb", strings.Replace(long, "X", "Y", 1) + "\r\nb"},
		{"nothing", "", ""},
		{"only a body", "\r\nX: bad\r\n", "\r\nX: bad\r\n"},
	} {
		for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in)), iotest.DataErrReader(strings.NewReader(tt.in))} {
			got, err := io.ReadAll(RemoveFields(r, "X", func(s string) bool { return strings.Contains(s, "bad") }))
			if err != nil || string(got) != tt.want {
				t.Errorf("%s: %.200q, %v", tt.rule, got, err)
			}
		}
	}
	broken := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader("X: y\r\n\r\n")))
	if _, err := io.ReadAll(RemoveFields(broken, "X", func(string) bool { return false })); err == nil {
		t.Error("an error of the reader is lost")
	}
}
