package wire

import "strconv"

// Star is "*" in a Range: the largest number in use.
const Star = 0

// Range is n, n:m or n:* of a sequence set, as written: either end may be the
// larger one, either may be Star.
type Range struct {
	First, Last uint32
	// Saved is "$", the result of the last search that was to be saved
	// (RFC 5182); First and Last mean nothing then.
	Saved bool
}

// NumSet is a sequence-set (RFC 3501 section 9) as the client wrote it. It is
// never expanded: 1:4294967295 is legal.
type NumSet []Range

// NumSet reads a sequence-set.
func (d *Decoder) NumSet() NumSet {
	if d.Accept('$') {
		return NumSet{{Saved: true}}
	}
	var set NumSet
	for d.Err() == nil {
		r := Range{First: d.setNumber()}
		r.Last = r.First
		if d.Accept(':') {
			r.Last = d.setNumber()
		}
		set = append(set, r)
		if !d.Accept(',') {
			break
		}
	}
	return set
}

func (d *Decoder) setNumber() uint32 {
	if d.Accept('*') {
		return Star
	}
	n := d.Number32()
	if n == 0 {
		d.Fail("message numbers begin with 1")
	}
	return n
}

// Bounds are the ends of r in order, with largest for Star.
func (r Range) Bounds(largest uint32) (lo, hi uint32) {
	lo, hi = r.First, r.Last
	if lo == Star {
		lo = largest
	}
	if hi == Star {
		hi = largest
	}
	return min(lo, hi), max(lo, hi)
}

// AppendSet prints ascending or arbitrary numbers as a set, runs as ranges,
// keeping their order: for COPYUID, where positions correspond.
func AppendSet[N ~uint32](dst []byte, numbers []N) []byte {
	for i := 0; i < len(numbers); {
		j := i + 1
		for j < len(numbers) && numbers[j] == numbers[j-1]+1 {
			j++
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(numbers[i]), 10)
		if j-i > 1 {
			dst = append(dst, ':')
			dst = strconv.AppendUint(dst, uint64(numbers[j-1]), 10)
		}
		i = j
	}
	return dst
}
