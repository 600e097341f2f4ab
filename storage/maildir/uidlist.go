package maildir

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"gomaild/storage"
)

// uidlist is the content of dovecot-uidlist:
//
//	3 V<uidvalidity> N<next uid> G<mailbox guid>[ <other header fields>]
//	<uid>[ <ext>]... :<base name>
//
// UIDs ascend strictly. N is out of date as soon as lines are appended: the
// next UID is the greater of N and the last UID + 1. Version 1 (a header of
// three numbers, lines without ext and colon) is read and never written.
type uidlist struct {
	validity uint32
	next     storage.UID // above every UID ever used
	guid     string      // 32 hex digits, may be empty in a file of others
	header   []string    // other header fields, kept
	entries  []uidEntry

	mustRewrite bool  // lines may not be appended to the file as it is
	brokenAt    int   // the line of the file from which on nothing could be used, 0 if all could
	size        int64 // octets of the file
}

// uidEntry is one line.
type uidEntry struct {
	uid  storage.UID
	ext  string // extension fields with a blank between, kept
	base string
}

// errUIDListHeader means that not even the UIDVALIDITY can be read.
var errUIDListHeader = errors.New("dovecot-uidlist: unreadable header")

// maxCredibleUID bounds what a line in the unreadable part of a file can make
// the next UID: garbage may not use all numbers up.
const maxCredibleUID = math.MaxUint32 / 2

// parseUIDList reads a file. A line that cannot be read, or whose UID does not
// ascend, ends it as in Dovecot: the line and all that follow are passed over,
// but unlike Dovecot their UIDs count as used.
func parseUIDList(data string) (*uidlist, error) {
	first, rest, found := strings.Cut(data, "\n")
	if !found {
		return nil, errUIDListHeader
	}
	l := &uidlist{next: 1, size: int64(len(data))}
	version, fields, _ := strings.Cut(first, " ")
	var err error
	switch version {
	case "3":
		err = l.parseHeader(fields)
	case "1":
		err = l.parseHeaderV1(fields)
		l.mustRewrite = true
	default:
		err = errUIDListHeader
	}
	if err != nil {
		return nil, err
	}
	l.entries = make([]uidEntry, 0, strings.Count(rest, "\n"))
	l.parseLines(rest, version == "1")
	return l, nil
}

func (l *uidlist) parseHeader(fields string) error {
	for field := range strings.SplitSeq(fields, " ") {
		if field == "" {
			continue
		}
		var err error
		switch value := field[1:]; field[0] {
		case 'V':
			l.validity, err = parseNumber(value)
		case 'N':
			var n uint32
			n, err = parseNumber(value)
			l.next = max(l.next, storage.UID(n))
		case 'G':
			l.guid = value
		default:
			l.header = append(l.header, field)
		}
		if err != nil {
			return errUIDListHeader
		}
	}
	if l.validity == 0 {
		return errUIDListHeader
	}
	return nil
}

func (l *uidlist) parseHeaderV1(fields string) error {
	validity, next, _ := strings.Cut(fields, " ")
	v, err := parseNumber(validity)
	n, err2 := parseNumber(next)
	if err != nil || err2 != nil || v == 0 {
		return errUIDListHeader
	}
	l.validity, l.next = v, max(1, storage.UID(n))
	return nil
}

func parseNumber(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

func (l *uidlist) parseLines(rest string, v1 bool) {
	var last storage.UID
	broken := false
	for n := 2; rest != ""; n++ {
		line, after, complete := strings.Cut(rest, "\n")
		rest = after
		e, ok := parseLine(line, v1)
		switch {
		case ok && complete && !broken && e.uid > last:
			last = e.uid
			l.entries = append(l.entries, e)
			l.use(e.uid)
			continue
		case ok && e.uid < maxCredibleUID:
			l.use(e.uid)
		}
		if !broken {
			l.brokenAt = n
		}
		broken = true
	}
	if broken {
		l.mustRewrite = true
	}
	l.dropRepeated()
}

func parseLine(line string, v1 bool) (uidEntry, bool) {
	number, rest, _ := strings.Cut(line, " ")
	uid, err := parseNumber(number)
	if err != nil || uid == 0 {
		return uidEntry{}, false
	}
	e := uidEntry{uid: storage.UID(uid), base: rest}
	if !v1 {
		ext, base, found := cutExt(rest)
		if !found {
			return uidEntry{}, false
		}
		e.ext, e.base = ext, base
	}
	e.base, _ = splitName(e.base)
	return e, isBaseName(e.base)
}

// cutExt cuts at the first field that starts with a colon; the base name
// behind it may hold blanks.
func cutExt(s string) (ext, base string, found bool) {
	if base, found = strings.CutPrefix(s, ":"); found {
		return "", base, true
	}
	return strings.Cut(s, " :")
}

func isBaseName(s string) bool {
	return s != "" && s[0] != '.' && strings.IndexByte(s, '/') < 0 && strings.IndexByte(s, 0) < 0 && strings.IndexByte(s, '\n') < 0
}

func (l *uidlist) use(uid storage.UID) {
	if uid >= l.next && uid < math.MaxUint32 {
		l.next = uid + 1
	}
	if uid == math.MaxUint32 {
		l.next = math.MaxUint32
	}
}

// dropRepeated keeps of two lines for one file the later: the first is of a
// message that was removed and came back.
func (l *uidlist) dropRepeated() {
	seen := make(map[string]struct{}, len(l.entries))
	repeated := map[storage.UID]struct{}{}
	for i := len(l.entries) - 1; i >= 0; i-- {
		e := l.entries[i]
		if _, again := seen[e.base]; again {
			repeated[e.uid] = struct{}{}
		}
		seen[e.base] = struct{}{}
	}
	if len(repeated) == 0 {
		return
	}
	l.mustRewrite = true
	kept := l.entries[:0]
	for _, e := range l.entries {
		if _, drop := repeated[e.uid]; !drop {
			kept = append(kept, e)
		}
	}
	l.entries = kept
}

// format is the file of version 3.
func (l *uidlist) format() []byte {
	b := make([]byte, 0, 64+len(l.entries)*64)
	b = fmt.Appendf(b, "3 V%d N%d", l.validity, l.next)
	if l.guid != "" {
		b = append(append(b, " G"...), l.guid...)
	}
	for _, field := range l.header {
		b = append(append(b, ' '), field...)
	}
	b = append(b, '\n')
	return appendLines(b, l.entries)
}

func appendLines(b []byte, entries []uidEntry) []byte {
	for _, e := range entries {
		b = strconv.AppendUint(b, uint64(e.uid), 10)
		b = append(b, ' ')
		if e.ext != "" {
			b = append(append(b, e.ext...), ' ')
		}
		b = append(b, ':')
		b = append(append(b, e.base...), '\n')
	}
	return b
}

// errUIDsUsedUp ends a mailbox after four thousand million messages.
var errUIDsUsedUp = errors.New("no UID left in this mailbox")

// number gives the next UIDs to base names.
func (l *uidlist) number(bases []string) ([]uidEntry, error) {
	if uint64(l.next)+uint64(len(bases)) > math.MaxUint32 {
		return nil, errUIDsUsedUp
	}
	entries := make([]uidEntry, len(bases))
	for i, base := range bases {
		entries[i] = uidEntry{uid: l.next + storage.UID(i), base: base}
	}
	return entries, nil
}

// add takes over numbered entries that are on disk.
func (l *uidlist) add(entries []uidEntry) {
	l.entries = append(l.entries, entries...)
	if n := len(entries); n > 0 {
		l.use(entries[n-1].uid)
	}
}
