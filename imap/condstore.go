package imap

import (
	"context"
	"strconv"

	"gomaild/storage"
)

// useModSeq is what a CONDSTORE enabling command does (RFC 7162 section 3.1):
// from now on MODSEQ is told with flags.
func (s *session) useModSeq() {
	if s.enabled&condstore != 0 {
		return
	}
	s.enabled |= condstore
	if s.box != nil {
		s.printHighestModSeq(s.box.known)
	}
}

func (s *session) printHighestModSeq(v *storage.View) {
	s.printOK(highestModSeq(v), "Highest")
}

// highestModSeq is the response code of RFC 7162 section 3.1.2.1.
func highestModSeq(v *storage.View) string {
	return "HIGHESTMODSEQ " + strconv.FormatUint(uint64(v.HighestModSeq), 10)
}

// tellsUID reports whether FETCH responses that were not asked for, or that tell
// of \Seen as well, carry the UID (RFC 7162 section 3.2.4, RFC 9051 section
// 7.5.2).
func (s *session) tellsUID() bool { return s.enabled&(condstore|imap4rev2) != 0 }

// printModSeq prints `MODSEQ (n)` of a message.
func (s *session) printModSeq(m storage.Message) {
	s.box.toldModSeq = max(s.box.toldModSeq, m.ModSeq)
	s.enc.Raw("MODSEQ (")
	s.enc.Number(uint64(m.ModSeq))
	s.enc.Byte(')')
}

// modSeq reads a mod-sequence-valzer.
func modSeq(g *grammar) storage.ModSeq { return storage.ModSeq(g.Number()) }

// modSeqKey is the search key MODSEQ, RFC 7162 section 3.1.5. All flags of a
// message share one MODSEQ here, so the name of a flag says nothing more.
func (p *searchParser) modSeqKey() searchKey {
	p.modSeq = true
	p.g.SP()
	if p.g.Peek() == '"' {
		p.g.AString()
		p.g.SP()
		switch p.g.Word() {
		case "PRIV", "SHARED", "ALL":
		default:
			p.g.Fail("priv, shared or all expected")
		}
		p.g.SP()
	}
	n := modSeq(p.g)
	return byFlags(func(c *candidate) bool { return c.msg.ModSeq >= n })
}

// correctModSeq tells a client how far it has heard, where the MODSEQs that it was
// told let it believe more: an expunge with a lower one is held for now (RFC 7162
// sections 3.2 and 6). Otherwise it would never hear of it if it lost the
// connection.
func (s *session) correctModSeq() {
	box := s.box
	behind := box.toldModSeq > box.known.HighestModSeq
	if s.enabled&condstore != 0 && (behind || box.corrected) {
		s.printHighestModSeq(box.known)
	}
	box.toldModSeq, box.corrected = 0, behind
}

// afterExpunge is the reply of a command that took messages away: with
// CONDSTORE it says where the mailbox is now (RFC 7162 section 3.2.7).
func (s *session) afterExpunge(ctx context.Context) (reply, error) {
	if s.enabled&condstore == 0 {
		return reply{}, nil
	}
	v, err := s.box.mailbox.View(ctx)
	if err != nil {
		s.warn("look at mailbox", err)
		return reply{}, nil // it is done; only the code cannot be said
	}
	return reply{code: highestModSeq(v)}, nil
}

// parseModifiers: RFC 7162 sections 3.1.4.1 and 3.2.6, RFC 9394 section 3.3.
func (r *fetch) parseModifiers(g *grammar) {
	g.List(func() {
		switch g.Word() {
		case "CHANGEDSINCE":
			g.SP()
			r.changedSince, r.since = true, modSeq(g)
			r.addSimple("MODSEQ")
		case "VANISHED":
			r.vanished = true
		case "PARTIAL":
			g.SP()
			if r.partial = parsePartial(g); !r.byUID {
				g.Fail("PARTIAL is for UID FETCH")
			}
		default:
			g.Fail("unknown FETCH modifier")
		}
	})
	if r.vanished && (!r.byUID || !r.changedSince) {
		g.Fail("VANISHED is for UID FETCH with CHANGEDSINCE")
	}
}

// begin finds the messages and does what comes before their responses.
func (r *fetch) begin(ctx context.Context, s *session) (positions, error) {
	if r.vanished && s.enabled&qresync == 0 {
		return nil, bad("QRESYNC must be enabled first")
	}
	where, err := s.box.resolve(s.box.known, r.set, r.byUID)
	if err != nil {
		return nil, err
	}
	if r.modSeq {
		s.useModSeq()
	}
	if r.partial != nil {
		where = r.partial.positions(where)
	}
	if r.changedSince { // of those in the window, RFC 9394 section 3.4
		where = changedSince(s.box.known, where, r.since)
	}
	if r.vanished {
		return where, s.printVanishedSince(ctx, r.since, r.set, 0)
	}
	return where, nil
}

// printModSeqToo adds what a client that enabled CONDSTORE hears with flags.
func (s *session) printModSeqToo(m *fetched) {
	if s.enabled&condstore != 0 && !m.counted {
		s.enc.Byte(' ')
		s.printModSeq(m.msg)
	}
}

// changedSince are those of the messages that changed after since.
func changedSince(v *storage.View, where positions, since storage.ModSeq) positions {
	var changed positions
	for i := range where.all() {
		if v.Messages[i].ModSeq > since {
			changed = append(changed, [2]int{i, i + 1})
		}
	}
	return merge(changed)
}
