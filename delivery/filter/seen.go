package filter

import (
	"errors"
	"fmt"
	"io/fs"
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
	s := &seen{until: map[string]int64{}, now: now.Unix()}
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
	for line := range strings.Lines(string(data)) {
		key, until, _ := strings.Cut(strings.TrimSpace(line), " ")
		if t, err := strconv.ParseInt(until, 10, 64); err == nil && t > s.now {
			s.until[key] = t
		}
	}
	return s, nil
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
	keys := make([]string, 0, len(s.until))
	for k := range s.until {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		if s.until[a] != s.until[b] {
			return int(min(1, max(-1, s.until[b]-s.until[a])))
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	for _, k := range keys[:min(len(keys), maxSeen)] {
		fmt.Fprintf(&b, "%s %d\n", k, s.until[k])
	}
	return write(path.Join(dir, seenFile), []byte(b.String()))
}
