package inflate

import "fmt"

const (
	maxBits      = 15  // of a code
	maxLiterals  = 286 // symbols of literals and lengths
	maxDistances = 30
)

// code is a Huffman code (section 3.2.2): how many codes there are of each
// length, and the symbols in the order of their codes.
type code struct {
	counts  [maxBits + 1]int
	symbols []int
}

// newCode makes the code in which symbol i has lengths[i] bits. One that is
// over-subscribed is corrupt; one that is incomplete is allowed where there is
// at most one symbol, of one bit, as zlib allows it.
func newCode(lengths []byte) (*code, error) {
	c := &code{symbols: make([]int, 0, len(lengths))}
	for _, n := range lengths {
		c.counts[n]++
	}
	c.counts[0] = 0
	left, used := 1, 0
	for n := 1; n <= maxBits; n++ {
		left = left<<1 - c.counts[n]
		used += c.counts[n]
		if left < 0 {
			return nil, fmt.Errorf("%w: over-subscribed code", ErrCorrupt)
		}
		for symbol, l := range lengths {
			if int(l) == n {
				c.symbols = append(c.symbols, symbol)
			}
		}
	}
	if left > 0 && (used > 1 || used == 1 && c.counts[1] != 1) {
		return nil, fmt.Errorf("%w: incomplete code", ErrCorrupt)
	}
	return c, nil
}

// symbol reads one symbol, bit by bit, so that no bit is read that is not its.
func (d *decoder) symbol(c *code) (int, error) {
	value, first, index := 0, 0, 0
	for n := 1; n <= maxBits; n++ {
		bit, err := d.bits(1)
		if err != nil {
			return 0, err
		}
		value |= int(bit)
		count := c.counts[n]
		if value-count < first {
			return c.symbols[index+value-first], nil
		}
		index += count
		first = (first + count) << 1
		value <<= 1
	}
	return 0, fmt.Errorf("%w: no such code", ErrCorrupt)
}

// fixed is the code of section 3.2.6.
func fixed() (literals, distances *code) {
	var lengths [288]byte
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	var far [32]byte // the last two are never right, and complete the code
	for i := range far {
		far[i] = 5
	}
	literals, _ = newCode(lengths[:]) // complete, both of them
	distances, _ = newCode(far[:])
	return literals, distances
}

// order is that of the lengths of the code for code lengths (section 3.2.7).
var order = [...]int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// tables reads the codes of a dynamic block (section 3.2.7).
func (d *decoder) tables() (literals, distances *code, err error) {
	head, err := d.bits(14)
	if err != nil {
		return nil, nil, err
	}
	nl, nd, nc := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	if nl > maxLiterals || nd > maxDistances {
		return nil, nil, fmt.Errorf("%w: too many symbols", ErrCorrupt)
	}
	var short [len(order)]byte
	for _, symbol := range order[:nc] {
		n, err := d.bits(3)
		if err != nil {
			return nil, nil, err
		}
		short[symbol] = byte(n)
	}
	lengthCode, err := newCode(short[:])
	if err != nil {
		return nil, nil, err
	}
	lengths, err := d.lengths(lengthCode, nl+nd)
	if err != nil {
		return nil, nil, err
	}
	if lengths[endOfBlock] == 0 {
		return nil, nil, fmt.Errorf("%w: a block without an end", ErrCorrupt)
	}
	if literals, err = newCode(lengths[:nl]); err != nil {
		return nil, nil, err
	}
	distances, err = newCode(lengths[nl:])
	return literals, distances, err
}

// lengths reads n code lengths, runs of them in short.
func (d *decoder) lengths(c *code, n int) ([]byte, error) {
	lengths := make([]byte, 0, n)
	for len(lengths) < n {
		symbol, err := d.symbol(c)
		if err != nil {
			return nil, err
		}
		if symbol < 16 {
			lengths = append(lengths, byte(symbol))
			continue
		}
		value, least, extra := byte(0), 3, uint(2)
		switch symbol {
		case 16:
			if len(lengths) == 0 {
				return nil, fmt.Errorf("%w: nothing to repeat", ErrCorrupt)
			}
			value = lengths[len(lengths)-1]
		case 17:
			extra = 3
		case 18:
			least, extra = 11, 7
		}
		more, err := d.bits(extra)
		if err != nil {
			return nil, err
		}
		if len(lengths)+least+int(more) > n {
			return nil, fmt.Errorf("%w: too many code lengths", ErrCorrupt)
		}
		for range least + int(more) {
			lengths = append(lengths, value)
		}
	}
	return lengths, nil
}
