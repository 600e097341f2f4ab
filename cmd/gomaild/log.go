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
	"gomaild/internal/maillog"
)

// logSink is where the log goes. The level and, for a file, the file itself can
// be renewed while others write.
type logSink struct {
	logger *slog.Logger
	level  slog.LevelVar
	path   string // of a file, "" for a stream
	syslog *maillog.Syslog

	mu   sync.Mutex // guards the fields below, and keeps lines whole
	dir  durable.FS // of a file, nil for a stream
	file io.Writer
}

// openLog opens what the table [log] says. The level may be given for a run.
func openLog(c *config.Config, s streams) (*logSink, error) {
	l := &logSink{}
	l.level.Set(c.Log.Level.Slog())
	switch c.Log.Destination {
	case "stderr":
		l.file = s.err
	case "stdout":
		l.file = s.out
	case "syslog":
		out, err := maillog.DialSyslog(maillog.SyslogSocket)
		if err != nil {
			return nil, err
		}
		l.syslog = out
	default:
		l.path = c.Log.Destination
		if err := l.reopen(); err != nil {
			return nil, err
		}
	}
	l.logger = slog.New(l.handler(c))
	return l, nil
}

// handler writes in the configured form. In a file or stream Postfix's lines
// begin as syslog's do; a file of text or JSON needs nothing before its lines.
func (l *logSink) handler(c *config.Config) slog.Handler {
	encode := func(w io.Writer) slog.Handler {
		opts := &slog.HandlerOptions{Level: &l.level}
		if c.Log.Format == config.JSONLog {
			return slog.NewJSONHandler(w, opts)
		}
		return slog.NewTextHandler(w, opts)
	}
	var out maillog.Output = maillog.Prefixed{Host: hostOf(c), W: l}
	if l.syslog != nil {
		out = l.syslog
	}
	switch {
	case c.Log.Format == config.PostfixLog:
		return maillog.NewPostfix(out, &l.level)
	case l.syslog != nil:
		return maillog.NewEncoded(out, encode)
	}
	return encode(l)
}

// hostOf is the host as it stands in syslog files.
func hostOf(c *config.Config) string {
	name := c.Hostname
	if name == "" {
		name, _ = os.Hostname() // the daemon says what is wrong with it
	}
	if name == "" {
		name = "localhost"
	}
	return name
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
	if l.syslog != nil {
		return l.syslog.Close()
	}
	if l.dir == nil {
		return nil
	}
	l.file = io.Discard
	return l.dir.Close()
}
