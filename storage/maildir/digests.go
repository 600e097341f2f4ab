package maildir

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"gomaild/internal/durable"
	"gomaild/storage"
	"gomaild/storage/index"
)

// What was once parsed of a message is kept in two files of its mailbox: a line
// of facts for each message, and the digests (package index has the form). They
// are a help and never the truth. Nothing in them is synced; whatever is
// missing or damaged is parsed again; an error of the disk is said once in the
// log and ends the keeping, not the session.
//
// The lines are in memory from the first question until the last handle is
// closed. The digests stay on disk, and are read a window at a time by those who
// ask. The files are open only while somebody reads; then they are locked, so
// that of two processes one writes.
const (
	factsFile   = "gomaild.facts"
	digestsFile = "gomaild.digests"
)

const (
	maxDigest = 256 << 10 // a longer one is not kept
	maxFacts  = 1 << 30   // octets of a file of facts that are looked at: 16 million messages
)

// digests is what all readers of a mailbox share.
type digests struct {
	mu         sync.Mutex
	readers    int
	facts      []index.Facts // by UID
	generation uint64        // 0: no files
	factsEnd   int64
	digestsEnd int64
	lines      int          // in the file
	table      durable.File // facts; nil: not open for writing
	data       durable.File
	seen       [2]stamp // of the files of this generation when they were closed, zero: not known
	readOnly   bool     // somebody else writes, or the disk does not let us
	complained bool
}

// acquire opens the files for a reader, unless they are as they were left: then
// the facts are in memory, and the digests are opened by who wants one. Call
// release afterwards.
func (m *mailbox) acquire() {
	d := &m.digests
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.readers++; d.readers > 1 {
		return
	}
	d.readOnly = false
	if m.digestsAreAsLeft() {
		return
	}
	err := m.openDigests()
	if err == nil {
		return
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, index.ErrDamaged) {
		m.complain("open", err)
		d.readOnly = true
	}
	m.closeDigests()
	d.forget()
}

// forget is for files that are not there, or not those that were read.
func (d *digests) forget() {
	d.generation, d.factsEnd, d.digestsEnd, d.lines = 0, 0, 0, 0
	d.facts, d.seen = nil, [2]stamp{}
}

// digestsAreAsLeft reports whether the files are those whose facts are in memory.
func (m *mailbox) digestsAreAsLeft() bool {
	d := &m.digests
	if d.generation == 0 || d.seen[0].ino == 0 || d.seen[1].ino == 0 {
		return false
	}
	infos, err := m.store.fs.StatIn(m.place().dir, factsFile, digestsFile)
	return err == nil && infos[0] != nil && infos[1] != nil && stampOf(infos[0]) == d.seen[0] && stampOf(infos[1]) == d.seen[1]
}

// leave notes what the files are like that are open for writing, for
// digestsAreAsLeft.
func (d *digests) leave() {
	d.seen = [2]stamp{}
	table, err := d.table.Stat()
	if err != nil {
		return
	}
	data, err := d.data.Stat()
	if err != nil {
		return
	}
	d.seen = [2]stamp{stampOf(table), stampOf(data)}
}

func (m *mailbox) complain(op string, err error) {
	if !m.digests.complained {
		m.digests.complained = true
		m.store.log.Warn("digests are not kept", "mailbox", m.place().dir, "op", op, "error", err)
	}
}

// release gives back what acquire opened.
func (m *mailbox) release() {
	m.digests.mu.Lock()
	defer m.digests.mu.Unlock()
	if m.digests.readers--; m.digests.readers == 0 {
		if m.digests.table != nil && m.digests.data != nil {
			m.digests.leave()
		}
		m.closeDigests()
	}
}

func (m *mailbox) closeDigests() {
	d := &m.digests
	for _, f := range []durable.File{d.table, d.data} {
		if f == nil {
			continue
		}
		if err := f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
			m.complain("close", err)
		}
	}
	d.table, d.data = nil, nil
}

// openDigests opens the files that are there, and reads the facts unless they
// are those that were read before.
func (m *mailbox) openDigests() (err error) {
	d := &m.digests
	if d.table, err = m.store.fs.OpenFile(m.path(factsFile), os.O_RDWR, 0); err != nil {
		return err
	}
	if d.data, err = m.store.fs.OpenFile(m.path(digestsFile), os.O_RDWR, 0); err != nil {
		return err
	}
	if err := d.table.TryLock(); errors.Is(err, durable.ErrLocked) {
		d.readOnly = true
	} else if err != nil {
		return err
	}
	generation, err := d.headers()
	if err != nil {
		return err
	}
	tableInfo, err := d.table.Stat()
	if err != nil {
		return err
	}
	dataInfo, err := d.data.Stat()
	if err != nil {
		return err
	}
	if d.generation == generation && d.factsEnd == tableInfo.Size() && d.digestsEnd == dataInfo.Size() {
		return nil
	}
	if tableInfo.Size() > maxFacts {
		return index.ErrDamaged
	}
	d.forget()
	d.generation, d.digestsEnd = generation, dataInfo.Size()
	if err := d.load(tableInfo.Size()); err != nil {
		return err
	}
	return m.tidyDigests()
}

func (d *digests) headers() (uint64, error) {
	var line [index.FactsLine]byte
	var head [index.DigestHeader]byte
	for _, part := range []struct {
		f   durable.File
		buf []byte
	}{{d.table, line[:]}, {d.data, head[:]}} {
		if _, err := part.f.ReadAt(part.buf, 0); errors.Is(err, io.EOF) {
			return 0, index.ErrDamaged
		} else if err != nil {
			return 0, err
		}
	}
	a, err := index.FactsGeneration(line[:])
	if err != nil {
		return 0, err
	}
	b, err := index.DigestGeneration(head[:])
	if err == nil && a != b {
		err = index.ErrDamaged
	}
	return a, err
}

// load reads the lines. What a crash left of one at the end is written over.
func (d *digests) load(size int64) error {
	d.lines = int((size - index.FactsLine) / index.FactsLine)
	d.factsEnd = int64(d.lines+1) * index.FactsLine
	d.facts = make([]index.Facts, 0, d.lines)
	buf := make([]byte, min(int64(d.lines)*index.FactsLine, 1<<20))
	ordered := true
	for at := int64(index.FactsLine); at < d.factsEnd; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), d.factsEnd-at)]
		if _, err := d.table.ReadAt(buf, at); err != nil {
			return err
		}
		for i := 0; i < len(buf); i += index.FactsLine {
			f, ok := index.ParseFacts(buf[i : i+index.FactsLine])
			if !ok || f.Offset+int64(f.Length) > d.digestsEnd {
				continue
			}
			ordered = ordered && (len(d.facts) == 0 || d.facts[len(d.facts)-1].UID < f.UID)
			d.facts = append(d.facts, f)
		}
	}
	if !ordered {
		d.facts = sortFacts(d.facts)
	}
	return nil
}

// sortFacts orders facts by UID; of several about one message the last counts.
func sortFacts(facts []index.Facts) []index.Facts {
	slices.SortStableFunc(facts, func(a, b index.Facts) int { return cmp.Compare(a.UID, b.UID) })
	kept := facts[:0]
	for _, f := range facts {
		if n := len(kept); n > 0 && kept[n-1].UID == f.UID {
			kept[n-1] = f
			continue
		}
		kept = append(kept, f)
	}
	return kept
}

// find looks for a message, first at the place behind the one found before.
func (d *digests) find(uid storage.UID, hint int) (int, bool) {
	if hint < len(d.facts) && d.facts[hint].UID == uid {
		return hint, true
	}
	return slices.BinarySearchFunc(d.facts, uid, func(f index.Facts, uid storage.UID) int { return cmp.Compare(f.UID, uid) })
}

// lookUp is what is known of a message, and where in the facts.
func (d *digests) lookUp(uid storage.UID, name uint32, hint int) (index.Facts, int, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i, found := d.find(uid, hint)
	if !found || d.facts[i].Name != name {
		return index.Facts{}, i, false
	}
	return d.facts[i], i, true
}

// read fills buf from the digests.
func (m *mailbox) readDigests(buf []byte, at int64) (int, error) {
	data, err := m.digestsForReading()
	if err != nil {
		return 0, err
	}
	n, err := data.ReadAt(buf, at)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// digestsForReading are the digests, opened if they are not.
func (m *mailbox) digestsForReading() (durable.File, error) {
	d := &m.digests
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case d.data != nil:
		return d.data, nil
	case d.generation == 0:
		return nil, fs.ErrNotExist
	}
	data, err := m.store.fs.OpenFile(m.path(digestsFile), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	d.data = data
	return data, nil
}

// keepFacts appends what a reader found: lines whose offsets count from the beginning
// of data. It changes lines.
func (m *mailbox) keepFacts(lines []index.Facts, data []byte) {
	if len(lines) == 0 {
		return
	}
	d := &m.digests
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := m.writeFacts(lines, data); err != nil {
		if !errors.Is(err, errKeptElsewhere) {
			m.complain("write", err)
		}
		d.readOnly = true
		for i := range lines {
			lines[i].Length = 0 // what is known is known, for as long as this process lives
		}
	}
	d.add(lines)
}

// errKeptElsewhere is for a mailbox whose files another process writes.
var errKeptElsewhere = errors.New("another process keeps the digests")

func (m *mailbox) writeFacts(lines []index.Facts, data []byte) error {
	d := &m.digests
	if d.readOnly {
		return errKeptElsewhere
	}
	if d.table == nil {
		if err := m.openForWriting(); err != nil {
			return err
		}
	}
	if len(data) > 0 {
		if _, err := d.data.WriteAt(data, d.digestsEnd); err != nil {
			return err
		}
	}
	text := make([]byte, 0, len(lines)*index.FactsLine)
	for i := range lines {
		lines[i].Offset += d.digestsEnd
		text = index.AppendFacts(text, lines[i])
	}
	if _, err := d.table.WriteAt(text, d.factsEnd); err != nil {
		return err
	}
	d.digestsEnd += int64(len(data))
	d.factsEnd += int64(len(text))
	d.lines += len(lines)
	return nil
}

// add puts lines among the facts in memory.
func (d *digests) add(lines []index.Facts) {
	for _, f := range lines {
		if n := len(d.facts); n == 0 || d.facts[n-1].UID < f.UID {
			d.facts = append(d.facts, f)
			continue
		}
		if i, found := d.find(f.UID, 0); found {
			d.facts[i] = f
		} else {
			d.facts = slices.Insert(d.facts, i, f)
		}
	}
}

// openForWriting opens the files that are there, or makes new ones.
func (m *mailbox) openForWriting() error {
	d := &m.digests
	if d.generation == 0 {
		return m.createDigests()
	}
	m.closeDigests() // they were open for reading only
	err := m.openDigests()
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, index.ErrDamaged) {
		m.closeDigests()
		return m.createDigests()
	}
	if err == nil && d.readOnly {
		err = errKeptElsewhere
	}
	return err
}

// createDigests makes empty files in a new generation.
func (m *mailbox) createDigests() error {
	d := &m.digests
	d.forget()
	table, data, err := m.newDigests(factsFile, digestsFile)
	if err != nil {
		return err
	}
	d.table, d.data = table, data
	d.factsEnd, d.digestsEnd = index.FactsLine, index.DigestHeader
	return nil
}

// newDigests makes two files with their beginnings, the first of them locked.
func (m *mailbox) newDigests(factsName, digestsName string) (table, data durable.File, err error) {
	const flags = os.O_CREATE | os.O_RDWR
	if table, err = m.store.fs.OpenFile(m.path(factsName), flags, fileMode); err != nil {
		return nil, nil, err
	}
	if data, err = m.store.fs.OpenFile(m.path(digestsName), flags, fileMode); err != nil {
		return nil, nil, errors.Join(err, table.Close())
	}
	generation := rand.Uint64() | 1
	err = table.TryLock()
	if errors.Is(err, durable.ErrLocked) {
		err = errKeptElsewhere
	}
	if err == nil {
		err = errors.Join(table.Truncate(0), data.Truncate(0))
	}
	if err == nil {
		_, err = data.WriteAt(index.AppendDigestHeader(nil, generation), 0)
	}
	if err == nil {
		_, err = table.WriteAt(index.AppendFactsHeader(nil, generation), 0)
	}
	if err == nil {
		err = errors.Join(m.store.own(m.path(factsName)), m.store.own(m.path(digestsName)))
	}
	if err != nil {
		return nil, nil, errors.Join(err, table.Close(), data.Close())
	}
	m.digests.generation = generation
	return table, data, nil
}

// tidyDigests writes the files anew when more of the lines are dead than alive:
// of messages that are gone, or written again since.
func (m *mailbox) tidyDigests() error {
	d, s := &m.digests, m.current()
	if s == nil || d.readOnly || d.lines < 1000 {
		return nil
	}
	var live []index.Facts
	for i, msg := range s.view.Messages {
		if j, found := d.find(msg.UID, len(live)); found && d.facts[j].Name == s.files[i].nameSum() {
			live = append(live, d.facts[j])
		}
	}
	if d.lines <= 2*len(live)+1000 {
		return nil
	}
	if err := m.rewriteDigests(live); err != nil {
		return fmt.Errorf("tidy: %w", err)
	}
	return nil
}

func (m *mailbox) rewriteDigests(live []index.Facts) error {
	d := &m.digests
	table, data, err := m.newDigests(factsFile+".tmp", digestsFile+".tmp")
	if err != nil {
		return err
	}
	old := d.data
	oldTable := d.table
	d.table, d.data, d.facts, d.lines = table, data, nil, 0
	d.factsEnd, d.digestsEnd = index.FactsLine, index.DigestHeader
	var buf []byte
	var lines []index.Facts
	for i, f := range live {
		at := len(buf)
		buf = append(buf, make([]byte, f.Length)...)
		if n, err := old.ReadAt(buf[at:], f.Offset); n < int(f.Length) && err != nil {
			buf, f.Length = buf[:at], 0
		}
		f.Offset = int64(at)
		lines = append(lines, f)
		if len(buf) > flushDigests || i == len(live)-1 {
			if err := m.writeFacts(lines, buf); err != nil {
				return errors.Join(err, old.Close(), oldTable.Close())
			}
			d.add(lines)
			buf, lines = buf[:0], lines[:0]
		}
	}
	// Between the two the generations differ, and all is parsed again.
	return errors.Join(
		m.store.fs.Rename(m.path(digestsFile+".tmp"), m.path(digestsFile)),
		m.store.fs.Rename(m.path(factsFile+".tmp"), m.path(factsFile)),
		old.Close(), oldTable.Close())
}
