package scheme

import "fmt"

// Limits are what a stored password may cost at most. They stand between a
// row of the database and the machine: rounds=999999999 or 4 GiB for argon2
// are valid, and would each hold a processor or kill the process. Zero fields
// stand for the defaults.
type Limits struct {
	Rounds      int   // SHA-crypt, sha1crypt, sunmd5, PBKDF2, SCRAM, extended DES; default 1 000 000 (about a second)
	BcryptCost  int   // logarithm; default 14 (about a second)
	MemoryBytes int64 // argon2, scrypt, yescrypt; default 256 MiB
	MemoryWork  int64 // octets of memory times passes over it; default 2 GiB
}

// The defaults of Limits.
const (
	DefaultRounds      = 1_000_000
	DefaultBcryptCost  = 14
	DefaultMemoryBytes = 256 << 20
	DefaultMemoryWork  = 2 << 30
)

func (l Limits) orDefault() Limits {
	if l.Rounds <= 0 {
		l.Rounds = DefaultRounds
	}
	if l.BcryptCost <= 0 {
		l.BcryptCost = DefaultBcryptCost
	}
	if l.MemoryBytes <= 0 {
		l.MemoryBytes = DefaultMemoryBytes
	}
	if l.MemoryWork <= 0 {
		l.MemoryWork = DefaultMemoryWork
	}
	return l
}

func (l Limits) allowRounds(n uint64) error {
	if n > uint64(l.Rounds) {
		return fmt.Errorf("%d rounds: %w", n, ErrTooCostly)
	}
	return nil
}

// allowMemory takes octets and passes as floating point: hostile parameters
// cannot overflow it.
func (l Limits) allowMemory(octets, passes float64) error {
	if octets > float64(l.MemoryBytes) || octets*passes > float64(l.MemoryWork) {
		return fmt.Errorf("%.0f octets, %.0f passes: %w", octets, passes, ErrTooCostly)
	}
	return nil
}
