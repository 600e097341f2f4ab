package main

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"gomaild/internal/config"
	"gomaild/internal/durable"
)

// logSink is where the log goes. The level and, for a file, the file itself can
// be renewed while others write.
type logSink struct {
	logger *slog.Logger
	level  slog.LevelVar
	path   string // of a file, "" for a stream

	mu   sync.Mutex // guards the fields below, and keeps lines whole
	dir  durable.FS // of a file, nil for a stream
	file io.Writer
}

// openLog opens what the table [log] says. The level may be given for a run.
func openLog(c *config.Log, s streams) (*logSink, error) {
	l := &logSink{}
	l.level.Set(c.Level.Slog())
	switch c.Destination {
	case "stderr":
		l.file = s.err
	case "stdout":
		l.file = s.out
	default:
		l.path = c.Destination
		if err := l.reopen(); err != nil {
			return nil, err
		}
	}
	opts := &slog.HandlerOptions{Level: &l.level}
	var h slog.Handler = slog.NewTextHandler(l, opts)
	if c.Format == config.JSONLog {
		h = slog.NewJSONHandler(l, opts)
	}
	l.logger = slog.New(h)
	return l, nil
}

// Write implements io.Writer, one line a call.
func (l *logSink) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(line)
}

// reload takes the level of c, and opens the file anew: it may have been
// renamed to be kept.
func (l *logSink) reload(c *config.Log) error {
	l.level.Set(c.Level.Slog())
	if l.path == "" {
		return nil
	}
	return l.reopen()
}

func (l *logSink) reopen() error {
	dir, err := durable.OpenRoot(filepath.Dir(l.path))
	if err != nil {
		return err
	}
	f, err := dir.OpenFile(filepath.Base(l.path), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.dir
	l.dir, l.file = dir, f
	if old != nil {
		return old.Close()
	}
	return nil
}

// close closes a file; a stream is the caller's.
func (l *logSink) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == nil {
		return nil
	}
	l.file = io.Discard
	return l.dir.Close()
}
