package daemon

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"time"

	"gomaild/delivery/receive"
	"gomaild/internal/config"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/policy/milter"
	"gomaild/policy/rspamd"
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
			hostname: p.d.hostname, listener: string(l.Type), failure: m.Failure,
			holds: m.Hold || l.Type == config.Submission, log: p.d.log,
		}
	}
	if l.Type == config.MX {
		for _, a := range m.Rspamd {
			all = append(all, rspamdFilter{
				client: rspamd.Client{Address: a, Timeout: time.Duration(m.Timeout)}, failure: m.Failure, log: p.d.log,
			})
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
	failure            config.MilterFailure
	holds              bool
	log                *slog.Logger
}

// filtering is one message at a milter; session is nil when it has failed and
// that is no matter.
type filtering struct {
	milterFilter
	session *milter.Session
	id      string // of the SMTP session
}

// Begin implements receive.Filter.
func (f milterFilter) Begin(ctx context.Context, c smtp.Client, from mail.ReversePath) (receive.Filtering, error) {
	m := milter.Message{
		Hostname: f.hostname, Listener: f.listener, Local: c.LocalAddr, ID: c.Message, Client: c.Addr, Port: c.Port, Helo: c.Helo, From: from,
	}
	if c.Identity != nil {
		m.Account = c.Identity.Account.String()
	}
	if c.TLS != nil {
		m.TLS, m.Cipher = tls.VersionName(c.TLS.Version), tls.CipherSuiteName(c.TLS.CipherSuite)
	}
	one := &filtering{milterFilter: f, id: c.Session}
	session, err := f.client.Begin(ctx, m)
	if err != nil {
		return one, one.fault(ctx, err)
	}
	one.session = session
	return one, nil
}

// Recipient implements receive.Filtering.
func (f *filtering) Recipient(ctx context.Context, to mail.Address) error {
	if f.session == nil {
		return nil
	}
	return f.fault(ctx, f.session.Recipient(ctx, to))
}

// Refused implements receive.Filtering. What the filter says changes nothing.
func (f *filtering) Refused(ctx context.Context, to mail.Address, why *mail.Status) {
	if f.session == nil {
		return
	}
	if err := f.session.Refused(ctx, to, why); err != nil {
		f.log.WarnContext(ctx, "milter does not answer", "milter", f.client.Address, "session", f.id, "error", err)
	}
}

// Content implements receive.Filtering.
func (f *filtering) Content(ctx context.Context, c message.Content) (receive.Filtered, error) {
	if f.session == nil {
		return receive.Filtered{}, nil
	}
	v, err := f.session.Content(ctx, c)
	if err != nil {
		return receive.Filtered{}, f.fault(ctx, err)
	}
	wants := receive.Filtered{
		Discard: v.Discard, Quarantine: v.Quarantine && !f.holds, Hold: v.Quarantine && f.holds,
		Added: v.Added, Removed: v.Removed, From: v.From,
	}
	if v.IsChanged() {
		wants.Content, err = v.Content(c)
	}
	return wants, err
}

// Close implements receive.Filtering.
func (f *filtering) Close() {
	if f.session != nil {
		f.session.Close()
		f.session = nil
	}
}

// fault is what a milter's error is to the client: its own reply, or what the
// configuration says of one that cannot be asked.
func (f *filtering) fault(ctx context.Context, err error) error {
	if _, refuses := errors.AsType[*mail.Status](err); err == nil || refuses {
		return err
	}
	f.Close()
	f.log.WarnContext(ctx, "milter does not answer", "milter", f.client.Address, "session", f.id, "error", err)
	return withoutAnswer(f.failure, err)
}

// withoutAnswer is what the configuration says of a filter that cannot be asked.
func withoutAnswer(f config.MilterFailure, err error) error {
	switch f {
	case config.AcceptWithoutMilter:
		return nil
	case config.RejectWithoutMilter:
		return &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Service unavailable", Cause: err}
	}
	return &mail.Status{Code: 451, Enhanced: "4.7.1", Text: "Service unavailable - try again later", Cause: err}
}
