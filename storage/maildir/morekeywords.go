package maildir

import (
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"gomaild/internal/durable"
	"gomaild/storage"
)

// A file name has 26 letters. The keywords for which none was left, and which
// messages have them, are in gomaild.keywords, a line of text each:
//
//	SUM n POSITION NAME                 what a position means, 26 and up
//	SUM m POSITION,POSITION... BASE     those of the message with that base name; "-": none any more
//
// SUM is the CRC-32C of the rest of the line in eight hexadecimal digits. Later
// lines count. Lines are appended and synced under the lock of the mailbox,
// before whatever needs them is done; a line that is torn or spoilt is passed
// over, and then whoever opens the mailbox writes the file anew, as a change does
// when most of the lines say nothing any more.
//
// Nothing but the base name ties a line to a message, so the file survives new
// UIDs, a lost index and the work of other programs, who see their 26 and leave
// it alone. A name that gets a letter by another program means that letter from
// then on.
const (
	moreKeywordsFile = "gomaild.keywords"
	maxMoreKeywords  = storage.MaxKeywords - maxKeywords
	maxKeywordName   = 255 // octets of a name without a letter

	// deliveryTakes is for how long a line may be there before its message.
	deliveryTakes = time.Hour
)

// allLetters are the positions of the letters.
const allLetters storage.KeywordSet = "\xff\xff\xff\x03"

// lettersOf is what of a set a file name can hold, moreOf the rest.
func lettersOf(s storage.KeywordSet) storage.KeywordSet { return s.Minus(moreOf(s)) }
func moreOf(s storage.KeywordSet) storage.KeywordSet    { return s.Minus(allLetters) }

// moreKeywords is the content of gomaild.keywords.
type moreKeywords struct {
	seen   stamp
	names  []string                      // of position maxKeywords and up, "" for a free one
	sets   map[string]storage.KeywordSet // by base name, none of them empty
	lines  int
	broken bool // it must be written anew
}

// parseMoreKeywords takes what makes sense.
func parseMoreKeywords(data string) *moreKeywords {
	k := &moreKeywords{sets: map[string]storage.KeywordSet{}}
	rest, ended := strings.CutSuffix(data, "\n")
	if data == "" {
		return k
	}
	k.broken = !ended
	for line := range strings.SplitSeq(rest, "\n") {
		k.lines++
		if !k.take(line) {
			k.broken = true
		}
	}
	k.dropNameless()
	return k
}

// dropNameless leaves out positions whose line is lost.
func (k *moreKeywords) dropNameless() {
	var named storage.KeywordSet
	for i, name := range k.names {
		if name != "" {
			named = named.With(i + maxKeywords)
		}
	}
	for base, set := range k.sets {
		if nameless := set.Minus(named); nameless != "" {
			k.broken = true
			k.set(base, set.Minus(nameless))
		}
	}
}

func (k *moreKeywords) take(line string) bool {
	sum, text, _ := strings.Cut(line, " ")
	if sum != lineSum(text) {
		return false
	}
	kind, text, _ := strings.Cut(text, " ")
	what, name, found := strings.Cut(text, " ")
	switch {
	case !found:
		return false
	case kind == "n":
		i, ok := parsePosition(what)
		if ok && isKeyword(name) {
			k.name(i, name)
			return true
		}
	case kind == "m" && isBaseName(name):
		set, ok := parsePositions(what)
		if ok {
			k.set(name, set)
		}
		return ok
	}
	return false
}

func lineSum(text string) string {
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(text), crc32.MakeTable(crc32.Castagnoli)))
}

func parsePosition(s string) (int, bool) {
	i, err := strconv.ParseUint(s, 10, 16)
	return int(i), err == nil && i >= maxKeywords && i < storage.MaxKeywords
}

func parsePositions(s string) (set storage.KeywordSet, ok bool) {
	if s == "-" {
		return "", true
	}
	for field := range strings.SplitSeq(s, ",") {
		i, ok := parsePosition(field)
		if !ok {
			return "", false
		}
		set = set.With(i)
	}
	return set, true
}

func (k *moreKeywords) name(i int, name string) {
	for len(k.names) <= i-maxKeywords {
		k.names = append(k.names, "")
	}
	k.names[i-maxKeywords] = name
}

func (k *moreKeywords) set(base string, set storage.KeywordSet) {
	if set == "" {
		delete(k.sets, base)
		return
	}
	k.sets[base] = set
}

// appendLine writes a line, kind and all.
func appendLine(b []byte, text string) []byte {
	return append(append(append(append(b, lineSum(text)...), ' '), text...), '\n')
}

func appendNameLine(b []byte, i int, name string) []byte {
	return appendLine(b, "n "+strconv.Itoa(i)+" "+name)
}

func appendSetLine(b []byte, base string, set storage.KeywordSet) []byte {
	positions := "-"
	for i := range set.All() {
		positions += "," + strconv.Itoa(i)
	}
	return appendLine(b, "m "+strings.TrimPrefix(positions, "-,")+" "+base)
}

// format is the file without lines that say nothing.
func (k *moreKeywords) format() (b []byte, lines int) {
	for i, name := range k.names {
		if name != "" {
			b = appendNameLine(b, i+maxKeywords, name)
			lines++
		}
	}
	for _, base := range slices.Sorted(maps.Keys(k.sets)) {
		b = appendSetLine(b, base, k.sets[base])
		lines++
	}
	return b, lines
}

// index is the position of a name, -1 for none.
func (k *moreKeywords) index(name string) int {
	if k == nil {
		return -1
	}
	i := slices.IndexFunc(k.names, func(known string) bool { return known != "" && strings.EqualFold(known, name) })
	if i < 0 {
		return -1
	}
	return i + maxKeywords
}

func (k *moreKeywords) of(base string) storage.KeywordSet {
	if k == nil {
		return ""
	}
	return k.sets[base]
}

// free are positions for n more names, fewer if there are not so many.
func (k *moreKeywords) free(n int) []int {
	var free []int
	for i := 0; i < maxMoreKeywords && len(free) < n; i++ {
		if i >= len(k.names) || k.names[i] == "" {
			free = append(free, i+maxKeywords)
		}
	}
	return free
}

// vocabulary is what both files say of names.
type vocabulary struct {
	keys keywords
	more *moreKeywords
}

func (d *onDisk) vocabulary() vocabulary  { return vocabulary{d.keys, d.more} }
func (r *reading) vocabulary() vocabulary { return vocabulary{r.keys, r.more} }

// names are those of a View: a name with a letter stands there alone.
func (v vocabulary) names() []string {
	names := v.keys.names()
	if v.more == nil || len(v.more.names) == 0 {
		return names
	}
	for len(names) < maxKeywords {
		names = append(names, "")
	}
	for _, name := range v.more.names {
		if v.keys.index(name) >= 0 {
			name = ""
		}
		names = append(names, name)
	}
	return names
}

func (v vocabulary) hasRoom() bool {
	return v.keys.hasRoom() || v.more == nil || len(v.more.free(1)) > 0
}

// lettered are the positions whose names have a letter besides: others gave it.
func (v vocabulary) lettered() map[int]int {
	if v.more == nil {
		return nil
	}
	var to map[int]int
	for i, name := range v.more.names {
		if letter := v.keys.index(name); name != "" && letter >= 0 {
			if to == nil {
				to = map[int]int{}
			}
			to[i+maxKeywords] = letter
		}
	}
	return to
}

// wordsOf is the set of a message whose name has these letters.
func (v vocabulary) wordsOf(base string, letters storage.KeywordSet, lettered map[int]int) storage.KeywordSet {
	set := v.more.of(base)
	if set == "" {
		return letters
	}
	if len(lettered) == 0 {
		return letters.Union(set)
	}
	for i := range set.All() {
		if letter, has := lettered[i]; has {
			i = letter
		}
		letters = letters.With(i)
	}
	return letters
}

// find looks names up; those that are not there are in no set.
func (v vocabulary) find(names []string) storage.KeywordSet {
	var set storage.KeywordSet
	for _, name := range names {
		i := v.keys.index(name)
		if i < 0 {
			i = v.more.index(name)
		}
		if i >= 0 {
			set = set.With(i)
		}
	}
	return set
}

// readMoreKeywords is what the file holds, known if it is the same.
func (m *mailbox) readMoreKeywords(known *moreKeywords) (*moreKeywords, error) {
	now, err := m.stampIfThere(moreKeywordsFile)
	if err != nil || known != nil && known.seen == now {
		return known, err
	}
	data, err := m.store.readFile(m.path(moreKeywordsFile))
	if err != nil {
		return nil, err
	}
	k := parseMoreKeywords(data)
	k.seen = now
	return k, nil
}

// lookAtMoreKeywords reads them again if it must. The gate is held.
func (m *mailbox) lookAtMoreKeywords() error {
	k, err := m.readMoreKeywords(m.disk.more)
	if err == nil {
		m.disk.more = k
	}
	return err
}

// defineMoreKeywords gives positions to names that have neither letter nor
// position: all or none. ErrKeywordLimit. The lock is held.
func (m *mailbox) defineMoreKeywords(names []string) (storage.KeywordSet, error) {
	var set storage.KeywordSet
	var fresh []string
	for _, name := range names {
		if i := m.disk.more.index(name); i >= 0 {
			set = set.With(i)
			continue
		}
		if len(name) > maxKeywordName {
			return "", storage.ErrKeywordLimit
		}
		fresh = append(fresh, name)
	}
	if len(fresh) == 0 {
		return set, nil
	}
	free := m.disk.more.free(len(fresh))
	if len(free) < len(fresh) {
		m.dropUnused()
		if free = m.disk.more.free(len(fresh)); len(free) < len(fresh) {
			return "", storage.ErrKeywordLimit
		}
	}
	var lines []byte
	for n, name := range fresh {
		m.disk.more.name(free[n], name)
		lines = appendNameLine(lines, free[n], name)
		set = set.With(free[n])
	}
	return set, m.writeMoreKeywords(lines, len(fresh), nil)
}

// dropUnused frees the names that no message has.
func (m *mailbox) dropUnused() {
	m.dropGone(nil)
	k := m.disk.more
	var used storage.KeywordSet
	for _, set := range k.sets {
		used = used.Union(set)
	}
	for i := range k.names {
		if k.names[i] != "" && !used.Has(i+maxKeywords) {
			k.names[i] = ""
			k.broken = true // the file says otherwise
		}
	}
}

// dropGone forgets messages that have no UID here any more, as far as that is
// known, but for those whose keywords are being written.
func (m *mailbox) dropGone(written map[string]storage.KeywordSet) {
	if !m.disk.loaded {
		return
	}
	there := make(map[string]struct{}, len(m.disk.list.entries))
	for _, e := range m.disk.list.entries {
		there[e.base] = struct{}{}
	}
	for base := range written {
		there[base] = struct{}{}
	}
	young := uint64(max(m.store.now().Add(-deliveryTakes).Unix(), 0))
	maps.DeleteFunc(m.disk.more.sets, func(base string, _ storage.KeywordSet) bool {
		_, is := there[base]
		return !is && nameArrival(base).sec < young
	})
}

// keepMoreKeywords makes durable which keywords without a letter messages have.
// The lock is held.
func (m *mailbox) keepMoreKeywords(sets map[string]storage.KeywordSet) error {
	if len(sets) == 0 {
		return nil
	}
	if err := m.lookAtMoreKeywords(); err != nil {
		return err
	}
	var lines []byte
	for _, base := range slices.Sorted(maps.Keys(sets)) {
		m.disk.more.set(base, sets[base])
		lines = appendSetLine(lines, base, sets[base])
	}
	return m.writeMoreKeywords(lines, len(sets), sets)
}

// keepMoreKeywordsOf does it for one message that is new.
func (m *mailbox) keepMoreKeywordsOf(base string, set storage.KeywordSet) error {
	if set == "" {
		return nil
	}
	return m.keepMoreKeywords(map[string]storage.KeywordSet{base: set})
}

// writeMoreKeywords makes durable what was changed, which n lines say, of the
// messages written among others. If it fails the file is read again.
func (m *mailbox) writeMoreKeywords(lines []byte, n int, written map[string]storage.KeywordSet) (err error) {
	k := m.disk.more
	defer func() {
		if err == nil {
			k.seen, err = m.stampIfThere(moreKeywordsFile)
		}
		if err != nil {
			m.disk.more, m.disk.settled = nil, false
		}
	}()
	if !k.broken && k.lines > 0 && k.lines+n <= 64+4*(len(k.names)+len(k.sets)) {
		k.lines += n
		return m.appendDurably(moreKeywordsFile, lines)
	}
	m.dropGone(written)
	whole, count := k.format()
	k.broken, k.lines = false, count
	return m.store.writeFile(m.path(moreKeywordsFile), whole)
}

func (m *mailbox) appendDurably(name string, data []byte) error {
	f, err := m.store.fs.OpenFile(m.path(name), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	if _, err = f.Write(data); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// moreKeywords finds lines that cannot be read.
func (c checker) moreKeywords() error {
	data, err := durable.ReadFile(c.fs, path.Join(c.dir, moreKeywordsFile))
	if err != nil {
		return ignoreMissing(err)
	}
	if parseMoreKeywords(string(data)).broken {
		return fmt.Errorf("%s/%s: damaged", c.dir, moreKeywordsFile)
	}
	return nil
}
