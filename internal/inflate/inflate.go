// Package inflate decompresses DEFLATE (RFC 1951) for a conversation: what can
// be told from the octets that have come is given out before more are waited
// for, and no octet is waited for that is not needed.
//
// The decompressors that there are do not do that. The standard library's gives
// nothing out before an empty stored block, and klauspost/compress's reads ahead
// within a block; both wait for ever for a client that ends what it says with
// zlib's partial flush, as mbsync does in IMAP's COMPRESS. This one reads bit by
// bit, which is slow and enough for what clients send.
package inflate

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrCorrupt is input that is no DEFLATE stream.
var ErrCorrupt = errors.New("corrupt DEFLATE stream")

const windowSize = 32 << 10 // how far back a stream may refer (section 2)

// Copy decompresses src to dst until the stream's last block. Its errors are
// those of src and dst, io.ErrUnexpectedEOF where src ends before the stream
// does, and ErrCorrupt. Memory does not depend on the input.
func Copy(dst io.Writer, src io.Reader) error {
	_, err := CopyRest(dst, src)
	return err
}

// CopyRest is Copy for a stream that may end in the middle, as that of a client
// which goes on without compression. It returns too what was read of src after the
// stream: behind the last block or, if there was none, behind the last flush (an
// empty stored block). Of a writer that never flushed so, that is what was read
// since src last had nothing more at once. It is nil where it is over maxRest.
func CopyRest(dst io.Writer, src io.Reader) (rest []byte, err error) {
	d := &decoder{in: bufio.NewReaderSize(src, 4<<10), out: dst}
	err = d.blocks()
	if d.tooLong {
		return nil, err
	}
	ahead, _ := d.in.Peek(d.in.Buffered()) // as many as there are: no error
	return append(d.since, ahead...), err
}

// blocks decodes the stream.
func (d *decoder) blocks() error {
	for last := false; !last; {
		header, err := d.bits(3)
		if err != nil {
			return d.end(err)
		}
		last = header&1 == 1
		if err := d.block(header >> 1); err != nil {
			return d.end(err)
		}
		if last {
			d.since, d.tooLong = d.since[:0], false
		}
	}
	return d.flush()
}

// maxRest is how much is remembered of what came after the last flush.
const maxRest = 64 << 10

// decoder is a stream in work.
type decoder struct {
	in  *bufio.Reader
	out io.Writer

	hold  uint32 // bits that were read and not used, the next one lowest
	count uint   // how many, below 8 between symbols

	window  [windowSize]byte
	pos     int  // where the next octet goes
	flushed int  // window[flushed:pos] is not given out yet
	full    bool // the window has wrapped: all of it may be referred to

	since   []byte // what was read since the last flush
	tooLong bool   // that was more than maxRest
	flushes bool   // there was one
}

// end gives out what was decoded before err.
func (d *decoder) end(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return errors.Join(err, d.flush())
}

// flush gives out what was decoded.
func (d *decoder) flush() error {
	if d.flushed == d.pos {
		return nil
	}
	_, err := d.out.Write(d.window[d.flushed:d.pos])
	d.flushed = d.pos
	return err
}

// octet reads one, and gives out everything first when that means to wait.
func (d *decoder) octet() (byte, error) {
	if d.in.Buffered() == 0 {
		if err := d.flush(); err != nil {
			return 0, err
		}
		if !d.flushes {
			d.since, d.tooLong = nil, false // it may be long until there is more
		}
	}
	c, err := d.in.ReadByte()
	if err == nil {
		d.remember(c)
	}
	return c, err
}

func (d *decoder) remember(c byte) {
	if len(d.since) == maxRest {
		d.since, d.tooLong = nil, true
	}
	if !d.tooLong {
		d.since = append(d.since, c)
	}
}

// bits reads n bits, at most 16.
func (d *decoder) bits(n uint) (uint32, error) {
	for d.count < n {
		c, err := d.octet()
		if err != nil {
			return 0, err
		}
		d.hold |= uint32(c) << d.count
		d.count += 8
	}
	v := d.hold & (1<<n - 1)
	d.hold >>= n
	d.count -= n
	return v, nil
}

// put adds one octet to the output.
func (d *decoder) put(c byte) error {
	d.window[d.pos] = c
	d.pos++
	if d.pos < windowSize {
		return nil
	}
	err := d.flush()
	d.pos, d.flushed, d.full = 0, 0, true
	return err
}

// repeat copies length octets from distance octets ago.
func (d *decoder) repeat(length, distance int) error {
	if distance > d.pos && !d.full || distance > windowSize {
		return fmt.Errorf("%w: reference before the beginning", ErrCorrupt)
	}
	for range length {
		if err := d.put(d.window[(d.pos-distance+windowSize)%windowSize]); err != nil {
			return err
		}
	}
	return nil
}

// block reads one block of the given type (section 3.2.3).
func (d *decoder) block(kind uint32) error {
	switch kind {
	case 0:
		return d.stored()
	case 1:
		literals, distances := fixed()
		return d.compressed(literals, distances)
	case 2:
		literals, distances, err := d.tables()
		if err != nil {
			return err
		}
		return d.compressed(literals, distances)
	}
	return fmt.Errorf("%w: unknown block", ErrCorrupt)
}

// stored is section 3.2.4.
func (d *decoder) stored() error {
	d.hold, d.count = 0, 0 // to the next octet
	var head [4]byte
	for i := range head {
		c, err := d.octet()
		if err != nil {
			return err
		}
		head[i] = c
	}
	n := int(head[0]) | int(head[1])<<8
	if n != int(^head[2])|int(^head[3])<<8 {
		return fmt.Errorf("%w: length of a stored block", ErrCorrupt)
	}
	for range n {
		c, err := d.octet()
		if err != nil {
			return err
		}
		if err := d.put(c); err != nil {
			return err
		}
	}
	if n == 0 {
		d.since, d.tooLong, d.flushes = nil, false, true
	}
	return nil
}

// The lengths and distances that symbols stand for (section 3.2.5): the least,
// and how many bits are added.
var (
	lengthBase   = [...]int{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthBits   = [...]uint{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distanceBase = [...]int{1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577}
	distanceBits = [...]uint{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
)

const endOfBlock = 256

// compressed reads symbols up to the end of the block.
func (d *decoder) compressed(literals, distances *code) error {
	for {
		symbol, err := d.symbol(literals)
		if err != nil {
			return err
		}
		switch {
		case symbol < endOfBlock:
			err = d.put(byte(symbol))
		case symbol == endOfBlock:
			return nil
		default:
			err = d.reference(symbol-endOfBlock-1, distances)
		}
		if err != nil {
			return err
		}
	}
}

// reference reads the rest of a reference whose length symbol was read.
func (d *decoder) reference(symbol int, distances *code) error {
	if symbol >= len(lengthBase) {
		return fmt.Errorf("%w: length symbol", ErrCorrupt)
	}
	length, err := d.bits(lengthBits[symbol])
	if err != nil {
		return err
	}
	far, err := d.symbol(distances)
	if err != nil {
		return err
	}
	if far >= len(distanceBase) {
		return fmt.Errorf("%w: distance symbol", ErrCorrupt)
	}
	distance, err := d.bits(distanceBits[far])
	if err != nil {
		return err
	}
	return d.repeat(lengthBase[symbol]+int(length), distanceBase[far]+int(distance))
}
