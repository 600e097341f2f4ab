package maildir

import (
	"slices"

	"gomaild/storage"
)

// state makes the state that the reading shows. Messages that are as before
// keep their MODSEQ, all others get one above modseq; if nothing changed the
// View stays.
func (r *reading) state(old *state, modseq storage.ModSeq) *state {
	b := builder{reading: r, old: old, modseq: modseq + 1}
	if old != nil && old.view.UIDValidity != r.list.validity {
		b.old = nil
	}
	b.words, b.names = r.vocabulary(), r.vocabulary().names()
	b.lettered = b.words.lettered()
	b.renamed = renamedKeywords(b.old, b.names)
	b.messages = make([]storage.Message, 0, len(r.files))
	b.files = make([]file, 0, len(r.files))
	for i, e := range r.list.entries {
		if f, there := r.fileOf(i, e.base); there {
			b.add(e, f)
		}
	}
	return b.state()
}

// fileOf is the file of a line.
func (r *reading) fileOf(i int, base string) (f found, there bool) {
	if r.lines != nil {
		return r.lines[i], r.lines[i].suffix != nil
	}
	f, there = r.files[base]
	return f, there
}

// builder goes through the old and the new messages side by side.
type builder struct {
	*reading
	old      *state
	at       int // position in old
	modseq   storage.ModSeq
	words    vocabulary
	names    []string // of words
	lettered map[int]int
	renamed  storage.KeywordSet // positions that mean something else now
	changed  bool
	messages []storage.Message
	files    []file
}

func (b *builder) add(e uidEntry, f found) {
	msg := storage.Message{
		UID:      e.uid,
		ModSeq:   b.modseq,
		Flags:    f.suffix.flags.system,
		Keywords: b.words.wordsOf(e.base, f.suffix.flags.keywords, b.lettered),
	}
	if before := b.before(e.uid); before != nil && b.same(*before, msg) {
		msg.ModSeq = before.ModSeq
	} else {
		b.changed = true
	}
	b.messages = append(b.messages, msg)
	b.files = append(b.files, file{e.base, f.suffix.text, e.ext, f.inNew})
}

// before is the message with that UID in the old view.
func (b *builder) before(uid storage.UID) *storage.Message {
	if b.old == nil {
		return nil
	}
	messages := b.old.view.Messages
	for b.at < len(messages) && messages[b.at].UID < uid {
		b.at++
		b.changed = true // one was passed over: expunged
	}
	if b.at == len(messages) || messages[b.at].UID != uid {
		return nil
	}
	b.at++
	return &messages[b.at-1]
}

func (b *builder) same(before, now storage.Message) bool {
	return before.Flags == now.Flags && before.Keywords == now.Keywords && !now.Keywords.Intersects(b.renamed)
}

func (b *builder) state() *state {
	if b.old != nil {
		v := b.old.view
		unchanged := !b.changed && b.at == len(v.Messages) && v.UIDNext == b.list.next && v.MailboxID == b.list.guid && slices.Equal(v.Keywords, b.names)
		if unchanged {
			return &state{view: v, files: b.files}
		}
	}
	return &state{
		view: &storage.View{
			MailboxID:     b.list.guid,
			UIDValidity:   b.list.validity,
			UIDNext:       b.list.next,
			HighestModSeq: b.modseq,
			Messages:      b.messages,
			Keywords:      b.names,
			MoreKeywords:  b.words.hasRoom(),
		},
		files: b.files,
	}
}

// renamedKeywords are the positions whose name is another than in old.
func renamedKeywords(old *state, names []string) storage.KeywordSet {
	if old == nil {
		return ""
	}
	var set storage.KeywordSet
	for i := range max(len(names), len(old.view.Keywords)) {
		if at(old.view.Keywords, i) != at(names, i) {
			set = set.With(i)
		}
	}
	return set
}

func at(names []string, i int) string {
	if i >= len(names) {
		return ""
	}
	return names[i]
}
