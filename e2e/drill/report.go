package drill

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// Gap is a time without service; in JSON it is a number of seconds.
type Gap time.Duration

// MarshalJSON writes seconds.
func (g Gap) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(g).Seconds()), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (g *Gap) UnmarshalJSON(text []byte) error {
	seconds, err := strconv.ParseFloat(string(text), 64)
	*g = Gap(seconds * float64(time.Second))
	return err
}

// Outcome is what came of one fault; counts are messages.
type Outcome struct {
	Fault        string `json:"fault"`
	Served       bool   `json:"served"` // service was back, steadily
	Acknowledged int    `json:"acknowledged"`
	Unanswered   int    `json:"unanswered"`
	Refused      int    `json:"refused"`
	Lost         int    `json:"lost"`
	Duplicated   int    `json:"duplicated"`
	Unexpected   int    `json:"unexpected"` // refused, and there all the same
	SMTPGap      Gap    `json:"smtp_gap_seconds"`
	IMAPGap      Gap    `json:"imap_gap_seconds"`
}

// Report is what came of a drill.
type Report struct {
	Outcomes []Outcome `json:"faults"`
	LostIDs  []string  `json:"lost_ids"`
}

// Passed tells whether service came back each time and nothing acknowledged
// was lost.
func (r Report) Passed() bool {
	return len(r.LostIDs) == 0 && !slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return !o.Served })
}

// match compares the ledger with the count of each id in the mailbox. Messages
// from before the first fault are an outcome of their own, named "none".
func match(outcomes []Outcome, entries []Entry, there map[string]int) Report {
	r := Report{Outcomes: append([]Outcome{{Fault: "none", Served: true}}, outcomes...), LostIDs: []string{}}
	for _, e := range entries {
		at := slices.IndexFunc(r.Outcomes, func(o Outcome) bool { return o.Fault == e.Fault })
		o := &r.Outcomes[max(at, 0)]
		n := there[e.ID]
		o.count(e.Fate, n)
		if e.Fate == Acknowledged && n == 0 {
			r.LostIDs = append(r.LostIDs, e.ID)
		}
	}
	return r
}

// count enters one message that is n times in the mailbox.
func (o *Outcome) count(f Fate, n int) {
	switch f {
	case Acknowledged:
		o.Acknowledged++
		if n == 0 {
			o.Lost++
		}
	case Unanswered:
		o.Unanswered++
	case Refused:
		o.Refused++
		o.Unexpected += n
	}
	o.Duplicated += max(n-1, 0)
}

// WriteTable prints the report for people.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "fault\tacknowledged\tlost\tduplicated\tunanswered\trefused\tno 220 for\tno IMAP login for\tserved again\t")
	for _, o := range r.Outcomes {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%.1f s\t%.1f s\t%t\t\n", o.Fault, o.Acknowledged, o.Lost, o.Duplicated,
			o.Unanswered, o.Refused, time.Duration(o.SMTPGap).Seconds(), time.Duration(o.IMAPGap).Seconds(), o.Served)
	}
	return t.Flush()
}
