// Package storagetest is the suite that every implementation of storage.Store
// passes, and Check, which holds what is always true of a mailbox.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/storage"
)

// Alice is the owner of the account that the suite uses.
func Alice() storage.Owner {
	return storage.Owner{Address: mail.Address{Local: "alice", Domain: "example.org"}, Maildir: "example.org/alice/"}
}

// Bob is another one.
func Bob() storage.Owner {
	return storage.Owner{Address: mail.Address{Local: "bob", Domain: "example.org"}, Maildir: "example.org/bob/"}
}

// Text is a small message in wire form whose subject is s.
func Text(s string) string {
	return "From: <sender@example.net>\r\nSubject: " + s + "\r\n\r\nThe body of " + s + ".\r\n"
}

// Draft is that message, to be stored.
func Draft(s string) storage.Draft {
	return storage.Draft{Content: strings.NewReader(Text(s))}
}

// Check holds what is true of a mailbox at any time: its View keeps the rules,
// and every message can be opened and has the size that Info tells.
func Check(t testing.TB, m storage.Mailbox) *storage.View {
	t.Helper()
	ctx := t.Context()
	v, err := m.View(ctx)
	if err != nil {
		t.Fatalf("%s: %v", m.Name(), err)
	}
	if err := v.Check(); err != nil {
		t.Errorf("%s: %v", m.Name(), err)
	}
	for _, when := range []string{"parsed", "kept"} {
		r := m.Reader()
		for _, msg := range v.Messages {
			checkMessage(t, m, r, msg.UID, when)
		}
		if err := r.Close(); err != nil {
			t.Errorf("%s: %v", m.Name(), err)
		}
	}
	return v
}

// checkMessage holds that all that is known of a message is what it says.
func checkMessage(t testing.TB, m storage.Mailbox, r storage.Reader, uid storage.UID, when string) {
	t.Helper()
	ctx := t.Context()
	info, err := m.Info(ctx, uid)
	if err != nil {
		if !errors.Is(err, storage.ErrExpunged) {
			t.Errorf("%s: info of UID %d: %v", m.Name(), uid, err)
		}
		return
	}
	wire := Read(t, m, uid)
	if info.WireSize != int64(len(wire)) {
		t.Errorf("%s: UID %d has %d octets on the wire, Info says %d", m.Name(), uid, len(wire), info.WireSize)
	}
	s, err := message.Parse(strings.NewReader(wire))
	if err != nil {
		t.Fatal(err)
	}
	want := s.Root.Envelope.Append(nil)
	d, facts, err := r.Digest(ctx, uid)
	switch {
	case err != nil:
		t.Errorf("%s: digest of UID %d, %s: %v", m.Name(), uid, when, err)
	case facts.WireSize != info.WireSize || facts.StoredSize != info.StoredSize || facts.InternalDate.Sub(info.InternalDate).Abs() > time.Second:
		t.Errorf("%s: UID %d, %s: facts %+v, Info %+v", m.Name(), uid, when, facts, info)
	case !bytes.Equal(d.Envelope(), want):
		t.Errorf("%s: UID %d, %s: envelope %q, want %q", m.Name(), uid, when, d.Envelope(), want)
	}
}

// Digest is that of one message.
func Digest(ctx context.Context, m storage.Mailbox, uid storage.UID) (message.Digest, storage.Facts, error) {
	r := m.Reader()
	d, facts, err := r.Digest(ctx, uid)
	return d, facts, errors.Join(err, r.Close())
}

// Subject is that of one message, read from its digest.
func Subject(ctx context.Context, m storage.Mailbox, uid storage.UID) (string, error) {
	d, _, err := Digest(ctx, m, uid)
	subject, _ := d.Field(message.KeptSubject)
	return subject, err
}

// Read is a message in wire form.
func Read(t testing.TB, m storage.Mailbox, uid storage.UID) string {
	t.Helper()
	c, err := m.Content(t.Context(), uid)
	if err != nil {
		t.Fatalf("%s: content of UID %d: %v", m.Name(), uid, err)
	}
	var b bytes.Buffer
	_, err = io.Copy(&b, message.NewWireReader(c, message.Span{Len: c.Size()}))
	if err = errors.Join(err, c.Close()); err != nil {
		t.Fatalf("%s: content of UID %d: %v", m.Name(), uid, err)
	}
	return b.String()
}

// Subjects are the subjects of all messages, in order, read from their content.
func Subjects(t testing.TB, m storage.Mailbox) []string {
	t.Helper()
	var all []string
	r := m.Reader()
	for _, msg := range Check(t, m).Messages {
		d, _, err := r.Digest(t.Context(), msg.UID)
		if err != nil {
			t.Fatal(err)
		}
		subject, _ := d.Field(message.KeptSubject)
		all = append(all, subject)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// date is an INTERNALDATE that is not now.
func date() time.Time { return time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC) }
