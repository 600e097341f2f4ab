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
			filter:   milter.Client{Network: network, Address: address, Timeout: time.Duration(m.Timeout)},
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
	filter             milter.Client
	hostname, listener string
	failure            config.Failure
	holds              bool
	log                *slog.Logger
}

// milterVisit is one session at a milter, and the message that it has in hand.
type milterVisit struct {
	milterFilter
	client  smtp.Client
	session *milter.Session // nil while the milter could not be asked
}

// Open implements receive.Filter. A milter that cannot be asked is asked again at
// MAIL, and only then is it said what becomes of the message without it.
func (f milterFilter) Open(ctx context.Context, c smtp.Client) (receive.FilterVisit, error) {
	v := &milterVisit{milterFilter: f, client: c}
	if err := v.open(ctx); refuses(err) {
		return nil, err
	}
	return v, nil
}

// open begins a session at the milter as far as the client's has come.
func (v *milterVisit) open(ctx context.Context) error {
	c, err := v.filter.Open(ctx, milter.Connection{
		Hostname: v.hostname, Listener: v.listener, Local: v.client.LocalAddr, Client: v.client.Addr, Port: v.client.Port,
	})
	if err != nil {
		return v.told(ctx, err)
	}
	v.session = c
	if v.client.Helo == "" {
		return nil
	}
	return v.hello(ctx)
}

func (v *milterVisit) hello(ctx context.Context) error {
	h := milter.Hello{Name: v.client.Helo}
	if state := v.client.TLS; state != nil {
		h.TLS, h.Cipher = tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite)
	}
	return v.told(ctx, v.session.Hello(ctx, h))
}

// told passes an error on; with one that is no answer the session is over.
func (v *milterVisit) told(ctx context.Context, err error) error {
	if err == nil || refuses(err) {
		return err
	}
	v.Close()
	v.log.WarnContext(ctx, "milter does not answer", "milter", v.filter.Address, "session", v.client.Session, "error", err)
	return err
}

// refuses reports that an error is the milter's answer.
func refuses(err error) bool {
	_, is := errors.AsType[*mail.Status](err)
	return is
}

// Hello implements receive.FilterVisit.
func (v *milterVisit) Hello(ctx context.Context, c smtp.Client) error {
	v.client = c
	if v.session == nil {
		return nil
	}
	if err := v.hello(ctx); refuses(err) {
		return err
	}
	return nil
}

// Begin implements receive.FilterVisit. A milter that went away since the last
// message, as one does that was started anew, is asked once more.
func (v *milterVisit) Begin(ctx context.Context, c smtp.Client, from mail.ReversePath) (receive.Filtering, error) {
	v.client = c
	m := milter.Message{ID: c.Message, From: from}
	if c.Identity != nil {
		m.Account = c.Identity.Account.String()
	}
	if v.session != nil {
		if err := v.told(ctx, v.session.Begin(ctx, m)); err == nil || refuses(err) {
			return v.message(), err
		}
	}
	err := v.open(ctx)
	if err == nil {
		err = v.told(ctx, v.session.Begin(ctx, m))
	}
	return v.message(), v.fault(err)
}

// Close implements receive.FilterVisit.
func (v *milterVisit) Close() {
	if v.session != nil {
		v.session.Close()
		v.session = nil
	}
}

// fault is what a milter's error is to the client: its own reply, or what the
// configuration says of one that cannot be asked.
func (v *milterVisit) fault(err error) error {
	if err == nil || refuses(err) {
		return err
	}
	return withoutAnswer(v.failure, err)
}

func (v *milterVisit) message() *filtering { return &filtering{v} }

// filtering is the message in hand; the session is nil when it has failed and that
// is no matter.
type filtering struct{ *milterVisit }

// Recipient implements receive.Filtering.
func (f *filtering) Recipient(ctx context.Context, to mail.Address) error {
	if f.session == nil {
		return nil
	}
	return f.fault(f.told(ctx, f.session.Recipient(ctx, to)))
}

// Refused implements receive.Filtering. What the filter says changes nothing.
func (f *filtering) Refused(ctx context.Context, to mail.Address, why *mail.Status) {
	if f.session != nil {
		_ = f.told(ctx, f.session.Refused(ctx, to, why))
	}
}

// Content implements receive.Filtering.
func (f *filtering) Content(ctx context.Context, c message.Content) (receive.Filtered, error) {
	if f.session == nil {
		return receive.Filtered{}, nil
	}
	v, err := f.session.Content(ctx, c)
	if err != nil {
		return receive.Filtered{}, f.fault(f.told(ctx, err))
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
		f.session.Abort()
	}
}

// withoutAnswer is what the configuration says of a filter that cannot be asked.
func withoutAnswer(f config.Failure, err error) error {
	switch f {
	case config.AcceptOnFailure:
		return nil
	case config.RejectOnFailure:
		return &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Service unavailable", Cause: err}
	}
	return &mail.Status{Code: 451, Enhanced: "4.7.1", Text: "Service unavailable - try again later", Cause: err}
}
