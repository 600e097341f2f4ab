package streebog

import (
	"encoding/hex"
	"testing"
)

// The examples of RFC 6986 section 10, in the order in which octets are
// written, and the empty message.
func TestVectors(t *testing.T) {
	t.Parallel()
	m2, err := hex.DecodeString("d1e520e2e5f2f0e82c20d1f2f0e8e1eee6e820e2edf3f6e82c20e2e5fef2fa20f120eceef0ff20f1f2f0e5ebe0ece820ede020f5f0e0e1f0fbff20efebfaeafb20c8e3eef0e5e2fb")
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, message, want string }{
		{"section 10.1, M1", "012345678901234567890123456789012345678901234567890123456789012", "9d151eefd8590b89daa6ba6cb74af9275dd051026bb149a452fd84e5e57b5500"},
		{"section 10.2, M2, more than a block", string(m2), "9dd2fe4e90409e5da87f53976d7405b0c0cac628fc669a741d50063c557e8f50"},
		{"empty", "", "3f539a213e97c802cc229d474c6aa32a825a360b2a933a949fd925208d9ce1bb"},
	} {
		h := New()
		half := len(tc.message) / 2
		h.Write([]byte(tc.message[:half]))
		h.Write([]byte(tc.message[half:]))
		if got := hex.EncodeToString(h.Sum(nil)); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != tc.want {
			t.Errorf("%s: Sum changed the state", tc.name)
		}
	}
}
