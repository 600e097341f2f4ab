// Package streebog is GOST R 34.11-2012 with 256 bits (RFC 6986), the hash
// inside the $gy$ form of crypt(3). It is for verifying those passwords only:
// it is neither fast nor free of table look-ups.
package streebog

import (
	"encoding/binary"
	"hash"
	"math/bits"
	"sync"
)

// The sizes in octets.
const (
	Size      = 32
	BlockSize = 64
)

// block holds 512 bits, the least significant word first.
type block [8]uint64

// digest is a hash.Hash. n counts bits and sum adds blocks, both modulo 2^512
// (RFC 6986 section 8).
type digest struct {
	h, n, sum block
	buf       [BlockSize]byte
	used      int
}

// New is a hash.Hash with a 256-bit result.
func New() hash.Hash {
	d := new(digest)
	d.Reset()
	return d
}

func (d *digest) Size() int      { return Size }
func (d *digest) BlockSize() int { return BlockSize }

// Reset sets the initial value of the 256-bit variant: octets of 1 (RFC 6986
// section 5.1).
func (d *digest) Reset() {
	*d = digest{}
	for i := range d.h {
		d.h[i] = 0x0101010101010101
	}
}

func (d *digest) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := copy(d.buf[d.used:], p)
		d.used += n
		p = p[n:]
		if d.used == BlockSize {
			d.compress(BlockSize * 8)
			d.used = 0
		}
	}
	return written, nil
}

// Sum appends the hash of what was written; d goes on unchanged.
func (d *digest) Sum(b []byte) []byte {
	end := *d
	clear(end.buf[end.used:])
	end.buf[end.used] = 1
	end.compress(uint64(end.used) * 8)
	end.h = g(block{}, end.h, end.n)
	end.h = g(block{}, end.h, end.sum)
	for _, w := range end.h[4:] { // the 256 most significant bits
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// compress takes buf, which holds so many bits of the message.
func (d *digest) compress(messageBits uint64) {
	var m block
	for i := range m {
		m[i] = binary.LittleEndian.Uint64(d.buf[8*i:])
	}
	d.h = g(d.n, d.h, m)
	d.n = add(d.n, block{messageBits})
	d.sum = add(d.sum, m)
}

// g is the compression function (RFC 6986 section 8): g_N(h, m).
func g(n, h, m block) block {
	key := lps(xor(h, n))
	state := m
	for i := range iteration {
		state = lps(xor(state, key))
		key = lps(xor(key, iteration[i]))
	}
	return xor(xor(xor(state, key), h), m)
}

func xor(a, b block) block {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}

func add(a, b block) block {
	var carry uint64
	for i := range a {
		a[i], carry = bits.Add64(a[i], b[i], carry)
	}
	return a
}

// lps is the substitution, the transposition and the linear map in one (RFC
// 6986 section 6): word i of the result gathers octet i of every word.
func lps(x block) block {
	var out block
	table := combined()
	for i := range out {
		for j := range x {
			out[i] ^= table[j][byte(x[j]>>(8*i))]
		}
	}
	return out
}

// combined[j][v] is what octet v in place j of a word becomes by substitution
// and linear map, made when the first hash is verified: most processes never
// see one.
var combined = sync.OnceValue(combine)

func combine() *[8][256]uint64 {
	var t [8][256]uint64
	for j := range t {
		for v := range t[j] {
			for k := range 8 {
				if substitution[v]>>k&1 == 1 {
					t[j][v] ^= linear[63-(8*j+k)]
				}
			}
		}
	}
	return &t
}
