package scheme

import (
	"errors"
	"strings"
	"testing"
)

func TestHashVerifies(t *testing.T) {
	t.Parallel()
	for name := range makers {
		const password = `a:b$c{d}'"\%u; пароль`
		stored, err := Hash(strings.ToLower(name), password)
		if err != nil || !strings.HasPrefix(stored, "{"+name+"}") {
			t.Errorf("Hash(%s) = %q, %v", name, stored, err)
			continue
		}
		s, err := Parse(stored, "")
		if err != nil {
			t.Errorf("%s: %v", stored, err)
			continue
		}
		if ok, err := s.Verify("", password, Limits{}); !ok || err != nil {
			t.Errorf("%s: the right password: %v, %v", stored, ok, err)
		}
		if ok, err := s.Verify("", password+"x", Limits{}); ok || err != nil {
			t.Errorf("%s: a wrong password: %v, %v", stored, ok, err)
		}
		if again, err := Hash(name, password); name != "PLAIN" && (again == stored || err != nil) {
			t.Errorf("%s: hashed twice without a new salt: %v", name, err)
		}
	}
}

func TestHashRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rule, scheme, password string
		want                   error
	}{
		{"a scheme that only old rows have", "DES-CRYPT", "secret", ErrUnknown},
		{"no scheme of that name", "NOSUCH", "secret", ErrUnknown},
		{"an empty password", "", "", ErrUnusable},
		{"a NUL", "", "sec\x00ret", ErrUnusable},
		{"a line end", "PLAIN", "secret\r\n", ErrUnusable},
		{"more than crypt takes", "", strings.Repeat("x", MaxPassword+1), ErrUnusable},
		{"more than bcrypt tells apart", "BLF-CRYPT", strings.Repeat("x", 73), ErrUnusable},
	} {
		if stored, err := Hash(tc.scheme, tc.password); !errors.Is(err, tc.want) {
			t.Errorf("%s: %q, %v, want %v", tc.rule, stored, err, tc.want)
		}
	}
}

// Each of these is a valid stored password that would hold a processor for
// minutes or take gigabytes. The test itself is the proof that nothing of it
// is computed.
func TestCostLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ rule, stored string }{
		{"SHA512-crypt rounds", "$6$rounds=999999999$salt$" + strings.Repeat("a", 86)},
		{"SHA256-crypt rounds", "{SHA256-CRYPT}$5$rounds=1000001$salt$" + strings.Repeat("a", 43)},
		{"bcrypt cost", "$2y$31$abcdefghijklmnopqrstuuEaA1X0JkTSpGLU/P6wCzDP.FsyUcICe"},
		{"bcrypt cost with signed octets", "$2x$15$abcdefghijklmnopqrstuuEaA1X0JkTSpGLU/P6wCzDP.FsyUcICe"},
		{"sha1crypt rounds", "$sha1$4294967295$salt$" + strings.Repeat("a", 28)},
		{"sunmd5 rounds", "$md5,rounds=4294967295$salt$$" + strings.Repeat("a", 22)},
		{"extended DES count", "_zzzzabcd.aZPDjjJmRg"},
		{"scrypt memory", "$7$TU..../....salt$" + strings.Repeat("a", 42) + "."},
		{"scrypt passes", "$7$CU....zzzz/salt$" + strings.Repeat("a", 42) + "."},
		{"yescrypt memory", "$y$jKT$abcdefgh$" + strings.Repeat("a", 42) + "."},
		{"gost-yescrypt memory", "$gy$jKT$abcdefgh$" + strings.Repeat("a", 42) + "."},
		{"argon2 memory", "{ARGON2ID}$argon2id$v=19$m=4194304,t=1,p=1$c2FsdHNhbHQ$aGFzaA"},
		{"argon2 passes", "{ARGON2I}$argon2i$v=19$m=65536,t=4294967295,p=1$c2FsdHNhbHQ$aGFzaA"},
		{"PBKDF2 rounds", "{PBKDF2}$1$salt$4294967295$" + strings.Repeat("00", 20)},
		{"SCRAM rounds", "{SCRAM-SHA-256}4294967295,c2FsdA==,c2FsdA==,c2FsdA=="},
		{"OTP count", "{OTP}sha1 4294967295 seed 0123456789abcdef"},
	} {
		s, err := Parse(tc.stored, "CRYPT")
		if err != nil {
			t.Errorf("%s: %v", tc.rule, err)
			continue
		}
		if ok, err := s.Verify("", "secret", Limits{}); ok || !errors.Is(err, ErrTooCostly) {
			t.Errorf("%s: %v, %v, want ErrTooCostly", tc.rule, ok, err)
		}
	}
}

func TestLimitsCanBeSet(t *testing.T) {
	t.Parallel()
	const stored = "$6$rounds=1000$saltstring$"
	s, err := Parse(stored+strings.Repeat("a", 86), "CRYPT")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify("", "secret", Limits{Rounds: 999}); !errors.Is(err, ErrTooCostly) {
		t.Errorf("1000 rounds with a limit of 999: %v", err)
	}
	if _, err := s.Verify("", "secret", Limits{Rounds: 1000}); err != nil {
		t.Errorf("1000 rounds with a limit of 1000: %v", err)
	}
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for _, stored := range []string{
		"$1$", "$1$salt", "$6$", "$6$rounds=$salt$hash", "$6$rounds=x$salt$hash", "$6$rounds=0$salt$hash",
		"$6$,rounds=999999999$salt$hash", "$6$rounds=5,rounds=999999999$salt$hash", "$6$x=1,rounds=999999999$salt$hash", "$md5,rounds=5,rounds=4294967295$salt$$hash",
		"$2y$", "$2y$12$short", "$2y$xx$abcdefghijklmnopqrstuuEaA1X0JkTSpGLU/P6wCzDP.FsyUcICe", "$2x$",
		"$y$", "$y$j9T$", "$y$j9T$ab!$hash", "$gy$j9T$abcdefgh$short", "$7$", "$7$CU..../....", "$7$!U..../....salt$" + strings.Repeat("a", 43),
		"$sha1$", "$sha1$x$salt$hash", "$md5,rounds=x$salt$$hash", "_", "_J9..abcd", "ab", "a!ABvSeev8zEU",
		"{ARGON2ID}$argon2id$", "{ARGON2ID}$argon2id$v=19$m=65536$c2FsdA$aGFzaA", "{ARGON2ID}$argon2id$v=19$m=65536,m=1,t=1,p=1$c2FsdHNhbHQ$aGFzaA",
		"{PBKDF2}$1$salt$x$00", "{PBKDF2}$2$salt$1$" + strings.Repeat("00", 20), "{SCRAM-SHA-1}4096,!,a,b", "{SCRAM-SHA-1}4096",
		"{OTP}sha1 1 seed", "{OTP}sha9 1 seed 0123456789abcdef", "{PLAIN-TRUNC}x", "{MD5}x", "{MD5-CRYPT}$6$salt$hash", "{SSHA}c2FsdA==",
	} {
		s, err := Parse(stored, "CRYPT")
		if err == nil {
			_, err = s.Verify("", "secret", Limits{})
		}
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v, want ErrMalformed", stored, err)
		}
	}
}

func TestPlainTruncated(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rule, stored, password string
		want                   bool
	}{
		{"what was cut off may be anything", "{PLAIN-TRUNC}4-abcd", "abcdefgh", true},
		{"the whole of what was kept counts", "{PLAIN-TRUNC}4-abcd", "abc", false},
		{"what was not cut must be equal", "{PLAIN-TRUNC}8-abcd", "abcdefgh", false},
		{"nothing kept lets nobody in", "{PLAIN-TRUNC}0-", "x", false},
	} {
		if got, err := verify(vector{stored: tc.stored, password: tc.password}); got != tc.want || err != nil {
			t.Errorf("%s: %v, %v", tc.rule, got, err)
		}
	}
}

func TestLongPasswordIsWrong(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", MaxPassword+1)
	if ok, err := verify(vector{stored: "{PLAIN}" + long, password: long}); ok || err != nil {
		t.Errorf("%d octets: %v, %v", len(long), ok, err)
	}
}

// Errors name the scheme and never quote what is stored: they are logged.
func TestErrorsHoldNoSecret(t *testing.T) {
	t.Parallel()
	for _, stored := range []string{"{SHA256.HEX}secretsecret", "{SSHA}secretsecret!", "{SCRAM-SHA-1}secretsecret", "{PBKDF2}secretsecret", "{ARGON2I}secretsecret", "secretsecret"} {
		_, err := verify(vector{stored: stored, defaultScheme: "CRYPT", password: "x"})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", stored, err)
		}
	}
}

// FuzzVerify feeds stored passwords to the parsers: whatever a row of the
// database holds, verifying ends, soon and without a panic.
func FuzzVerify(f *testing.F) {
	seen := make(map[string]bool)
	for _, v := range readVectors(f) {
		if !seen[v.stored] {
			seen[v.stored] = true
			f.Add(v.stored, v.defaultScheme)
		}
	}
	cheap := Limits{Rounds: 2000, BcryptCost: 4, MemoryBytes: 1 << 20, MemoryWork: 1 << 22}
	f.Fuzz(func(t *testing.T, stored, defaultScheme string) {
		s, err := Parse(stored, defaultScheme)
		if err != nil {
			return
		}
		if ok, err := s.Verify("alice@example.com", "", cheap); ok || err != nil {
			t.Errorf("%q: an empty password: %v, %v", stored, ok, err)
		}
		if _, err := s.Verify("alice@example.com", "Test-pw1", cheap); err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooCostly) {
			t.Errorf("%q: %v is not classified", stored, err)
		}
	})
}
