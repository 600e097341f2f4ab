package scheme

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/md5crypt"
	"github.com/go-crypt/crypt/algorithm/sha1crypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"github.com/go-crypt/x/yescrypt"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/crypto/md4" //nolint:staticcheck // $3$ rows exist
	"golang.org/x/crypto/scrypt"

	"gomaild/auth/scheme/internal/descrypt"
	"gomaild/auth/scheme/internal/streebog"
)

// prefixes are the forms of crypt(3), crypt(5), by their beginning. What has
// none of them is traditional DES.
var prefixes = []struct {
	prefix string
	verify verifier
}{
	{"$1$", md5Crypt},
	{"$5$", shaCrypt},
	{"$6$", shaCrypt},
	{"$2a$", bcryptHash},
	{"$2b$", bcryptHash},
	{"$2y$", bcryptHash},
	{"$2x$", bcryptSigned},
	{"$y$", yescryptHash},
	{"$gy$", gostYescrypt},
	{"$7$", scryptHash},
	{"$sha1$", sha1Crypt},
	{"$md5,rounds=", sunMD5},
	{"$md5$", sunMD5},
	{"$3$", ntHash},
	{"_", extendedDES},
}

// crypt3 is whatever crypt(3) takes.
func crypt3(a attempt) (bool, error) {
	for _, p := range prefixes {
		if bytes.HasPrefix(a.text, []byte(p.prefix)) {
			return p.verify(a)
		}
	}
	return traditionalDES(a)
}

// anyMD5 is the scheme {MD5}, which is three things: md5crypt, and an MD5
// digest in hex or in base64.
func anyMD5(a attempt) (bool, error) {
	if bytes.HasPrefix(a.text, []byte("$1$")) {
		return md5Crypt(a)
	}
	text := string(a.text)
	digest, err := guess(text, md5.Size).decode(text)
	if err != nil || len(digest) != md5.Size {
		return false, ErrMalformed
	}
	a.text = digest
	return digestMD5(a)
}

// decoded verifies with a form that go-crypt knows.
func decoded(a attempt, decode func(string) (algorithm.Digest, error)) (bool, error) {
	d, err := decode(string(a.text))
	if err != nil {
		return false, ErrMalformed
	}
	return d.Match(a.password), nil
}

func md5Crypt(a attempt) (bool, error) {
	if !bytes.HasPrefix(a.text, []byte("$1$")) {
		if a.text[0] == '$' {
			return false, fmt.Errorf("%w: of another kind of crypt(3), which accounts.default_scheme = \"CRYPT\" reads", ErrMalformed)
		}
		return false, ErrMalformed
	}
	return decoded(a, md5crypt.Decode)
}

// shaCrypt is $5$ and $6$ with or without "rounds=n$". PostfixAdmin's
// mysql_encrypt writes them with an empty salt.
func shaCrypt(a attempt) (bool, error) {
	first, _, _ := strings.Cut(string(a.text[len("$5$"):]), "$")
	if n, ok := strings.CutPrefix(first, "rounds="); ok {
		if err := a.limits.allowDecimal(n); err != nil {
			return false, err
		}
	}
	return decoded(a, shacrypt.Decode)
}

// allowDecimal is allowRounds for a number as written; anything but one
// decimal number is malformed.
func (l Limits) allowDecimal(s string) error {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 {
		return ErrMalformed
	}
	return l.allowRounds(n)
}

// sha1Crypt is "$sha1$<rounds>$<salt>$<hash>" of NetBSD.
func sha1Crypt(a attempt) (bool, error) {
	rounds, _, _ := strings.Cut(string(a.text[len("$sha1$"):]), "$")
	if err := a.limits.allowDecimal(rounds); err != nil {
		return false, err
	}
	return decoded(a, sha1crypt.Decode)
}

// sunMD5 is "$md5,rounds=<n>$<salt>$$<hash>" of Solaris, and the same without
// rounds.
func sunMD5(a attempt) (bool, error) {
	head, _, _ := strings.Cut(string(a.text[1:]), "$")
	if n, ok := strings.CutPrefix(head, "md5,rounds="); ok {
		if err := a.limits.allowDecimal(n); err != nil {
			return false, err
		}
	}
	return decoded(a, md5crypt.Decode)
}

// bcryptLength is a whole bcrypt string: "$2y$12$", 22 characters of salt, 31
// of hash.
const bcryptLength = 60

// bcryptHash is bcrypt, of which only the first 72 octets of the password
// count.
func bcryptHash(a attempt) (bool, error) {
	if len(a.text) != bcryptLength {
		return false, ErrMalformed
	}
	cost, err := bcrypt.Cost(a.text)
	if err != nil {
		return false, ErrMalformed
	}
	if cost > a.limits.BcryptCost {
		return false, ErrTooCostly
	}
	err = bcrypt.CompareHashAndPassword(a.text, []byte(a.password))
	switch {
	case errors.Is(err, bcrypt.ErrMismatchedHashAndPassword):
		return false, nil
	case err != nil:
		return false, ErrMalformed
	}
	return true, nil
}

// bcryptSigned is $2x$: bcrypt with the fault of crypt_blowfish before 1.1,
// which took octets as signed. The fault is all in how the password becomes
// the 18 words of the key, so the same words are given to the right algorithm.
func bcryptSigned(a attempt) (bool, error) {
	const words = 18
	octets := append([]byte(a.password), 0)
	key := make([]byte, 0, 4*words)
	for i, n := 0, 0; i < words; i++ {
		var w uint32
		for range 4 {
			w = w<<8 | uint32(int32(int8(octets[n%len(octets)])))
			n++
		}
		key = append(key, byte(w>>24), byte(w>>16), byte(w>>8), byte(w))
	}
	a.password = string(key)
	a.text = append([]byte("$2b$"), a.text[len("$2x$"):]...)
	return bcryptHash(a)
}

// yescryptSetting is "$y$j<N><r>$<salt>", taken apart.
type yescryptSetting struct {
	logN, r    int
	salt, hash []byte
}

// parseYescrypt reads what follows "$y$" or "$gy$". It takes what crypt(3)
// itself generates: flags j, no other parameters.
func parseYescrypt(text string) (yescryptSetting, error) {
	f := strings.Split(text, "$")
	if len(f) != 3 {
		return yescryptSetting{}, ErrMalformed
	}
	_, logN, r, err := yescrypt.DecodeSetting([]byte(f[0]))
	s := yescryptSetting{logN: logN, r: r, salt: yescrypt.Decode64([]byte(f[1])), hash: yescrypt.Decode64([]byte(f[2]))}
	if err != nil || s.salt == nil || len(s.hash) != yescryptSize || logN > 63 || r > 63 {
		return yescryptSetting{}, ErrMalformed
	}
	return s, nil
}

const yescryptSize = 32

func (s yescryptSetting) key(a attempt) ([]byte, error) {
	memory := 128 * float64(s.r) * float64(uint64(1)<<s.logN)
	if err := a.limits.allowMemory(memory, 1); err != nil {
		return nil, err
	}
	key, err := yescrypt.Key([]byte(a.password), s.salt, 1<<s.logN, s.r, 1, yescryptSize)
	if err != nil {
		return nil, ErrMalformed
	}
	return key, nil
}

func yescryptHash(a attempt) (bool, error) {
	s, err := parseYescrypt(string(a.text[len("$y$"):]))
	if err != nil {
		return false, err
	}
	key, err := s.key(a)
	if err != nil {
		return false, err
	}
	a.text = s.hash
	return a.is(key), nil
}

// gostYescrypt is yescrypt wrapped in HMACs with GOST R 34.11-2012: the outer
// key is that HMAC of the setting, keyed by the digest of the password.
func gostYescrypt(a attempt) (bool, error) {
	text := string(a.text)
	s, err := parseYescrypt(text[len("$gy$"):])
	if err != nil {
		return false, err
	}
	inner, err := s.key(a)
	if err != nil {
		return false, err
	}
	setting := text[:strings.LastIndexByte(text, '$')]
	outer := sum(hmac.New(streebog.New, sum(streebog.New(), a.password)), setting)
	a.text = s.hash
	return a.is(sum(hmac.New(streebog.New, outer), string(inner))), nil
}

// scryptHash is "$7$" with one character for log N, five each for r and p, the
// salt as it stands, and the hash.
func scryptHash(a attempt) (bool, error) {
	const head, hashLength, size = len("$7$Nrrrrrppppp"), 43, 32
	text := string(a.text)
	end := strings.LastIndexByte(text, '$')
	if end < head || len(text)-end-1 != hashLength {
		return false, ErrMalformed
	}
	logN, ok1 := digits(text[3:4])
	r, ok2 := digits(text[4:9])
	p, ok3 := digits(text[9:14])
	want := yescrypt.Decode64([]byte(text[end+1:]))
	if !ok1 || !ok2 || !ok3 || len(want) != size {
		return false, ErrMalformed
	}
	memory := 128 * float64(r) * float64(uint64(1)<<logN)
	if err := a.limits.allowMemory(memory, float64(p)); err != nil {
		return false, err
	}
	key, err := scrypt.Key([]byte(a.password), []byte(text[head:end]), 1<<logN, int(r), int(p), size)
	if err != nil {
		return false, ErrMalformed
	}
	a.text = want
	return a.is(key), nil
}

// digits reads crypt(3)'s digits of base 64, the least significant first.
func digits(s string) (v uint32, ok bool) {
	for i := range len(s) {
		d := strings.IndexByte(descrypt.Alphabet, s[i])
		if d < 0 {
			return 0, false
		}
		v |= uint32(d) << (6 * i)
	}
	return v, true
}

// ntHash is "$3$$" and the MD4 of the password, where each octet became a
// 16-bit character.
func ntHash(a attempt) (bool, error) {
	h := md4.New()
	for i := range len(a.password) {
		h.Write([]byte{a.password[i], 0})
	}
	return a.is([]byte("$3$$" + hex.EncodeToString(h.Sum(nil)))), nil
}

// extendedDES is "_", four digits of count, four of salt, and the hash.
func extendedDES(a attempt) (bool, error) {
	const length, setting = 20, 9
	if len(a.text) != length {
		return false, ErrMalformed
	}
	text := string(a.text)
	count, ok1 := digits(text[1:5])
	salt, ok2 := digits(text[5:setting])
	if !ok1 || !ok2 || count == 0 {
		return false, ErrMalformed
	}
	if err := a.limits.allowRounds(uint64(count)); err != nil {
		return false, err
	}
	return a.is([]byte(text[:setting] + descrypt.Extended(a.password, salt, int(count)))), nil
}

// traditionalDES is two digits of salt and the hash; only the first 8 octets
// of the password count.
func traditionalDES(a attempt) (bool, error) {
	const length, setting = 13, 2
	if len(a.text) != length {
		return false, ErrMalformed
	}
	text := string(a.text)
	salt, ok := digits(text[:setting])
	if !ok {
		return false, ErrMalformed
	}
	return a.is([]byte(text[:setting] + descrypt.Traditional(a.password, salt))), nil
}
