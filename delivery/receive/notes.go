package receive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"gomaild/mail"
)

// maxNotes bounds the memory of partial deliveries: about 1 MB.
const maxNotes = 10_000

// noteLife is how long a client is expected to try again: it should give up
// after 4 to 5 days (RFC 5321 section 4.5.4.1).
const noteLife = 5 * 24 * time.Hour

const digestSize = sha256.Size

// noteKey is a message in a mailbox.
type noteKey [digestSize]byte

// errNoted settles an attempt that an earlier try of the same message made.
var errNoted = errors.New("delivered before")

// notes remembers which mailboxes have a message whose transaction failed for
// others, so that the client's next try does not deliver it twice. A note ends
// with the try that gets a final reply, and with noteLife: after that, equal
// content is another message, and passing it over would lose it. When the notes
// are full the oldest go.
type notes struct {
	mu    sync.Mutex
	made  map[noteKey]time.Time // the fields below mu are guarded by it
	order []noteKey             // a ring, next is its oldest; may name notes that are gone
	next  int
}

func newNotes() *notes { return &notes{made: make(map[noteKey]time.Time)} }

func (n *notes) isEmpty() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.made) == 0
}

func (n *notes) has(now time.Time, k noteKey) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	made, ok := n.made[k]
	return ok && now.Before(made.Add(noteLife))
}

func (n *notes) add(now time.Time, k noteKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, known := n.made[k]
	n.made[k] = now
	if known {
		return
	}
	if len(n.order) < maxNotes {
		n.order = append(n.order, k)
		return
	}
	delete(n.made, n.order[n.next])
	n.order[n.next] = k
	n.next = (n.next + 1) % maxNotes
}

func (n *notes) drop(k noteKey) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.made, k)
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
	now := t.r.Now()
	for _, a := range attempts {
		if a.err == nil && t.r.notes.has(now, t.noteKey(digest, a)) {
			a.err = errNoted
		}
	}
}

// note remembers what was delivered, if the reply will be temporary, and else
// forgets what this try was the last to need. A digest that cannot be computed
// costs a duplicate at worst.
func (t *transaction) note(c Content, digest [digestSize]byte, attempts []*attempt) {
	delivered, deferred := false, false
	for _, a := range attempts {
		delivered = delivered || a.err == nil
		deferred = deferred || a.err != nil && !errors.Is(a.err, errNoted) && mail.StatusOf(a.err).Temporary()
	}
	if !deferred {
		t.dropNotes(digest, attempts)
		return
	}
	if !delivered {
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
			t.r.notes.add(t.r.Now(), t.noteKey(digest, a))
		}
	}
}

func (t *transaction) dropNotes(digest [digestSize]byte, attempts []*attempt) {
	for _, a := range attempts {
		if errors.Is(a.err, errNoted) {
			t.r.notes.drop(t.noteKey(digest, a))
		}
	}
}

func (t *transaction) noteKey(digest [digestSize]byte, a *attempt) noteKey {
	text := fmt.Sprintf("%x %q %q %q", digest, t.from.Address, a.address, a.detail)
	return sha256.Sum256([]byte(text))
}
