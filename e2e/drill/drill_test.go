package drill

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestMatch: what is lost, duplicated and merely unanswered is told apart.
func TestMatch(t *testing.T) {
	t.Parallel()
	entries := []Entry{
		{ID: "1", Fate: Acknowledged}, {ID: "2", Fate: Acknowledged, Fault: "kill"}, {ID: "3", Fate: Acknowledged, Fault: "kill"},
		{ID: "4", Fate: Unanswered, Fault: "kill"}, {ID: "5", Fate: Refused, Fault: "kill"}, {ID: "6", Fate: Acknowledged, Fault: "kill"},
	}
	r := match([]Outcome{{Fault: "kill", Served: true, SMTPGap: Gap(1500 * time.Millisecond)}}, entries, map[string]int{"1": 1, "2": 1, "4": 1, "5": 1, "6": 2})
	want := Outcome{Fault: "kill", Served: true, Acknowledged: 3, Unanswered: 1, Refused: 1, Lost: 1, Duplicated: 1, Unexpected: 1, SMTPGap: Gap(1500 * time.Millisecond)}
	if r.Outcomes[1] != want || r.Outcomes[0].Acknowledged != 1 || len(r.LostIDs) != 1 || r.LostIDs[0] != "3" || r.Passed() {
		t.Errorf("report %+v, want %+v and id 3 lost", r, want)
	}
	text, err := json.Marshal(r)
	if err != nil || !strings.Contains(string(text), `"smtp_gap_seconds":1.500`) {
		t.Errorf("JSON %s, %v", text, err)
	}
	var table strings.Builder
	if err := r.WriteTable(&table); err != nil || !strings.Contains(table.String(), "1.5 s") {
		t.Errorf("table %s, %v", table.String(), err)
	}
}

// TestNotServedFails: a service that stays away fails the drill with nothing
// lost.
func TestNotServedFails(t *testing.T) {
	t.Parallel()
	if match([]Outcome{{Fault: "kill"}}, nil, nil).Passed() {
		t.Error("passed")
	}
}

// TestWatch: gaps are measured, and service is steady only when it has held.
func TestWatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, start := newWatch(), time.Now()
		answer := func(times int) {
			for range times {
				time.Sleep(100 * time.Millisecond)
				w.answered(time.Now())
			}
		}
		if w.steady(start, 0) {
			t.Error("steady before the first answer")
		}
		answer(20)
		if !w.steady(start, time.Second) || w.longest() != 100*time.Millisecond {
			t.Errorf("longest gap %v; or not steady", w.longest())
		}
		time.Sleep(4 * time.Second)
		if w.steady(start, time.Second) || w.longest() != 4*time.Second {
			t.Errorf("in a gap: longest %v; or steady", w.longest())
		}
		answer(5)
		if w.steady(start, time.Second) {
			t.Error("steady 0.4 s after the gap")
		}
		answer(10)
		if !w.steady(start, time.Second) || w.longest() != 4100*time.Millisecond {
			t.Errorf("after the gap: longest %v; or not steady", w.longest())
		}
	})
}
