package descrypt

import (
	"crypto/des"
	"encoding/binary"
	"strings"
	"testing"
)

// saltOf reads base-64 digits, the least significant first.
func saltOf(s string) (v uint32) {
	for i := range len(s) {
		v |= uint32(strings.IndexByte(Alphabet, s[i])) << (6 * i)
	}
	return v
}

// The hashes are crypt(3)'s.
func TestVectors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ rule, got, want string }{
		{"traditional", Traditional("Test-pw1", saltOf("ab")), "ABvSeev8zEU"},
		{"only 8 octets count", Traditional("Test-pw1x", saltOf("ab")), "ABvSeev8zEU"},
		{"octets with bit 7", Traditional("пароль-Ü€", saltOf("02")), "hVqIgRJsT6s"},
		{"extended", Extended("Test-pw1", saltOf("abcd"), int(saltOf("J9.."))), ".aZPDjjJmRg"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: %s, want %s", tc.rule, tc.got, tc.want)
		}
	}
	if a, b := Extended("longer than 8", 1, 1), Extended("longer than 9", 1, 1); a == b {
		t.Error("extended: what follows 8 octets does not count")
	}
}

// Without salt and for one round it is DES.
func TestIsDES(t *testing.T) {
	t.Parallel()
	for key := range uint64(50) {
		key = key * 0x9e3779b97f4a7c15
		block := key * 3
		c, err := des.NewCipher(binary.BigEndian.AppendUint64(nil, key))
		if err != nil {
			t.Fatal(err)
		}
		want := make([]byte, 8)
		c.Encrypt(want, binary.BigEndian.AppendUint64(nil, block))
		k := schedule(key)
		if got := k.encrypt(block, 0, 1); got != binary.BigEndian.Uint64(want) {
			t.Fatalf("key %x: %x, want %x", key, got, want)
		}
	}
}
