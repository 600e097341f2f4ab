package receive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"

	"gomaild/mail"
)

// maxNotes bounds the memory of partial deliveries: about 1 MB.
const maxNotes = 10_000

const digestSize = sha256.Size

// noteKey is a message in a mailbox.
type noteKey [digestSize]byte

// errNoted settles an attempt that an earlier try of the same message made.
var errNoted = errors.New("delivered before")

// notes remembers which mailboxes have a message whose transaction failed for
// others, so that the client's next try does not deliver it twice. When it is
// full the oldest notes go.
type notes struct {
	mu    sync.Mutex
	known map[noteKey]bool // the fields below mu are guarded by it
	order []noteKey        // a ring, next is its oldest
	next  int
}

func newNotes() *notes { return &notes{known: make(map[noteKey]bool)} }

func (n *notes) isEmpty() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.known) == 0
}

func (n *notes) has(k noteKey) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.known[k]
}

func (n *notes) add(k noteKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known[k] {
		return
	}
	n.known[k] = true
	if len(n.order) < maxNotes {
		n.order = append(n.order, k)
		return
	}
	delete(n.known, n.order[n.next])
	n.order[n.next] = k
	n.next = (n.next + 1) % maxNotes
}

// contentDigest is of the octets as the client sent them, without our trace
// fields, which differ with every try.
func contentDigest(c Content) (sum [digestSize]byte, err error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(c, 0, c.Size())); err != nil {
		return sum, fmt.Errorf("read spooled message: %w", err)
	}
	h.Sum(sum[:0])
	return sum, nil
}

// passOverNoted settles the attempts that an earlier try made.
func (t *transaction) passOverNoted(attempts []*attempt, digest [digestSize]byte) {
	for _, a := range attempts {
		if a.err == nil && t.r.notes.has(t.noteKey(digest, a)) {
			a.err = errNoted
		}
	}
}

// note remembers what was delivered, if the reply will be temporary. A digest
// that cannot be computed costs a duplicate at worst.
func (t *transaction) note(c Content, digest [digestSize]byte, attempts []*attempt) {
	delivered, deferred := false, false
	for _, a := range attempts {
		delivered = delivered || a.err == nil
		deferred = deferred || a.err != nil && !errors.Is(a.err, errNoted) && mail.StatusOf(a.err).Temporary()
	}
	if !delivered || !deferred {
		return
	}
	if digest == [digestSize]byte{} {
		d, err := contentDigest(c)
		if err != nil {
			t.log.Warn("partial delivery not noted", "error", err)
			return
		}
		digest = d
	}
	for _, a := range attempts {
		if a.err == nil {
			t.r.notes.add(t.noteKey(digest, a))
		}
	}
}

func (t *transaction) noteKey(digest [digestSize]byte, a *attempt) noteKey {
	text := fmt.Sprintf("%x %q %q %q", digest, t.from.Address, a.to.Mailbox.Address.Fold(), a.to.Detail)
	return sha256.Sum256([]byte(text))
}
