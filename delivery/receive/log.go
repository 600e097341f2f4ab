package receive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"gomaild/mail"
	"gomaild/policy"
)

// Stages of a session at which something is refused.
const (
	atHelo = "helo"
	atMail = "mail"
	atRcpt = "rcpt"
	atData = "data"
)

// logRefusal is the one line about a MAIL or RCPT that was refused.
func (t *transaction) logRefusal(ctx context.Context, stage, to string, err error) {
	t.refused(ctx, t.log, stage, to, err)
}

func (t *transaction) refused(ctx context.Context, log *slog.Logger, stage, to string, err error) {
	s := mail.StatusOf(err)
	attrs := []any{"stage", stage, "status", fmt.Sprintf("%d %s", s.Code, s.Enhanced), "reply", s.Text}
	if to != "" {
		attrs = append(attrs, "to", to)
	}
	if r, ok := errors.AsType[*policy.Refusal](err); ok {
		attrs = append(attrs, "check", r.Check)
	}
	if s.Cause != nil {
		attrs = append(attrs, "error", s.Cause)
	}
	log.Log(ctx, refusalLevel(s), s.Refused(), attrs...)
}

// refusalLevel: a deferral degrades the service, a rejection is its business.
func refusalLevel(s *mail.Status) slog.Level {
	if s.Temporary() {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// logResults is one line for a message that is ours now, and one for each
// recipient of it.
func (t *transaction) logResults(ctx context.Context, c Content, results []error) {
	log := t.log.With("message_id", t.messageID)
	if t.queueID != "" {
		log = log.With("queue_id", t.queueID)
	}
	delay := t.r.Now().Sub(t.begun)
	if t.isTaken(results) {
		log.LogAttrs(ctx, slog.LevelInfo, mail.EventAccepted, slog.Int64("size", c.Size()), slog.Int("recipients", len(t.to)),
			slog.String("protocol", t.client.Protocol), slog.Duration("delay", delay))
	}
	for i, err := range results {
		to := t.to[i].Address.String()
		if err != nil {
			t.refused(ctx, log, atData, to, err)
			continue
		}
		event := mail.EventDelivered
		switch {
		case t.isDiscarded, t.to[i].isGone:
			event = mail.EventDiscarded
		case t.to[i].waits:
			event = mail.EventQueued
		}
		log.LogAttrs(ctx, slog.LevelInfo, event, slog.String("to", to),
			slog.String("status", "250 2.0.0"), slog.Duration("delay", delay))
	}
}

// isTaken reports that the reply makes us answer for the message: to all
// recipients, or with a reply for each to any.
func (t *transaction) isTaken(results []error) bool {
	good := 0
	for _, err := range results {
		if err == nil {
			good++
		}
	}
	return good > 0 && (t.r.perRecipient || good == len(results))
}
