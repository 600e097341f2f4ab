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

var fieldNames = [fieldCount]string{"Date", "Subject", "From", "To", "Cc", "Message-ID", "In-Reply-To", "References"}

// fieldMask is a set of them.
type fieldMask uint

func (f headerField) set() fieldMask { return 1 << f }

// header is what is known of a message without reading its body: the first
// field of each name that was asked for. Of a message that is gone meanwhile
// nothing is known.
type header struct {
	info storage.Info
	text [fieldCount]string // unfolded, not decoded
}

// readHeaders reads what is wanted of messages, in their order.
func (s *session) readHeaders(ctx context.Context, hits []int, wanted fieldMask, each func(*header)) error {
	progress := s.newProgress(len(hits))
	for n, i := range hits {
		progress.at(n)
		h, err := s.readHeader(ctx, s.box.known.Messages[i].UID, wanted)
		if err != nil && !errors.Is(err, storage.ErrExpunged) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		each(h)
	}
	return nil
}

// readHeader returns what could be read also with an error.
func (s *session) readHeader(ctx context.Context, uid storage.UID, wanted fieldMask) (h *header, err error) {
	h = new(header)
	if h.info, err = s.box.mailbox.Info(ctx, uid); err != nil || wanted == 0 {
		return h, err
	}
	content, err := s.box.mailbox.Content(ctx, uid)
	if err != nil {
		return h, err
	}
	defer func() { s.warn("close message", content.Close()) }()
	for f, err := range message.Fields(content, message.Span{Len: content.Size()}) {
		if err != nil {
			return h, err
		}
		if wanted &^= h.take(f, wanted); wanted == 0 {
			break
		}
	}
	return h, nil
}

// take keeps a field that is wanted and returns which it is.
func (h *header) take(f message.Field, wanted fieldMask) fieldMask {
	for i, name := range fieldNames {
		which := headerField(i).set()
		if wanted&which != 0 && f.Is(name) {
			h.text[i] = f.Text()
			return which
		}
	}
	return 0
}

// sent is the date of RFC 5256 section 2.2: that of the Date field, or
// INTERNALDATE.
func (h *header) sent() time.Time {
	t, err := message.ParseDate(h.text[fieldDate])
	if err != nil {
		return h.info.InternalDate
	}
	return t
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
