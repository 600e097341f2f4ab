package imap

import (
	"context"
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
}

func parseStore(byUID bool) func(*grammar) request {
	return func(g *grammar) request {
		r := store{byUID: byUID}
		g.SP()
		r.set = g.NumSet()
		g.SP()
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
	if len(where) == 0 {
		return reply{}, nil
	}
	if _, err := box.mailbox.SetFlags(ctx, where.uids(box.known), r.edit, 0); err != nil {
		return reply{}, err
	}
	now, err := box.mailbox.View(ctx)
	if err != nil {
		return reply{}, err
	}
	if r.report(s, now, where) {
		return reply{}, storage.ErrExpunged
	}
	return reply{}, nil
}

// report tells the client the new flags of the messages it named, or with
// .SILENT only notes that it knows them: what somebody else changed as well is
// then told by sync. It reports whether some of the messages are gone.
func (r store) report(s *session, now *storage.View, where positions) (gone bool) {
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
		if r.silent && !r.expected(old, m, s.box.known, now) {
			continue
		}
		if !r.silent {
			s.printFlagUpdate(i+1, now, m, r.byUID)
		}
		told = append(told, m)
	}
	s.box.adoptKeywords(now)
	s.box.absorb(now, told)
	return gone
}

// expected reports whether m is what the client computes for itself: the flags
// it knew, edited.
func (r store) expected(old, m storage.Message, known, now *storage.View) bool {
	var keywords storage.KeywordSet
	for _, name := range r.edit.Keywords {
		keywords |= keywordBits(now, name)
	}
	before := translateKeywords(old.Keywords, known, now)
	return edit(r.edit.Op, old.Flags, r.edit.Flags) == m.Flags && edit(r.edit.Op, before, keywords) == m.Keywords
}

func edit[S storage.SystemFlag | storage.KeywordSet](op storage.FlagOp, old, change S) S {
	switch op {
	case storage.AddFlags:
		return old | change
	case storage.RemoveFlags:
		return old &^ change
	}
	return change
}
