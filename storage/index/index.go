// Package index is the file that keeps of a mailbox what its messages cannot
// tell: the MODSEQ of each, and which UIDs vanished when (RFC 7162). Package
// maildir decides when it is written and removed; here is its form.
//
// The file can always be missing: then all MODSEQs jump ahead, and clients
// resynchronise. So whatever is doubtful about one (checksum, version, a number
// out of order) is an error, and never half an index.
package index

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"gomaild/storage"
)

// Index is the content of the file.
type Index struct {
	// View has all fields but MoreKeywords.
	View    storage.View
	History storage.History
	// Foreign tells apart states of other programs' indexes beside this one:
	// what they changed meanwhile is not in here.
	Foreign string
}

// magic is the version too.
const magic = "gomaild index 2\n"

// ErrDamaged is returned for everything that Format would not write.
var ErrDamaged = errors.New("index is damaged or of another version")

// castagnoli is a checksum that processors have an instruction for.
func checksum(data []byte) uint32 {
	return crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli))
}

// Format is the file: the magic line, numbers as varints, and a checksum of all
// that in four octets.
func (x *Index) Format() []byte {
	v := &x.View
	b := make([]byte, 0, 128+16*len(v.Messages)+8*len(x.History.Gone))
	b = append(b, magic...)
	b = appendString(b, v.MailboxID)
	b = appendString(b, x.Foreign)
	b = appendNumbers(b, uint64(v.UIDValidity), uint64(v.UIDNext), uint64(v.HighestModSeq), uint64(x.History.Since))
	b = appendNumbers(b, uint64(len(v.Keywords)))
	for _, k := range v.Keywords {
		b = appendString(b, k)
	}
	b = appendNumbers(b, uint64(len(v.Messages)))
	var last storage.UID
	for _, m := range v.Messages {
		b = appendNumbers(b, uint64(m.UID-last), uint64(v.HighestModSeq-m.ModSeq), uint64(m.Flags))
		b = appendString(b, string(m.Keywords))
		last = m.UID
	}
	b = appendNumbers(b, uint64(len(x.History.Gone)))
	for _, g := range x.History.Gone {
		b = appendNumbers(b, uint64(g.UID), uint64(v.HighestModSeq-g.ModSeq))
	}
	return binary.BigEndian.AppendUint32(b, checksum(b))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// Parse reads a file, in time and memory of its length. ErrDamaged.
func Parse(data []byte) (*Index, error) {
	end := len(data) - 4
	if end < len(magic) || string(data[:len(magic)]) != magic || checksum(data[:end]) != binary.BigEndian.Uint32(data[end:]) {
		return nil, ErrDamaged
	}
	r := reader{rest: data[len(magic):end]}
	x := &Index{}
	x.View.MailboxID, x.Foreign = r.text(), r.text()
	x.View.UIDValidity = uint32(r.number(math.MaxUint32))
	x.View.UIDNext = storage.UID(r.number(math.MaxUint32))
	x.View.HighestModSeq = storage.ModSeq(r.number(math.MaxInt64))
	x.History.Since = storage.ModSeq(r.number(uint64(x.View.HighestModSeq)))
	for range r.count(1) {
		x.View.Keywords = append(x.View.Keywords, r.text())
	}
	r.messages(&x.View)
	r.gone(x)
	if r.bad || len(r.rest) > 0 {
		return nil, ErrDamaged
	}
	return x, nil
}

// reader remembers that something was wrong.
type reader struct {
	rest []byte
	bad  bool
	set  storage.KeywordSet // read last
}

// number is at most limit.
func (r *reader) number(limit uint64) uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > limit {
		r.bad, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// count is of things of at least size octets each, so no more than fit.
func (r *reader) count(size int) int { return int(r.number(uint64(len(r.rest) / size))) }

func (r *reader) text() string {
	n := r.count(1)
	if n > len(r.rest) {
		r.bad, r.rest = true, nil
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *reader) messages(v *storage.View) {
	n := r.count(4)
	v.Messages = make([]storage.Message, 0, n)
	last := uint64(0)
	for range n {
		step := r.number(math.MaxUint32)
		m := storage.Message{
			ModSeq:   v.HighestModSeq - storage.ModSeq(r.number(uint64(v.HighestModSeq))),
			Flags:    storage.SystemFlag(r.number(math.MaxUint8)),
			Keywords: r.keywords(),
		}
		last += step
		if step == 0 || last >= uint64(v.UIDNext) || m.ModSeq == 0 {
			r.bad, r.rest = true, nil
			return
		}
		m.UID = storage.UID(last)
		v.Messages = append(v.Messages, m)
	}
}

func (r *reader) gone(x *Index) {
	n := r.count(2)
	last := x.History.Since
	for range n {
		g := storage.Gone{UID: storage.UID(r.number(math.MaxUint32))}
		g.ModSeq = x.View.HighestModSeq - storage.ModSeq(r.number(uint64(x.View.HighestModSeq)))
		if g.ModSeq < last {
			r.bad, r.rest = true, nil
			return
		}
		last = g.ModSeq
		x.History.Gone = append(x.History.Gone, g)
	}
}

// keywords is a set in its only form: of no more octets than there can be, and
// none of them for nothing. Neighbours share one.
func (r *reader) keywords() storage.KeywordSet {
	s := storage.KeywordSet(r.text())
	if len(s) > storage.MaxKeywords/8 || s != "" && s[len(s)-1] == 0 {
		r.bad, r.rest = true, nil
	}
	if s == r.set {
		return r.set
	}
	r.set = s
	return s
}
