package maildir

import (
	"context"
	"errors"
	"io/fs"
	"strconv"
	"strings"

	"gomaild/storage"
)

// Maildrop implements storage.Mailbox. A size that the name or the uidlist
// tells is believed, as Dovecot does: 100 000 messages cost no system call.
func (h *handle) Maildrop(ctx context.Context, v *storage.View) ([]storage.MaildropEntry, error) {
	if h.closed.Load() {
		return nil, h.wrap("list", ErrClosed)
	}
	s := h.current()
	if s == nil {
		return nil, h.wrap("list", storage.ErrExpunged)
	}
	list := make([]storage.MaildropEntry, 0, len(v.Messages))
	for _, m := range v.Messages {
		i, there := s.find(m.UID)
		if !there {
			continue
		}
		e, err := h.maildropEntry(ctx, m.UID, s.files[i])
		switch {
		case errors.Is(err, storage.ErrExpunged) || errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, h.wrap("list", err)
		default:
			list = append(list, e)
		}
	}
	return list, nil
}

func (h *handle) maildropEntry(ctx context.Context, uid storage.UID, f file) (storage.MaildropEntry, error) {
	e := storage.MaildropEntry{UID: uid, Name: f.base, WireSize: f.sizes().wire}
	if e.WireSize < 0 {
		info, err := h.Info(ctx, uid)
		if err != nil {
			return e, err
		}
		e.WireSize = info.WireSize
	}
	for field := range strings.FieldsSeq(f.ext) {
		switch field[0] {
		case 'P':
			e.UniqueID = field[1:]
			if e.UniqueID == "" {
				e.UniqueID = f.base // an empty P is the file's name
			}
		case 'O':
			n, err := strconv.ParseUint(field[1:], 10, 32)
			if err == nil {
				e.Order = uint32(n)
			}
		}
	}
	return e, nil
}
