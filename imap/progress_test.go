package imap

import (
	"strings"
	"testing"
	"time"
)

// TestProgress holds that a search that takes long says so, and that a quick
// one does not.
func TestProgress(t *testing.T) {
	t.Parallel()
	for after, want := range map[time.Duration]int{time.Nanosecond: 2, time.Hour: 0} {
		w := newWorld(t, func(c *Config) { c.Limits.ProgressAfter = after })
		for range 300 {
			w.put("INBOX", "Subject: x\n\n", 0)
		}
		c := w.login(w.listen())
		c.do("SELECT INBOX")
		lines := c.do("SEARCH ALL")
		told := 0
		for _, line := range lines {
			if strings.HasPrefix(line, `* OK [INPROGRESS ("t" `) {
				told++
			}
		}
		if told != want || !strings.HasPrefix(lines[len(lines)-1], "t OK") {
			t.Errorf("with %v: told %d times, want %d", after, told, want)
		}
	}
}
