package local_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"

	"gomaild/accounts"
	"gomaild/delivery/local"
	"gomaild/mail"
	"gomaild/storage"
)

var (
	alice = mail.Address{Local: "alice", Domain: "x.test"}
	bob   = mail.Address{Local: "bob", Domain: "x.test"}
)

func to(a mail.Address) local.Recipient {
	return local.Recipient{Mailbox: accounts.Mailbox{Address: a, Maildir: "x.test/" + a.Local + "/"}}
}

func message(text string) local.Message {
	return local.Message{Content: strings.NewReader(text)}
}

const text = "Subject: x\r\n\r\nhello\r\n"

func TestContent(t *testing.T) {
	t.Parallel()
	sender := mail.Address{Local: "odd sender", Domain: "y.test"}
	delivered := mail.Address{Local: "Alice+Lists", Domain: "x.test"}
	for _, tt := range []struct {
		rule string
		m    local.Message
		r    local.Recipient
		in   string
		want string
	}{
		{"nothing is added unless asked for", local.Message{}, local.Recipient{}, text, text},
		{"the order of the fields", local.Message{From: mail.ReversePath{Address: sender}, Trace: []byte("Received: r\r\n")},
			local.Recipient{ReturnPath: true, DeliveredTo: delivered}, text,
			"Return-Path: <\"odd sender\"@y.test>\r\nDelivered-To: Alice+Lists@x.test\r\nReceived: r\r\n" + text},
		{"null reverse-path", local.Message{}, local.Recipient{ReturnPath: true}, text, "Return-Path: <>\r\n" + text},
		{"the Return-Path of the MTA before us stays", local.Message{}, local.Recipient{DeliveredTo: delivered},
			"Return-Path: <x@y>\r\n" + text, "Delivered-To: Alice+Lists@x.test\r\nReturn-Path: <x@y>\r\n" + text},
		{"a message that was here before", local.Message{}, local.Recipient{DeliveredTo: delivered},
			"Delivered-To: Alice+Lists@x.test\r\n" + text, "Delivered-To: Alice+Lists@x.test\r\nDelivered-To: Alice+Lists@x.test\r\n" + text},
		{"an empty message", local.Message{}, local.Recipient{ReturnPath: true}, "", "Return-Path: <>\r\n"},
		{"octets are not touched", local.Message{}, local.Recipient{}, "\x00\xff\r\n.\r\n", "\x00\xff\r\n.\r\n"},
	} {
		s := newFake()
		tt.m.Content = strings.NewReader(tt.in)
		tt.r.Mailbox = to(alice).Mailbox
		got := local.New(local.Config{Store: s}).Deliver(t.Context(), tt.m, []local.Recipient{tt.r})
		if len(got) != 1 || got[0] != nil {
			t.Errorf("%s: results %v", tt.rule, got)
		}
		if box := s.boxes["alice@x.test INBOX"]; len(box) != 1 || box[0] != tt.want {
			t.Errorf("%s: stored %q\nwant %q", tt.rule, box, tt.want)
		}
		if o := s.owners["alice@x.test"]; o.Maildir != "x.test/alice/" {
			t.Errorf("%s: owner %+v", tt.rule, o)
		}
		if s.open != 0 {
			t.Errorf("%s: %d handles are open", tt.rule, s.open)
		}
	}
}

func TestFolder(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule           string
		detail         local.DetailFolder
		folder, plus   string
		exists, failed string
		failure        error
		want           string // the mailbox
		subscribed     bool
	}{
		{rule: "INBOX", want: "INBOX"},
		{rule: "INBOX in any case", folder: "inBox", want: "INBOX"},
		{rule: "a folder that exists", folder: "Lists", exists: "Lists", want: "Lists"},
		{rule: "a missing folder is made and subscribed", folder: "Lists", want: "Lists", subscribed: true},
		{rule: "somebody else made it meanwhile", folder: "Lists", failed: "create", failure: storage.ErrExists, want: "Lists", subscribed: true},
		{rule: "it cannot be subscribed", folder: "Lists", failed: "subscribe", failure: syscall.EIO, want: "Lists", subscribed: true},
		{rule: "an impossible name", folder: "a.b", want: "INBOX"},
		{rule: "a name that cannot be made", folder: "Lists", failed: "create", failure: storage.ErrName, want: "INBOX"},
		{rule: "a parent without messages", folder: "Lists", failed: "open Lists", failure: storage.ErrNoSelect, want: "INBOX"},
		{rule: "detail, switched off", plus: "Lists", exists: "Lists", want: "INBOX"},
		{rule: "detail of a folder that exists", detail: local.DetailExisting, plus: "Lists", exists: "Lists", want: "Lists"},
		{rule: "detail of a missing folder", detail: local.DetailExisting, plus: "Lists", want: "INBOX"},
		{rule: "detail of an impossible name", detail: local.DetailExisting, plus: "a.b", want: "INBOX"},
		{rule: "detail makes the folder", detail: local.DetailCreate, plus: "Lists", want: "Lists", subscribed: true},
		{rule: "a folder goes before a detail", detail: local.DetailExisting, folder: "Work", plus: "Lists", exists: "Lists", want: "Work", subscribed: true},
	} {
		s := newFake("alice@x.test " + tt.exists)
		s.fail[tt.failed] = tt.failure
		r := to(alice)
		r.Folder, r.Detail = tt.folder, tt.plus
		got := local.New(local.Config{Store: s, Detail: tt.detail}).Deliver(t.Context(), message(text), []local.Recipient{r})
		if got[0] != nil || len(s.boxes["alice@x.test "+tt.want]) != 1 || len(s.boxes) != 1 {
			t.Errorf("%s: %v, stored %v, want it in %s", tt.rule, got, s.boxes, tt.want)
		}
		if subscribed := len(s.subs) != 0; subscribed != tt.subscribed {
			t.Errorf("%s: subscribed %v", tt.rule, s.subs)
		}
		if s.open != 0 {
			t.Errorf("%s: %d handles are open", tt.rule, s.open)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	path := func(err error) error {
		return fmt.Errorf("deliver: %w", &fs.PathError{Op: "open", Path: "tmp/x", Err: err})
	}
	for _, tt := range []struct {
		rule, where string
		err         error
		code        int
		enhanced    string
	}{
		{"full disk", "deliver", path(syscall.ENOSPC), 452, "4.3.1"},
		{"account over its quota", "deliver", fmt.Errorf("deliver: %w", storage.ErrQuota), 552, "5.2.2"},
		{"quota of the file system", "deliver", path(syscall.EDQUOT), 452, "4.3.1"},
		{"read-only disk", "deliver", path(syscall.EROFS), 451, "4.2.0"},
		{"Maildir of another owner", "account", path(syscall.EACCES), 451, "4.2.0"},
		{"Maildir is gone", "deliver", path(syscall.ENOENT), 451, "4.2.0"},
		{"Maildir is a file", "account", path(syscall.ENOTDIR), 451, "4.2.0"},
		{"INBOX is missing: not \"no such user\"", "open INBOX", storage.ErrNoMailbox, 451, "4.2.0"},
		{"INBOX is read-only", "deliver", storage.ErrReadOnly, 451, "4.2.0"},
		{"broken disk", "deliver", path(syscall.EIO), 451, "4.3.0"},
		{"folder cannot be made now", "create", path(syscall.ENOSPC), 452, "4.3.1"},
		{"unknown", "account", errors.New("out of cheese"), 451, "4.3.0"},
		{"a status of the store", "deliver", &mail.Status{Code: 552, Enhanced: "5.2.2", Text: "Quota exceeded"}, 552, "5.2.2"},
	} {
		s := newFake()
		s.fail[tt.where] = tt.err
		r := to(alice)
		if tt.where == "create" {
			r.Folder = "Lists"
		}
		got := local.New(local.Config{Store: s}).Deliver(t.Context(), message(text), []local.Recipient{r})[0]
		st := mail.StatusOf(got)
		if st == nil || st.Code != tt.code || st.Enhanced != tt.enhanced {
			t.Errorf("%s: %v, want %d %s", tt.rule, got, tt.code, tt.enhanced)
			continue
		}
		if !errors.Is(got, tt.err) {
			t.Errorf("%s: %v has lost its cause", tt.rule, got)
		}
		if strings.Contains(st.Text, "tmp/") {
			t.Errorf("%s: the text %q tells of our inside", tt.rule, st.Text)
		}
		if s.open != 0 || len(s.boxes) != 0 {
			t.Errorf("%s: %d handles open, stored %q", tt.rule, s.open, s.boxes)
		}
	}

	s := newFake()
	s.fail["close"] = syscall.EIO
	if got := local.New(local.Config{Store: s}).Deliver(t.Context(), message(text), []local.Recipient{to(alice)}); got[0] != nil {
		t.Errorf("the message is durable, a fault of Close changes nothing: %v", got)
	}
}

// brokenContent fails where the second half begins.
type brokenContent struct{ *strings.Reader }

func (c brokenContent) ReadAt(p []byte, off int64) (int, error) {
	half := c.Reader.Size() / 2
	if off+int64(len(p)) <= half {
		return c.Reader.ReadAt(p, off)
	}
	n, _ := c.Reader.ReadAt(p[:max(half-off, 0)], off)
	return n, syscall.EIO
}

func TestContentFails(t *testing.T) {
	t.Parallel()
	s := newFake()
	m := local.Message{Content: brokenContent{strings.NewReader(strings.Repeat("x: y\r\n", 1000))}}
	withField := to(alice)
	withField.DeliveredTo = alice
	for _, r := range []local.Recipient{to(alice), withField} {
		got := local.New(local.Config{Store: s}).Deliver(t.Context(), m, []local.Recipient{r, r})
		if !errors.Is(got[0], syscall.EIO) || !errors.Is(got[1], syscall.EIO) || len(s.boxes) != 0 {
			t.Errorf("results %v, stored %q", got, s.boxes)
		}
	}
}

// TestManyRecipients holds the order of results, that one fault is one
// recipient's, that duplicates get two copies, and the limit of work at once.
func TestManyRecipients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		s.fail["deliver"], s.failOnly = io.ErrClosedPipe, bob
		release := make(chan struct{})
		s.gate = func() { <-release }
		var list []local.Recipient
		for i := range 20 {
			list = append(list, to(mail.Address{Local: fmt.Sprint("u", i), Domain: "x.test"}))
		}
		list = append(list, to(bob), to(alice), to(alice))
		var got []error
		done := make(chan struct{})
		go func() {
			defer close(done)
			got = local.New(local.Config{Store: s, Concurrency: 3}).Deliver(t.Context(), message(text), list)
		}()
		synctest.Wait()
		if s.now != 3 {
			t.Errorf("%d deliveries at once, want 3", s.now)
		}
		close(release)
		<-done
		failed := slices.IndexFunc(got, func(err error) bool { return err != nil })
		if len(got) != len(list) || failed != 20 || !errors.Is(got[20], io.ErrClosedPipe) || got[21] != nil || got[22] != nil {
			t.Errorf("results %v", got)
		}
		if n := len(s.boxes["alice@x.test INBOX"]); n != 2 {
			t.Errorf("%d copies for a mailbox listed twice", n)
		}
		if s.most > 3 || s.open != 0 {
			t.Errorf("%d at once, %d handles open", s.most, s.open)
		}
	})
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s := newFake()
	got := local.New(local.Config{Store: s}).Deliver(ctx, message(text), []local.Recipient{to(alice), to(bob)})
	for _, err := range got {
		if !mail.StatusOf(err).Temporary() || !errors.Is(err, context.Canceled) {
			t.Errorf("result %v", err)
		}
	}
	if len(s.boxes) != 0 {
		t.Errorf("stored %q", s.boxes)
	}
}
