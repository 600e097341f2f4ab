package storage

import (
	"errors"
	"fmt"
	"slices"
	"sort"
)

// SystemFlag is a set of the system flags of RFC 3501 section 2.3.2. \Recent
// is no flag of a message: see Mailbox.ClaimRecent.
type SystemFlag uint8

// The system flags.
const (
	Seen SystemFlag = 1 << iota
	Answered
	Flagged
	Deleted
	Drafted // \Draft
)

// View is a mailbox at one moment. It is immutable and shared; do not write.
type View struct {
	MailboxID     string // RFC 8474: stays with a mailbox whatever its name
	UIDValidity   uint32
	UIDNext       UID
	HighestModSeq ModSeq
	Messages      []Message // ascending UIDs; message number n is Messages[n-1]
	Keywords      []string  // what the positions in a KeywordSet mean, "" for a free one
	MoreKeywords  bool      // a new keyword can be made (PERMANENTFLAGS \*)
}

// Message is one message in a View.
type Message struct {
	UID      UID
	Flags    SystemFlag
	ModSeq   ModSeq
	Keywords KeywordSet
}

// Check is nil if the view keeps the rules of every view: UIDs ascend below
// UIDNEXT, MODSEQs are at most HIGHESTMODSEQ, and keywords have names.
func (v *View) Check() error {
	if v.UIDValidity == 0 {
		return errors.New("UIDVALIDITY is 0")
	}
	var last UID
	for _, m := range v.Messages {
		switch {
		case m.UID <= last || m.UID >= v.UIDNext:
			return fmt.Errorf("UID %d after %d, UIDNEXT %d", m.UID, last, v.UIDNext)
		case m.ModSeq == 0 || m.ModSeq > v.HighestModSeq:
			return fmt.Errorf("UID %d has MODSEQ %d, HIGHESTMODSEQ is %d", m.UID, m.ModSeq, v.HighestModSeq)
		case m.Keywords.Len() != len(v.KeywordNames(m.Keywords)):
			return fmt.Errorf("UID %d has a keyword without a name", m.UID)
		}
		last = m.UID
	}
	return nil
}

// Index finds uid in the view: its position, or where it would be.
func (v *View) Index(uid UID) (i int, found bool) {
	i = sort.Search(len(v.Messages), func(i int) bool { return v.Messages[i].UID >= uid })
	return i, i < len(v.Messages) && v.Messages[i].UID == uid
}

// KeywordNames are the names of the keywords in set.
func (v *View) KeywordNames(set KeywordSet) []string {
	var names []string
	for i := range set.All() {
		if name := keyword(v, i); name != "" {
			names = append(names, name)
		}
	}
	return names
}

// FlagOp is what STORE does: FLAGS, +FLAGS, -FLAGS.
type FlagOp int

// The operations of STORE.
const (
	ReplaceFlags FlagOp = iota
	AddFlags
	RemoveFlags
)

// FlagEdit is a change of flags and keywords.
type FlagEdit struct {
	Op       FlagOp
	Flags    SystemFlag
	Keywords []string
	// Keep are system flags that ReplaceFlags leaves as they are, and
	// KeepKeywords says that it does so with all keywords.
	Keep         SystemFlag
	KeepKeywords bool
}

// Apply does the edit to one message's flags; keywords are e.Keywords.
func (e FlagEdit) Apply(flags SystemFlag, set, keywords KeywordSet) (SystemFlag, KeywordSet) {
	switch e.Op {
	case AddFlags:
		return flags | e.Flags, set.Union(keywords)
	case RemoveFlags:
		return flags &^ e.Flags, set.Minus(keywords)
	}
	if e.KeepKeywords {
		keywords = set
	}
	return e.Flags&^e.Keep | flags&e.Keep, keywords
}

// ChangeKind is the kind of a Change.
type ChangeKind int

// What a client can be told of.
const (
	Expunged ChangeKind = iota // Number is the message number at that point of the list
	Arrived                    // new messages; Number is the new EXISTS
	Flags                      // Number and Message: flags, keywords or MODSEQ differ
)

// Change is one fact that a client that knows an old View must hear.
type Change struct {
	Kind    ChangeKind
	Number  int
	UID     UID
	Message Message // for Flags
}

// Diff lists what leads from old to now, in an order that can be sent as it
// is: expunges first, from the highest number down, so that numbers in the
// list are right when they are read; then one Arrived with the new count; then
// flag changes of messages known before, by their new numbers.
func Diff(old, now *View) []Change {
	if old == now {
		return nil
	}
	var expunged, flags []Change
	i, j := 0, 0
	for i < len(old.Messages) {
		o := old.Messages[i]
		if j >= len(now.Messages) || now.Messages[j].UID != o.UID {
			expunged = append(expunged, Change{Kind: Expunged, Number: i + 1, UID: o.UID})
			i++
			continue
		}
		if now.Messages[j] != o || !sameKeywords(old, now, o.Keywords) {
			flags = append(flags, Change{Kind: Flags, Number: j + 1, UID: o.UID, Message: now.Messages[j]})
		}
		i, j = i+1, j+1
	}
	slices.Reverse(expunged)
	if j < len(now.Messages) {
		expunged = append(expunged, Change{Kind: Arrived, Number: len(now.Messages)})
	}
	return append(expunged, flags...)
}

// sameKeywords reports whether set means the same names in both.
func sameKeywords(old, now *View, set KeywordSet) bool {
	for i := range set.All() {
		if keyword(old, i) != keyword(now, i) {
			return false
		}
	}
	return true
}

func keyword(v *View, i int) string {
	if i >= len(v.Keywords) {
		return ""
	}
	return v.Keywords[i]
}
