package imap

import (
	"context"
	"errors"
	"time"

	"gomaild/imap/thread"
	"gomaild/message"
	"gomaild/storage"
)

// headerField is a field that SORT and THREAD look at.
type headerField int

const (
	fieldDate headerField = iota
	fieldSubject
	fieldFrom
	fieldTo
	fieldCc
	fieldMessageID
	fieldInReplyTo
	fieldReferences
	fieldCount
)

var keptFields = [fieldCount]message.KeptField{
	message.KeptDate, message.KeptSubject, message.KeptFrom, message.KeptTo, message.KeptCc,
	message.KeptMessageID, message.KeptInReplyTo, message.KeptReferences,
}

// fieldMask is a set of them.
type fieldMask uint

func (f headerField) set() fieldMask { return 1 << f }

// header is what is known of a message without reading its body: the first
// field of each name that was asked for. Of a message that is gone meanwhile
// nothing is known.
type header struct {
	gone  bool // nothing else is known
	facts storage.Facts
	date  time.Time          // of the Date field, where it is asked for
	text  [fieldCount]string // unfolded, not decoded
}

// readHeaders reads what is wanted of messages, in their order. The header is
// valid until the next.
func (s *session) readHeaders(ctx context.Context, hits []int, wanted fieldMask, each func(*header)) error {
	progress := s.newProgress(len(hits))
	known := s.box.mailbox.Reader()
	defer func() { s.warn("close what is kept of messages", known.Close()) }()
	h := new(header)
	for n, i := range hits {
		progress.at(n)
		*h = header{}
		err := s.readHeader(ctx, known, s.box.known.Messages[i].UID, wanted, h)
		h.gone = err != nil
		if err != nil && !errors.Is(err, storage.ErrExpunged) {
			return err
		}
		if n%64 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		each(h)
	}
	return nil
}

// readHeader puts into h what could be read, also with an error.
func (s *session) readHeader(ctx context.Context, known storage.Reader, uid storage.UID, wanted fieldMask, h *header) (err error) {
	if wanted == 0 {
		h.facts, err = known.Facts(ctx, uid)
		return err
	}
	if wanted == fieldDate.set() {
		h.date, h.facts, err = known.Sent(ctx, uid)
		return err
	}
	digest, facts, err := known.Digest(ctx, uid)
	h.facts = facts
	if err != nil {
		return err
	}
	if wanted&fieldDate.set() != 0 {
		h.date = digest.Sent()
	}
	if wanted &^= fieldDate.set(); digest.HasFields() {
		for f := range fieldCount {
			if wanted&f.set() != 0 {
				h.text[f], _ = digest.Field(keptFields[f])
			}
		}
		return nil
	}
	content, err := s.box.mailbox.Content(ctx, uid)
	if err != nil {
		return err
	}
	defer func() { s.warn("close message", content.Close()) }()
	for f, err := range message.Fields(content, message.Span{Len: content.Size()}) {
		if err != nil {
			return err
		}
		if wanted &^= h.take(f, wanted); wanted == 0 {
			break
		}
	}
	return nil
}

// take keeps a field that is wanted and returns which it is.
func (h *header) take(f message.Field, wanted fieldMask) fieldMask {
	kept := message.Kept(f.Name)
	for i := range fieldCount {
		if wanted&i.set() != 0 && kept == keptFields[i] {
			h.text[i] = f.Text()
			return i.set()
		}
	}
	return 0
}

// sent is the date of RFC 5256 section 2.2: that of the Date field, or
// INTERNALDATE.
func (h *header) sent() time.Time {
	if h.date.IsZero() {
		return h.facts.InternalDate
	}
	return h.date
}

// baseSubject is the base subject of RFC 5256 section 2.1, folded.
func (h *header) baseSubject() (base string, reply bool) {
	base, reply = thread.BaseSubject(message.DecodeHeader(h.text[fieldSubject]))
	return fold(base), reply
}

// first is the first address of a field.
func (h *header) first(f headerField) (message.Mailbox, bool) {
	list := message.ParseAddressList(h.text[f], 1)
	if len(list) == 0 {
		return message.Mailbox{}, false
	}
	return list[0], true
}
