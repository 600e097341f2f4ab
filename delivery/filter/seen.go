package filter

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"gomaild/internal/durable"
)

// maxSeen bounds the memory of one account; what would be forgotten first
// goes first.
const maxSeen = 10_000

// seen is what vacation and duplicate remember: keys, and until when. In the
// file each is a line "KEY UNIXTIME".
type seen struct {
	until   map[string]int64
	changed bool
	now     int64
}

func loadSeen(fsys durable.FS, dir string, now time.Time) (*seen, error) {
	s := parseSeen("", now)
	info, err := fsys.Lstat(path.Join(dir, seenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read sieve's memory: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > 128*maxSeen {
		return s, nil // not ours: it is replaced
	}
	data, err := durable.ReadFile(fsys, path.Join(dir, seenFile))
	if err != nil {
		return nil, fmt.Errorf("read sieve's memory: %w", err)
	}
	return parseSeen(string(data), now), nil
}

// parseSeen passes over what is over, and over lines that are none.
func parseSeen(text string, now time.Time) *seen {
	s := &seen{until: map[string]int64{}, now: now.Unix()}
	for line := range strings.Lines(text) {
		key, until, _ := strings.Cut(strings.TrimSpace(line), " ")
		if t, err := strconv.ParseInt(until, 10, 64); err == nil && t > s.now {
			s.until[key] = t
		}
	}
	return s
}

// format is what parseSeen reads, of at most maxSeen keys.
func (s *seen) format() []byte {
	keys := slices.SortedFunc(maps.Keys(s.until), func(a, b string) int {
		return cmp.Or(cmp.Compare(s.until[b], s.until[a]), strings.Compare(a, b))
	})
	var b bytes.Buffer
	for _, k := range keys[:min(len(keys), maxSeen)] {
		fmt.Fprintf(&b, "%s %d\n", k, s.until[k])
	}
	return b.Bytes()
}

func (s *seen) has(key string) bool { return s.until[key] > s.now }

func (s *seen) add(key string, until time.Time) {
	s.until[key] = until.Unix()
	s.changed = true
}

// save writes the memory if it changed, durably.
func (s *seen) save(dir string, write func(name string, data []byte) error) error {
	if !s.changed {
		return nil
	}
	return write(path.Join(dir, seenFile), s.format())
}
