package maillog

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"sync"
)

// programTag is the tag of lines that are nobody else's.
const programTag = "gomaild"

// NewEncoded is a handler that writes each record to out as the handler that
// make returns would have written it: slog's text or JSON.
func NewEncoded(out Output, make func(w io.Writer) slog.Handler) slog.Handler {
	e := &encoder{out: out}
	return encoded{make(&e.buf), e}
}

// encoder is what the handlers made of one another share.
type encoder struct {
	out Output

	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

type encoded struct {
	slog.Handler
	e *encoder
}

// WithAttrs implements slog.Handler.
func (h encoded) WithAttrs(attrs []slog.Attr) slog.Handler {
	return encoded{h.Handler.WithAttrs(attrs), h.e}
}

// WithGroup implements slog.Handler.
func (h encoded) WithGroup(name string) slog.Handler { return encoded{h.Handler.WithGroup(name), h.e} }

// Handle implements slog.Handler.
func (h encoded) Handle(ctx context.Context, r slog.Record) error {
	h.e.mu.Lock()
	h.e.buf.Reset()
	err := h.Handler.Handle(ctx, r)
	text := string(bytes.TrimSuffix(h.e.buf.Bytes(), []byte("\n")))
	h.e.mu.Unlock()
	if err != nil {
		return err
	}
	return h.e.out.WriteLine(Line{r.Time, r.Level, programTag, text})
}
