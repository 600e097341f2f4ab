package receive

import (
	"context"

	"gomaild/mail"
)

// copy adds those who get a copy by the BCC maps. The client hears nothing of
// them: one who does not exist is a line in the log, as is one whose copy fails
// for good. An error is a table that cannot be read, or a look-up that failed.
func (t *transaction) copy(ctx context.Context) error {
	if !t.r.copies {
		return nil
	}
	to := make([]mail.Address, len(t.to))
	for i, a := range t.to {
		to[i] = a.Address
	}
	list, err := t.r.Router.Copies(t.from.Address, to)
	if err != nil {
		return lookupFault(err)
	}
	for _, a := range list {
		leadsTo, err := t.r.Router.Relay(ctx, a)
		if err == nil {
			leadsTo, err = t.r.served(a, leadsTo)
		}
		if err != nil && mail.StatusOf(err).Temporary() {
			return lookupFault(err)
		}
		if err != nil {
			t.log.WarnContext(ctx, "copy not made", "to", a.String(), "error", err)
			continue
		}
		t.copies = append(t.copies, accepted{Recipient: mail.Recipient{Address: a, Notify: mail.NotifyNever}, leadsTo: leadsTo})
	}
	return nil
}

// logCopies tells of copies that failed, and were not put off.
func (t *transaction) logCopies(of [][]*attempt) {
	for i, list := range of {
		for _, a := range list {
			if a.err != nil {
				t.log.Warn("copy not made", "to", t.copies[i].Address.String(), "error", a.err)
			}
		}
	}
}
