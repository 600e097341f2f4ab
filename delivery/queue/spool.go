package queue

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"gomaild/internal/durable"
	"gomaild/message"
)

const (
	contentSuffix  = ".msg"
	envelopeSuffix = ".env"
	filePerm       = 0o600
)

// spool is the queue on the disk.
type spool struct{ fs durable.FS }

// add makes a message durable: content first, then the envelope that names it.
func (s spool) add(e *Envelope, c message.Content) error {
	if err := s.writeContent(e, c); err != nil {
		return errors.Join(fmt.Errorf("queue %s: %w", e.ID, err), s.drop(e.ID+contentSuffix))
	}
	if err := s.write(e); err != nil {
		// Whatever of it is on the disk was not promised to anybody.
		return errors.Join(fmt.Errorf("queue %s: %w", e.ID, err), s.remove(e.ID))
	}
	return nil
}

func (s spool) writeContent(e *Envelope, c message.Content) error {
	f, err := s.fs.OpenFile(e.ID+contentSuffix, os.O_WRONLY|os.O_CREATE|os.O_EXCL, filePerm)
	if err != nil {
		return err
	}
	h := sha256.New()
	e.Size, err = io.Copy(io.MultiWriter(f, h), io.NewSectionReader(c, 0, c.Size()))
	e.Digest = hex.EncodeToString(h.Sum(nil))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	return errors.Join(f.Sync(), f.Close())
}

// write replaces the envelope, durably.
func (s spool) write(e *Envelope) error {
	data, err := e.encode()
	if err != nil {
		return err
	}
	return durable.WriteFile(s.fs, e.ID+envelopeSuffix, data, filePerm)
}

func (s spool) read(id string) (*Envelope, error) {
	data, err := durable.ReadFile(s.fs, id+envelopeSuffix)
	if err != nil {
		return nil, err
	}
	e, err := decode(data)
	if err == nil && e.ID != id {
		err = ErrDamaged
	}
	if err != nil {
		return nil, fmt.Errorf("queue %s: %w", id, err)
	}
	return e, nil
}

// owed is read, with errGone where there is no envelope.
func (s spool) owed(id string) (*Envelope, error) {
	e, err := s.read(id)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	return e, err
}

// remove ends the responsibility for a message: the envelope first, durably.
func (s spool) remove(id string) error {
	if err := s.drop(id + envelopeSuffix); err != nil {
		return err
	}
	if err := s.fs.SyncDir("."); err != nil {
		return err
	}
	return s.drop(id + contentSuffix)
}

func (s spool) drop(name string) error {
	if err := s.fs.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// content is the open content of a queued message.
type content struct {
	durable.File
	size int64
}

func (c content) Size() int64 { return c.size }

// open opens the content and reads it through once: what is not what was
// accepted must not go out.
func (s spool) open(e *Envelope) (content, error) {
	f, err := s.fs.OpenFile(e.ID+contentSuffix, os.O_RDONLY, 0)
	if err != nil {
		return content{}, err
	}
	h := sha256.New()
	n, err := io.Copy(h, f)
	if err == nil && (n != e.Size || hex.EncodeToString(h.Sum(nil)) != e.Digest) {
		err = fmt.Errorf("content of %s: %w", e.ID, ErrDamaged)
	}
	if err != nil {
		return content{}, errors.Join(err, f.Close())
	}
	return content{f, n}, nil
}

// list is the queue after a start: the IDs of all envelopes, in order of arrival.
// What a crash left half made or half removed goes.
func (s spool) list() ([]string, error) {
	names, err := s.fs.ReadDirNames(".")
	if err != nil {
		return nil, err
	}
	ids := idsOf(names)
	owed := make(map[string]bool, len(ids))
	for _, id := range ids {
		owed[id] = true
	}
	for _, n := range names {
		id, isContent := strings.CutSuffix(n, contentSuffix)
		if isContent && !owed[id] || strings.HasSuffix(n, envelopeSuffix+".tmp") {
			if err := s.drop(n); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(ids, byArrival)
	return ids, nil
}

// ids are those of all envelopes, in order of arrival.
func (s spool) ids() ([]string, error) {
	names, err := s.fs.ReadDirNames(".")
	if err != nil {
		return nil, fmt.Errorf("list the queue: %w", err)
	}
	ids := idsOf(names)
	slices.SortFunc(ids, byArrival)
	return ids, nil
}

func idsOf(names []string) []string {
	var ids []string
	for _, n := range names {
		if id, ok := strings.CutSuffix(n, envelopeSuffix); ok {
			ids = append(ids, id)
		}
	}
	return ids
}

// byArrival orders IDs by the time in them, which is a number in base 36.
func byArrival(a, b string) int {
	_, ta, _ := strings.Cut(a, "-")
	_, tb, _ := strings.Cut(b, "-")
	return cmp.Or(cmp.Compare(len(ta), len(tb)), cmp.Compare(ta, tb), cmp.Compare(a, b))
}
