package memory

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"gomaild/message"
	"gomaild/storage"
)

// maxKeywords is how many a mailbox can have.
const maxKeywords = storage.MaxKeywords

var (
	errForeign = errors.New("mailbox of another store")
	errClosed  = errors.New("mailbox is closed")
)

// box is a mailbox that handles share. Its fields are under the store's lock,
// and its methods are called with it; a View is replaced, never changed.
type box struct {
	account    *account
	name       string
	view       *storage.View
	history    storage.History
	notes      storage.Annotations
	acl        []storage.Grant
	pending    []delivery // delivered, and not numbered yet
	contents   map[storage.UID]*stored
	changed    chan struct{} // closed and replaced with each change
	waiters    storage.Waiters
	recentFrom storage.UID // the first UID that nobody claimed
	gone       bool
	memo       storage.Memo
}

// stored is a message; it does not change.
type stored struct {
	data   []byte
	info   storage.Info
	digest message.Digest
}

// delivery is a message with the flags that it is to have.
type delivery struct {
	message  *stored
	flags    storage.SystemFlag
	keywords []string
}

// read takes the draft in. It may wait for a client, so no lock is held.
func read(d storage.Draft) (delivery, error) {
	data, err := io.ReadAll(d.Content)
	if err != nil {
		return delivery{}, err
	}
	octets, err := message.Digested(bytes.NewReader(data))
	if err != nil {
		return delivery{}, err
	}
	digest, err := message.ParseDigest(octets)
	if err != nil {
		return delivery{}, err
	}
	now := time.Now()
	if d.InternalDate.IsZero() {
		d.InternalDate = now
	}
	facts := storage.Facts{WireSize: digest.WireSize(), StoredSize: int64(len(data)), InternalDate: d.InternalDate}
	info := storage.Info{Facts: facts, SaveDate: now}
	info.EmailID = "M" + strings.ToUpper(rand.Text())
	return delivery{&stored{data, info, digest}, d.Flags, d.Keywords}, nil
}

// announce wakes those who wait for a change.
func (b *box) announce() {
	close(b.changed)
	b.changed = make(chan struct{})
	b.waiters.Wake()
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
	b.history.Record(b.view, v)
	b.view = v
	b.announce()
}

// number gives UIDs to what was delivered.
func (b *box) number() {
	if len(b.pending) == 0 {
		return
	}
	v := b.edit()
	for _, d := range b.pending {
		keywords, _ := keywordBits(v, d.keywords) // without room the message comes without
		b.add(v, d.message, d.flags, keywords)
	}
	b.pending = nil
	b.publish(v)
}

func (b *box) add(v *storage.View, m *stored, flags storage.SystemFlag, keywords storage.KeywordSet) storage.UID {
	uid := v.UIDNext
	v.UIDNext++
	b.contents[uid] = m
	v.Messages = append(v.Messages, storage.Message{UID: uid, ModSeq: v.HighestModSeq, Flags: flags, Keywords: keywords})
	return uid
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

// take adds copies of another mailbox's messages. Keywords for which there is
// no room are left behind.
func (b *box) take(from *box, uids []storage.UID) []storage.UID {
	source, v := from.view, b.edit()
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

func (b *box) hasAll(uids []storage.UID) error {
	for _, uid := range uids {
		if b.contents[uid] == nil {
			return fmt.Errorf("message %d of %q: %w", uid, b.name, storage.ErrExpunged)
		}
	}
	return nil
}

// keywordBits finds the bits of names in v and makes new ones.
func keywordBits(v *storage.View, names []string) (storage.KeywordSet, error) {
	var set storage.KeywordSet
	for _, name := range names {
		i := slices.IndexFunc(v.Keywords, func(k string) bool { return strings.EqualFold(k, name) })
		if i < 0 {
			if len(v.Keywords) == maxKeywords {
				return "", storage.ErrKeywordLimit
			}
			i = len(v.Keywords)
			v.Keywords = append(v.Keywords, name)
			v.MoreKeywords = len(v.Keywords) < maxKeywords
		}
		set = set.With(i)
	}
	return set, nil
}

// handle is a storage.Mailbox: a box that was opened and can be closed.
type handle struct {
	b      *box
	closed bool
}

// lock takes the store's lock if the handle can be used.
func (h *handle) lock() (unlock func(), err error) {
	mu := h.b.account.mu
	mu.Lock()
	switch {
	case h.closed:
		err = fmt.Errorf("mailbox %q: %w", h.b.name, errClosed)
	case h.b.gone:
		err = fmt.Errorf("mailbox %q: %w", h.b.name, storage.ErrNoMailbox)
	default:
		return mu.Unlock, nil
	}
	mu.Unlock()
	return nil, err
}

// Name implements storage.Mailbox.
func (h *handle) Name() string {
	h.b.account.mu.Lock()
	defer h.b.account.mu.Unlock()
	return h.b.name
}

// View implements storage.Mailbox.
func (h *handle) View(context.Context) (*storage.View, error) {
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	h.b.number()
	return h.b.view, nil
}

// Changed implements storage.Mailbox.
func (h *handle) Changed(v *storage.View) <-chan struct{} {
	unlock, err := h.lock()
	if err != nil {
		return already()
	}
	defer unlock()
	if h.b.view != v || len(h.b.pending) > 0 {
		return already()
	}
	return h.b.changed
}

// Watch implements storage.Mailbox.
func (h *handle) Watch(v *storage.View, wake func()) (stop func()) {
	unlock, err := h.lock()
	if err != nil {
		wake()
		return func() {}
	}
	defer unlock()
	if h.b.view != v || len(h.b.pending) > 0 {
		wake()
		return func() {}
	}
	return h.b.waiters.Add(wake)
}

func already() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// ClaimRecent implements storage.Mailbox.
func (h *handle) ClaimRecent(_ context.Context, v *storage.View) ([]storage.UID, error) {
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	var uids []storage.UID
	i, _ := v.Index(h.b.recentFrom)
	for _, m := range v.Messages[i:] {
		uids = append(uids, m.UID)
	}
	h.b.recentFrom = max(h.b.recentFrom, v.UIDNext)
	return uids, nil
}

// Append implements storage.Mailbox.
func (h *handle) Append(_ context.Context, draft storage.Draft) (storage.UID, error) {
	d, err := read(draft)
	if err != nil {
		return 0, fmt.Errorf("append to %q: %w", h.Name(), err)
	}
	unlock, err := h.lock()
	if err != nil {
		return 0, err
	}
	defer unlock()
	if err := h.b.account.room(d.message.usage().Minus(h.freed(draft.Instead)), false); err != nil {
		return 0, fmt.Errorf("append to %q: %w", h.b.name, err)
	}
	v := h.b.edit()
	keywords, err := keywordBits(v, d.keywords)
	if err != nil {
		return 0, err
	}
	uid := h.b.add(v, d.message, d.flags, keywords)
	h.b.publish(v)
	return uid, nil
}

// AppendAll implements storage.Mailbox.
func (h *handle) AppendAll(_ context.Context, drafts iter.Seq[storage.Draft]) ([]storage.UID, error) {
	var all []delivery
	var add storage.Usage
	for draft := range drafts {
		d, err := read(draft)
		if err != nil {
			return nil, fmt.Errorf("append to %q: %w", h.Name(), err)
		}
		all = append(all, d)
		add = add.Plus(d.message.usage())
	}
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := h.b.account.room(add, false); err != nil {
		return nil, fmt.Errorf("append to %q: %w", h.b.name, err)
	}
	v := h.b.edit()
	keywords := make([]storage.KeywordSet, len(all))
	for i, d := range all {
		if keywords[i], err = keywordBits(v, d.keywords); err != nil {
			return nil, err
		}
	}
	uids := make([]storage.UID, len(all))
	for i, d := range all {
		uids[i] = h.b.add(v, d.message, d.flags, keywords[i])
	}
	h.b.publish(v)
	return uids, nil
}

// Deliver implements storage.Mailbox.
func (h *handle) Deliver(_ context.Context, draft storage.Draft) error {
	d, err := read(draft)
	if err != nil {
		return fmt.Errorf("deliver to %q: %w", h.Name(), err)
	}
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := h.b.account.room(d.message.usage(), true); err != nil {
		return fmt.Errorf("deliver to %q: %w", h.b.name, err)
	}
	h.b.pending = append(h.b.pending, d)
	h.b.announce()
	return nil
}

// SetFlags implements storage.Mailbox.
func (h *handle) SetFlags(_ context.Context, uids []storage.UID, e storage.FlagEdit, unchangedSince storage.ModSeq) ([]storage.UID, error) {
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	v := h.b.edit()
	names := e.Keywords
	if e.Op == storage.RemoveFlags { // none is made to be taken away
		names = slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			return !slices.ContainsFunc(v.Keywords, func(k string) bool { return strings.EqualFold(k, name) })
		})
	}
	keywords, err := keywordBits(v, names)
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
		m.Flags, m.Keywords = e.Apply(m.Flags, m.Keywords, keywords)
		if m != v.Messages[i] {
			m.ModSeq = v.HighestModSeq
			v.Messages[i] = m
			changed = true
		}
	}
	if changed {
		h.b.publish(v)
	}
	return conflicts, nil
}

// Expunge implements storage.Mailbox.
func (h *handle) Expunge(_ context.Context, uids []storage.UID) error {
	unlock, err := h.lock()
	if err != nil {
		return err
	}
	defer unlock()
	h.b.remove(uids)
	return nil
}

// Copy implements storage.Mailbox.
func (h *handle) Copy(_ context.Context, uids []storage.UID, to storage.Mailbox) ([]storage.UID, error) {
	return h.put(uids, to, false)
}

// Move implements storage.Mailbox.
func (h *handle) Move(_ context.Context, uids []storage.UID, to storage.Mailbox) ([]storage.UID, error) {
	return h.put(uids, to, true)
}

func (h *handle) put(uids []storage.UID, to storage.Mailbox, move bool) ([]storage.UID, error) {
	target, ok := to.(*handle)
	if !ok || target.b.account.mu != h.b.account.mu {
		return nil, errForeign
	}
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if target.closed || target.b.gone {
		return nil, fmt.Errorf("copy to %q: %w", target.b.name, storage.ErrNoMailbox)
	}
	if err := h.b.hasAll(uids); err != nil {
		return nil, err
	}
	if !move || target.b.account != h.b.account {
		var add storage.Usage
		for _, uid := range uids {
			add = add.Plus(h.b.contents[uid].usage())
		}
		if err := target.b.account.room(add, false); err != nil {
			return nil, fmt.Errorf("copy to %q: %w", target.b.name, err)
		}
	}
	added := target.b.take(h.b, uids)
	if move {
		h.b.remove(uids)
	}
	return added, nil
}

func (h *handle) stored(uid storage.UID) (*stored, error) {
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := h.b.hasAll([]storage.UID{uid}); err != nil {
		return nil, err
	}
	return h.b.contents[uid], nil
}

// Vanished implements storage.Mailbox.
func (h *handle) Vanished(_ context.Context, v *storage.View, since storage.ModSeq) ([]storage.UIDRange, error) {
	unlock, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	return h.b.history.Vanished(v, since), nil
}

// Maildrop implements storage.Mailbox.
func (h *handle) Maildrop(ctx context.Context, v *storage.View) ([]storage.MaildropEntry, error) {
	var list []storage.MaildropEntry
	for _, m := range v.Messages {
		info, err := h.Info(ctx, m.UID)
		switch {
		case errors.Is(err, storage.ErrExpunged):
		case err != nil:
			return nil, err
		default:
			list = append(list, storage.MaildropEntry{UID: m.UID, WireSize: info.WireSize, Name: fmt.Sprintf("memory.%d", m.UID)})
		}
	}
	return list, nil
}

// Info implements storage.Mailbox.
func (h *handle) Info(_ context.Context, uid storage.UID) (storage.Info, error) {
	m, err := h.stored(uid)
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
func (h *handle) Content(_ context.Context, uid storage.UID) (storage.Content, error) {
	m, err := h.stored(uid)
	if err != nil {
		return nil, err
	}
	return content{bytes.NewReader(m.data)}, nil
}

// Memo implements storage.Mailbox.
func (h *handle) Memo() *storage.Memo { return &h.b.memo }

// Reader implements storage.Mailbox.
func (h *handle) Reader() storage.Reader { return reader{h} }

// reader is a storage.Reader.
type reader struct{ h *handle }

// Facts implements storage.Reader.
func (r reader) Facts(_ context.Context, uid storage.UID) (storage.Facts, error) {
	m, err := r.h.stored(uid)
	if err != nil {
		return storage.Facts{}, err
	}
	return m.info.Facts, nil
}

// Digest implements storage.Reader.
func (r reader) Digest(_ context.Context, uid storage.UID) (message.Digest, storage.Facts, error) {
	m, err := r.h.stored(uid)
	if err != nil {
		return message.Digest{}, storage.Facts{}, err
	}
	return m.digest, m.info.Facts, nil
}

// Sent implements storage.Reader.
func (r reader) Sent(ctx context.Context, uid storage.UID) (time.Time, storage.Facts, error) {
	d, facts, err := r.Digest(ctx, uid)
	return d.Sent(), facts, err
}

// Whole implements storage.Reader.
func (r reader) Whole(_ context.Context, uid storage.UID, buf []byte) (int, error) {
	m, err := r.h.stored(uid)
	if err != nil {
		return 0, err
	}
	return copy(buf, m.data), nil
}

// Close implements storage.Reader.
func (reader) Close() error { return nil }

// Close implements storage.Mailbox.
func (h *handle) Close() error {
	h.b.account.mu.Lock()
	defer h.b.account.mu.Unlock()
	h.closed = true
	return nil
}
