package imap

import (
	"cmp"
	"iter"
	"slices"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// positions are index ranges [lo, hi) of a View's messages, ascending and
// apart from each other.
type positions [][2]int

// all goes over the indexes.
func (p positions) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, r := range p {
			for i := r[0]; i < r[1]; i++ {
				if !yield(i) {
					return
				}
			}
		}
	}
}

// has reports whether index i is among the positions.
func (p positions) has(i int) bool {
	n, found := slices.BinarySearchFunc(p, i, func(r [2]int, i int) int { return cmp.Compare(r[0], i) })
	return found || n > 0 && i < p[n-1][1]
}

// count is the number of indexes.
func (p positions) count() int {
	n := 0
	for _, r := range p {
		n += r[1] - r[0]
	}
	return n
}

// uids are the UIDs of the messages at the positions.
func (p positions) uids(v *storage.View) []storage.UID {
	uids := make([]storage.UID, 0, p.count())
	for i := range p.all() {
		uids = append(uids, v.Messages[i].UID)
	}
	return uids
}

// resolve finds the messages of a set in v, which is the known View or a later
// one.
func (b *selected) resolve(v *storage.View, set wire.NumSet, byUID bool) (positions, error) {
	if len(set) == 1 && set[0].Saved {
		return locate(v, b.saved), nil
	}
	return resolve(v, set, byUID)
}

// locate finds those of uids, ascending, that are still in v.
func locate(v *storage.View, uids []storage.UID) positions {
	var found positions
	for _, uid := range uids {
		if i, there := v.Index(uid); there {
			found = append(found, [2]int{i, i + 1})
		}
	}
	return merge(found)
}

// resolve finds the messages of a set in v. A UID that does not exist is
// nothing (RFC 3501 section 6.4.8); a message number that does not is an
// error of the client, except in an empty mailbox, where clients ask for 1:*.
func resolve(v *storage.View, set wire.NumSet, byUID bool) (positions, error) {
	found := make(positions, 0, len(set))
	for _, r := range set {
		var lo, hi int
		if byUID {
			lo, hi = uidRange(v, r)
		} else {
			n := len(v.Messages)
			first, last := r.Bounds(uint32(n))
			if int64(first) > int64(n) && n > 0 {
				return nil, bad("no message has the number %d", first)
			}
			lo, hi = max(int(first)-1, 0), int(min(int64(last), int64(n)))
		}
		if lo < hi {
			found = append(found, [2]int{lo, hi})
		}
	}
	return merge(found), nil
}

func uidRange(v *storage.View, r wire.Range) (lo, hi int) {
	if len(v.Messages) == 0 {
		return 0, 0
	}
	first, last := r.Bounds(uint32(v.Messages[len(v.Messages)-1].UID))
	lo, _ = v.Index(storage.UID(first))
	hi, found := v.Index(storage.UID(last))
	if found {
		hi++
	}
	return lo, hi
}

// merge sorts ranges and joins those that touch.
func merge(p positions) positions {
	slices.SortFunc(p, func(a, b [2]int) int { return cmp.Compare(a[0], b[0]) })
	out := p[:0]
	for _, r := range p {
		if n := len(out); n > 0 && r[0] <= out[n-1][1] {
			out[n-1][1] = max(out[n-1][1], r[1])
			continue
		}
		out = append(out, r)
	}
	return out
}
