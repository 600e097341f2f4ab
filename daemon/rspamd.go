package daemon

import (
	"context"
	"log/slog"

	"gomaild/delivery/receive"
	"gomaild/internal/config"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/policy/rspamd"
	"gomaild/smtp"
)

// rspamdFilter asks a server of rspamd's protocol in the words of package
// receive.
type rspamdFilter struct {
	client  rspamd.Client
	failure config.Failure
	log     *slog.Logger
}

// scanning is one message on its way to the server.
type scanning struct {
	rspamdFilter
	rspamd.Message
}

// Open implements receive.Filter: the server hears of messages alone.
func (f rspamdFilter) Open(context.Context, smtp.Client) (receive.FilterVisit, error) { return f, nil }

// Hello implements receive.FilterVisit.
func (f rspamdFilter) Hello(context.Context, smtp.Client) error { return nil }

// Close implements receive.FilterVisit.
func (f rspamdFilter) Close() {}

// Begin implements receive.FilterVisit.
func (f rspamdFilter) Begin(_ context.Context, c smtp.Client, from mail.ReversePath) (receive.Filtering, error) {
	m := rspamd.Message{ID: c.Message, Client: c.Addr, Helo: c.Helo, From: from}
	if c.Identity != nil {
		m.Account = c.Identity.Account.String()
	}
	return &scanning{f, m}, nil
}

// Recipient implements receive.Filtering.
func (s *scanning) Recipient(_ context.Context, to mail.Address) error {
	s.To = append(s.To, to)
	return nil
}

// Refused implements receive.Filtering.
func (s *scanning) Refused(context.Context, mail.Address, *mail.Status) {}

// Close implements receive.Filtering.
func (s *scanning) Close() {}

// Content implements receive.Filtering.
func (s *scanning) Content(ctx context.Context, c message.Content) (receive.Filtered, error) {
	v, err := s.client.Ask(ctx, s.Message, c)
	if err != nil {
		s.log.WarnContext(ctx, "rspamd does not answer", "server", s.client.Address, "id", s.ID, "error", err)
		return receive.Filtered{}, withoutAnswer(s.failure, err)
	}
	if v.Refusal != nil {
		return receive.Filtered{}, v.Refusal
	}
	wants := receive.Filtered{Discard: v.Discard, Quarantine: v.Junk}
	if v.IsChanged() {
		wants.Content = v.Content(c)
	}
	return wants, nil
}
