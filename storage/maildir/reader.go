package maildir

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"gomaild/message"
	"gomaild/storage"
	"gomaild/storage/index"
)

const (
	flushDigests = 512 << 10 // digests of this size are written although more may come
	flushFacts   = 4096      // lines likewise
	readAhead    = 128 << 10 // is read at once at most, where messages are asked for in order
	readFirst    = 8 << 10   // and at first
)

// reader is a storage.Reader: what is asked for in order is read in large
// pieces, and what had to be parsed is kept in large pieces.
type reader struct {
	h        *handle
	acquired bool
	closed   atomic.Bool

	at   int // position in the state
	fact int // position in the facts

	window []byte  // of the digests
	from   int64   // where it lies
	lent   *[]byte // what window lies in while it is small, of store.buffers

	lines []index.Facts // not written yet
	data  []byte
	zones map[int16]*time.Location
	last  []byte // the digest given out last, where it is not kept
}

// Memo implements storage.Mailbox.
func (h *handle) Memo() *storage.Memo {
	h.recallOrders()
	return &h.memo
}

// Reader implements storage.Mailbox.
func (h *handle) Reader() storage.Reader { return &reader{h: h} }

// Close implements storage.Reader.
func (r *reader) Close() error {
	if r.closed.Swap(true) || !r.acquired {
		return nil
	}
	r.flush()
	r.h.release()
	if r.window = nil; r.lent != nil {
		r.h.store.buffers.Put(r.lent)
	}
	return nil
}

// makeRoom makes the window hold so many octets, and empty.
func (r *reader) makeRoom(octets int64) {
	switch {
	case int64(cap(r.window)) >= octets:
	case octets <= bufferSize && r.lent == nil:
		r.lent = r.h.store.buffers.Get().(*[]byte)
		r.window = *r.lent
	default:
		r.window = make([]byte, max(octets, readAhead))
	}
	r.window = r.window[:0]
}

func (r *reader) flush() {
	r.h.keepFacts(r.lines, r.data)
	r.lines, r.data = r.lines[:0], r.data[:0]
}

// carry takes over what source knows of a message that was copied here.
func (r *reader) carry(source *reader, from, to storage.UID, base string) {
	line, known := source.known(from)
	if !known {
		return
	}
	var digest []byte
	if line.Length > 0 {
		digest = source.stored(line)
	}
	if !r.acquired {
		r.acquired = true
		r.h.acquire()
	}
	line.UID, line.Name = to, file{base: base}.nameSum()
	r.keepLine(line, digest)
}

// known looks for a message among the facts. It does not answer for one that is
// gone.
func (r *reader) known(uid storage.UID) (index.Facts, bool) {
	if r.closed.Load() || r.h.closed.Load() {
		return index.Facts{}, false
	}
	if !r.acquired {
		r.acquired = true
		r.h.acquire()
	}
	s := r.h.current()
	if s == nil {
		return index.Facts{}, false
	}
	i := r.at
	if i >= len(s.files) || s.view.Messages[i].UID != uid {
		var there bool
		if i, there = s.find(uid); !there {
			return index.Facts{}, false
		}
	}
	r.at = i + 1
	f, at, found := r.h.digests.lookUp(uid, s.files[i].nameSum(), r.fact)
	r.fact = at + 1
	return f, found
}

// nameSum is what facts know a message by, besides its UID.
func (f file) nameSum() uint32 { return index.Sum([]byte(f.base)) }

func factsOf(f index.Facts) storage.Facts {
	return storage.Facts{WireSize: f.Wire, StoredSize: f.Stored, InternalDate: time.Unix(0, f.Arrived)}
}

// Facts implements storage.Reader.
func (r *reader) Facts(ctx context.Context, uid storage.UID) (storage.Facts, error) {
	if f, known := r.known(uid); known {
		return factsOf(f), nil
	}
	var facts storage.Facts
	err := r.h.withFile(ctx, uid, func(f file) error {
		st, err := r.h.store.fs.Stat(r.h.path(f.path()))
		if err != nil {
			return err
		}
		s, err := r.h.sizesOf(uid, f, st.Size())
		if err != nil {
			return err
		}
		facts = storage.Facts{WireSize: s.wire, StoredSize: s.stored, InternalDate: st.ModTime()}
		r.keep(uid, f, facts, nil, time.Time{})
		return nil
	})
	return facts, r.h.wrap("look at", err)
}

// keep notes what was found out.
func (r *reader) keep(uid storage.UID, f file, facts storage.Facts, digest []byte, sent time.Time) {
	line := index.Facts{
		UID:     uid,
		Name:    f.nameSum(),
		Arrived: facts.InternalDate.UnixNano(),
		Stored:  facts.StoredSize,
		Wire:    facts.WireSize,
	}
	switch {
	case digest == nil:
	case sent.IsZero():
		line.Date = index.DateMissing
	default:
		_, zone := sent.Zone()
		line.Date, line.Sent, line.Zone = index.DateKnown, sent.Unix(), int16(zone/60)
	}
	r.keepLine(line, digest)
}

func (r *reader) keepLine(line index.Facts, digest []byte) {
	line.Offset, line.Length, line.Sum = int64(len(r.data)), uint32(len(digest)), index.Sum(digest)
	r.lines = append(r.lines, line)
	r.data = append(r.data, digest...)
	if len(r.data) >= flushDigests || len(r.lines) >= flushFacts {
		r.flush()
	}
}

// Digest implements storage.Reader.
func (r *reader) Digest(ctx context.Context, uid storage.UID) (message.Digest, storage.Facts, error) {
	if f, known := r.known(uid); known && f.Length > 0 {
		octets := r.stored(f)
		if d, err := message.ParseDigest(octets); octets != nil && err == nil {
			return d, factsOf(f), nil
		}
	}
	var facts storage.Facts
	err := r.h.withFile(ctx, uid, func(f file) (err error) {
		facts, err = r.digest(uid, f)
		return err
	})
	if err != nil {
		return message.Digest{}, facts, r.h.wrap("parse", err)
	}
	d, err := message.ParseDigest(r.last)
	return d, facts, r.h.wrap("parse", err)
}

// Sent implements storage.Reader.
func (r *reader) Sent(ctx context.Context, uid storage.UID) (time.Time, storage.Facts, error) {
	if f, known := r.known(uid); known {
		switch f.Date {
		case index.DateMissing:
			return time.Time{}, factsOf(f), nil
		case index.DateKnown:
			return time.Unix(f.Sent, 0).In(r.zone(f.Zone)), factsOf(f), nil
		}
	}
	d, facts, err := r.Digest(ctx, uid)
	return d.Sent(), facts, err
}

// Whole implements storage.Reader.
func (r *reader) Whole(ctx context.Context, uid storage.UID, buf []byte) (n int, err error) {
	err = r.h.withFile(ctx, uid, func(f file) (err error) {
		n, err = r.h.store.fs.ReadInto(r.h.path(f.path()), buf)
		return err
	})
	return n, r.h.wrap("read", err)
}

// zone is that of a number of minutes.
func (r *reader) zone(minutes int16) *time.Location {
	if minutes == 0 {
		return time.UTC
	}
	zone := r.zones[minutes]
	if zone == nil {
		if len(r.zones) > 100 || r.zones == nil {
			r.zones = map[int16]*time.Location{}
		}
		zone = time.FixedZone("", int(minutes)*60)
		r.zones[minutes] = zone
	}
	return zone
}

// digest parses a message.
func (r *reader) digest(uid storage.UID, f file) (facts storage.Facts, err error) {
	c, err := r.h.openContent(f)
	if err != nil {
		return facts, err
	}
	r.last, err = message.Digested(c)
	if err = errors.Join(err, c.Close()); err != nil {
		return facts, err
	}
	d, err := message.ParseDigest(r.last)
	if err != nil {
		return facts, err
	}
	facts = storage.Facts{WireSize: d.WireSize(), StoredSize: c.size, InternalDate: c.modTime}
	// What was counted is right even where a name says something else.
	if s := (sizes{facts.StoredSize, facts.WireSize}); s != f.sizes() {
		r.h.remember(uid, s)
	}
	if len(r.last) <= maxDigest {
		r.keep(uid, f, facts, r.last, d.Sent())
	}
	return facts, nil
}

// stored reads a digest, nil if it is not as it was written.
func (r *reader) stored(f index.Facts) []byte {
	size := int64(f.Length)
	if size > maxDigest {
		return nil
	}
	if f.Offset < r.from || f.Offset+size > r.from+int64(len(r.window)) {
		want := size
		if end := r.from + int64(len(r.window)); len(r.window) > 0 && f.Offset >= end-size && f.Offset-end < readAhead {
			// As before: the next will be behind this one. Fifty digests, a page of
			// webmail, are not 128 KB.
			want = max(size, min(readAhead, max(readFirst, 2*int64(len(r.window)))))
		}
		r.makeRoom(want)
		n, err := r.h.readDigests(r.window[:want], f.Offset)
		r.window, r.from = r.window[:n], f.Offset
		if err != nil || int64(n) < size {
			return nil
		}
	}
	octets := r.window[f.Offset-r.from:][:size:size]
	if index.Sum(octets) != f.Sum {
		return nil
	}
	return octets
}
