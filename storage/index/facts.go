package index

import (
	"encoding/binary"

	"gomaild/storage"
)

// Facts is what a mailbox keeps of a message that was looked at, besides its
// flags: sizes, times and where its digest lies. Like the digests they can be
// lost at any time: then the message is looked at again.
//
// They are a file of lines of 64 octets, the first of which names the generation
// of the file; the digests are in another file, of the same generation, one
// behind the other. Both are only ever appended to, or written anew in another
// generation. Each line and each digest has a checksum of its own, so whatever
// a crash or a bad disk leaves behind costs what it hit, and nothing else.
type Facts struct {
	UID storage.UID
	// Name is the checksum of the file's base name: a line is of another message
	// where UIDs were given out anew.
	Name    uint32
	Offset  int64  // of the digest
	Length  uint32 // of the digest, 0 for none
	Sum     uint32 // of the digest
	Arrived int64  // INTERNALDATE, nanoseconds since 1970
	Stored  int64  // octets of the file
	Wire    int64  // RFC822.SIZE
	Date    Date   // of a message with a digest
	Sent    int64  // the Date field, seconds since 1970
	Zone    int16  // of Sent, minutes east of UTC
}

// Date says what is known of the Date field.
type Date uint8

// What can be known of it.
const (
	DateUnknown Date = iota // nobody looked
	DateMissing             // or unreadable
	DateKnown
)

// Sizes of the files' pieces in octets.
const (
	FactsLine    = 64 // of a line, and of the file's beginning
	DigestHeader = 32 // of the digests' beginning
)

// The beginnings of the files: what they are, and the version.
const (
	factsMagic  = "gomaild facts 1\n"
	digestMagic = "gomaild digest2\n" // of the digests' form, too
)

// Sum is the checksum of all that lies in these files.
func Sum(data []byte) uint32 { return checksum(data) }

// AppendFactsHeader adds the first line of a file of facts.
func AppendFactsHeader(dst []byte, generation uint64) []byte {
	return appendHeader(dst, factsMagic, generation, FactsLine)
}

// AppendDigestHeader adds the beginning of a file of digests.
func AppendDigestHeader(dst []byte, generation uint64) []byte {
	return appendHeader(dst, digestMagic, generation, DigestHeader)
}

func appendHeader(dst []byte, magic string, generation uint64, size int) []byte {
	line := make([]byte, size)
	copy(line, magic)
	binary.LittleEndian.PutUint64(line[len(magic):], generation)
	return append(dst, seal(line)...)
}

// seal puts the checksum of what is before them into the last four octets.
func seal(line []byte) []byte {
	end := len(line) - 4
	binary.LittleEndian.PutUint32(line[end:], checksum(line[:end]))
	return line
}

func isSealed(line []byte) bool {
	end := len(line) - 4
	return binary.LittleEndian.Uint32(line[end:]) == checksum(line[:end])
}

// FactsGeneration is that of a file of facts with this first line. ErrDamaged.
func FactsGeneration(line []byte) (uint64, error) { return generation(line, factsMagic, FactsLine) }

// DigestGeneration is that of a file of digests with this beginning. ErrDamaged.
func DigestGeneration(head []byte) (uint64, error) {
	return generation(head, digestMagic, DigestHeader)
}

func generation(line []byte, magic string, size int) (uint64, error) {
	if len(line) != size || string(line[:len(magic)]) != magic || !isSealed(line) {
		return 0, ErrDamaged
	}
	return binary.LittleEndian.Uint64(line[len(magic):]), nil
}

// AppendFacts adds a line.
func AppendFacts(dst []byte, f Facts) []byte {
	var line [FactsLine]byte
	binary.LittleEndian.PutUint32(line[0:], uint32(f.UID))
	binary.LittleEndian.PutUint32(line[4:], f.Name)
	binary.LittleEndian.PutUint64(line[8:], uint64(f.Offset))
	binary.LittleEndian.PutUint32(line[16:], f.Length)
	binary.LittleEndian.PutUint32(line[20:], f.Sum)
	binary.LittleEndian.PutUint64(line[24:], uint64(f.Arrived))
	binary.LittleEndian.PutUint64(line[32:], uint64(f.Stored))
	binary.LittleEndian.PutUint64(line[40:], uint64(f.Wire))
	binary.LittleEndian.PutUint64(line[48:], uint64(f.Sent))
	binary.LittleEndian.PutUint16(line[56:], uint16(f.Zone))
	line[58] = byte(f.Date)
	return append(dst, seal(line[:])...)
}

// ParseFacts reads a line. False where it is damaged.
func ParseFacts(line []byte) (Facts, bool) {
	if len(line) != FactsLine || !isSealed(line) {
		return Facts{}, false
	}
	f := Facts{
		UID:     storage.UID(binary.LittleEndian.Uint32(line[0:])),
		Name:    binary.LittleEndian.Uint32(line[4:]),
		Offset:  int64(binary.LittleEndian.Uint64(line[8:])),
		Length:  binary.LittleEndian.Uint32(line[16:]),
		Sum:     binary.LittleEndian.Uint32(line[20:]),
		Arrived: int64(binary.LittleEndian.Uint64(line[24:])),
		Stored:  int64(binary.LittleEndian.Uint64(line[32:])),
		Wire:    int64(binary.LittleEndian.Uint64(line[40:])),
		Sent:    int64(binary.LittleEndian.Uint64(line[48:])),
		Zone:    int16(binary.LittleEndian.Uint16(line[56:])),
		Date:    Date(line[58]),
	}
	return f, f.Date <= DateKnown && line[59] == 0 && f.UID != 0 && f.Offset >= 0 && f.Stored >= 0 && f.Wire >= f.Stored
}
