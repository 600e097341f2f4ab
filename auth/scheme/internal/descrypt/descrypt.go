// Package descrypt is the DES of crypt(3): the traditional form, and the
// extended one of BSDi. It is DES with a salt that exchanges bits of the
// expansion, so crypto/des cannot serve. It is for verifying old passwords
// only.
package descrypt

import (
	"math/bits"
	"sync"
)

// Traditional is the 11 characters that crypt(3) writes after a salt of two
// characters (12 bits). Only the first 8 octets of the password count, and of
// each only 7 bits.
func Traditional(password string, salt uint32) string {
	const rounds = 25
	k := schedule(keyOf(password))
	return encode(k.encrypt(0, salt, rounds))
}

// Extended is the 11 characters of the BSDi form: the whole password counts,
// folded 8 octets at a time; salt has 24 bits and rounds is at least 1.
func Extended(password string, salt uint32, rounds int) string {
	key := keyOf(password)
	for len(password) > 8 {
		password = password[8:]
		k := schedule(key)
		key = k.encrypt(key, 0, 1) ^ keyOf(password)
	}
	k := schedule(key)
	return encode(k.encrypt(0, salt, rounds))
}

// Alphabet is crypt(3)'s digits of base 64, in order of value.
const Alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// encode writes 64 bits, the most significant first, with two zero bits at the
// end.
func encode(block uint64) string {
	b := make([]byte, 11)
	for i := range 10 {
		b[i] = Alphabet[block>>(58-6*i)&0x3f]
	}
	b[10] = Alphabet[block<<2&0x3f]
	return string(b)
}

// keyOf takes the first 8 octets, 7 bits of each, above the parity bits.
func keyOf(password string) (key uint64) {
	for i := range 8 {
		key <<= 8
		if i < len(password) {
			key |= uint64(password[i]<<1) & 0xff
		}
	}
	return key
}

// subkeys are the 16 round keys, each as two halves of 24 bits.
type subkeys [16][2]uint32

// schedule is the key schedule of FIPS 46-3.
func schedule(key uint64) (k subkeys) {
	const half = 1<<28 - 1
	cd := permute(key, 64, permutedChoice1[:])
	c, d := uint32(cd>>28), uint32(cd&half)
	for i, n := range shifts {
		c = (c<<n | c>>(28-n)) & half
		d = (d<<n | d>>(28-n)) & half
		sub := permute(uint64(c)<<28|uint64(d), 56, permutedChoice2[:])
		k[i] = [2]uint32{uint32(sub >> 24), uint32(sub & 0xffffff)}
	}
	return k
}

// encrypt runs DES rounds times over block. The permutations between two runs
// cancel out, so they stand only at both ends.
func (k *subkeys) encrypt(block uint64, salt uint32, rounds int) uint64 {
	block = permute(block, 64, initial[:])
	left, right := uint32(block>>32), uint32(block)
	table := boxes()
	swap := bits.Reverse32(salt) >> 8 // bit 0 of the salt is the first bit of the expansion
	for range rounds {
		for i := range k {
			left, right = right, left^table.feistel(right, swap, &k[i])
		}
		left, right = right, left
	}
	return permute(uint64(left)<<32|uint64(right), 64, final[:])
}

// feistel is the function f of FIPS 46-3, with the salt between expansion and
// key.
func (t *tables) feistel(r, swap uint32, key *[2]uint32) uint32 {
	var e [2]uint32
	for i := range 8 {
		six := bits.RotateLeft32(r, 4*i-1) >> 26
		e[i/4] = e[i/4]<<6 | six
	}
	exchanged := (e[0] ^ e[1]) & swap
	e[0] ^= exchanged ^ key[0]
	e[1] ^= exchanged ^ key[1]
	var out uint32
	for i := range 8 {
		out ^= t[i][e[i/4]>>(18-6*(i%4))&0x3f]
	}
	return out
}

// permute picks the bits of a value of the given width that the table names,
// counted from 1 at the most significant.
func permute(v uint64, width int, table []byte) (out uint64) {
	for _, n := range table {
		out = out<<1 | v>>(width-int(n))&1
	}
	return out
}

// boxes are the S boxes followed by the permutation P, made when the first hash
// is verified: most processes never see one.
var boxes = sync.OnceValue(combine)

// tables is the work of a round, looked up six bits at a time.
type tables [8][64]uint32

func combine() *tables {
	var t tables
	for i := range t {
		for v := range 64 {
			row, column := v>>4&2|v&1, v>>1&0xf
			s := uint64(substitution[i][16*row+column]) << (28 - 4*i)
			t[i][v] = uint32(permute(s, 32, permutation[:]))
		}
	}
	return &t
}

// final is the inverse of initial.
var final = invert(initial)

func invert(p [64]byte) (q [64]byte) {
	for i, n := range p {
		q[n-1] = byte(i + 1)
	}
	return q
}
