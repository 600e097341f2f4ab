package receive

import (
	"context"
	"fmt"
	"log/slog"

	"gomaild/mail"
)

// logRefusal is the one line about a MAIL or RCPT that was refused.
func (t *transaction) logRefusal(ctx context.Context, event, to string, err error) {
	s := mail.StatusOf(err)
	attrs := []any{"status", fmt.Sprintf("%d %s", s.Code, s.Enhanced), "reply", s.Text}
	if to != "" {
		attrs = append(attrs, "to", to)
	}
	if s.Cause != nil {
		attrs = append(attrs, "error", s.Cause)
	}
	t.log.Log(ctx, refusalLevel(s), event, attrs...)
}

// refusalLevel: a deferral degrades the service, a rejection is its business.
func refusalLevel(s *mail.Status) slog.Level {
	if s.Temporary() {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// logResults is one line for each recipient of a message.
func (t *transaction) logResults(ctx context.Context, c Content, results []error) {
	log := t.log.With("message_id", t.messageID)
	if c != nil {
		log = log.With("size", c.Size())
	}
	for i, err := range results {
		to := slog.String("to", t.to[i].address.String())
		if err == nil {
			log.LogAttrs(ctx, slog.LevelInfo, "message delivered", to, slog.String("status", "250 2.0.0"))
			continue
		}
		s := mail.StatusOf(err)
		log.LogAttrs(ctx, refusalLevel(s), "message refused", to,
			slog.String("status", fmt.Sprintf("%d %s", s.Code, s.Enhanced)), slog.Any("error", err))
	}
}
