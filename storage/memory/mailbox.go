package memory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"gomaild/message"
	"gomaild/storage"
)

// maxKeywords is how many fit into a storage.KeywordSet.
const maxKeywords = 64

// box is a storage.Mailbox. Its fields are under its account's lock; a View is
// replaced, never changed.
type box struct {
	account    *account
	name       string
	view       *storage.View
	contents   map[storage.UID]*stored
	changed    chan struct{} // closed and replaced with each change
	recentFrom storage.UID   // the first UID that nobody claimed
	gone       bool
}

// stored is a message; it does not change.
type stored struct {
	data    []byte
	info    storage.Info
	summary *message.Summary
}

// announce wakes those who wait for a change.
func (b *box) announce() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// edit is a copy of the present View to change and put in its place.
func (b *box) edit() *storage.View {
	v := *b.view
	v.HighestModSeq++
	v.Messages = slices.Clone(v.Messages)
	v.Keywords = slices.Clone(v.Keywords)
	return &v
}

func (b *box) publish(v *storage.View) {
	b.view = v
	b.announce()
}

// Name implements storage.Mailbox.
func (b *box) Name() string {
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	return b.name
}

// View implements storage.Mailbox.
func (b *box) View(context.Context) (*storage.View, error) {
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	if b.gone {
		return nil, fmt.Errorf("view of %q: %w", b.name, storage.ErrNoMailbox)
	}
	return b.view, nil
}

// Changed implements storage.Mailbox.
func (b *box) Changed(v *storage.View) <-chan struct{} {
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	if b.view != v || b.gone {
		already := make(chan struct{})
		close(already)
		return already
	}
	return b.changed
}

// ClaimRecent implements storage.Mailbox.
func (b *box) ClaimRecent(_ context.Context, v *storage.View) ([]storage.UID, error) {
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	var uids []storage.UID
	i, _ := v.Index(b.recentFrom)
	for _, m := range v.Messages[i:] {
		uids = append(uids, m.UID)
	}
	b.recentFrom = max(b.recentFrom, v.UIDNext)
	return uids, nil
}

// Append implements storage.Mailbox.
func (b *box) Append(_ context.Context, d storage.Draft) (storage.UID, error) {
	data, err := io.ReadAll(d.Content)
	if err != nil {
		return 0, fmt.Errorf("append to %q: %w", b.name, err)
	}
	summary, err := message.Parse(bytes.NewReader(data))
	if err != nil {
		return 0, fmt.Errorf("append to %q: %w", b.name, err)
	}
	now := time.Now()
	if d.InternalDate.IsZero() {
		d.InternalDate = now
	}
	m := &stored{data: data, summary: summary, info: storage.Info{
		WireSize: summary.WireSize, StoredSize: int64(len(data)), InternalDate: d.InternalDate, SaveDate: now,
	}}
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	v := b.edit()
	keywords, err := keywordBits(v, d.Keywords)
	if err != nil {
		return 0, err
	}
	uid := b.add(v, m, d.Flags, keywords)
	b.publish(v)
	return uid, nil
}

func (b *box) add(v *storage.View, m *stored, flags storage.SystemFlag, keywords storage.KeywordSet) storage.UID {
	uid := v.UIDNext
	v.UIDNext++
	b.contents[uid] = m
	v.Messages = append(v.Messages, storage.Message{UID: uid, ModSeq: v.HighestModSeq, Flags: flags, Keywords: keywords})
	return uid
}

// keywordBits finds the bits of names in v and makes new ones.
func keywordBits(v *storage.View, names []string) (storage.KeywordSet, error) {
	var set storage.KeywordSet
	for _, name := range names {
		i := slices.IndexFunc(v.Keywords, func(k string) bool { return strings.EqualFold(k, name) })
		if i < 0 {
			if len(v.Keywords) == maxKeywords {
				return 0, storage.ErrKeywordLimit
			}
			i = len(v.Keywords)
			v.Keywords = append(v.Keywords, name)
			v.MoreKeywords = len(v.Keywords) < maxKeywords
		}
		set |= 1 << i
	}
	return set, nil
}

// Deliver implements storage.Mailbox.
func (b *box) Deliver(ctx context.Context, d storage.Draft) error {
	_, err := b.Append(ctx, d)
	return err
}

// SetFlags implements storage.Mailbox.
func (b *box) SetFlags(_ context.Context, uids []storage.UID, e storage.FlagEdit, unchangedSince storage.ModSeq) ([]storage.UID, error) {
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	v := b.edit()
	keywords, err := keywordBits(v, e.Keywords)
	if err != nil {
		return nil, err
	}
	var conflicts []storage.UID
	changed := false
	for _, uid := range uids {
		i, found := v.Index(uid)
		if !found {
			continue
		}
		m := v.Messages[i]
		if unchangedSince != 0 && m.ModSeq > unchangedSince {
			conflicts = append(conflicts, uid)
			continue
		}
		m.Flags, m.Keywords = apply(e.Op, m.Flags, e.Flags), apply(e.Op, m.Keywords, keywords)
		if m != v.Messages[i] {
			m.ModSeq = v.HighestModSeq
			v.Messages[i] = m
			changed = true
		}
	}
	if changed {
		b.publish(v)
	}
	return conflicts, nil
}

func apply[S storage.SystemFlag | storage.KeywordSet](op storage.FlagOp, old, change S) S {
	switch op {
	case storage.AddFlags:
		return old | change
	case storage.RemoveFlags:
		return old &^ change
	}
	return change
}

// Expunge implements storage.Mailbox.
func (b *box) Expunge(_ context.Context, uids []storage.UID) error {
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	b.remove(uids)
	return nil
}

func (b *box) remove(uids []storage.UID) {
	v := b.edit()
	gone := map[storage.UID]bool{}
	for _, uid := range uids {
		gone[uid] = true
		delete(b.contents, uid)
	}
	v.Messages = slices.DeleteFunc(v.Messages, func(m storage.Message) bool { return gone[m.UID] })
	if len(v.Messages) != len(b.view.Messages) {
		b.publish(v)
	}
}

var errForeign = errors.New("mailbox of another store")

// Copy implements storage.Mailbox.
func (b *box) Copy(_ context.Context, uids []storage.UID, to storage.Mailbox) ([]storage.UID, error) {
	target, ok := to.(*box)
	if !ok || target.account != b.account {
		return nil, errForeign
	}
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	if err := b.checkAll(uids); err != nil {
		return nil, err
	}
	return target.take(b, uids), nil
}

// Move implements storage.Mailbox.
func (b *box) Move(_ context.Context, uids []storage.UID, to storage.Mailbox) ([]storage.UID, error) {
	target, ok := to.(*box)
	if !ok || target.account != b.account {
		return nil, errForeign
	}
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	if err := b.checkAll(uids); err != nil {
		return nil, err
	}
	added := target.take(b, uids)
	b.remove(uids)
	return added, nil
}

func (b *box) checkAll(uids []storage.UID) error {
	for _, uid := range uids {
		if b.contents[uid] == nil {
			return fmt.Errorf("copy from %q: %w", b.name, storage.ErrExpunged)
		}
	}
	return nil
}

// take adds copies of another mailbox's messages. Keywords for which there is
// no room are left behind.
func (b *box) take(from *box, uids []storage.UID) []storage.UID {
	source := from.view
	v := b.edit()
	added := make([]storage.UID, 0, len(uids))
	for _, uid := range uids {
		i, _ := source.Index(uid)
		m := source.Messages[i]
		keywords, _ := keywordBits(v, source.KeywordNames(m.Keywords))
		added = append(added, b.add(v, from.contents[uid], m.Flags, keywords))
	}
	b.publish(v)
	return added
}

func (b *box) stored(uid storage.UID) (*stored, error) {
	b.account.mu.Lock()
	defer b.account.mu.Unlock()
	m := b.contents[uid]
	if m == nil {
		return nil, fmt.Errorf("message %d of %q: %w", uid, b.name, storage.ErrExpunged)
	}
	return m, nil
}

// Info implements storage.Mailbox.
func (b *box) Info(_ context.Context, uid storage.UID) (storage.Info, error) {
	m, err := b.stored(uid)
	if err != nil {
		return storage.Info{}, err
	}
	return m.info, nil
}

// content is a storage.Content.
type content struct{ *bytes.Reader }

// Close implements io.Closer.
func (content) Close() error { return nil }

// Content implements storage.Mailbox.
func (b *box) Content(_ context.Context, uid storage.UID) (storage.Content, error) {
	m, err := b.stored(uid)
	if err != nil {
		return nil, err
	}
	return content{bytes.NewReader(m.data)}, nil
}

// Summary implements storage.Mailbox.
func (b *box) Summary(_ context.Context, uid storage.UID) (*message.Summary, error) {
	m, err := b.stored(uid)
	if err != nil {
		return nil, err
	}
	return m.summary, nil
}

// Close implements storage.Mailbox.
func (b *box) Close() error { return nil }
