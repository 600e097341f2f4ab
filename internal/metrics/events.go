package metrics

import (
	"context"
	"log/slog"
	"time"

	"gomaild/mail"
)

// The sets of labels that are no configuration.
var (
	ways      = []string{"mx", "submission", "lmtp", "lda", "queue"}
	stages    = []string{"connect", "helo", "mail", "rcpt", "data"}
	protocols = []string{"smtp", "imap", "pop3", "managesieve"}
	limits    = []string{"total", "client"}
)

// Events is a handler that counts the events of a log and writes nothing. It
// sees what is at least Info, whatever the log shows.
func (m *Metrics) Events() slog.Handler { return &events{m: m} }

// events holds the attributes that a logger was given and that counts need.
type events struct {
	m         *Metrics
	facts     facts
	isGrouped bool // what comes is not of the event
}

// facts are the attributes of an event that are counted by.
type facts struct {
	way, stage, check, protocol, limit string
	size                               int64
	delay                              time.Duration
}

func (f *facts) add(a slog.Attr) {
	switch a.Key {
	case "way":
		f.way = a.Value.String()
	case "stage":
		f.stage = a.Value.String()
	case "check":
		f.check = a.Value.String()
	case "protocol":
		f.protocol = a.Value.String()
	case "limit":
		f.limit = a.Value.String()
	case "size":
		if a.Value.Kind() == slog.KindInt64 {
			f.size = a.Value.Int64()
		}
	case "delay":
		if a.Value.Kind() == slog.KindDuration {
			f.delay = a.Value.Duration()
		}
	}
}

// Enabled implements slog.Handler.
func (e *events) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// WithAttrs implements slog.Handler.
func (e *events) WithAttrs(attrs []slog.Attr) slog.Handler {
	if e.isGrouped {
		return e
	}
	with := *e
	for _, a := range attrs {
		with.facts.add(a)
	}
	return &with
}

// WithGroup implements slog.Handler: no event has groups.
func (e *events) WithGroup(string) slog.Handler {
	with := *e
	with.isGrouped = true
	return &with
}

// Handle implements slog.Handler.
func (e *events) Handle(_ context.Context, r slog.Record) error {
	f := e.facts
	if !e.isGrouped {
		r.Attrs(func(a slog.Attr) bool { f.add(a); return true })
	}
	if r.Level >= slog.LevelWarn {
		e.m.records.counter(levelName(r.Level)).Inc()
	}
	e.m.count(r.Message, f)
	return nil
}

func levelName(l slog.Level) string {
	if l >= slog.LevelError {
		return "error"
	}
	return "warn"
}

// count counts one event. One that has a stage is a reply of ours, one without
// is of the queue.
func (m *Metrics) count(event string, f facts) {
	way := "queue"
	if f.way != "" {
		way = oneOf(f.way, ways)
	}
	switch event {
	case mail.EventAccepted:
		m.messages.counter(way).Inc()
		m.octets.counter(way).AddInt64(f.size)
		m.delay.histogram(delayBounds(), way).Update(f.delay.Seconds())
	case mail.EventDelivered, mail.EventQueued, mail.EventDiscarded, mail.EventBounced:
		m.recipients.counter(event, way).Inc()
	case mail.EventDeferred, mail.EventRejected:
		m.countRefusal(event, way, f)
	case mail.EventLogin:
		m.logins.counter(oneOf(f.protocol, protocols), "login").Inc()
	case mail.EventLoginRefused:
		m.logins.counter(oneOf(f.protocol, protocols), "refused").Inc()
	case mail.EventLoginUnavailable:
		m.logins.counter(oneOf(f.protocol, protocols), "unavailable").Inc()
	case "connection refused":
		m.turnedAway.counter(oneOf(f.limit, limits)).Inc()
	}
}

func (m *Metrics) countRefusal(event, way string, f facts) {
	if f.stage == "" {
		m.recipients.counter(event, way).Inc()
		return
	}
	m.refusals.counter(event, oneOf(f.stage, stages)).Inc()
	if f.check != "" {
		m.checks.counter(oneOf(f.check, m.cfg.Checks)).Inc()
	}
}
