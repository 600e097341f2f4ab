package daemon

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"time"

	"gomaild/delivery/receive"
	"gomaild/internal/config"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/policy/milter"
	"gomaild/smtp"
)

// filters are the milters of a listener.
func (p *parts) filters(l *config.Listener) []receive.Filter {
	m := &p.c.Milter
	addresses := map[config.ListenerType][]string{config.MX: m.MX, config.Submission: m.Submission}[l.Type]
	all := make([]receive.Filter, len(addresses))
	for i, a := range addresses {
		network, address := serviceEndpoint(a)
		all[i] = milterFilter{
			client:   milter.Client{Network: network, Address: address, Timeout: time.Duration(m.Timeout)},
			hostname: p.d.hostname, listener: string(l.Type), failOpen: m.Failure == config.AcceptOnFailure, log: p.d.log,
		}
	}
	return all
}

// serviceEndpoint is the network and address of "host:port" or "unix:/path".
func serviceEndpoint(s string) (network, address string) {
	if socket, isUnix := strings.CutPrefix(s, "unix:"); isUnix {
		return "unix", socket
	}
	return "tcp", s
}

// milterFilter asks a milter in the words of package receive.
type milterFilter struct {
	client             milter.Client
	hostname, listener string
	failOpen           bool
	log                *slog.Logger
}

// Filter implements receive.Filter.
func (f milterFilter) Filter(ctx context.Context, c smtp.Client, from mail.ReversePath, to []mail.Address, content message.Content) (receive.Filtered, error) {
	m := milter.Message{
		Hostname: f.hostname, Listener: f.listener, ID: c.Message, Client: c.Addr, Port: c.Port, Helo: c.Helo, From: from, To: to,
	}
	if c.Identity != nil {
		m.Account = c.Identity.Account.String()
	}
	v, err := f.client.Filter(ctx, m, content)
	if err != nil {
		f.log.WarnContext(ctx, "milter does not answer", "milter", f.client.Address, "session", c.Session, "error", err)
		if f.failOpen {
			return receive.Filtered{}, nil
		}
		return receive.Filtered{}, &mail.Status{Code: 451, Enhanced: "4.7.1", Text: "Service unavailable - try again later", Cause: err}
	}
	if v.Refusal != nil {
		return receive.Filtered{}, v.Refusal
	}
	var changed io.Reader
	if v.IsChanged() {
		if changed, err = v.Content(content); err != nil {
			return receive.Filtered{}, err
		}
	}
	return receive.Filtered{Content: changed, Discard: v.Discard, Quarantine: v.Quarantine}, nil
}
