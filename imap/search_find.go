package imap

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// finder looks for text, folded, in text that is not folded yet. Nearly all text
// is ASCII, so it goes to the places of the needle's rarest octet, in both cases,
// and compares only there. Where other characters stand they are folded, with as
// much around them as a match can reach.
type finder struct {
	needle []byte  // folded
	ascii  bool    // all of it
	rare   int     // where its rarest octet is
	octets [2]byte // that octet in both cases
	folded []byte  // a buffer
}

func newFinder(folded string) *finder {
	f := &finder{needle: []byte(folded)}
	f.ascii = others(f.needle) < 0
	for i, c := range f.needle {
		if rarity(c) > rarity(f.needle[f.rare]) {
			f.rare = i
		}
	}
	if len(f.needle) > 0 {
		c := f.needle[f.rare]
		f.octets = [2]byte{c, c}
		if 'A' <= c && c <= 'Z' {
			f.octets[1] = c + ('a' - 'A')
		}
	}
	return f
}

// byFrequency are octets that are frequent in mail, folded, the most frequent
// first.
const byFrequency = " ETAOINSRHLDCUMPFGWYB.V0=1-2K:3J/X"

func rarity(c byte) int {
	if i := strings.IndexByte(byFrequency, c); i >= 0 {
		return i
	}
	return len(byFrequency)
}

// in reports whether UTF-8 text, folded, contains the needle. An octet that is
// no UTF-8 counts as U+FFFD.
func (f *finder) in(text []byte) bool { return f.inASCII(text) || f.aroundOthers(text) }

// inASCII reports whether the needle is in the text without any character beyond
// ASCII. It holds for all charsets in which the octets of ASCII mean what they do
// there.
func (f *finder) inASCII(text []byte) bool {
	last := len(text) - len(f.needle)
	switch {
	case len(f.needle) == 0:
		return true
	case !f.ascii || last < 0:
		return false
	}
	region := text[f.rare : last+f.rare+1]
	var next [2]int // of each octet, in region
	for i, c := range f.octets {
		next[i] = indexFrom(region, 0, c)
	}
	if f.octets[0] == f.octets[1] {
		next[1] = len(region)
	}
	// A needle that nearly matches everywhere must not cost its length each time.
	for effort := 4*len(text) + 4096; ; {
		i := 0
		if next[1] < next[0] {
			i = 1
		}
		at := next[i]
		if at == len(region) {
			return false
		}
		same := commonPrefix(text[at:], f.needle)
		if same == len(f.needle) {
			return true
		}
		if effort -= same + 16; effort < 0 {
			f.folded = appendFoldedOctets(f.folded[:0], text[at:])
			return bytes.Contains(f.folded, f.needle)
		}
		next[i] = indexFrom(region, at+1, f.octets[i])
	}
}

// indexFrom is where c is from a place on, len(text) if nowhere.
func indexFrom(text []byte, from int, c byte) int {
	if i := bytes.IndexByte(text[from:], c); i >= 0 {
		return from + i
	}
	return len(text)
}

// commonPrefix is how many octets of text, folded, are those of the needle.
func commonPrefix(text, needle []byte) int {
	for i, c := range needle {
		t := text[i]
		if t-'a' <= 'z'-'a' {
			t -= 'a' - 'A'
		}
		if t != c {
			return i
		}
	}
	return len(needle)
}

// appendFoldedOctets folds the letters of ASCII and no other.
func appendFoldedOctets(dst, text []byte) []byte {
	at := len(dst)
	dst = append(dst, text...)
	for i, c := range dst[at:] {
		if c-'a' <= 'z'-'a' {
			dst[at+i] = c - ('a' - 'A')
		}
	}
	return dst
}

// aroundOthers reports whether the needle is where characters beyond ASCII are.
func (f *finder) aroundOthers(text []byte) bool {
	reach := max(len(f.needle)-1, 0) // a match has at least an octet of such a character
	for at := 0; ; {
		i := others(text[at:])
		if i < 0 {
			return false
		}
		from := max(0, at+i-reach)
		to := at + i
		for i = 0; i >= 0; i = others(text[to:min(to+reach, len(text))]) {
			for to += i; to < len(text) && text[to] >= utf8.RuneSelf; {
				to++
			}
		}
		f.folded, _ = appendFolded(f.folded[:0], text[from:min(to+reach, len(text))], true)
		if bytes.Contains(f.folded, f.needle) {
			return true
		}
		at = to
	}
}

// others is where the first octet is that is not ASCII, -1 if all are.
func others(text []byte) int {
	const high = 0x8080808080808080
	i := 0
	for ; i+8 <= len(text); i += 8 {
		if binary.LittleEndian.Uint64(text[i:])&high != 0 {
			break
		}
	}
	for ; i < len(text); i++ {
		if text[i] >= utf8.RuneSelf {
			return i
		}
	}
	return -1
}
