package journal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"
)

const (
	magic      = "GMJ1"
	headerSize = 36
	blockSize  = 4096

	// LargestMessage is the most content that a record can hold, in octets.
	LargestMessage = 256 << 10

	maxName    = 1 << 12 // of dir, and of name
	maxPayload = 20 + 2*maxName + LargestMessage
)

type kind uint8

const (
	delivery kind = 1
	forget   kind = 2
	done     kind = 3
)

// checksum is the CRC-32C of octets. The table is the library's own, made at the
// first call and not before main, which `gomaild deliver` would pay for each
// message.
func checksum(octets []byte) uint32 {
	return crc32.Checksum(octets, crc32.MakeTable(crc32.Castagnoli))
}

// Entry is a delivery.
type Entry struct {
	Dir      string    // of the Maildir folder, below the mail root
	Name     string    // in new/: base and perhaps ":2," with flags
	ModTime  time.Time // of the file
	UID, GID int       // owner of the file; -1 leaves it
	Content  []byte    // of the file; at most LargestMessage
}

// key is what a message is known by while it is renamed.
func (e *Entry) key() key { return key{e.Dir, baseOf(e.Name)} }

type key struct{ dir, base string }

func baseOf(name string) string {
	base, _, _ := strings.Cut(name, ":")
	return base
}

// valid reports whether the names are those of a file in a Maildir: a journal
// is read back from a disk that others write to, too.
func (e *Entry) valid() bool {
	return len(e.Dir) <= maxName && len(e.Name) <= maxName && len(e.Content) <= LargestMessage &&
		fs.ValidPath(e.Dir) && baseOf(e.Name) != "" && e.Name[0] != '.' && path.Base(e.Name) == e.Name
}

// record is one record of a file.
type record struct {
	kind       kind
	generation uint64
	number     uint64
	entry      Entry  // delivery, forget; Content only until the next record
	upTo       uint64 // done

	content, size int64 // where the content of a delivery lies in the file
}

// payload appends what follows the header.
func (r *record) payload(b []byte) []byte {
	e := &r.entry
	switch r.kind {
	case done:
		return binary.LittleEndian.AppendUint64(b, r.upTo)
	case delivery:
		b = binary.LittleEndian.AppendUint64(b, uint64(e.ModTime.UnixNano()))
		b = binary.LittleEndian.AppendUint32(b, uint32(e.UID))
		b = binary.LittleEndian.AppendUint32(b, uint32(e.GID))
	}
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.Dir)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(e.Name)))
	b = append(append(b, e.Dir...), e.Name...)
	return append(b, e.Content...)
}

// append appends a record without generation and number, which number fills in.
func (r *record) append(b []byte) []byte {
	at := len(b)
	b = append(b, magic...)
	b = append(b, byte(r.kind))
	b = append(b, make([]byte, headerSize-len(magic)-1)...)
	b = r.payload(b)
	head, payload := b[at:at+headerSize], b[at+headerSize:]
	binary.LittleEndian.PutUint32(head[24:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(head[28:], checksum(payload))
	return b
}

// number fills in what is known when the records of a batch are written, and
// returns the number after the last.
func number(batch []byte, generation, next uint64) uint64 {
	for len(batch) > 0 {
		head := batch[:headerSize]
		binary.LittleEndian.PutUint64(head[8:], generation)
		binary.LittleEndian.PutUint64(head[16:], next)
		binary.LittleEndian.PutUint32(head[32:], checksum(head[:32]))
		next++
		batch = batch[headerSize+binary.LittleEndian.Uint32(head[24:]):]
	}
	return next
}

// scanner reads the records of a file, of one generation, up to where they end.
type scanner struct {
	file   io.ReaderAt
	at     int64
	last   record // generation and number, 0 before the first
	buffer []byte
}

// next is the next record, io.EOF where the file ends. Other errors are those
// of the disk.
func (s *scanner) next() (*record, error) {
	r, err := s.read(s.at)
	if errors.Is(err, io.EOF) && s.at%blockSize != 0 { // the batch ended here
		s.at += blockSize - s.at%blockSize
		r, err = s.read(s.at)
	}
	if err != nil {
		return nil, err
	}
	if s.last.number != 0 && (r.generation != s.last.generation || r.number != s.last.number+1) {
		return nil, io.EOF
	}
	s.last = *r
	return r, nil
}

// read reads the record at off; io.EOF if there is none.
func (s *scanner) read(off int64) (*record, error) {
	var head [headerSize]byte
	if err := s.readAt(head[:], off); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(head[24:])
	sum := checksum(head[:32])
	if string(head[:len(magic)]) != magic || length > maxPayload || sum != binary.LittleEndian.Uint32(head[32:]) {
		return nil, io.EOF
	}
	s.buffer = append(s.buffer[:0], make([]byte, length)...)
	if err := s.readAt(s.buffer, off+headerSize); err != nil {
		return nil, err
	}
	if checksum(s.buffer) != binary.LittleEndian.Uint32(head[28:]) {
		return nil, io.EOF
	}
	r := &record{
		kind:       kind(head[4]),
		generation: binary.LittleEndian.Uint64(head[8:]),
		number:     binary.LittleEndian.Uint64(head[16:]),
	}
	if !r.parse(s.buffer) || r.number == 0 {
		return nil, io.EOF
	}
	s.at = off + headerSize + int64(length)
	r.size = int64(len(r.entry.Content))
	r.content = s.at - r.size
	return r, nil
}

// readAt fills b; io.EOF if the file ends before.
func (s *scanner) readAt(b []byte, off int64) error {
	n, err := s.file.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	return err
}

// parse takes a payload apart; false if it cannot be one of ours.
func (r *record) parse(b []byte) bool {
	switch r.kind {
	case done:
		if len(b) != 8 {
			return false
		}
		r.upTo = binary.LittleEndian.Uint64(b)
		return true
	case delivery:
		if len(b) < 16 {
			return false
		}
		r.entry.ModTime = time.Unix(0, int64(binary.LittleEndian.Uint64(b)))
		r.entry.UID = int(int32(binary.LittleEndian.Uint32(b[8:])))
		r.entry.GID = int(int32(binary.LittleEndian.Uint32(b[12:])))
		return r.parseNames(b[16:])
	case forget:
		return r.parseNames(b) && len(r.entry.Content) == 0
	}
	return false
}

func (r *record) parseNames(b []byte) bool {
	if len(b) < 4 {
		return false
	}
	dir, name := int(binary.LittleEndian.Uint16(b)), int(binary.LittleEndian.Uint16(b[2:]))
	b = b[4:]
	if len(b) < dir+name {
		return false
	}
	e := &r.entry
	e.Dir, e.Name, e.Content = string(b[:dir]), string(b[dir:dir+name]), b[dir+name:]
	return e.valid()
}
