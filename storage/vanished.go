package storage

import (
	"slices"
)

// UIDRange is the UIDs from First to Last, both in it.
type UIDRange struct{ First, Last UID }

// maxGone bounds how many expunged UIDs a History keeps.
const maxGone = 16384

// Gone is a message that was expunged, and the MODSEQ at which it went.
type Gone struct {
	UID    UID
	ModSeq ModSeq
}

// History remembers which messages went when, for VANISHED (EARLIER) of
// RFC 7162 section 3.2.6. It is bounded, and it says more rather than less:
// asked about a time before it began, it answers with every UID that is not in
// use, which the RFC allows. It is not safe for concurrent use.
type History struct {
	Since ModSeq // every expunge above this MODSEQ is in Gone
	Gone  []Gone // ascending ModSeq
}

// Record adds the messages of old that now has not.
func (h *History) Record(old, now *View) {
	if old == nil || old == now {
		return
	}
	j := 0
	for _, m := range old.Messages {
		for j < len(now.Messages) && now.Messages[j].UID < m.UID {
			j++
		}
		if j == len(now.Messages) || now.Messages[j].UID != m.UID {
			h.Gone = append(h.Gone, Gone{m.UID, now.HighestModSeq})
		}
	}
	h.trim()
}

// trim forgets the older half of a list that has grown too long.
func (h *History) trim() {
	if len(h.Gone) <= maxGone {
		return
	}
	cut := len(h.Gone) - maxGone/2
	h.Since = h.Gone[cut-1].ModSeq
	for cut < len(h.Gone) && h.Gone[cut].ModSeq == h.Since {
		cut++
	}
	h.Gone = slices.Clone(h.Gone[cut:])
}

// Vanished are the UIDs that are not in v and went after since, ascending.
func (h *History) Vanished(v *View, since ModSeq) []UIDRange {
	if since < h.Since {
		return v.unused()
	}
	var uids []UID
	for _, g := range h.Gone {
		if _, there := v.Index(g.UID); g.ModSeq > since && !there && g.UID < v.UIDNext {
			uids = append(uids, g.UID)
		}
	}
	slices.Sort(uids)
	var ranges []UIDRange
	for _, uid := range slices.Compact(uids) {
		if n := len(ranges); n > 0 && ranges[n-1].Last+1 == uid {
			ranges[n-1].Last = uid
			continue
		}
		ranges = append(ranges, UIDRange{uid, uid})
	}
	return ranges
}

// unused are the UIDs below UIDNEXT that no message has.
func (v *View) unused() []UIDRange {
	var ranges []UIDRange
	next := UID(1)
	for _, m := range v.Messages {
		if m.UID > next {
			ranges = append(ranges, UIDRange{next, m.UID - 1})
		}
		next = m.UID + 1
	}
	if next < v.UIDNext {
		ranges = append(ranges, UIDRange{next, v.UIDNext - 1})
	}
	return ranges
}
