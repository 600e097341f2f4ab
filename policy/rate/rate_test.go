package rate

import (
	"fmt"
	"testing"
	"time"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// TestTake holds what a limit lets through: N at once, and as many again when
// those are as old as the limit says.
func TestTake(t *testing.T) {
	t.Parallel()
	table := NewTable(0)
	use := Use{"a", Limit{N: 3, Per: time.Hour}}
	for _, step := range []struct {
		after time.Duration
		want  time.Duration
	}{
		{0, 0}, {20 * time.Minute, 0}, {20 * time.Minute, 0},
		{20 * time.Minute, 40 * time.Minute},
		{59 * time.Minute, time.Minute},
		{60*time.Minute - time.Millisecond, time.Millisecond},
		{60 * time.Minute, 0},
		{60 * time.Minute, 20 * time.Minute},
		{80 * time.Minute, 0}, {80 * time.Minute, 0},
		{80 * time.Minute, 40 * time.Minute},
		{3 * time.Hour, 0}, {3 * time.Hour, 0}, {3 * time.Hour, 0},
		{3 * time.Hour, time.Hour},
	} {
		if got := table.Take(start.Add(step.after), use); got != step.want {
			t.Errorf("after %v: %v, want %v", step.after, got, step.want)
		}
	}
	if got := table.Take(start, Use{"b", use.Limit}); got != 0 {
		t.Errorf("another key waits %v", got)
	}
}

// TestNeverMore counts what gets through for eager, steady and bursting clients:
// never more than N in any stretch of the limit's time, the first one included,
// and no less than the groups explain.
func TestNeverMore(t *testing.T) {
	t.Parallel()
	for rule, every := range map[string]time.Duration{
		"eager": time.Second, "at the rate": 36 * time.Second, "a little faster": 35 * time.Second, "in bursts": 0,
	} {
		table, limit := NewTable(0), Limit{N: 100, Per: time.Hour}
		var let []time.Time
		for now, i := start, 0; now.Before(start.Add(10 * time.Hour)); i++ {
			if every > 0 {
				now = now.Add(every)
			} else if now = now.Add(time.Second); i%80 == 0 {
				now = now.Add(17 * time.Minute)
			}
			if table.Take(now, Use{"a", limit}) == 0 {
				let = append(let, now)
			}
		}
		for i := range let {
			if j := i + limit.N; j < len(let) && let[j].Sub(let[i]) < limit.Per {
				t.Fatalf("%s: %d events in %v", rule, limit.N+1, let[j].Sub(let[i]))
			}
		}
		if least := 100 * 10 * parts / (parts + 1); every > 0 && len(let) < least {
			t.Errorf("%s: %d got through in ten hours, want %d", rule, len(let), least)
		}
		if n := len(table.used["a"].groups); n > parts+2 {
			t.Errorf("%s: %d groups", rule, n)
		}
	}
}

// TestTakeAll holds that an event that one limit refuses is counted by none.
func TestTakeAll(t *testing.T) {
	t.Parallel()
	table := NewTable(0)
	hour, day := Use{"hour", Limit{2, time.Hour}}, Use{"day", Limit{3, 24 * time.Hour}}
	for i, want := range []time.Duration{0, 0, time.Hour, time.Hour} {
		if got := table.Take(start, hour, day); got != want {
			t.Errorf("event %d: %v, want %v", i, got, want)
		}
	}
	later := start.Add(4 * time.Hour)
	if got := table.Take(later, hour, day); got != 0 {
		t.Errorf("the day has counted what the hour refused: %v", got)
	}
	if got, want := table.Take(later, hour, day), 20*time.Hour; got != want {
		t.Errorf("the day is over: %v, want %v", got, want)
	}
	if got := table.Take(start, Use{"none", Limit{}}); got != 0 || table.Len() != 2 {
		t.Errorf("no limit: %v, %d keys", got, table.Len())
	}
}

// TestFull holds that the table stays within its bound and keeps who is over a
// limit while others come and go.
func TestFull(t *testing.T) {
	t.Parallel()
	const most = 200
	table := NewTable(most)
	limit := Limit{10, time.Hour}
	bad := Use{"bad", limit}
	for table.Take(start, bad) == 0 {
	}
	for i := range 20 * most {
		table.Take(start, Use{fmt.Sprint(i), limit})
		if table.Len() > most {
			t.Fatalf("%d keys", table.Len())
		}
	}
	if table.Take(start, bad) == 0 {
		t.Error("who is over the limit was forgotten")
	}
	table.Take(start.Add(2*time.Hour), Use{"new", limit})
	if table.Len() >= most {
		t.Errorf("%d keys, none of which tells anything", table.Len())
	}
}

func BenchmarkTake(b *testing.B) {
	table := NewTable(0)
	keys := make([]Use, 4096)
	for i := range keys {
		keys[i] = Use{fmt.Sprintf("client messages 192.0.2.%d", i), Limit{1 << 30, time.Hour}}
	}
	b.ReportAllocs()
	for i := range b.N {
		table.Take(start, keys[i%len(keys)])
	}
}

// TestRestore holds that what was used outlives a restart, and that no text
// brings a table beyond its bound.
func TestRestore(t *testing.T) {
	t.Parallel()
	old, limit := NewTable(0), Limit{1, time.Hour}
	old.Take(start, Use{"a \"key\"\n", limit})
	next := NewTable(2)
	next.Restore(start.Add(time.Minute), old.Text(start))
	if !next.Uses(start.Add(time.Minute), "a \"key\"\n") || next.Uses(start.Add(2*time.Hour), "a \"key\"\n") {
		t.Error("forgotten, or kept for ever")
	}
	next.Restore(start, []byte("1 99 \"b\" 1900000000000 1900000000000 1\n1 99 \"c\" 1900000000000 1900000000000 1\n1 99 \"d\" 1900000000000 1900000000000 1\n"))
	if next.Len() != 2 {
		t.Errorf("%d keys", next.Len())
	}
	next.Restore(start.Add(9*time.Hour), []byte("x \"b\"\n"))
	next.Restore(start, []byte("1 unquoted\n"))
	if len(old.Text(start.Add(2*time.Hour))) != 0 {
		t.Error("what is over was written")
	}
}

func FuzzRestore(f *testing.F) {
	f.Add([]byte("3 3600000 \"b \\\"\" 1900000000000 1900000000001 2 1900000400000 1900000400001 1\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		table := NewTable(10)
		table.Restore(start, text)
		again := NewTable(10)
		again.Restore(start, table.Text(start))
		if table.Len() > 10 || again.Len() != table.Len() {
			t.Errorf("%d keys, then %d", table.Len(), again.Len())
		}
	})
}
