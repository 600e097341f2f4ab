package smtp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/mail"
	"gomaild/smtp/reply"
)

// client is the other end of a session on a net.Pipe, in a bubble of synctest.
type client struct {
	t     *testing.T
	conn  net.Conn
	in    *bufio.Reader
	drain chan struct{}
	done  chan struct{} // closed when Serve has returned
}

// dial begins a session and reads its banner.
func dial(t *testing.T, cfg Config) *client {
	t.Helper()
	c := dialSilent(t, cfg)
	c.expect("220 ")
	return c
}

func dialSilent(t *testing.T, cfg Config) *client {
	t.Helper()
	cfg.Hostname = "mx.example.org"
	near, far := net.Pipe()
	c := &client{t: t, conn: near, in: bufio.NewReader(near), drain: make(chan struct{}), done: make(chan struct{})}
	srv := New(cfg)
	go func() {
		defer close(c.done)
		defer far.Close()
		srv.Serve(t.Context(), c.drain, far)
	}()
	t.Cleanup(func() {
		near.Close()
		<-c.done
	})
	return c
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatalf("send %.40q: %v", s, err)
	}
}

// expect reads one reply and wants it to begin so.
func (c *client) expect(prefix string) {
	c.t.Helper()
	r, err := reply.Read(c.in)
	if err != nil {
		c.t.Fatalf("want %q: %v", prefix, err)
	}
	if got := strings.TrimSuffix(string(r.Append(nil, true)), "\r\n"); !strings.HasPrefix(got, prefix) {
		c.t.Fatalf("got %q, want %q", got, prefix)
	}
}

// say sends a line and wants the reply to begin so.
func (c *client) say(line, prefix string) {
	c.t.Helper()
	c.send(line + "\r\n")
	c.expect(prefix)
}

// toRcpt begins a message with one recipient.
func (c *client) toRcpt() {
	c.t.Helper()
	c.say("HELO client.example.net", "250")
	c.say("MAIL FROM:<carol@example.net>", "250")
	c.say("RCPT TO:<alice@example.org>", "250")
}

// toData begins the content of a message.
func (c *client) toData() {
	c.t.Helper()
	c.toRcpt()
	c.say("DATA", "354")
}

// expectEnd wants the connection to be closed with nothing more said.
func (c *client) expectEnd() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Fatalf("want the end, got %q, %v", rest, err)
	}
	<-c.done
}

// TestTimeouts holds that each wait ends when it should, to the nanosecond,
// and that a session in the middle of content never goes on after it.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule  string
		play  func(c *client)
		after time.Duration
		last  string
	}{
		{"silence after the banner", func(*client) {}, DefaultCommandTimeout, "421 4.4.2"},
		{"half a command", func(c *client) { c.send("NOO") }, DefaultCommandTimeout, "421 4.4.2"},
		{"a command octet by octet", func(c *client) {
			for range 4 {
				c.send("N")
				time.Sleep(time.Minute)
			}
		}, DefaultCommandTimeout, "421 4.4.2"},
		{"silence in AUTH", func(c *client) {
			c.say("HELO x", "250")
			c.say("AUTH LOGIN", "334")
		}, DefaultCommandTimeout, "421 4.4.2"},
		{"silence after 354", func(c *client) { c.toData() }, DefaultDataTimeout, "421 4.4.2"},
		{"silence in content that holds commands", func(c *client) {
			c.toData()
			c.send("text\r\n.\n\r\nRSET\r\nMAIL FROM:<evil@x.test>\r\nRCPT TO:<alice@example.org>\r\n")
		}, DefaultDataTimeout, "421 4.4.2"},
		{"silence before the last octet of the end", func(c *client) {
			c.toData()
			c.send("text\r\n.\r")
		}, DefaultDataTimeout, "421 4.4.2"},
		{"silence in a chunk", func(c *client) {
			c.toRcpt()
			c.send("BDAT 100 LAST\r\nQUIT\r\n")
		}, DefaultDataTimeout, "421 4.4.2"},
		{"silence in a chunk that is thrown away", func(c *client) { c.send("BDAT 100\r\nQUIT\r\n") }, DefaultDataTimeout, "421 4.4.2"},
		{"silence between chunks", func(c *client) {
			c.toRcpt()
			c.send("BDAT 2\r\nab")
			c.expect("250")
		}, DefaultCommandTimeout, "421 4.4.2"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &fakeReceiver{}
				c := dial(t, Config{Receiver: r, Auth: fakeAuth{}, AllowPlaintextAuth: true})
				start := time.Now()
				tt.play(c)
				c.expect(tt.last)
				if got := time.Since(start); got != tt.after {
					t.Errorf("ended after %v, want %v", got, tt.after)
				}
				c.expectEnd()
				if m := r.all(); len(m) > 0 || r.open() != 0 {
					t.Errorf("stored %v, %d transactions open", m, r.open())
				}
			})
		})
	}
}

// TestSteadySender holds that time limits are for silence, not for size, and
// that a sender who drips all the same ends.
func TestSteadySender(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &fakeReceiver{}
		c := dial(t, Config{Receiver: r})
		c.toData()
		line := strings.Repeat("x", 25*1024-2) + "\r\n"
		for range 1024 { // 25 MB in 17 hours
			time.Sleep(time.Minute)
			c.send(line)
		}
		c.say(".", "250")
		if m := r.all(); len(m) != 1 || len(m[0].content) != 25<<20 {
			t.Error("the message did not arrive")
		}

		c.toData()
		for range 3 {
			time.Sleep(time.Minute)
			c.send("x")
		}
		time.Sleep(time.Minute)
		c.send("x")
		c.expect("421 4.4.2")
		c.expectEnd()
	})
}

// TestDrippingChunks holds that chunks are no way around the least rate.
func TestDrippingChunks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, Config{Receiver: &fakeReceiver{}})
		c.toRcpt()
		for _, want := range []string{"250", "250", "421 4.4.2"} {
			c.send("BDAT 1\r\n")
			if want == "250" {
				c.send("x")
			}
			c.expect(want)
			time.Sleep(2 * time.Minute)
		}
		c.expectEnd()
	})
}

// TestNoMinRate holds that the least rate can be switched off.
func TestNoMinRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, Config{Receiver: &fakeReceiver{}, Limits: Limits{MinRate: -1}})
		c.toData()
		for range 10 {
			time.Sleep(time.Minute)
			c.send("x")
		}
		c.say("\r\n.", "250")
	})
}

// TestSilentReader holds that a client that takes no reply is left.
func TestSilentReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := dialSilent(t, Config{Receiver: &fakeReceiver{}})
		start := time.Now()
		<-c.done
		if got := time.Since(start); got != DefaultWriteTimeout {
			t.Errorf("left after %v, want %v", got, DefaultWriteTimeout)
		}
	})
}

func TestGreetDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c := dial(t, Config{Receiver: &fakeReceiver{}, GreetDelay: 3 * time.Second})
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("banner after %v, want 3s", got)
		}
		c.say("HELO x", "250")
	})
}

// TestAdmit holds that a client that may not come in hears why in place of the
// banner, and that a front end is asked about when it has said for whom it
// speaks.
func TestAdmit(t *testing.T) {
	t.Parallel()
	var asked []netip.Addr
	cfg := Config{Receiver: &fakeReceiver{}, Admit: func(_ context.Context, c Client) error {
		asked = append(asked, c.Addr)
		return &mail.Status{Code: 421, Enhanced: "4.7.1", Text: "Too fast"}
	}}
	c := dialSilent(t, cfg)
	c.expect("421 4.7.1 Too fast")
	c.expectEnd()
	if len(asked) != 1 {
		t.Fatalf("asked about %v", asked)
	}
	cfg.XClientNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	conn, err := net.Dial("tcp", serve(t, New(cfg), nil))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c = &client{t: t, conn: conn, in: bufio.NewReader(conn)}
	c.expect("220 ")
	c.say("EHLO x", "250")
	c.say("XCLIENT ADDR=192.0.2.9", "421 4.7.1 Too fast")
	if len(asked) != 2 || asked[1] != netip.MustParseAddr("192.0.2.9") {
		t.Errorf("asked about %v", asked)
	}
}

// TestErrorDelay holds that the first half of the errors is answered at once
// and the others are held back.
func TestErrorDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, Config{Receiver: &fakeReceiver{}, Limits: Limits{MaxErrors: 6, ErrorDelay: 2 * time.Second}})
		for i := range 5 {
			start := time.Now()
			c.say("XYZZY", "500")
			want := time.Duration(0)
			if i >= 3 {
				want = 2 * time.Second
			}
			if got := time.Since(start); got != want {
				t.Errorf("error %d answered after %v, want %v", i+1, got, want)
			}
		}
		c.say("XYZZY", "500")
		c.expect("421 4.7.0")
		c.expectEnd()
	})
}

func TestHandshakeTimeout(t *testing.T) {
	t.Parallel()
	serverTLS, _ := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, Config{Receiver: &fakeReceiver{}, TLS: serverTLS})
		c.say("HELO x", "250")
		c.say("STARTTLS", "220")
		start := time.Now()
		<-c.done
		if got := time.Since(start); got != DefaultTLSTimeout {
			t.Errorf("ended after %v, want %v", got, DefaultTLSTimeout)
		}
	})
}

// TestDrainInHandshake holds that a client that is slow with TLS does not hold
// up a stop, and hears nothing in plaintext.
func TestDrainInHandshake(t *testing.T) {
	t.Parallel()
	serverTLS, _ := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		c := dial(t, Config{Receiver: &fakeReceiver{}, TLS: serverTLS})
		c.say("HELO x", "250")
		c.say("STARTTLS", "220")
		synctest.Wait()
		start := time.Now()
		close(c.drain)
		c.expectEnd()
		if got := time.Since(start); got != 0 {
			t.Errorf("ended after %v, want at once", got)
		}
	})
}

// TestFailedHandshake holds that there is no way back to plaintext.
func TestFailedHandshake(t *testing.T) {
	t.Parallel()
	serverTLS, _ := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		r := &fakeReceiver{}
		c := dial(t, Config{Receiver: r, TLS: serverTLS})
		c.say("HELO x", "250")
		c.say("STARTTLS", "220")
		go io.Copy(io.Discard, c.conn) // the alert
		c.send("MAIL FROM:<carol@example.net>\r\n")
		<-c.done
		if r.begun != 0 {
			t.Error("plaintext after STARTTLS was executed")
		}
	})
}

// TestDrain holds what a stopping server does: the idle hear 421 at once,
// content in flight is finished and answered.
func TestDrain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule   string
		before func(c *client)
		after  func(c *client)
		stored int
	}{
		{"idle", func(*client) {}, nil, 0},
		{"in the middle of a line", func(c *client) { c.send("NOO") }, nil, 0},
		{"between RCPT and DATA", func(c *client) {
			c.toRcpt()
		}, nil, 0},
		{"in AUTH", func(c *client) {
			c.say("HELO x", "250")
			c.say("AUTH LOGIN", "334")
		}, nil, 0},
		{"held back for errors", func(c *client) {
			for range 11 {
				c.send("XYZZY\r\n")
				c.expect("500")
			}
			c.send("XYZZY\r\n")
		}, func(c *client) { c.expect("500") }, 0},
		{"in content", func(c *client) {
			c.toData()
			c.send("one\r\n")
		}, func(c *client) {
			time.Sleep(time.Minute)
			c.say("two\r\n.", "250")
		}, 1},
		{"between chunks", func(c *client) {
			c.toRcpt()
			c.send("BDAT 2\r\nab")
			c.expect("250")
		}, func(c *client) {
			time.Sleep(time.Minute)
			c.say("BDAT 4 LAST\r\ncd", "250")
		}, 1},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &fakeReceiver{}
				c := dial(t, Config{Receiver: r, Auth: fakeAuth{}, AllowPlaintextAuth: true})
				tt.before(c)
				synctest.Wait()
				start := time.Now()
				close(c.drain)
				if tt.after != nil {
					tt.after(c)
				}
				c.expect("421 4.3.2")
				c.expectEnd()
				if tt.stored == 0 && time.Since(start) != 0 {
					t.Errorf("421 after %v, want it at once", time.Since(start))
				}
				if got := len(r.all()); got != tt.stored || r.open() != 0 {
					t.Errorf("%d messages stored, %d transactions open, want %d and 0", got, r.open(), tt.stored)
				}
			})
		})
	}
}

// TestDisconnect holds that a client that goes away leaves nothing behind
// before the end of content, and everything after it.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule   string
		play   func(c *client)
		stored int
	}{
		{"after RCPT", func(c *client) {
			c.toRcpt()
		}, 0},
		{"in content", func(c *client) { c.toData(); c.send("half\r\n") }, 0},
		{"before the end is whole", func(c *client) { c.toData(); c.send("half\r\n.\r") }, 0},
		{"in a chunk", func(c *client) {
			c.toRcpt()
			c.send("BDAT 10 LAST\r\nabc")
		}, 0},
		{"before the reply to the content", func(c *client) { c.toData(); c.send("all\r\n.\r\n") }, 1},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &fakeReceiver{}
				c := dial(t, Config{Receiver: r})
				tt.play(c)
				c.conn.Close()
				<-c.done
				if got := len(r.all()); got != tt.stored || r.open() != 0 {
					t.Errorf("%d messages stored, %d transactions open, want %d and 0", got, r.open(), tt.stored)
				}
			})
		})
	}
}

// TestDisconnectInCommit holds that a commit that has begun is finished, with a
// context that is still good.
func TestDisconnectInCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		finish := make(chan struct{})
		r := &fakeReceiver{commit: func(ctx context.Context, content io.Reader) error {
			if _, err := io.Copy(io.Discard, content); err != nil {
				return err
			}
			<-finish
			return ctx.Err()
		}}
		c := dial(t, Config{Receiver: r})
		c.toData()
		c.send("text\r\n.\r\n")
		synctest.Wait()
		close(c.drain)
		c.conn.Close()
		synctest.Wait()
		close(finish)
		<-c.done
		if len(r.all()) != 1 {
			t.Error("the commit was not finished")
		}
	})
}

// TestReceiverEndsSession holds that 421 for a message is the session's last
// word (RFC 5321 section 3.8).
func TestReceiverEndsSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &fakeReceiver{commit: func(_ context.Context, content io.Reader) error {
			_, err := io.Copy(io.Discard, content)
			return errors.Join(&mail.Status{Code: 421, Enhanced: "4.3.2", Text: "Service moved"}, err)
		}}
		c := dial(t, Config{Receiver: r})
		c.toData()
		c.send("text\r\n.\r\n")
		c.expect("421 4.3.2 Service moved")
		c.expectEnd()
	})
}

// TestReceiverStopsReading holds that content which the Receiver leaves is
// thrown away, not executed.
func TestReceiverStopsReading(t *testing.T) {
	t.Parallel()
	full := &mail.Status{Code: 452, Enhanced: "4.3.1", Text: "Disk full"}
	for _, tt := range []struct {
		rule    string
		read    int64
		err     error
		send    string
		replies []string
	}{
		{"DATA, nothing read", 0, full, "QUIT\r\n.\r\nNOOP\r\n", []string{"452 4.3.1", "250 2.0.0 Ok"}},
		{"DATA, a part read", 3, full, "QUIT\r\n.\n..\r\nRSET\r\n.\r\nNOOP\r\n", []string{"452 4.3.1", "250 2.0.0 Ok"}},
		{"DATA, taken without looking", 0, nil, "QUIT\r\nQUIT\r\n.\r\nNOOP\r\n", []string{"250 2.0.0", "250 2.0.0 Ok"}},
		{"BDAT, a part read", 3, full, "BDAT 12\r\nQUIT\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", []string{"452 4.3.1", "503", "250 2.0.0 Ok"}},
		{"BDAT, exactly a chunk read", 12, full, "BDAT 12\r\nQUIT\r\nQUIT\r\nNOOP\r\n", []string{"452 4.3.1", "250 2.0.0 Ok"}},
		{"BDAT, taken without looking", 0, nil, "BDAT 12\r\nQUIT\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n", []string{"250 2.0.0 12", "250 2.0.0", "250 2.0.0 Ok"}},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := &fakeReceiver{commit: func(_ context.Context, content io.Reader) error {
					io.CopyN(io.Discard, content, tt.read)
					return tt.err
				}}
				c := dial(t, Config{Receiver: r})
				c.toRcpt()
				if tt.rule[:4] == "DATA" {
					c.say("DATA", "354")
				}
				c.send(tt.send)
				for _, want := range tt.replies {
					c.expect(want)
				}
			})
		})
	}
}

// TestResultsDoNotMatch holds that a Receiver that loses count is not believed.
func TestResultsDoNotMatch(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	s := &session{log: slog.New(slog.NewTextHandler(&log, nil))}
	if got := s.settled(2, &content{}, []error{nil}); len(got) != 2 || mail.StatusOf(got[0]).Code != 451 || mail.StatusOf(got[1]).Code != 451 {
		t.Errorf("got %v, want two faults", got)
	}
	if got := s.settled(1, &content{err: errTooBig}, []error{nil}); !errors.Is(got[0], errTooBig) {
		t.Errorf("content that was refused counts as stored: %v", got)
	}
	if !strings.Contains(log.String(), "1 results for 2 recipients") {
		t.Errorf("the log: %s", &log)
	}
}

// TestReceiverPanics holds that a transaction is ended all the same; the
// listener recovers.
func TestReceiverPanics(t *testing.T) {
	t.Parallel()
	r := &panicReceiver{}
	conn := &script{segments: [][]byte{[]byte("HELO x\r\n"), []byte("MAIL FROM:<>\r\nRCPT TO:<alice@example.org>\r\n")}}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was hidden")
			}
		}()
		New(Config{Receiver: r}).Serve(t.Context(), nil, conn)
	}()
	if r.open() != 0 {
		t.Error("a transaction is left open")
	}
}

type panicReceiver struct{ fakeReceiver }

func (r *panicReceiver) Begin(ctx context.Context, c Client, from mail.ReversePath) (Transaction, error) {
	tx, err := r.fakeReceiver.Begin(ctx, c, from)
	return panicTransaction{tx}, err
}

type panicTransaction struct{ Transaction }

func (panicTransaction) AddRecipient(context.Context, mail.Recipient) error { panic("out of luck") }
