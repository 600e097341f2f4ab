package policy

import (
	"context"
	"fmt"
	"time"

	"gomaild/mail"
	"gomaild/policy/rate"
)

// Rates are what strangers are held to. A list may have limits of several
// lengths; all of them count. Clients and
// networks are those of rate.Client and rate.Site; a sender is a reverse-path,
// the null one excepted, which is everybody's.
type Rates struct {
	ClientConnections, NetworkConnections                 []rate.Limit
	ClientMessages, NetworkMessages, SenderMessages       []rate.Limit
	ClientRecipients, NetworkRecipients, SenderRecipients []rate.Limit
}

// maxSender is how much of a reverse-path tells senders apart, in octets.
const maxSender = 320

// counted is one list of limits and who is counted for it.
type counted struct {
	what, who string
	limits    []rate.Limit
}

func (c counted) key(l rate.Limit) string { return fmt.Sprintf("%s %s %s", c.what, l.Per, c.who) }

func (p *Policy) take(code int, all ...counted) error {
	return take(p.cfg.RateTable, p.cfg.Now(), code, all...)
}

// take takes one event from all lists, or says in a 4xx with code when there
// is room again. What cannot be told (the peer of a unix socket, the null
// reverse-path) is not counted.
func take(t *rate.Table, now time.Time, code int, all ...counted) error {
	var uses []rate.Use
	for _, c := range all {
		if c.who == "" {
			continue
		}
		for _, l := range c.limits {
			uses = append(uses, rate.Use{Key: c.key(l), Limit: l})
		}
	}
	if len(uses) == 0 {
		return nil
	}
	wait := t.Take(now, uses...)
	if wait <= 0 {
		return nil
	}
	return &mail.Status{Code: code, Enhanced: "4.7.1", Text: fmt.Sprintf("Rate limit exceeded: come again in %d seconds", seconds(wait))}
}

// seconds rounds up: who comes again when told must not be early.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func (p *Policy) connectionRate(_ context.Context, j *Judge) error {
	r := &p.cfg.Rates
	return p.take(421,
		counted{"client connections", rate.Client(j.Client), r.ClientConnections},
		counted{"network connections", rate.Site(j.Client), r.NetworkConnections})
}

func (p *Policy) messageRate(_ context.Context, j *Judge) error {
	r := &p.cfg.Rates
	return p.take(450,
		counted{"client messages", rate.Client(j.Client), r.ClientMessages},
		counted{"network messages", rate.Site(j.Client), r.NetworkMessages},
		counted{"sender messages", sender(j.From), r.SenderMessages})
}

func (p *Policy) recipientRate(_ context.Context, j *Judge) error {
	r := &p.cfg.Rates
	return p.take(450,
		counted{"client recipients", rate.Client(j.Client), r.ClientRecipients},
		counted{"network recipients", rate.Site(j.Client), r.NetworkRecipients},
		counted{"sender recipients", sender(j.From), r.SenderRecipients})
}

func sender(p mail.ReversePath) string {
	if p.IsNull() {
		return ""
	}
	s := p.Address.Fold().String()
	return s[:min(len(s), maxSender)]
}
