package drill

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gomaild/internal/durable"
)

// Fate is what the client knows of a message.
type Fate string

// The fates of a message.
const (
	Acknowledged Fate = "acknowledged" // 250 was read: it must be there
	Unanswered   Fate = "unanswered"   // the connection died before the reply: it may be there
	Refused      Fate = "refused"      // it was never taken: the sender keeps it
)

// Entry is a line of the ledger.
type Entry struct {
	ID    string    `json:"id"`    // Message-ID without brackets
	Fate  Fate      `json:"fate"`  //
	Fault string    `json:"fault"` // the fault in progress; "" before the first
	At    time.Time `json:"at"`
}

// ledger is the client's own record, on a disk that the faults do not touch.
type ledger struct {
	root *durable.Root
	file durable.File

	mu      sync.Mutex
	fault   string
	entries []Entry
}

// createLedger makes the file; one that exists is an error.
func createLedger(path string) (*ledger, error) {
	root, err := durable.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	f, err := root.OpenFile(filepath.Base(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	if err := root.SyncDir("."); err != nil {
		return nil, errors.Join(err, f.Close(), root.Close())
	}
	return &ledger{root: root, file: f}, nil
}

// during names the fault that the next entries belong to.
func (l *ledger) during(fault string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fault = fault
}

// add is durable when it returns.
func (l *ledger) add(id string, fate Fate) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := Entry{ID: id, Fate: fate, Fault: l.fault, At: time.Now()}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return err
	}
	l.entries = append(l.entries, e)
	return l.file.Sync()
}

func (l *ledger) close() error { return errors.Join(l.file.Close(), l.root.Close()) }
