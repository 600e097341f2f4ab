package pop3

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/textproto"
	"strings"
	"testing"
)

// FuzzSession holds that no input makes a session panic or hang, and that each
// answer is a line of the protocol.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		"USER alice\r\nPASS se cret\r\nLIST\r\nRETR 1\r\nTOP 2 1\r\nDELE 2\r\nQUIT\r\n",
		"AUTH PLAIN\r\n*\r\nCAPA\r\n", "AUTH PLAIN =\r\n", "UIDL\n\n\x00\r\n", "STLS\r\n\x16\x03\x01",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		c, _ := world(t)
		c.Limits.BadCommands = 1000
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			New(c).Serve(t.Context(), make(chan struct{}), server)
		}()
		go func() {
			defer client.Close()
			_, _ = client.Write(input) // the session may end first
			_, _ = client.Write([]byte("\r\nQUIT\r\n"))
			<-done
		}()
		r := bufio.NewReader(client)
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				break
			}
			if !strings.HasSuffix(line, "\r\n") {
				t.Errorf("not a line: %q", line)
			}
		}
		<-done
	})
}

// FuzzDots holds that what is written with dots is read back by an independent
// reader as it was.
func FuzzDots(f *testing.F) {
	for _, s := range []string{"", ".", "..\r\n", "a\r\n.b\r\n\r\n", "no end"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, content []byte, step int) {
		if bytes.ContainsAny(bytes.ReplaceAll(content, []byte("\r\n"), nil), "\r\n") {
			return // not in wire form
		}
		step = max(1, step%7)
		var out bytes.Buffer
		b := bufio.NewWriter(&out)
		w := newDotWriter(b)
		for rest := content; len(rest) > 0; {
			n := min(step, len(rest))
			if _, err := w.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.end(); err != nil {
			t.Fatal(err)
		}
		b.Flush()
		got, err := io.ReadAll(textproto.NewReader(bufio.NewReader(&out)).DotReader())
		if err != nil {
			t.Fatal(err)
		}
		want := bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
		if !bytes.HasSuffix(want, []byte("\n")) && len(want) > 0 {
			want = append(want, '\n')
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%q came back as %q", content, got)
		}
	})
}
