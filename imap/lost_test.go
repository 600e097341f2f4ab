package imap

import (
	"io"
	"net"
	"strings"
	"testing"
)

// TestLostConnections: a client that goes away is no fault of ours, wherever it
// was, and of a command that did not end nothing is done, even if all octets of
// its message were there.
func TestLostConnections(t *testing.T) {
	t.Parallel()
	for _, last := range []string{
		"a IDLE\r\n", "a NOOP\r\n", "a NOO", "a APPEND INBOX {5+}\r\nx\r\n", "a APPEND INBOX {5+}\r\nx\r\n\r\n", "a APPEND INBOX {5+}\r\nx\r\n\r\n )",
		"a APPEND INBOX ~{5+}\r\nx\r\n\r\n", "a APPEND INBOX CATENATE (TEXT {5+}\r\nx\r\n\r\n", "a APPEND INBOX {5+}\r\nx\r\n\r\n {5+}\r\nx\r\n\r\n",
		"a NOTIFY SET (personal (MailboxName))\r\n",
	} {
		w := newWorld(t, nil)
		client, server := net.Pipe()
		w.serve(server)
		go io.Copy(io.Discard, client) // ends with the connection
		if _, err := client.Write([]byte("l LOGIN alice secret\r\n" + last)); err != nil {
			t.Fatal(err)
		}
		client.Close()
		w.wg.Wait()
		if v, err := w.mailbox("INBOX").View(t.Context()); err != nil || len(v.Messages) != 0 {
			t.Errorf("%.60q: %d messages, %v", last, len(v.Messages), err)
		}
		if log := w.log.String(); strings.Contains(log, "level=ERROR") {
			t.Errorf("%.60q: %s", last, log)
		}
	}
}
