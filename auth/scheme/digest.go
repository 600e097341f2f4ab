package scheme

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"hash"
	"strconv"
	"strings"

	"golang.org/x/crypto/md4" //nolint:staticcheck // PLAIN-MD4 rows exist
)

func plain(a attempt) (bool, error) { return a.is([]byte(a.password)), nil }

// plainTruncated is "<n>-<password>": only the first n octets were kept, so
// only they are compared when the password is at least that long.
func plainTruncated(a attempt) (bool, error) {
	length, kept, ok := bytes.Cut(a.text, []byte("-"))
	n, err := strconv.Atoi(string(length))
	if !ok || err != nil || n < 0 {
		return false, ErrMalformed
	}
	password := a.password
	if len(kept) == n && len(password) > n {
		password = password[:n]
	}
	return subtle.ConstantTimeCompare(kept, []byte(password)) == 1 && len(kept) > 0, nil
}

func sum(h hash.Hash, parts ...string) []byte {
	for _, p := range parts {
		h.Write([]byte(p))
	}
	return h.Sum(nil)
}

func digestMD4(a attempt) (bool, error)    { return a.is(sum(md4.New(), a.password)), nil }
func digestMD5(a attempt) (bool, error)    { return a.is(sum(md5.New(), a.password)), nil }
func digestSHA1(a attempt) (bool, error)   { return a.is(sum(sha1.New(), a.password)), nil }
func digestSHA256(a attempt) (bool, error) { return a.is(sum(sha256.New(), a.password)), nil }
func digestSHA512(a attempt) (bool, error) { return a.is(sum(sha512.New(), a.password)), nil }

func saltedMD5(a attempt) (bool, error)    { return salted(a, md5.New()) }
func saltedSHA1(a attempt) (bool, error)   { return salted(a, sha1.New()) }
func saltedSHA256(a attempt) (bool, error) { return salted(a, sha256.New()) }
func saltedSHA512(a attempt) (bool, error) { return salted(a, sha512.New()) }

// salted is a digest of password and salt, followed by the salt, which has at
// least one octet.
func salted(a attempt, h hash.Hash) (bool, error) {
	if len(a.text) <= h.Size() {
		return false, ErrMalformed
	}
	salt := string(a.text[h.Size():])
	return a.is(append(sum(h, a.password, salt), salt...)), nil
}

// digestMD5Realm is H(username:realm:password) of DIGEST-MD5 (RFC 2831 section
// 2.1.2.1); the realm is the domain of the login.
func digestMD5Realm(a attempt) (bool, error) {
	i := strings.LastIndexByte(a.user, '@')
	if i < 0 {
		return a.is(sum(md5.New(), a.user, "::", a.password)), nil
	}
	return a.is(sum(md5.New(), a.user[:i], ":", a.user[i+1:], ":", a.password)), nil
}

// hmacMD5State is what CRAM-MD5 servers keep: the state of MD5 after one block
// of password XOR opad, and after one of password XOR ipad (RFC 2104 section
// 4).
func hmacMD5State(a attempt) (bool, error) {
	key := []byte(a.password)
	if len(key) > md5.BlockSize {
		key = sum(md5.New(), a.password)
	}
	state, err := md5State(key, 0x5c)
	if err != nil {
		return false, err
	}
	inner, err := md5State(key, 0x36)
	if err != nil {
		return false, err
	}
	return a.is(append(state, inner...)), nil
}

// md5State is the state of MD5 after one padded block, least significant octet
// first. crypto/md5 gives it out, most significant first, behind a mark of four
// octets; the test vectors hold this form.
func md5State(key []byte, pad byte) ([]byte, error) {
	block := bytes.Repeat([]byte{pad}, md5.BlockSize)
	subtle.XORBytes(block, block, key)
	h := md5.New()
	h.Write(block)
	m, ok := h.(interface{ MarshalBinary() ([]byte, error) })
	if !ok {
		return nil, ErrUnknown
	}
	b, err := m.MarshalBinary()
	if err != nil {
		return nil, err
	}
	const mark = 4
	state := make([]byte, 0, md5.Size)
	for i := mark; i < mark+md5.Size; i += 4 {
		state = binary.LittleEndian.AppendUint32(state, binary.BigEndian.Uint32(b[i:]))
	}
	return state, nil
}
