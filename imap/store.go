package imap

import (
	"context"
	"slices"
	"strings"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// store is STORE and UID STORE, RFC 3501 section 6.4.6.
type store struct {
	set    wire.NumSet
	byUID  bool
	silent bool
	edit   storage.FlagEdit

	conditional    bool // RFC 7162 section 3.1.3
	unchangedSince storage.ModSeq
}

func parseStore(byUID bool) func(*grammar) request {
	return func(g *grammar) request {
		r := store{byUID: byUID}
		g.SP()
		r.set = g.NumSet()
		g.SP()
		if g.Peek() == '(' {
			r.parseModifiers(g)
			g.SP()
		}
		r.parseOperation(g)
		g.SP()
		var names []string
		if g.Peek() == '(' {
			names = g.FlagList()
		} else {
			names = append(names, g.Flag())
			for g.Accept(' ') {
				names = append(names, g.Flag())
			}
		}
		g.End()
		flags := flagSetOf(g, names)
		r.edit.Flags, r.edit.Keywords = flags.system, flags.keywords
		return r
	}
}

func (r *store) parseModifiers(g *grammar) {
	g.List(func() {
		if g.Word() != "UNCHANGEDSINCE" {
			g.Fail("unknown STORE modifier")
		}
		g.SP()
		r.conditional, r.unchangedSince = true, modSeq(g)
	})
}

func (r *store) parseOperation(g *grammar) {
	word, silent := strings.CutSuffix(g.Word(), ".SILENT")
	r.silent = silent
	switch word {
	case "FLAGS":
		r.edit.Op = storage.ReplaceFlags
	case "+FLAGS":
		r.edit.Op = storage.AddFlags
	case "-FLAGS":
		r.edit.Op = storage.RemoveFlags
	default:
		g.Fail("FLAGS, +FLAGS or -FLAGS expected")
	}
}

func (r store) run(ctx context.Context, s *session) (reply, error) {
	box := s.box
	if box.readOnly {
		return reply{}, storage.ErrReadOnly
	}
	where, err := box.resolve(box.known, r.set, r.byUID)
	if err != nil {
		return reply{}, err
	}
	if r.conditional {
		s.useModSeq()
	}
	if len(where) == 0 {
		return reply{}, nil
	}
	before, err := s.viewForEvents(ctx)
	if err != nil {
		return reply{}, err
	}
	conflicts, err := r.change(ctx, box, where.uids(box.known))
	if err != nil {
		return reply{}, err
	}
	now, err := box.mailbox.View(ctx)
	if err != nil {
		return reply{}, err
	}
	defer s.flagEvent(ctx, before, now, where.uids(box.known)) // what scripts do is told after it, by sync
	if s.srv.cfg.Event == nil {
		box.fresh = now
	}
	gone := r.report(s, now, where, conflicts)
	switch {
	case gone && len(conflicts) > 0: // RFC 7162 section 3.1.3, example 11
		return reply{}, no(r.modified(box.known, conflicts), "Conditional STORE failed, and some of the messages are gone")
	case gone:
		return reply{}, storage.ErrExpunged
	case len(conflicts) > 0:
		return reply{code: r.modified(box.known, conflicts), text: "Conditional STORE failed"}, nil
	}
	return reply{}, nil
}

// change edits the flags and returns the UIDs, ascending, of the messages that
// were changed meanwhile. Since MODSEQ 0 every message was.
func (r store) change(ctx context.Context, box *selected, uids []storage.UID) ([]storage.UID, error) {
	if r.conditional && r.unchangedSince == 0 {
		return uids, nil
	}
	conflicts, err := box.mailbox.SetFlags(ctx, uids, r.edit, r.unchangedSince)
	if err == nil && len(conflicts) > 0 && r.edit.Op != storage.ReplaceFlags {
		conflicts, err = r.changeUntouched(ctx, box, conflicts)
	}
	slices.Sort(conflicts)
	return conflicts, err
}

// changeUntouched edits those of the messages of which only other flags than the
// named ones have changed since the client's MODSEQ, and returns the rest: RFC
// 7162 section 3.1.12.
func (r store) changeUntouched(ctx context.Context, box *selected, uids []storage.UID) (conflicts []storage.UID, err error) {
	now, err := box.mailbox.View(ctx)
	if err != nil {
		return nil, err
	}
	var again []storage.UID
	for _, uid := range uids {
		i, known := box.known.Index(uid)
		at, there := now.Index(uid)
		if known && there && r.untouched(box.known, now, box.known.Messages[i], now.Messages[at]) {
			again = append(again, uid)
		} else {
			conflicts = append(conflicts, uid)
		}
	}
	if len(again) == 0 {
		return conflicts, nil
	}
	more, err := box.mailbox.SetFlags(ctx, again, r.edit, now.HighestModSeq) // unless they changed once more
	return append(conflicts, more...), err
}

// untouched reports whether the client's MODSEQ is that of old or later, and the
// flags that the edit names are the same in m.
func (r store) untouched(known, now *storage.View, old, m storage.Message) bool {
	if old.ModSeq > r.unchangedSince || (old.Flags^m.Flags)&r.edit.Flags != 0 {
		return false
	}
	for _, word := range r.edit.Keywords {
		if has(known, old, word) != has(now, m, word) {
			return false
		}
	}
	return true
}

// has reports whether a message of v has a keyword.
func has(v *storage.View, m storage.Message, word string) bool {
	i := keywordBit(v, word)
	return i >= 0 && m.Keywords.Has(i)
}

// modified is the response code of RFC 7162 section 3.1.3.
func (r store) modified(v *storage.View, conflicts []storage.UID) string {
	numbers := make([]uint32, 0, len(conflicts))
	for _, uid := range conflicts {
		if i, found := v.Index(uid); found {
			numbers = append(numbers, (&results{byUID: r.byUID}).number(v, i))
		}
	}
	return string(wire.AppendSet([]byte("MODIFIED "), numbers))
}

// report tells the client the new flags of the messages it named, or with
// .SILENT only notes that it knows them: what somebody else changed as well is
// then told by sync, as are conflicts. It reports whether some of the messages
// are gone.
func (r store) report(s *session, now *storage.View, where positions, conflicts []storage.UID) (gone bool) {
	s.printKeywords(s.box.known, now)
	told := make([]storage.Message, 0, where.count())
	for i := range where.all() {
		old := s.box.known.Messages[i]
		at, found := now.Index(old.UID)
		if !found {
			gone = true
			continue
		}
		m := now.Messages[at]
		if _, conflict := slices.BinarySearch(conflicts, old.UID); conflict || r.silent && !r.expected(old, m, s.box.known, now) {
			continue
		}
		switch {
		case !r.silent:
			s.printFlagUpdate(i+1, now, m, r.byUID)
		case s.enabled&condstore != 0:
			s.printModSeqUpdate(i+1, m, r.byUID)
		}
		told = append(told, m)
	}
	s.box.adoptKeywords(now)
	s.box.absorb(now, told)
	return gone
}

// printModSeqUpdate is all that a .SILENT client must hear: it cannot compute
// the MODSEQ for itself.
func (s *session) printModSeqUpdate(number int, m storage.Message, withUID bool) {
	s.enc.Raw("* ")
	s.enc.Number(uint64(number))
	s.enc.Raw(" FETCH (")
	if withUID || s.tellsUID() {
		s.enc.Raw("UID ")
		s.enc.Number(uint64(m.UID))
		s.enc.Byte(' ')
	}
	s.printModSeq(m)
	s.enc.Raw(")\r\n")
}

// expected reports whether m is what the client computes for itself: the flags
// it knew, edited.
func (r store) expected(old, m storage.Message, known, now *storage.View) bool {
	edit := storage.FlagEdit{Op: r.edit.Op, Flags: r.edit.Flags}
	flags, words := edit.Apply(old.Flags, translateKeywords(old.Keywords, known, now), keywordBits(now, r.edit.Keywords))
	return flags == m.Flags && words == m.Keywords
}
