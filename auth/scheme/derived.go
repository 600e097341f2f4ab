package scheme

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"strconv"
	"strings"

	"github.com/go-crypt/crypt/algorithm/argon2"
	"golang.org/x/crypto/md4" //nolint:staticcheck // OTP allows it (RFC 2289)
)

// pbkdf2SHA1 is Dovecot's "$1$<salt>$<rounds>$<hex>".
func pbkdf2SHA1(a attempt) (bool, error) {
	f := strings.Split(string(a.text), "$")
	if len(f) != 5 || f[0] != "" || f[1] != "1" {
		return false, ErrMalformed
	}
	rounds, err := strconv.ParseUint(f[3], 10, 32)
	want, hexErr := hex.DecodeString(f[4])
	if err != nil || hexErr != nil || rounds == 0 || len(want) != sha1.Size {
		return false, ErrMalformed
	}
	if err := a.limits.allowRounds(rounds); err != nil {
		return false, err
	}
	key, err := pbkdf2.Key(sha1.New, a.password, []byte(f[2]), int(rounds), sha1.Size)
	if err != nil {
		return false, err
	}
	a.text = want
	return a.is(key), nil
}

func scramSHA1(a attempt) (bool, error)   { return scramStored(a, sha1.New) }
func scramSHA256(a attempt) (bool, error) { return scramStored(a, sha256.New) }

// scramStored is "<rounds>,<salt>,<StoredKey>,<ServerKey>" (RFC 5802 section
// 3). Dovecot does not prepare the password with SASLprep, nor do we.
func scramStored(a attempt, h func() hash.Hash) (bool, error) {
	f := strings.Split(string(a.text), ",")
	if len(f) != 4 {
		return false, ErrMalformed
	}
	rounds, err := strconv.ParseUint(f[0], 10, 32)
	if err != nil || rounds == 0 {
		return false, ErrMalformed
	}
	if err := a.limits.allowRounds(rounds); err != nil {
		return false, err
	}
	var raw [3][]byte
	for i := range raw {
		if raw[i], err = base64.StdEncoding.DecodeString(f[i+1]); err != nil {
			return false, ErrMalformed
		}
	}
	salted, err := pbkdf2.Key(h, a.password, raw[0], int(rounds), h().Size())
	if err != nil {
		return false, err
	}
	stored := h()
	stored.Write(keyed(h, salted, "Client Key"))
	a.text = append(raw[1], raw[2]...)
	return a.is(append(stored.Sum(nil), keyed(h, salted, "Server Key")...)), nil
}

// keyed is HMAC(key, text).
func keyed(h func() hash.Hash, key []byte, text string) []byte {
	mac := hmac.New(h, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// argon is the PHC string of argon2i and argon2id. Dovecot takes either under
// both names.
func argon(a attempt) (bool, error) {
	f := strings.Split(string(a.text), "$")
	if len(f) != 6 || f[1] != "argon2i" && f[1] != "argon2id" {
		return false, ErrMalformed
	}
	p := parameters(f[3])
	memory, passes, lanes := p["m"], p["t"], p["p"]
	if memory == 0 || passes == 0 || lanes == 0 || lanes > 255 {
		return false, ErrMalformed
	}
	if err := a.limits.allowMemory(float64(memory)*1024, float64(passes)); err != nil {
		return false, err
	}
	d, err := argon2.Decode(string(a.text))
	if err != nil {
		return false, ErrMalformed
	}
	return d.Match(a.password), nil
}

// parameters reads "m=65536,t=3,p=1". What is no number is left out, and so is
// what comes twice: a parser behind us might take the other one.
func parameters(s string) map[string]uint64 {
	p := make(map[string]uint64)
	for field := range strings.SplitSeq(s, ",") {
		name, value, _ := strings.Cut(field, "=")
		n, err := strconv.ParseUint(value, 10, 32)
		if _, twice := p[name]; err != nil || twice {
			p[name] = 0
			continue
		}
		p[name] = n
	}
	return p
}

// oneTime is "<algorithm> <count> <seed> <hex>" of OTP (RFC 2289 section 6):
// the password is right if it makes the stored value at the stored count.
func oneTime(a attempt) (bool, error) {
	f := strings.Split(string(a.text), " ")
	if len(f) != 4 {
		return false, ErrMalformed
	}
	fold, ok := folds[strings.ToLower(f[0])]
	count, err := strconv.ParseUint(f[1], 10, 32)
	want, hexErr := hex.DecodeString(f[3])
	if !ok || err != nil || hexErr != nil || len(want) != 8 {
		return false, ErrMalformed
	}
	if err := a.limits.allowRounds(count); err != nil {
		return false, err
	}
	key := fold([]byte(strings.ToLower(f[2]) + a.password))
	for range count {
		key = fold(key)
	}
	a.text = want
	return a.is(key), nil
}

// folds reduce a digest to 64 bits (RFC 2289 appendix A).
var folds = map[string]func([]byte) []byte{
	"md4":  func(b []byte) []byte { return foldHalves(md4.New(), b) },
	"md5":  func(b []byte) []byte { return foldHalves(md5.New(), b) },
	"sha1": foldSHA1,
}

func foldHalves(h hash.Hash, b []byte) []byte {
	d := sum(h, string(b))
	for i := range 8 {
		d[i] ^= d[i+8]
	}
	return d[:8]
}

// foldSHA1 folds five words into two and writes them least significant octet
// first.
func foldSHA1(b []byte) []byte {
	d := sha1.Sum(b)
	w := func(i int) uint32 { return binary.BigEndian.Uint32(d[4*i:]) }
	out := binary.LittleEndian.AppendUint32(nil, w(0)^w(2)^w(4))
	return binary.LittleEndian.AppendUint32(out, w(1)^w(3))
}
