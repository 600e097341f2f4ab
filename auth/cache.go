package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"gomaild/mail"
)

// mark stands for "this password is right for this stored hash of this
// account". It is an HMAC under a secret that lives and dies with the process,
// so memory holds no password and no unsalted digest of one.
type mark [sha256.Size]byte

// verified remembers logins that were verified, so that a client that logs in
// for every page costs no crypt each time. The stored hash is part of the mark,
// and callers compute the mark from the hash that the Store returns now: when
// the stored hash changes, nothing that was remembered matches any more.
type verified struct {
	secret [sha256.Size]byte

	mu    sync.Mutex
	marks *table[mark, struct{}]
}

func newVerified(size int, life time.Duration) *verified {
	v := &verified{marks: newTable[mark, struct{}](size, life)}
	rand.Read(v.secret[:]) //nolint:errcheck // it never fails (crypto/rand.Read)
	return v
}

// mark computes the HMAC over the parts, each with its length before it.
func (v *verified) mark(account mail.Address, stored, password string) mark {
	h := hmac.New(sha256.New, v.secret[:])
	var length [8]byte
	for _, part := range [...]string{account.Local, account.Domain, stored, password} {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return mark(h.Sum(nil))
}

func (v *verified) has(m mark) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	_, ok := v.marks.look(time.Now(), m)
	return ok
}

// add begins the life of a mark. It is not prolonged by use: after its life a
// password is verified again.
func (v *verified) add(m mark) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.marks.set(time.Now(), m, struct{}{})
}
