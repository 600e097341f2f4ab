package maildir

import (
	"context"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"gomaild/storage"
)

// When a message came into its mailbox (SAVEDATE, RFC 8514) is the time of the
// last change of its file's inode, until somebody renames the file or links it:
// flags do the one, COPY the other. So every line that we write has it in a
// field of ours, "D<seconds since 1970>", which Dovecot keeps as it keeps all
// letters that it does not know. Before the first rename of ours in a mailbox
// with lines by others, or of a first open of ours, which looks at no file, all of
// them get the field, from what the inodes say then: never a date before the
// message was there, so that nothing is cleared away too early by it.
const saveDateField = 'D'

// dateExt is the field of a line.
func dateExt(saved time.Time) string {
	return string(saveDateField) + strconv.FormatInt(saved.Unix(), 10)
}

// saved is what the line tells; false where it has no such field.
func savedOf(ext string) (time.Time, bool) {
	for field := range strings.FieldsSeq(ext) {
		if field[0] != saveDateField {
			continue
		}
		if sec, err := strconv.ParseInt(field[1:], 10, 64); err == nil {
			return time.Unix(sec, 0), true
		}
	}
	return time.Time{}, false
}

// isDated reports whether the line tells when the message was saved.
func isDated(ext string) bool {
	_, dated := savedOf(ext)
	return dated
}

// date gives lines the field that lack it, as far as their files can be looked at.
func (m *mailbox) date(entries []uidEntry, r *reading) {
	for some := range slices.Chunk(entries, 1000) {
		m.dateIn(some, r, false)
		if r.hasNew {
			m.dateIn(some, r, true)
		}
	}
}

// dateIn does so for files in one directory.
func (m *mailbox) dateIn(entries []uidEntry, r *reading, inNew bool) {
	var names []string
	var of []*uidEntry
	for i := range entries {
		e := &entries[i]
		if f := r.files[e.base]; f.inNew == inNew && !isDated(e.ext) {
			names, of = append(names, e.base+f.suffix.text), append(of, e)
		}
	}
	if len(names) == 0 {
		return
	}
	infos, err := m.store.fs.StatIn(m.path(subOf(inNew)), names...)
	if err != nil {
		return // the next who rewrites the list looks again
	}
	for i, info := range infos {
		if info != nil {
			of[i].ext = strings.TrimPrefix(of[i].ext+" "+dateExt(changeTime(info)), " ")
		}
	}
}

// needsDates reports whether a file that is about to leave new/ has a line
// without the field.
func (r *reading) needsDates() bool {
	return r.list != nil && slices.ContainsFunc(r.list.entries, func(e uidEntry) bool {
		f, there := r.files[e.base]
		return there && f.inNew && !isDated(e.ext)
	})
}

// keepDates gives every line its field if one of the messages has none. It is
// called before their files are touched; the lock is held. On a full disk it is
// left out: the messages must not stay for want of a date.
func (m *mailbox) keepDates(ctx context.Context, lock *dotlock, uids []storage.UID) error {
	if !m.lackDates(uids) {
		return nil
	}
	m.disk.undated = true
	err := asFarAsRoom(m.settleLocked(ctx, lock))
	m.disk.undated = false
	return err
}

func (m *mailbox) lackDates(uids []storage.UID) bool {
	s := m.current()
	return slices.ContainsFunc(uids, func(uid storage.UID) bool {
		i, there := s.find(uid)
		return there && !isDated(s.files[i].ext)
	})
}

// keepDates does the same for messages that are about to be linked.
func (h *handle) keepDates(ctx context.Context, uids []storage.UID) error {
	if !h.lackDates(uids) {
		return nil
	}
	return h.change(ctx, func(lock *dotlock) error { return h.mailbox.keepDates(ctx, lock, uids) })
}

// saveDate is when the message was saved here; info is that of its file.
func (f file) saveDate(info fs.FileInfo) time.Time {
	if saved, dated := savedOf(f.ext); dated {
		return saved
	}
	return changeTime(info)
}
