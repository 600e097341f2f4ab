package policy

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"gomaild/mail"
)

// Greylist knows strangers; a *greylist.List is one.
type Greylist interface {
	// Check says how long a client that is new to a sender and a recipient has
	// yet to wait, at most delay; 0 lets it in. After an error it lets in.
	Check(client netip.Addr, from mail.ReversePath, to mail.Address, delay time.Duration) (wait time.Duration, err error)
}

// greylist puts a client off that is new to the sender and the recipient. A
// unix socket is nobody's network and is let in. That the list cannot be
// written is our fault and nobody's refusal.
func (p *Policy) greylist(ctx context.Context, j *Judge) error {
	if p.cfg.Greylist == nil || !j.Client.IsValid() {
		return nil
	}
	wait, err := p.cfg.Greylist.Check(j.Client, j.From, j.to, p.cfg.GreylistDelay)
	if err != nil {
		p.log.WarnContext(ctx, "greylist is not kept", "error", err)
	}
	if wait <= 0 {
		return nil
	}
	return &mail.Status{Code: 450, Enhanced: "4.7.1", Text: fmt.Sprintf("<%s>: Recipient address rejected: Greylisted, come again in %d seconds", j.to, seconds(wait))}
}
