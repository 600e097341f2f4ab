package scheme

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/go-crypt/crypt/algorithm"
	"github.com/go-crypt/crypt/algorithm/argon2"
	"github.com/go-crypt/crypt/algorithm/md5crypt"
	"github.com/go-crypt/crypt/algorithm/shacrypt"
	"golang.org/x/crypto/bcrypt"
)

// ForNew is the scheme of new passwords where none is asked for. Dovecot,
// PostfixAdmin and crypt(3) all read it, so that the way back stays open.
const ForNew = "SHA512-CRYPT"

// The costs of new passwords: 10 to 100 ms each, as a login storm after a
// failover pays them for every account at once.
const (
	newRounds     = 25_000
	newBcryptCost = 10
	newMemoryKiB  = 64 << 10
	newPasses     = 3
)

// ErrUnusable is wrapped by every refusal of Hash that is about the password.
var ErrUnusable = errors.New("unusable password")

// Hash makes a stored password, with its {SCHEME}, that Verify accepts. An
// empty scheme is ForNew. The schemes are those worth having: SHA512-CRYPT,
// SHA256-CRYPT, BLF-CRYPT, ARGON2ID, SSHA512, and MD5-CRYPT and PLAIN for tests
// and old readers; any other is ErrUnknown. A password that is empty, longer
// than the scheme can tell apart, or that holds control characters is
// ErrUnusable.
func Hash(scheme, password string) (string, error) {
	if scheme == "" {
		scheme = ForNew
	}
	scheme = strings.ToUpper(scheme)
	make, ok := makers[scheme]
	if !ok {
		return "", fmt.Errorf("{%.40s}: %w for new passwords", scheme, ErrUnknown)
	}
	if err := usable(password); err != nil {
		return "", err
	}
	text, err := make(password)
	if err != nil {
		return "", fmt.Errorf("{%s}: %w", scheme, err)
	}
	return "{" + scheme + "}" + text, nil
}

func usable(password string) error {
	if password == "" {
		return fmt.Errorf("%w: it is empty", ErrUnusable)
	}
	if len(password) > MaxPassword {
		return fmt.Errorf("%w: it is longer than %d octets", ErrUnusable, MaxPassword)
	}
	if strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("%w: it holds a control character", ErrUnusable)
	}
	return nil
}

var makers = map[string]func(string) (string, error){
	"SHA512-CRYPT": newSHA512Crypt,
	"SHA256-CRYPT": newSHA256Crypt,
	"MD5-CRYPT":    newMD5Crypt,
	"BLF-CRYPT":    newBcrypt,
	"ARGON2ID":     newArgon2id,
	"SSHA512":      newSSHA512,
	"PLAIN":        func(password string) (string, error) { return password, nil },
}

// hasher is what go-crypt's hashers have in common.
type hasher interface {
	Hash(password string) (algorithm.Digest, error)
}

func encoded(h hasher, password string) (string, error) {
	d, err := h.Hash(password)
	if err != nil {
		return "", err
	}
	return d.Encode(), nil
}

func newSHA512Crypt(password string) (string, error) {
	h, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithRounds(newRounds))
	if err != nil {
		return "", err
	}
	return encoded(h, password)
}

func newSHA256Crypt(password string) (string, error) {
	h, err := shacrypt.New(shacrypt.WithSHA256(), shacrypt.WithRounds(newRounds))
	if err != nil {
		return "", err
	}
	return encoded(h, password)
}

func newMD5Crypt(password string) (string, error) {
	h, err := md5crypt.New()
	if err != nil {
		return "", err
	}
	return encoded(h, password)
}

func newArgon2id(password string) (string, error) {
	h, err := argon2.New(argon2.WithVariantID(), argon2.WithM(newMemoryKiB), argon2.WithT(newPasses), argon2.WithP(1))
	if err != nil {
		return "", err
	}
	return encoded(h, password)
}

// newBcrypt writes $2y$, which PHP and crypt(3) write too; it is the same as
// the $2a$ of x/crypto.
func newBcrypt(password string) (string, error) {
	b, err := bcrypt.GenerateFromPassword([]byte(password), newBcryptCost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return "", fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if err != nil {
		return "", err
	}
	return "$2y$" + string(b[len("$2a$"):]), nil
}

func newSSHA512(password string) (string, error) {
	salt := make([]byte, 16)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(append(sum(sha512.New(), password, string(salt)), salt...)), nil
}
