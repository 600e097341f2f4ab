package queue

import (
	"slices"
	"strings"
	"time"

	"gomaild/mail"
)

// Selection says which messages are meant: each field that is set must fit. The
// zero Selection means all.
type Selection struct {
	IDs         []string      `json:"ids,omitempty"`
	From        string        `json:"from,omitempty"`        // the reverse-path, "<>" for the null one, "@domain" for all of a domain
	Account     string        `json:"account,omitempty"`     // that submitted it, under whatever sender
	To          string        `json:"to,omitempty"`          // somebody it is still owed to, or "@domain"
	Destination string        `json:"destination,omitempty"` // host of the next hop
	Age         time.Duration `json:"age,omitempty"`         // at least so long in the queue
}

func (s *Selection) fits(e *Envelope, now time.Time) bool {
	return (len(s.IDs) == 0 || slices.Contains(s.IDs, e.ID)) &&
		(s.From == "" || fitsAddress(s.From, e.From.Address)) &&
		(s.Account == "" || !e.Account.IsZero() && fitsAddress(s.Account, e.Account)) &&
		(s.To == "" || slices.ContainsFunc(e.To, func(r Recipient) bool { return fitsAddress(s.To, r.Address) })) &&
		(s.Destination == "" || slices.ContainsFunc(e.To, func(r Recipient) bool { return strings.EqualFold(s.Destination, r.Destination.Host) })) &&
		now.Sub(e.Arrived) >= s.Age
}

func fitsAddress(want string, a mail.Address) bool {
	switch {
	case want == "<>":
		return a.IsZero()
	case strings.HasPrefix(want, "@"):
		return strings.EqualFold(want[1:], a.Domain)
	}
	return strings.EqualFold(want, a.String())
}

// isID reports that s may be a queue ID, and thus the name of a file of ours.
func isID(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && r != '-'
	})
}
