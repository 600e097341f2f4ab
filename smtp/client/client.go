package client

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"gomaild/mail"
	"gomaild/smtp/reply"
)

// Timeouts of the steps. A zero field is the value of RFC 5321 section
// 4.5.3.2, where there is one.
type Timeouts struct {
	Greeting  time.Duration // 5 min
	Command   time.Duration // EHLO, MAIL, RCPT: 5 min
	TLS       time.Duration // handshake: 1 min
	Data      time.Duration // DATA: 2 min
	Block     time.Duration // for the server to take one block of content: 3 min
	EndOfData time.Duration // 10 min
	Quit      time.Duration // 5 s: nothing depends on the answer
}

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Greeting, 5 * time.Minute}, {&t.Command, 5 * time.Minute}, {&t.TLS, time.Minute}, {&t.Data, 2 * time.Minute},
		{&t.Block, 3 * time.Minute}, {&t.EndOfData, 10 * time.Minute}, {&t.Quit, 5 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return t
}

// Config of a connection.
type Config struct {
	HELO     string // our name, a host name or an address literal; required
	LMTP     bool   // RFC 2033
	Timeouts Timeouts
}

// ErrBroken means that the connection can be used no more: it was lost, the
// server said 421, or it said what no server says.
var ErrBroken = errors.New("connection is broken")

// Conn is one connection. It is used by one goroutine at a time.
type Conn struct {
	cfg    Config
	conn   net.Conn
	br     *bufio.Reader
	bw     *bufio.Writer
	name   string
	ext    map[string]string
	broken error
}

// New greets the server on conn, which it owns from now on, also when it
// fails. An error is a *mail.Status where the server refused us, else a fault
// of the connection; both say something about this server only, not about the
// message.
func New(ctx context.Context, conn net.Conn, cfg Config) (*Conn, error) {
	cfg.Timeouts = cfg.Timeouts.withDefaults()
	c := &Conn{cfg: cfg, conn: conn}
	c.reset(conn)
	if err := c.open(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Conn) reset(conn net.Conn) {
	c.conn = conn
	c.br = bufio.NewReaderSize(conn, reply.MaxReadLine)
	c.bw = bufio.NewWriterSize(conn, 32*1024)
}

func (c *Conn) open(ctx context.Context) error {
	defer c.until(ctx)()
	c.deadline(c.cfg.Timeouts.Greeting)
	r, err := c.read("greeting")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return c.refused("greeting", r)
	}
	if len(r.Lines) > 0 {
		c.name = hostIn(r.Lines[0])
	}
	return c.hello()
}

// hostIn is the server's name as its greeting tells it, "" if it is none.
func hostIn(line string) string {
	word, _, _ := strings.Cut(line, " ")
	name, err := mail.ParseDomain(word)
	if err != nil {
		return ""
	}
	return name
}

// hello says EHLO or LHLO, or HELO to a server that knows only that.
func (c *Conn) hello() error {
	verb := "EHLO"
	if c.cfg.LMTP {
		verb = "LHLO"
	}
	r, err := c.command(c.cfg.Timeouts.Command, verb+" "+c.cfg.HELO)
	if err != nil {
		return err
	}
	c.ext = map[string]string{}
	if r.Code/100 == 5 && !c.cfg.LMTP {
		r, err = c.command(c.cfg.Timeouts.Command, "HELO "+c.cfg.HELO)
		if err != nil {
			return err
		}
		r.Lines = nil
	}
	if r.Code != 250 {
		return c.refused(verb, r)
	}
	for _, line := range r.Lines[min(1, len(r.Lines)):] {
		word, params, _ := strings.Cut(line, " ")
		c.ext[strings.ToUpper(word)] = params
	}
	return nil
}

// Name is the server's name as it told it, "" if it told none. It is not
// verified.
func (c *Conn) Name() string { return c.name }

// Extension tells whether the server offers an extension, and its parameters.
func (c *Conn) Extension(name string) (params string, ok bool) {
	params, ok = c.ext[name]
	return params, ok
}

// Usable reports whether another message can be sent.
func (c *Conn) Usable() bool { return c.broken == nil }

// TLS is the state of the connection's TLS, and false without.
func (c *Conn) TLS() (tls.ConnectionState, bool) {
	if t, ok := c.conn.(*tls.Conn); ok {
		return t.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// StartTLS goes over to TLS (RFC 3207) and says EHLO again: what was learned
// in plaintext is forgotten. After an error the connection is broken; whether
// to go on without TLS on another one is the caller's policy.
func (c *Conn) StartTLS(ctx context.Context, cfg *tls.Config) error {
	defer c.until(ctx)()
	r, err := c.command(c.cfg.Timeouts.Command, "STARTTLS")
	if err != nil {
		return err
	}
	if r.Code != 220 {
		return c.fail("STARTTLS", c.refused("STARTTLS", r))
	}
	// What came in plaintext with the reply would be taken for the first
	// replies within TLS.
	if c.br.Buffered() > 0 {
		return c.fail("STARTTLS", errors.New("plaintext behind the reply"))
	}
	t := tls.Client(c.conn, cfg)
	c.deadline(c.cfg.Timeouts.TLS)
	if err := t.HandshakeContext(ctx); err != nil {
		return c.fail("TLS handshake", err)
	}
	c.reset(t)
	return c.hello()
}

// Close ends the connection without a word.
func (c *Conn) Close() error {
	if c.broken == nil {
		c.broken = net.ErrClosed
	}
	return c.conn.Close()
}

// Quit says QUIT, waits a moment for the answer, and closes.
func (c *Conn) Quit(ctx context.Context) {
	defer c.until(ctx)()
	if c.broken == nil {
		_, _ = c.command(c.cfg.Timeouts.Quit, "QUIT") // closed next, whatever it says
	}
	_ = c.Close()
}

// until closes the connection when ctx ends before the step does.
func (c *Conn) until(ctx context.Context) (end func()) {
	stop := context.AfterFunc(ctx, func() { _ = c.conn.Close() })
	return func() {
		if !stop() && c.broken == nil {
			c.broken = fmt.Errorf("%w: %w", ErrBroken, ctx.Err())
		}
	}
}

func (c *Conn) deadline(d time.Duration) {
	_ = c.conn.SetDeadline(time.Now().Add(d)) // a closed connection says so at the next read
}

func (c *Conn) command(wait time.Duration, line string) (reply.Reply, error) {
	c.deadline(wait)
	c.put(line)
	if err := c.flush(); err != nil {
		return reply.Reply{}, err
	}
	verb, _, _ := strings.Cut(line, " ")
	return c.read(verb)
}

// put writes one command line. Its parts cannot hold CR or LF; a fault of ours
// that lets one through breaks the connection, not the message of somebody.
func (c *Conn) put(line string) {
	if strings.ContainsAny(line, "\r\n\x00") {
		_ = c.fail("command", errors.New("a control character in a command"))
	}
	if c.broken != nil {
		return
	}
	_, _ = c.bw.WriteString(line) // a bufio.Writer keeps its error for Flush
	_, _ = c.bw.WriteString("\r\n")
}

func (c *Conn) flush() error {
	if c.broken != nil {
		return c.broken
	}
	if err := c.bw.Flush(); err != nil {
		return c.fail("write", err)
	}
	return nil
}

// read takes one reply. 421 ends the connection at any point (RFC 5321 section
// 3.8); its text is kept.
func (c *Conn) read(what string) (reply.Reply, error) {
	if c.broken != nil {
		return reply.Reply{}, c.broken
	}
	r, err := reply.Read(c.br)
	if err != nil {
		return r, c.fail(what, err)
	}
	if r.Code == 421 {
		return r, c.fail(what, r.Status())
	}
	return r, nil
}

// fail makes the connection unusable.
func (c *Conn) fail(what string, err error) error {
	if c.broken == nil {
		c.broken = fmt.Errorf("%s: %w: %w", what, ErrBroken, err)
		_ = c.conn.Close()
	}
	return c.broken
}

// refused is a negative reply as an error; a reply that makes no sense here is
// temporary.
func (c *Conn) refused(what string, r reply.Reply) error {
	if r.Code/100 == 4 || r.Code/100 == 5 {
		return r.Status()
	}
	return c.fail(what, errors.New("reply "+strconv.Itoa(r.Code)+" is out of place"))
}
