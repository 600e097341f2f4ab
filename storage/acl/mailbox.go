package acl

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"gomaild/message"
	"gomaild/storage"
)

// mailbox asks before each thing that is done with a storage.Mailbox.
type mailbox struct {
	storage.Mailbox
	account *account
	at      place
	shown   string
	// readable says that the last View was allowed, and so is reading what it
	// names. Otherwise each reading asks.
	readable atomic.Bool
}

// Name implements storage.Mailbox.
func (m *mailbox) Name() string { return m.shown }

// need returns the rights if all of need are among them. Whoever may read a
// mailbox knows that it is there.
func (m *mailbox) need(ctx context.Context, need storage.Rights) (storage.Rights, error) {
	r, err := m.account.rights(ctx, m.at)
	if err == nil && !r.Has(need) {
		err = refusal(m.at, r, storage.RightLookup|storage.RightRead)
	}
	return r, err
}

// View implements storage.Mailbox.
func (m *mailbox) View(ctx context.Context) (*storage.View, error) {
	_, err := m.need(ctx, storage.RightRead)
	m.readable.Store(err == nil)
	if err != nil {
		return nil, err
	}
	return m.Mailbox.View(ctx)
}

// mayRead is for what a View names.
func (m *mailbox) mayRead(ctx context.Context) error {
	if m.readable.Load() {
		return nil
	}
	_, err := m.need(ctx, storage.RightRead)
	return err
}

// kept are the flags that somebody with these rights may give a message.
func kept(r storage.Rights) (allowed storage.SystemFlag) {
	if r.Has(storage.RightSeen) {
		allowed |= storage.Seen
	}
	if r.Has(storage.RightDeleted) {
		allowed |= storage.Deleted
	}
	if r.Has(storage.RightWrite) {
		allowed |= storage.Answered | storage.Flagged | storage.Drafted
	}
	return allowed
}

// limit takes out of a draft the flags that may not be set (RFC 4314 section 4,
// APPEND).
func limit(d storage.Draft, r storage.Rights) storage.Draft {
	d.Flags &= kept(r)
	if !r.Has(storage.RightWrite) {
		d.Keywords = nil
	}
	return d
}

// Append implements storage.Mailbox.
func (m *mailbox) Append(ctx context.Context, d storage.Draft) (storage.UID, error) {
	r, err := m.need(ctx, storage.RightInsert)
	if err != nil {
		return 0, err
	}
	if d.Instead != nil {
		if from, ok := d.Instead.In.(*mailbox); ok {
			d.Instead = &storage.Replaced{In: from.Mailbox, UID: d.Instead.UID}
		}
	}
	return m.Mailbox.Append(ctx, limit(d, r))
}

// AppendAll implements storage.Mailbox.
func (m *mailbox) AppendAll(ctx context.Context, drafts iter.Seq[storage.Draft]) ([]storage.UID, error) {
	r, err := m.need(ctx, storage.RightInsert)
	if err != nil {
		return nil, err
	}
	return m.Mailbox.AppendAll(ctx, func(yield func(storage.Draft) bool) {
		for d := range drafts {
			if !yield(limit(d, r)) {
				return
			}
		}
	})
}

// Deliver implements storage.Mailbox.
func (m *mailbox) Deliver(ctx context.Context, d storage.Draft) error {
	r, err := m.need(ctx, storage.RightPost)
	if err != nil {
		return err
	}
	return m.Mailbox.Deliver(ctx, limit(d, r))
}

// SetFlags implements storage.Mailbox. Flags that may not be changed are left
// alone; if none of those that are named may be, it is ErrPermission (RFC 4314
// section 4, STORE).
func (m *mailbox) SetFlags(ctx context.Context, uids []storage.UID, e storage.FlagEdit, since storage.ModSeq) ([]storage.UID, error) {
	r, err := m.need(ctx, storage.RightRead)
	if err != nil {
		return nil, err
	}
	allowed := kept(r)
	mayKeywords := r.Has(storage.RightWrite)
	asked := e.Flags != 0 || len(e.Keywords) > 0
	left := e.Flags&allowed != 0 || len(e.Keywords) > 0 && mayKeywords
	if e.Op == storage.ReplaceFlags && allowed != 0 {
		left = true // the others are taken away
	}
	if !left && (asked || allowed == 0) {
		return nil, refusal(m.at, r, storage.RightLookup|storage.RightRead)
	}
	e.Flags &= allowed
	e.Keep |= ^allowed
	if !mayKeywords {
		e.Keywords, e.KeepKeywords = nil, true
	}
	return m.Mailbox.SetFlags(ctx, uids, e, since)
}

// Expunge implements storage.Mailbox.
func (m *mailbox) Expunge(ctx context.Context, uids []storage.UID) error {
	if _, err := m.need(ctx, storage.RightRead|storage.RightExpunge); err != nil {
		return err
	}
	return m.Mailbox.Expunge(ctx, uids)
}

// Copy implements storage.Mailbox.
func (m *mailbox) Copy(ctx context.Context, uids []storage.UID, to storage.Mailbox) ([]storage.UID, error) {
	return m.put(ctx, uids, to, storage.RightRead, m.Mailbox.Copy)
}

// Move implements storage.Mailbox. It needs what STORE and EXPUNGE would (RFC
// 6851 section 4.4).
func (m *mailbox) Move(ctx context.Context, uids []storage.UID, to storage.Mailbox) ([]storage.UID, error) {
	return m.put(ctx, uids, to, storage.RightRead|storage.RightDeleted|storage.RightExpunge, m.Mailbox.Move)
}

type transfer func(ctx context.Context, uids []storage.UID, to storage.Mailbox) ([]storage.UID, error)

// put copies or moves, and takes away from the copies what flags may not be set
// in the target.
func (m *mailbox) put(ctx context.Context, uids []storage.UID, to storage.Mailbox, need storage.Rights, do transfer) ([]storage.UID, error) {
	target, ok := to.(*mailbox)
	if !ok {
		return nil, fmt.Errorf("copy to %q: another store", to.Name())
	}
	if _, err := m.need(ctx, need); err != nil {
		return nil, err
	}
	r, err := target.need(ctx, storage.RightInsert)
	if err != nil {
		return nil, err
	}
	there, err := do(ctx, uids, target.Mailbox)
	if err != nil || r.Has(storage.RightSeen|storage.RightDeleted|storage.RightWrite) {
		return there, err
	}
	return there, target.strip(ctx, there, r)
}

// strip takes flags away that somebody with these rights could not have set.
func (m *mailbox) strip(ctx context.Context, uids []storage.UID, r storage.Rights) error {
	e := storage.FlagEdit{Op: storage.ReplaceFlags, Keep: kept(r), KeepKeywords: r.Has(storage.RightWrite)}
	_, err := m.Mailbox.SetFlags(context.WithoutCancel(ctx), uids, e, 0)
	return err
}

// ClaimRecent implements storage.Mailbox.
func (m *mailbox) ClaimRecent(ctx context.Context, v *storage.View) ([]storage.UID, error) {
	if err := m.mayRead(ctx); err != nil {
		return nil, err
	}
	return m.Mailbox.ClaimRecent(ctx, v)
}

// Vanished implements storage.Mailbox.
func (m *mailbox) Vanished(ctx context.Context, v *storage.View, since storage.ModSeq) ([]storage.UIDRange, error) {
	if err := m.mayRead(ctx); err != nil {
		return nil, err
	}
	return m.Mailbox.Vanished(ctx, v, since)
}

// Maildrop implements storage.Mailbox.
func (m *mailbox) Maildrop(ctx context.Context, v *storage.View) ([]storage.MaildropEntry, error) {
	if err := m.mayRead(ctx); err != nil {
		return nil, err
	}
	return m.Mailbox.Maildrop(ctx, v)
}

// Info implements storage.Mailbox.
func (m *mailbox) Info(ctx context.Context, uid storage.UID) (storage.Info, error) {
	if err := m.mayRead(ctx); err != nil {
		return storage.Info{}, err
	}
	return m.Mailbox.Info(ctx, uid)
}

// Content implements storage.Mailbox.
func (m *mailbox) Content(ctx context.Context, uid storage.UID) (storage.Content, error) {
	if err := m.mayRead(ctx); err != nil {
		return nil, err
	}
	return m.Mailbox.Content(ctx, uid)
}

// Reader implements storage.Mailbox.
func (m *mailbox) Reader() storage.Reader { return reader{m.Mailbox.Reader(), m} }

// reader asks before each message that is read.
type reader struct {
	storage.Reader
	mailbox *mailbox
}

// Facts implements storage.Reader.
func (r reader) Facts(ctx context.Context, uid storage.UID) (storage.Facts, error) {
	if err := r.mailbox.mayRead(ctx); err != nil {
		return storage.Facts{}, err
	}
	return r.Reader.Facts(ctx, uid)
}

// Sent implements storage.Reader.
func (r reader) Sent(ctx context.Context, uid storage.UID) (time.Time, storage.Facts, error) {
	if err := r.mailbox.mayRead(ctx); err != nil {
		return time.Time{}, storage.Facts{}, err
	}
	return r.Reader.Sent(ctx, uid)
}

// Whole implements storage.Reader.
func (r reader) Whole(ctx context.Context, uid storage.UID, buf []byte) (int, error) {
	if err := r.mailbox.mayRead(ctx); err != nil {
		return 0, err
	}
	return r.Reader.Whole(ctx, uid, buf)
}

// Digest implements storage.Reader.
func (r reader) Digest(ctx context.Context, uid storage.UID) (message.Digest, storage.Facts, error) {
	if err := r.mailbox.mayRead(ctx); err != nil {
		return message.Digest{}, storage.Facts{}, err
	}
	return r.Reader.Digest(ctx, uid)
}
