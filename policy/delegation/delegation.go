// Package delegation asks policy servers as Postfix does
// (SMTPD_POLICY_README): a request is lines of name=value and an empty line, the
// answer is a line action=... and an empty line, and a connection is used for
// many requests. What the action means is the caller's to know.
package delegation

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// Attr is one attribute of a request.
type Attr = [2]string

// Bounds of what is read and kept.
const (
	maxAnswer   = 8 << 10 // octets of an answer
	maxLines    = 100     // lines of an answer
	maxIdle     = 8       // connections kept
	idleTime    = 5 * time.Minute
	maxAttr     = 2048 // octets of a value that is sent
	defaultTime = 10 * time.Second
)

// errAnswer is for what is no answer of the protocol.
var errAnswer = errors.New("malformed answer of the policy server")

// Client asks one server. It is safe for concurrent use.
type Client struct {
	network, address string
	timeout          time.Duration

	mu   sync.Mutex
	idle []*conn // the one used last at the end; guarded by mu
}

type conn struct {
	net.Conn
	in   *bufio.Reader
	last time.Time
}

// New is a Client of the server at an address of network "tcp" or "unix". A
// request may take the timeout; 0 is 10 seconds.
func New(network, address string, timeout time.Duration) *Client {
	if timeout <= 0 {
		timeout = defaultTime
	}
	return &Client{network: network, address: address, timeout: timeout}
}

// Ask sends a request and returns the action of the answer. An error says that
// there is none. A connection that was kept may have been closed by the server:
// then the request is sent once more on a new one.
func (c *Client) Ask(ctx context.Context, request []Attr) (action string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	if kept := c.take(); kept != nil {
		if action, err = c.on(ctx, kept, request); err == nil || ctx.Err() != nil {
			return action, err
		}
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, c.network, c.address)
	if err != nil {
		return "", fmt.Errorf("policy server: %w", err)
	}
	return c.on(ctx, &conn{Conn: nc, in: bufio.NewReaderSize(nc, maxAnswer)}, request)
}

// take is a connection that is kept, nil if there is none of use.
func (c *Client) take() *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.idle) > 0 {
		last := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if time.Since(last.last) < idleTime {
			return last
		}
		_ = last.Close() // it has waited too long to be trusted
	}
	return nil
}

func (c *Client) keep(one *conn) {
	one.last = time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.idle) == maxIdle {
		_ = one.Close() // one more than is needed
		return
	}
	c.idle = append(c.idle, one)
}

// on makes a request on a connection, and keeps it if that went well.
func (c *Client) on(ctx context.Context, one *conn, request []Attr) (string, error) {
	stop := context.AfterFunc(ctx, func() { _ = one.SetDeadline(time.Unix(1, 0)) })
	action, err := exchange(one, request)
	if !stop() || err != nil {
		_ = one.Close() // the error says more
		if ctx.Err() != nil && err != nil {
			err = ctx.Err()
		}
		if err != nil {
			return "", fmt.Errorf("policy server: %w", err)
		}
		return action, nil
	}
	c.keep(one)
	return action, nil
}

func exchange(one *conn, request []Attr) (string, error) {
	var b strings.Builder
	for _, a := range request {
		b.WriteString(a[0] + "=" + clean(a[1]) + "\n")
	}
	b.WriteString("\n")
	if _, err := io.WriteString(one, b.String()); err != nil {
		return "", err
	}
	return readAnswer(one.in)
}

// clean is a value that cannot end its line or begin another.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, s[:min(len(s), maxAttr)])
}

// readAnswer reads up to the empty line. Names other than action are passed
// over, as Postfix does.
func readAnswer(in *bufio.Reader) (action string, err error) {
	found := false
	for range maxLines {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return "", errAnswer
		}
		if err != nil {
			return "", err
		}
		text := strings.TrimRight(string(line), "\r\n")
		if text == "" {
			if !found {
				return "", errAnswer
			}
			return action, nil
		}
		name, value, _ := strings.Cut(text, "=")
		if strings.TrimSpace(name) == "action" {
			action, found = strings.TrimSpace(value), true
		}
	}
	return "", errAnswer
}

// Close closes the connections that are kept. Requests that run go on.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, one := range c.idle {
		errs = append(errs, one.Close())
	}
	c.idle = nil
	return errors.Join(errs...)
}
