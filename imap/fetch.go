package imap

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"

	"gomaild/imap/wire"
	"gomaild/message"
	"gomaild/storage"
)

// fetch is FETCH and UID FETCH, RFC 3501 section 6.4.5.
type fetch struct {
	set   wire.NumSet
	byUID bool
	items []fetchItem
	needs fetchNeeds
	seen  bool // some item sets \Seen

	tellsUID bool // UID is among the items

	modSeq       bool // MODSEQ is asked for, by itself or by CHANGEDSINCE
	changedSince bool // RFC 7162 section 3.1.4.1
	since        storage.ModSeq
	vanished     bool // RFC 7162 section 3.2.6
	partial      *partialRange
}

// fetchNeeds is what must be asked of the store for a message.
type fetchNeeds uint8

const (
	needsFacts fetchNeeds = 1 << iota
	needsInfo
	needsDigest
	needsFields // of the header, which the digest may have
	needsStructure
	needsContent
)

// fetchItem is one item. Items with a section are BODY[...] and its older
// names.
type fetchItem struct {
	name    string // as the response names it
	print   func(s *session, m *fetched)
	section *section
	// printSection prints the section where it is not one of BODY's.
	printSection func(s *session, sec *section, m *fetched) error
}

// fetched is one message while its response is printed.
type fetched struct {
	number  int
	view    *storage.View // whose keywords msg has
	msg     storage.Message
	facts   storage.Facts
	info    storage.Info
	digest  message.Digest
	root    *message.Part // the structure
	content storage.Content
	text    []byte // a buffer
	flagged bool   // FLAGS has been printed
	counted bool   // MODSEQ has been printed
}

// simpleItems are the items that are one word.
var simpleItems = map[string]struct {
	needs fetchNeeds
	print func(s *session, m *fetched)
}{
	"FLAGS":         {0, func(s *session, m *fetched) { s.printFlags(m.view, m.msg); m.flagged = true }},
	"UID":           {0, func(s *session, m *fetched) { s.enc.Raw("UID "); s.enc.Number(uint64(m.msg.UID)) }},
	"MODSEQ":        {0, func(s *session, m *fetched) { s.printModSeq(m.msg); m.counted = true }},
	"EMAILID":       {needsInfo, func(s *session, m *fetched) { s.objectID("EMAILID", m.info.EmailID) }},
	"THREADID":      {needsInfo, func(s *session, m *fetched) { s.objectID("THREADID", m.info.ThreadID) }},
	"SAVEDATE":      {needsInfo, func(s *session, m *fetched) { s.printSaveDate(m) }},
	"INTERNALDATE":  {needsFacts, func(s *session, m *fetched) { s.enc.Raw("INTERNALDATE "); s.enc.DateTime(m.facts.InternalDate) }},
	"RFC822.SIZE":   {needsFacts, func(s *session, m *fetched) { s.enc.Raw("RFC822.SIZE "); s.enc.Number(uint64(m.facts.WireSize)) }},
	"ENVELOPE":      {needsDigest, func(s *session, m *fetched) { s.enc.Raw("ENVELOPE "); s.enc.Octets(m.digest.Envelope()) }},
	"BODY":          {needsDigest, func(s *session, m *fetched) { s.enc.Raw("BODY "); s.enc.Append(m.digest.AppendBody) }},
	"BODYSTRUCTURE": {needsDigest, func(s *session, m *fetched) { s.enc.Raw("BODYSTRUCTURE "); s.enc.Octets(m.digest.BodyStructure()) }},
}

// olderItems are the names that RFC822 had for sections.
var olderItems = map[string]struct {
	text sectionText
	peek bool
}{
	"RFC822":        {wholeBody, false},
	"RFC822.HEADER": {headerText, true},
	"RFC822.TEXT":   {bodyText, false},
}

// macros: RFC 3501 section 6.4.5.
var macros = map[string][]string{
	"FAST": {"FLAGS", "INTERNALDATE", "RFC822.SIZE"},
	"ALL":  {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"},
	"FULL": {"FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"},
}

func parseFetch(byUID bool) func(*grammar) request {
	return func(g *grammar) request {
		r := fetch{byUID: byUID}
		if byUID {
			r.addSimple("UID") // RFC 3501 section 6.4.8: in every response
		}
		g.SP()
		r.set = g.NumSet()
		g.SP()
		if g.Peek() == '(' {
			g.List(func() { r.parseItem(g) })
		} else {
			r.parseMacro(g)
		}
		if g.Accept(' ') && g.Peek() == '(' {
			r.parseModifiers(g)
		}
		g.End()
		return r
	}
}

func (r *fetch) parseMacro(g *grammar) {
	word := g.FetchWord()
	names, isMacro := macros[word]
	if !isMacro {
		r.add(g, word)
		return
	}
	for _, name := range names {
		r.addSimple(name)
	}
}

func (r *fetch) parseItem(g *grammar) {
	r.add(g, g.FetchWord())
	if len(r.items) > g.limits.FetchItems {
		g.Fail("more than %d FETCH items", g.limits.FetchItems)
	}
}

func (r *fetch) add(g *grammar, word string) {
	if (word == "BODY" || word == "BODY.PEEK") && g.Peek() == '[' {
		sec := parseSection(g)
		r.addSection("BODY", sec, word == "BODY.PEEK")
		return
	}
	if word == "PREVIEW" {
		r.addPreview(g)
		return
	}
	if strings.HasPrefix(word, "BINARY") && g.Peek() == '[' {
		r.addBinary(g, word)
		return
	}
	if older, ok := olderItems[word]; ok {
		r.addSection(word, section{text: older.text, length: math.MaxInt64}, older.peek)
		return
	}
	if !r.addSimple(word) {
		g.Fail("unknown FETCH item")
	}
}

// addBinary: RFC 3516 section 4.
func (r *fetch) addBinary(g *grammar, word string) {
	if word != "BINARY" && word != "BINARY.PEEK" && word != "BINARY.SIZE" {
		g.Fail("unknown FETCH item")
		return
	}
	name, print := "BINARY", (*session).printBinary
	if word == "BINARY.SIZE" {
		name, print = word, (*session).printBinarySize
	}
	sec := parseBinary(g, name == "BINARY")
	r.items = append(r.items, fetchItem{name: name, section: &sec, printSection: print})
	r.needs |= needsContent | needsStructure
	r.seen = r.seen || word == "BINARY"
}

func (r *fetch) addSimple(name string) bool {
	item, ok := simpleItems[name]
	if !ok {
		return false
	}
	if !slices.ContainsFunc(r.items, func(i fetchItem) bool { return i.name == name && i.section == nil }) {
		r.items = append(r.items, fetchItem{name: name, print: item.print})
		r.needs |= item.needs
		r.modSeq = r.modSeq || name == "MODSEQ"
		r.tellsUID = r.tellsUID || name == "UID"
	}
	return true
}

func (r *fetch) addSection(name string, sec section, peek bool) {
	r.items = append(r.items, fetchItem{name: name, section: &sec})
	switch {
	case sec.kept != 0:
		r.needs |= needsFields
	case sec.needsStructure():
		r.needs |= needsContent | needsStructure
	default:
		r.needs |= needsContent | needsFacts
	}
	r.seen = r.seen || !peek
}

func (r fetch) run(ctx context.Context, s *session) (reply, error) {
	where, err := r.begin(ctx, s)
	if err != nil {
		return reply{}, err
	}
	told := s.box.known
	if r.seen && !s.box.readOnly && s.box.permanent(storage.Seen) {
		if err := s.markSeen(ctx, where); err != nil {
			return reply{}, err
		}
	}
	var failed error
	m := new(fetched)
	known := s.box.mailbox.Reader()
	defer func() { s.warn("close what is kept of messages", known.Close()) }()
	for i := range where.all() {
		*m = fetched{number: i + 1, view: s.box.known, msg: s.box.known.Messages[i], text: m.text}
		changed := m.msg.Flags != told.Messages[i].Flags
		if err := r.message(ctx, s, known, m, changed); err != nil {
			if failed == nil || !errors.Is(err, storage.ErrExpunged) {
				failed = err
			}
		}
		if s.enc.Err() != nil {
			return reply{}, s.enc.Err()
		}
	}
	return reply{}, failed
}

// markSeen sets \Seen on those messages that lack it, all at once, and moves
// the known View to what that made of them; the responses will say so.
func (s *session) markSeen(ctx context.Context, where positions) error {
	var uids []storage.UID
	for i := range where.all() {
		if m := s.box.known.Messages[i]; unseen(m) {
			uids = append(uids, m.UID)
		}
	}
	if len(uids) == 0 {
		return nil
	}
	before, err := s.viewForEvents(ctx)
	if err != nil {
		return err
	}
	edit := storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Seen}
	if _, err := s.box.mailbox.SetFlags(ctx, uids, edit, 0); err != nil {
		return err
	}
	now, err := s.box.mailbox.View(ctx)
	if err != nil {
		return err
	}
	var changed []storage.Message
	for _, uid := range uids {
		if i, found := now.Index(uid); found {
			changed = append(changed, now.Messages[i])
		}
	}
	s.box.absorb(now, changed)
	s.flagEvent(ctx, before, now, uids)
	return nil
}

// message prints the FETCH response of one message. What can fail is asked of
// the store first; a response that was begun and cannot be finished is taken
// back.
func (r fetch) message(ctx context.Context, s *session, known storage.Reader, m *fetched, tellFlags bool) error {
	err := r.gather(ctx, s.box.mailbox, known, m)
	if m.content != nil {
		defer func() { s.warn("close message", m.content.Close()) }()
	}
	if err != nil {
		return err
	}
	mark := s.enc.Mark()
	s.enc.Raw("* ")
	s.enc.Number(uint64(m.number))
	s.enc.Raw(" FETCH (")
	for i, item := range r.items {
		if i > 0 {
			s.enc.Byte(' ')
		}
		if err := item.printTo(s, m); err != nil {
			if !s.enc.Rollback(mark) {
				s.ended = true // half a response is sent: only silence is honest
			}
			return err
		}
	}
	if tellFlags && !m.flagged {
		s.enc.Byte(' ')
		s.printFlags(m.view, m.msg)
	}
	if m.flagged || tellFlags {
		s.printModSeqToo(m)
	}
	if tellFlags && !r.tellsUID && s.tellsUID() {
		s.enc.Raw(" UID ")
		s.enc.Number(uint64(m.msg.UID))
	}
	s.enc.Byte(')')
	s.enc.CRLF()
	return nil
}

// gather asks the store for what the items need.
func (r fetch) gather(ctx context.Context, mailbox storage.Mailbox, known storage.Reader, m *fetched) (err error) {
	uid := m.msg.UID
	if r.needs&needsInfo != 0 {
		if m.info, err = mailbox.Info(ctx, uid); err != nil {
			return err
		}
	}
	switch {
	case r.needs&(needsDigest|needsFields|needsStructure) != 0:
		m.digest, m.facts, err = known.Digest(ctx, uid)
	case r.needs&needsFacts != 0:
		m.facts, err = known.Facts(ctx, uid)
	}
	if err != nil {
		return err
	}
	fields := r.needs&needsFields == 0 || m.digest.HasFields()
	if r.needs&needsStructure != 0 || !fields {
		if m.root, err = m.digest.Structure(); err != nil {
			return err
		}
	}
	if r.needs&needsContent == 0 && fields {
		return nil
	}
	if m.content, err = mailbox.Content(ctx, uid); err != nil {
		return err
	}
	if m.content.Size() != m.facts.StoredSize && r.needs&(needsFacts|needsStructure) != 0 {
		return r.again(ctx, mailbox, m)
	}
	return nil
}

// again looks at a message whose file is not what was kept of it: somebody
// wrote over it.
func (r fetch) again(ctx context.Context, mailbox storage.Mailbox, m *fetched) error {
	info, err := mailbox.Info(ctx, m.msg.UID)
	if err != nil {
		return err
	}
	m.facts = info.Facts
	if r.needs&needsStructure == 0 {
		return nil
	}
	summary, err := message.Parse(m.content)
	if err == nil {
		m.root = &summary.Root
	}
	return err
}

func (item fetchItem) printTo(s *session, m *fetched) error {
	if item.section == nil {
		item.print(s, m)
		return nil
	}
	if item.printSection != nil {
		return item.printSection(s, item.section, m)
	}
	if item.section.kept != 0 && m.digest.HasFields() {
		s.printKept(item, m)
		return nil
	}
	if item.section.isWhole() && m.facts.WireSize <= wholeAtOnce {
		s.printWhole(item, m)
		return nil
	}
	r, size, ok, err := item.section.extract(m)
	if err != nil {
		return err
	}
	s.enc.Raw(item.name)
	if item.name == "BODY" {
		s.printSection(item.section)
	}
	s.enc.Byte(' ')
	if !ok {
		s.enc.Raw("NIL")
		return nil
	}
	s.enc.Literal(size, r)
	return nil
}
