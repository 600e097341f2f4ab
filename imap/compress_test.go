package imap

import (
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"net"
	"strings"
	"testing"
)

// deflate makes the client speak DEFLATE from now on.
func (c *client) deflate() {
	c.t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err != nil {
		c.t.Fatal(err)
	}
	c.r = bufio.NewReader(flate.NewReader(c.r))
	c.conn = flushing{c.conn, w, &out}
}

// flushing compresses what is written, and sends it in one piece: the server may
// act on a part of it and be gone.
type flushing struct {
	net.Conn
	w   *flate.Writer
	out *bytes.Buffer
}

func (f flushing) Write(p []byte) (int, error) {
	if n, err := f.w.Write(p); err != nil {
		return n, err
	}
	if err := f.w.Flush(); err != nil {
		return 0, err
	}
	_, err := f.Conn.Write(f.out.Bytes())
	f.out.Reset()
	return len(p), err
}

// TestCompress holds that everything works as before through DEFLATE: small
// answers at once, large ones whole, and IDLE, whose wait is interrupted.
func TestCompress(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.login(w.listen())
	if got := c.do("COMPRESS LZMA"); got[0] != "t BAD unknown compression" {
		t.Errorf("another compression: %q", got)
	}
	if got := c.do("COMPRESS DEFLATE"); got[0] != "t OK DEFLATE active" {
		t.Fatalf("answer %q", got)
	}
	c.deflate()
	if got := c.do("COMPRESS DEFLATE"); got[0] != "t NO [COMPRESSIONACTIVE] DEFLATE is active" {
		t.Errorf("a second time: %q", got)
	}
	body := strings.Repeat("0123456789abcdef\n", 20000)
	w.put("INBOX", "Subject: x\n\n"+body, 0)
	c.do("SELECT INBOX")
	got := strings.Join(c.do("FETCH 1 BODY[TEXT]"), "\n")
	if !strings.Contains(got, body) || !strings.HasSuffix(got, "t OK FETCH completed") {
		t.Errorf("a large message is not whole: %d octets", len(got))
	}
	c.send("i IDLE\r\n")
	c.until("+")
	for range 3 { // each wakes the session in the middle of a read
		w.put("INBOX", "Subject: y\n\n", 0)
		c.line() // EXISTS
		c.line() // RECENT
	}
	c.send("DONE\r\n")
	if got := c.until("i"); got[len(got)-1] != "i OK IDLE completed" {
		t.Errorf("IDLE: %q", got)
	}
	if got := c.do("LOGOUT"); !strings.HasPrefix(got[0], "* BYE") {
		t.Errorf("LOGOUT: %q", got)
	}
}

// TestCompressUnauthenticate holds that the compression ends with UNAUTHENTICATE in
// both directions (RFC 8437 section 4.1), whether the client waits for the answer
// or goes on at once, and whether or not it says that its stream is at the end.
func TestCompressUnauthenticate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	address := w.listen()
	for name, c := range map[string]struct{ last, pipelined bool }{
		"waits": {}, "goes on": {pipelined: true}, "last block, waits": {last: true}, "last block, goes on": {true, true},
	} {
		client := w.login(address)
		client.do("COMPRESS DEFLATE")
		plain, plainReader := client.conn, client.r
		client.deflate()
		client.do("NOOP")
		f := client.conn.(flushing)
		if _, err := f.w.Write([]byte("u UNAUTHENTICATE\r\n")); err != nil {
			t.Fatal(err)
		}
		end := f.w.Flush
		if c.last {
			end = f.w.Close
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
		const login = "l LOGIN alice secret\r\n"
		if c.pipelined {
			f.out.WriteString(login)
		}
		if _, err := plain.Write(f.out.Bytes()); err != nil {
			t.Fatal(err)
		}
		if got := client.until("u"); got[len(got)-1] != "u OK UNAUTHENTICATE completed" {
			t.Fatalf("%s: %q", name, got)
		}
		client.conn, client.r = plain, plainReader
		if !c.pipelined {
			client.send(login)
		}
		if got := client.until("l"); !strings.HasPrefix(got[len(got)-1], "l OK") {
			t.Errorf("%s: login %q", name, got)
		}
		if got := client.do("COMPRESS DEFLATE"); got[0] != "t OK DEFLATE active" {
			t.Errorf("%s: again: %q", name, got)
		}
	}
}

// TestCompressPipelined holds that commands sent with COMPRESS are not taken
// for compressed ones.
func TestCompressPipelined(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.login(w.listen())
	c.send("a COMPRESS DEFLATE\r\nb NOOP\r\n")
	if got := c.until("b"); got[0] != "a BAD Commands came after COMPRESS before its answer" || got[1] != "b OK NOOP completed" {
		t.Errorf("answers %q", got)
	}
}

// TestCompressHostile holds that what is no DEFLATE ends the session, and that
// what decompresses to gigabytes meets the limits of any command.
func TestCompressHostile(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *Config) { c.Limits.Discard = 1 << 20 })
	address := w.listen()
	c := w.login(address)
	c.do("COMPRESS DEFLATE")
	c.send(strings.Repeat("\xff", 100))
	if _, err := io.ReadAll(c.conn); err != nil {
		t.Errorf("after noise: %v", err)
	}
	c = w.login(address)
	c.do("COMPRESS DEFLATE")
	c.deflate()
	zeros := strings.Repeat("0", 1<<20)
	for range 100 {
		if _, err := c.conn.Write([]byte(zeros)); err != nil {
			break // it said goodbye
		}
	}
	if got := c.line(); got != "* BYE Command is too long" && got != "" { // a reset may swallow the goodbye
		t.Errorf("after a line of 100 MB: %q", got)
	}
}
