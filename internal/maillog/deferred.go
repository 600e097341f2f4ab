package maillog

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// Deferred is h with WithAttrs and WithGroup put off until there is a line to
// write. A session gives its logger what is known of it step by step, and most
// of these loggers never write: so each step costs a list and not what the
// handler makes of it. h.Enabled must not depend on attributes.
func Deferred(h slog.Handler) slog.Handler { return &deferred{ready: h} }

// deferred is a handler and what was said to it.
type deferred struct {
	above *deferred // nil of the first
	group string    // begins here, unless ""
	attrs []slog.Attr

	once  sync.Once
	ready slog.Handler // of the first at once, of others after once
}

// handler is the real one.
func (d *deferred) handler() slog.Handler {
	if d.above == nil {
		return d.ready
	}
	d.once.Do(func() {
		if d.group != "" {
			d.ready = d.above.handler().WithGroup(d.group)
			return
		}
		// All steps that nobody wrote with are made one.
		var lists [][]slog.Attr
		from := d
		for from.above != nil && from.group == "" {
			lists = append(lists, from.attrs)
			from = from.above
		}
		slices.Reverse(lists)
		d.ready = from.handler().WithAttrs(slices.Concat(lists...))
	})
	return d.ready
}

// Enabled implements slog.Handler.
func (d *deferred) Enabled(ctx context.Context, level slog.Level) bool {
	for d.above != nil {
		d = d.above
	}
	return d.ready.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (d *deferred) Handle(ctx context.Context, r slog.Record) error {
	return d.handler().Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (d *deferred) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return d
	}
	return &deferred{above: d, attrs: attrs}
}

// WithGroup implements slog.Handler.
func (d *deferred) WithGroup(name string) slog.Handler {
	if name == "" {
		return d
	}
	return &deferred{above: d, group: name}
}
