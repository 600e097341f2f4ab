package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// Digest is a Summary in the form in which stores keep it on disk: what clients
// ask for most lies in it ready to be sent. It is made once by Digested and
// read by ParseDigest without a copy, so all that its methods return is valid as
// long as the octets are.
//
// The form: numbers as varints (size on the wire; 1, seconds since 1970 and
// minutes east of UTC of the Date field, or 0; 1 if the kept fields are all that
// the header has of them, else 0; the lengths of the five parts that follow),
// ENVELOPE, BODYSTRUCTURE, the ranges to be cut out of it for BODY, the MIME
// tree (digesttree.go), the preview, and to the end the kept header fields
// (digestfields.go). A store that keeps digests calls a change of the form by another
// version.
type Digest struct {
	wireSize  int64
	isSent    bool
	sent      int64 // seconds since 1970
	zone      int64 // minutes east of UTC
	complete  bool
	envelope  []byte
	structure []byte
	cuts      []byte
	tree      []byte
	preview   []byte
	fields    []byte
}

// ErrDigest is returned for octets that Digested did not make.
var ErrDigest = errors.New("message digest is damaged")

// Digested parses a message as Parse does and returns the octets of its digest.
// The only errors are those of reading c, wrapped.
func Digested(c Content) ([]byte, error) {
	s, err := Parse(c)
	if err != nil {
		return nil, err
	}
	fields, complete, err := keepFields(c, s.Root.Header)
	if err != nil {
		return nil, err
	}
	preview, err := Preview(c, &s.Root)
	if err != nil {
		return nil, err
	}
	return s.appendDigest(nil, fields, complete, preview), nil
}

func (s *Summary) appendDigest(dst, fields []byte, complete bool, preview string) []byte {
	envelope := s.Root.Envelope.Append(nil)
	structure := structureWriter{extended: true}
	structure.part(&s.Root)
	var cuts []byte
	at := 0
	for _, c := range structure.cuts { // inner ones come first, so these are disjoint and ascend
		cuts = binary.AppendUvarint(cuts, uint64(c.from-at))
		cuts = binary.AppendUvarint(cuts, uint64(c.to-c.from))
		at = c.to
	}
	tree := appendTree(nil, &s.Root)

	dst = binary.AppendUvarint(dst, uint64(s.WireSize))
	if s.Date.IsZero() {
		dst = append(dst, 0)
	} else {
		_, offset := s.Date.Zone()
		dst = append(dst, 1)
		dst = binary.AppendVarint(dst, s.Date.Unix())
		dst = binary.AppendVarint(dst, int64(offset/60))
	}
	if complete {
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	for _, part := range [][]byte{envelope, structure.dst, cuts, tree, []byte(preview)} {
		dst = binary.AppendUvarint(dst, uint64(len(part)))
	}
	for _, part := range [][]byte{envelope, structure.dst, cuts, tree, []byte(preview), fields} {
		dst = append(dst, part...)
	}
	return dst
}

// ParseDigest reads what Digested made. ErrDigest.
func ParseDigest(octets []byte) (Digest, error) {
	r := digestReader{rest: octets}
	d := Digest{wireSize: int64(r.number(math.MaxInt64))}
	if d.isSent = r.number(1) == 1; d.isSent {
		d.sent, d.zone = r.signed(), r.signed()
	}
	d.complete = r.number(1) == 1
	var sizes [5]uint64
	for i := range sizes {
		sizes[i] = r.number(uint64(len(octets)))
	}
	for i, part := range []*[]byte{&d.envelope, &d.structure, &d.cuts, &d.tree, &d.preview} {
		*part = r.take(sizes[i])
	}
	d.fields = r.rest
	if r.bad {
		return Digest{}, ErrDigest
	}
	return d, nil
}

// digestReader remembers that something was wrong.
type digestReader struct {
	rest []byte
	bad  bool
}

func (r *digestReader) fail() { r.rest, r.bad = nil, true }

// number is at most limit.
func (r *digestReader) number(limit uint64) uint64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > limit {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *digestReader) signed() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *digestReader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	part := r.rest[:n:n]
	r.rest = r.rest[n:]
	return part
}

// WireSize is RFC822.SIZE.
func (d *Digest) WireSize() int64 { return d.wireSize }

// Sent is the Date field in its own time zone, zero if absent or unreadable.
func (d *Digest) Sent() time.Time {
	if !d.isSent {
		return time.Time{}
	}
	t := time.Unix(d.sent, 0)
	if d.zone == 0 {
		return t.UTC()
	}
	return t.In(time.FixedZone("", int(d.zone%(100*60))*60))
}

// Preview is what the function Preview gives.
func (d *Digest) Preview() []byte { return d.preview }

// Envelope is what Envelope.Append makes.
func (d *Digest) Envelope() []byte { return d.envelope }

// BodyStructure is what Part.AppendBodyStructure makes, extended.
func (d *Digest) BodyStructure() []byte { return d.structure }

// AppendBody adds to dst what Part.AppendBodyStructure makes, not extended.
func (d *Digest) AppendBody(dst []byte) []byte {
	rest := d.structure
	for cuts := (digestReader{rest: d.cuts}); len(cuts.rest) > 0; {
		keep := cuts.number(uint64(len(rest)))
		dst, rest = append(dst, rest[:keep]...), rest[keep:]
		rest = rest[cuts.number(uint64(len(rest))):]
	}
	return append(dst, rest...)
}

// EachPart calls visit for the parts of the MIME tree, each before those in it,
// until it returns false: a part as in Structure, but without Parts and valid
// only for the call, at which depth it is (0 is the message), and how many parts
// it has. ErrDigest.
func (d *Digest) EachPart(visit func(p *Part, depth, inner int) bool) error {
	r := digestReader{rest: d.tree}
	more := r.eachPart(visit, new(Part), 0, 0)
	if r.bad || more && len(r.rest) > 0 {
		return fmt.Errorf("MIME tree: %w", ErrDigest)
	}
	return nil
}

// Structure is the MIME tree. Of what a Part has it knows the spans and sizes,
// the types, the charset parameter, the encoding and the disposition. ErrDigest.
func (d *Digest) Structure() (*Part, error) {
	r := digestReader{rest: d.tree}
	p := &Part{}
	r.part(p, 0, 0)
	if r.bad || len(r.rest) > 0 {
		return nil, fmt.Errorf("MIME tree: %w", ErrDigest)
	}
	return p, nil
}
