package maillog

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/slogtest"
)

func TestDeferredIsAHandler(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return Deferred(slog.NewJSONHandler(&out, nil))
	}, func(t *testing.T) map[string]any {
		var m map[string]any
		if err := json.Unmarshal(out.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// TestDeferredMakesNothing holds that loggers that write no line cost the
// handler nothing, and that one line makes all steps before it one.
func TestDeferredMakesNothing(t *testing.T) {
	t.Parallel()
	made := &counted{Handler: slog.NewTextHandler(io.Discard, nil), n: new(int)}
	log := slog.New(Deferred(made)).With("a", 1).With("b", 2)
	log.Debug("not shown")
	if *made.n != 0 {
		t.Errorf("%d handlers made for no line", *made.n)
	}
	third := log.With("c", 3)
	third.Info("one")
	third.Info("two")
	if *made.n != 1 {
		t.Errorf("%d handlers made for two lines of one logger", *made.n)
	}
}

type counted struct {
	slog.Handler
	n *int
}

func (c *counted) WithAttrs(attrs []slog.Attr) slog.Handler {
	*c.n++
	return &counted{c.Handler.WithAttrs(attrs), c.n}
}

// TestDeferredTogether writes with one logger from many goroutines (-race).
func TestDeferredTogether(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(Deferred(slog.NewTextHandler(&out, nil))).With("k", "v").WithGroup("g").With("l", "w")
	var wg sync.WaitGroup
	const lines = 20
	for range lines {
		wg.Go(func() { log.InfoContext(context.Background(), "line") })
	}
	wg.Wait()
	if n := bytes.Count(out.Bytes(), []byte("msg=line k=v g.l=w\n")); n != lines {
		t.Errorf("%d of %d lines are right:\n%s", n, lines, &out)
	}
}
