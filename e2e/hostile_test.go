package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHostileSMTP throws what strangers throw at an MX. Each client gets a
// clear reply or loses its connection; nothing is stored that was not taken
// with 250, and afterwards the server has no more files open than before.
func TestHostileSMTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.start(t)
	before := w.openFiles(t)
	begin := "EHLO x.test\r\nMAIL FROM:<a@remote.invalid>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
	for _, tt := range []struct {
		rule   string
		input  string
		want   string // in what the server says
		stored int
	}{
		{"half a message", begin + "Subject: half\r\n\r\nno end", "354", 0},
		{"NULs in a command", "EHLO x\x00.test\r\nQUIT\r\n", "50", 0},
		{"10 MB in a command line", strings.Repeat("A", 10<<20) + "\r\nQUIT\r\n", "500", 0},
		{"a 10 MB line in content is content", begin + "Subject: long\r\n\r\n" + strings.Repeat("A", 10<<20) + "\r\n.\r\nQUIT\r\n", "250 2.0.0", 1},
		{"100 000 header fields", begin + strings.Repeat("X-A: b\r\n", 100_000) + "\r\nbody\r\n.\r\nQUIT\r\n", "250 2.0.0", 1},
		{"octets that are no UTF-8", begin + "Subject: \xff\xfe\r\n\r\n\x80\x81\r\n.\r\nQUIT\r\n", "250 2.0.0", 1},
		{"wrong state", "RCPT TO:<bob@example.test>\r\n", "503", 0},
		{"DATA with more behind it", "DATA\r\nMAIL FROM:<a@b.test>\r\n", "554", 0},
		{"smuggling: LF.LF", begin + "Subject: x\r\n\r\nbody\n.\nMAIL FROM:<evil@remote.invalid>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nevil\r\n.\r\nQUIT\r\n", "5.6.11", 0},
		{"smuggling: LF.CRLF", begin + "Subject: x\r\n\r\nbody\n.\r\nMAIL FROM:<evil@remote.invalid>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\nevil\r\n.\r\nQUIT\r\n", "5.6.11", 0},
		{"pipelined garbage", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n\x00\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "5", 0},
		{"commands pipelined behind STARTTLS", "EHLO x.test\r\nSTARTTLS\r\nMAIL FROM:<evil@remote.invalid>\r\n", "554", 0},
	} {
		had := len(w.stored(t, "bob@example.test")) + len(w.stored(t, "alice@example.test"))
		said := w.talk(t, w.mx, "220", tt.input)
		if !strings.Contains(said, tt.want) {
			t.Errorf("%s: %.600q, want %q in it", tt.rule, said, tt.want)
		}
		if got := len(w.stored(t, "bob@example.test")) + len(w.stored(t, "alice@example.test")) - had; got != tt.stored {
			t.Errorf("%s: %d messages were stored, want %d", tt.rule, got, tt.stored)
		}
	}
	w.nothingLeft(t, before)
}

// TestHostileIMAP is the same for readers.
func TestHostileIMAP(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	w.start(t)
	before := w.openFiles(t)
	login := fmt.Sprintf("0 LOGIN bob@example.test %s\r\n", password)
	for _, tt := range []struct {
		rule, input, want, not string
	}{
		{"a rejected literal is never executed", login + "1 APPEND INBOX {2000000000+}\r\n2 CREATE pwned\r\n", "", "2 OK"},
		{"a literal that nobody sends", "1 LOGIN {1000000000}\r\n", "", "1 OK"},
		{"garbage", "\x00\xff\r\n\r\n*\r\n1\r\n1 \r\n2 NONSENSE\r\n3 LOGOUT\r\n", "BAD", "panic"},
		{"a set of four thousand million", login + "1 SELECT INBOX\r\n2 FETCH 1:4294967295,*:1 FLAGS\r\n3 LOGOUT\r\n", "2 ", "panic"},
		{"a folder outside the account", login + "1 CREATE ../../escape\r\n2 SELECT ../alice@example.test\r\n3 LOGOUT\r\n", "1 NO", "2 OK"},
		{"search nested 10 000 deep", login + "1 SELECT INBOX\r\n2 SEARCH " + strings.Repeat("(", 10_000) + "ALL" + strings.Repeat(")", 10_000) + "\r\n3 LOGOUT\r\n", "2 BAD", "2 OK"},
		{"commands behind STARTTLS", "1 STARTTLS\r\n2 LOGIN a b\r\n", "", "2 OK"},
		{"a line of 10 MB", "1 " + strings.Repeat("A", 10<<20) + "\r\n2 LOGOUT\r\n", "BAD", "panic"},
	} {
		said := w.talk(t, w.imap, "* OK", tt.input)
		if !strings.Contains(said, tt.want) || strings.Contains(said, tt.not) {
			t.Errorf("%s: %.600q, want %q and not %q in it", tt.rule, said, tt.want, tt.not)
		}
	}
	if found, _ := filepath.Glob(filepath.Join(w.root, "*escape*")); len(found) > 0 {
		t.Errorf("a client made %v", found)
	}
	w.nothingLeft(t, before)
}

// talk connects, sends input as fast as the server takes it, closes that
// direction and returns all that the server said.
func (w *world) talk(t *testing.T, port int, greeting, input string) string {
	t.Helper()
	conn, err := net.Dial("tcp", w.addr(port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	hello := make([]byte, 512)
	n, err := conn.Read(hello)
	if err != nil || !bytes.HasPrefix(hello[:n], []byte(greeting)) {
		t.Fatalf("greeting %q, %v", hello[:n], err)
	}
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// One line at a time up to DATA would be the polite way; a hostile
		// client is not polite, but a pipelining one may go as far as DATA.
		head, content, isData := strings.Cut(input, "DATA\r\n")
		if isData && strings.HasPrefix(input, "EHLO") {
			_, _ = io.WriteString(conn, "EHLO x.test\r\n")
			w.await(conn, hello, "250 ")
			_, _ = io.WriteString(conn, strings.TrimPrefix(head, "EHLO x.test\r\n")+"DATA\r\n")
			w.await(conn, hello, "354 ")
			_, _ = io.WriteString(conn, content)
		} else {
			_, _ = io.WriteString(conn, input)
		}
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	<-sent
	said, _ := io.ReadAll(conn)
	return string(hello[:n]) + "354" + string(said)
}

// await reads until a reply line begins so.
func (w *world) await(conn net.Conn, buf []byte, reply string) {
	for all := ""; !strings.Contains(all, "\n"+reply) && !strings.HasPrefix(all, reply); {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		all += string(buf[:n])
	}
}

// openFiles counts the descriptors of the server.
func (w *world) openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", w.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// nothingLeft holds that the server serves on and that what the clients opened
// is closed. A connection may end a moment after its client saw the end of it,
// so the server is talked to until the count is right or time is up.
func (w *world) nothingLeft(t *testing.T, before int) {
	t.Helper()
	const slack = 4 // the database's own connections
	for end := time.Now().Add(10 * time.Second); ; {
		if said := w.talk(t, w.mx, "220", "QUIT\r\n"); !strings.Contains(said, "221") {
			t.Fatalf("the server does not answer any more: %q", said)
		}
		now := w.openFiles(t)
		if now <= before+slack {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d files are open, %d were before", now, before)
		}
	}
}
