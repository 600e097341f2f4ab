package imap

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// TestIndependentClient runs a session of another implementation, which parses
// strictly all that it is sent.
func TestIndependentClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c, err := imapclient.DialInsecure(w.listen(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	check("login", c.Login("alice", "secret").Wait())
	check("create", c.Create("Entwürfe", nil).Wait())
	text := []byte("Subject: =?utf-8?q?=C3=BC?=\r\nFrom: A <a@example.test>\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n" +
		"--b\r\n\r\nplain\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>\r\n--b--\r\n")
	for range 3 {
		cmd := c.Append("INBOX", int64(len(text)), &imap.AppendOptions{Flags: []imap.Flag{imap.FlagFlagged, "$Own"}, Time: time.Unix(1e9, 0)})
		_, err := cmd.Write(text)
		check("append", err)
		check("append", cmd.Close())
		_, err = cmd.Wait()
		check("append", err)
	}
	selected, err := c.Select("INBOX", nil).Wait()
	check("select", err)
	if selected.NumMessages != 3 || selected.UIDNext != 4 {
		t.Errorf("selected %+v", selected)
	}
	msgs, err := c.Fetch(imap.SeqSetNum(1, 2, 3), &imap.FetchOptions{
		Envelope: true, Flags: true, InternalDate: true, RFC822Size: true, UID: true,
		BodyStructure: &imap.FetchItemBodyStructure{Extended: true},
		BodySection:   []*imap.FetchItemBodySection{{Peek: true}, {Part: []int{2}, Peek: true, Partial: &imap.SectionPartial{Offset: 1, Size: 2}}},
	}).Collect()
	check("fetch", err)
	m := msgs[2]
	if m.UID != 3 || m.Envelope.Subject != "ü" || m.Envelope.From[0].Mailbox != "a" || m.RFC822Size != int64(len(text)) ||
		!m.InternalDate.Equal(time.Unix(1e9, 0)) || !slices.Contains(m.Flags, "$Own") {
		t.Errorf("fetched %+v", m)
	}
	if !bytes.Equal(m.BodySection[0].Bytes, text) || string(m.BodySection[1].Bytes) != "p>" {
		t.Errorf("bodies %q, %q", m.BodySection[0].Bytes, m.BodySection[1].Bytes)
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{Body: []string{"PLAIN"}, Flag: []imap.Flag{imap.FlagFlagged}}, nil).Wait()
	check("search", err)
	if got := found.AllUIDs(); len(got) != 3 {
		t.Errorf("found %v", got)
	}
	copied, err := c.Copy(imap.SeqSetNum(1), "Entwürfe").Wait()
	check("copy", err)
	if copied.DestUIDs.String() != "1" {
		t.Errorf("copied %+v", copied)
	}
	_, err = c.Move(imap.UIDSetNum(2), "Entwürfe").Wait()
	check("move", err)
	boxes, err := c.List("", "*", &imap.ListOptions{ReturnStatus: &imap.StatusOptions{NumMessages: true}}).Collect()
	check("list", err)
	if len(boxes) != 2 || boxes[0].Mailbox != "Entwürfe" || *boxes[0].Status.NumMessages != 2 {
		t.Errorf("listed %+v", boxes)
	}
	check("logout", c.Logout().Wait())
}

// TestIndependentClientIdle holds that another implementation hears new mail
// in IDLE.
func TestIndependentClientIdle(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	arrived := make(chan uint32, 10)
	c, err := imapclient.DialInsecure(w.listen(), &imapclient.Options{UnilateralDataHandler: &imapclient.UnilateralDataHandler{
		Mailbox: func(data *imapclient.UnilateralDataMailbox) {
			if data.NumMessages != nil {
				arrived <- *data.NumMessages
			}
		},
	}, DebugWriter: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login("alice", "secret").Wait(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Select("INBOX", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	idle, err := c.Idle()
	if err != nil {
		t.Fatal(err)
	}
	w.put("INBOX", "Subject: x\n\nx\n", 0)
	select {
	case n := <-arrived:
		if n != 1 {
			t.Errorf("%d messages", n)
		}
	case <-time.After(time.Minute):
		t.Error("nothing heard")
	}
	if err := idle.Close(); err != nil {
		t.Error(err)
	}
	if err := idle.Wait(); err != nil {
		t.Error(err)
	}
}
