package imap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"gomaild/auth"
	"gomaild/message"
	"gomaild/storage"
)

var errDisk = errors.New("input/output error on /secret/path")

// faultyStore wraps the mailboxes of an account; while broken, everything that
// asks for a message or the view fails.
type faultyAccount struct {
	storage.Account
	broken *atomic.Bool
	short  *atomic.Bool // contents end early
}

func (a faultyAccount) Open(ctx context.Context, name string) (storage.Mailbox, error) {
	m, err := a.Account.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return faultyMailbox{m, a}, nil
}

type faultyMailbox struct {
	storage.Mailbox
	account faultyAccount
}

func (m faultyMailbox) fault() error {
	if m.account.broken.Load() {
		return errDisk
	}
	return nil
}

func (m faultyMailbox) View(ctx context.Context) (*storage.View, error) {
	if err := m.fault(); err != nil {
		return nil, err
	}
	return m.Mailbox.View(ctx)
}

func (m faultyMailbox) AppendAll(ctx context.Context, drafts iter.Seq[storage.Draft]) ([]storage.UID, error) {
	if err := m.fault(); err != nil {
		for d := range drafts {
			_, _ = d.Content.Read(make([]byte, 3)) // a full disk shows after some octets
			break
		}
		return nil, err
	}
	return m.Mailbox.AppendAll(ctx, drafts)
}

func (m faultyMailbox) Reader() storage.Reader { return faultyReader{m.Mailbox.Reader(), m} }

type faultyReader struct {
	storage.Reader
	mailbox faultyMailbox
}

func (r faultyReader) Digest(ctx context.Context, uid storage.UID) (message.Digest, storage.Facts, error) {
	if err := r.mailbox.fault(); err != nil {
		return message.Digest{}, storage.Facts{}, err
	}
	return r.Reader.Digest(ctx, uid)
}

func (m faultyMailbox) Content(ctx context.Context, uid storage.UID) (storage.Content, error) {
	c, err := m.Mailbox.Content(ctx, uid)
	if err == nil && m.account.short.Load() {
		return shortContent{bytes.NewReader([]byte("S")), c}, nil
	}
	return c, err
}

type shortContent struct {
	*bytes.Reader
	io.Closer
}

func faultyWorld(t *testing.T) (w *world, broken, short *atomic.Bool) {
	broken, short = new(atomic.Bool), new(atomic.Bool)
	w = newWorld(t, func(c *Config) {
		open := c.Accounts
		c.Accounts = func(ctx context.Context, id auth.Identity) (storage.Account, error) {
			a, err := open(ctx, id)
			return faultyAccount{a, broken, short}, err
		}
	})
	return w, broken, short
}

// TestStorageFaults holds that a fault of the store is NO and a line in the
// log, its text not told, and that the session goes on when it is over.
func TestStorageFaults(t *testing.T) {
	t.Parallel()
	w, broken, _ := faultyWorld(t)
	c := w.login(w.listen())
	w.put("INBOX", "Subject: x\n\nx\n", storage.Seen)
	c.do("SELECT INBOX")
	broken.Store(true)
	for command, want := range map[string]string{
		"FETCH 1 ENVELOPE":        "t NO [SERVERBUG]",
		"FETCH 1 FLAGS":           "t OK",
		"SELECT INBOX":            "t NO [SERVERBUG]",
		"STATUS INBOX (MESSAGES)": "t NO [SERVERBUG]",
		"APPEND INBOX {19+}\r\nE CREATE pwned\r\nx\r\n": "t NO [SERVERBUG]",
	} {
		broken.Store(false)
		c.do("SELECT INBOX")
		broken.Store(true)
		lines := c.do(command)
		if got := lines[len(lines)-1]; !strings.HasPrefix(got, want) || strings.Contains(got, "secret") {
			t.Errorf("%s: %q, want %s", command, lines, want)
		}
	}
	broken.Store(false)
	if got := c.do(`LIST "" *`); len(got) != 2 {
		t.Errorf("mailboxes afterwards: %q", got)
	}
	if !strings.Contains(w.log.String(), "secret") {
		t.Error("the log says nothing of it")
	}
}

// fullAccount is an account whose disk answers with err.
type fullAccount struct {
	storage.Account
	err error
}

func (a fullAccount) Open(context.Context, string) (storage.Mailbox, error) {
	return nil, fmt.Errorf("write /secret/path: %w", a.err)
}

// TestNamedFaults holds that faults which pass have a reply of their own, and
// those of the disk a line in the log.
func TestNamedFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		want   string
		logged bool
	}{
		{syscall.ENOSPC, "t NO [UNAVAILABLE] The server's disk is full", true},
		{syscall.EDQUOT, "t NO [UNAVAILABLE] The server's disk is full", true},
		{syscall.EROFS, "t NO [UNAVAILABLE] The server's disk is read-only now", true},
		{storage.ErrInUse, "t NO [INUSE]", false},
	} {
		w := newWorld(t, func(c *Config) {
			open := c.Accounts
			c.Accounts = func(ctx context.Context, id auth.Identity) (storage.Account, error) {
				a, err := open(ctx, id)
				return fullAccount{a, tt.err}, err
			}
		})
		c := w.login(w.listen())
		for _, command := range []string{"SELECT INBOX", "APPEND INBOX {19+}\r\nE CREATE pwned\r\nx\r\n"} {
			lines := c.do(command)
			if got := lines[len(lines)-1]; !strings.HasPrefix(got, tt.want) || strings.Contains(got, "secret") {
				t.Errorf("%v: %s: %q, want %s", tt.err, command, lines, tt.want)
			}
		}
		if logged := strings.Contains(w.log.String(), "secret"); logged != tt.logged {
			t.Errorf("%v: the log: %s", tt.err, w.log)
		}
		if got := c.do("NOOP"); len(got) != 1 || !strings.HasPrefix(got[0], "t OK") {
			t.Errorf("%v: afterwards: %q", tt.err, got)
		}
	}
}

// TestShortContent holds that a message that is shorter than the store said
// ends the session: the client would take what follows for its text.
func TestShortContent(t *testing.T) {
	t.Parallel()
	w, _, short := faultyWorld(t)
	c := w.login(w.listen())
	w.put("INBOX", "Subject: x\n\nx\n", storage.Seen)
	c.do("SELECT INBOX")
	short.Store(true)
	lines := c.do("FETCH 1 BODY[]")
	if slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "OK") }) {
		t.Errorf("got %q", lines)
	}
	if !c.ended() || !strings.Contains(w.log.String(), "not of the size") {
		t.Errorf("session goes on; log: %s", w.log)
	}
}

// TestAccountUnavailable holds that a login whose account cannot be opened is
// UNAVAILABLE, not refused, and may be tried again.
func TestAccountUnavailable(t *testing.T) {
	t.Parallel()
	down := true
	w := newWorld(t, func(c *Config) {
		open := c.Accounts
		c.Accounts = func(ctx context.Context, id auth.Identity) (storage.Account, error) {
			if down {
				down = false
				return nil, errDisk
			}
			return open(ctx, id)
		}
	})
	c := w.dial(w.listen())
	c.line()
	for _, want := range []string{"t NO [UNAVAILABLE]", "t OK [CAPABILITY"} {
		if got := c.do("LOGIN alice secret"); !strings.HasPrefix(got[0], want) {
			t.Errorf("got %q, want %s", got, want)
		}
	}
}

// TestLoginFailures holds that guessing ends.
func TestLoginFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.dial(w.listen())
	c.line()
	for range 9 {
		c.do("LOGIN alice wrong")
	}
	if got := c.do("LOGIN alice wrong"); !slices.Contains(got, "* BYE Too many failed logins") || !c.ended() {
		t.Errorf("after ten failures: %q", got)
	}
}
