package maildir

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"gomaild/storage"
)

// stamps are what a mailbox's directories and lists looked like; as long as
// they are the same nothing has changed.
type stamps struct {
	cur, new, list, keys stamp
}

// A change that comes right after a look can leave the same time behind,
// because file systems count time in steps. Stamps are trusted only when they
// were older than a step when they were taken.
const (
	fineStep   = 20 * time.Millisecond // above the kernel's tick
	coarseStep = 2 * time.Second       // where times have no fraction
)

func (s stamps) settledAt(looked time.Time) bool {
	for _, one := range []stamp{s.cur, s.new, s.list, s.keys} {
		step := fineStep
		if one.mtime%int64(time.Second) == 0 {
			step = coarseStep
		}
		if one.mtime != 0 && looked.UnixNano()-one.mtime < int64(step) {
			return false
		}
	}
	return true
}

// stamps looks at the disk. fs.ErrNotExist if cur/ or new/ is missing.
func (m *mailbox) stamps() (stamps, error) {
	var s stamps
	infos, err := m.store.fs.StatIn(m.place().dir, "cur", "new", uidListFile, keywordsFile)
	if err != nil {
		return s, err
	}
	for i, one := range []*stamp{&s.cur, &s.new, &s.list, &s.keys} {
		if infos[i] != nil {
			*one = stampOf(infos[i])
		}
	}
	for i, name := range []string{"cur", "new"} {
		if infos[i] == nil {
			return s, &fs.PathError{Op: "stat", Path: m.path(name), Err: fs.ErrNotExist}
		}
	}
	return s, nil
}

func (m *mailbox) stampIfThere(name string) (stamp, error) {
	info, err := m.store.fs.Stat(m.path(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return stamp{}, nil
	case err != nil:
		return stamp{}, err
	}
	return stampOf(info), nil
}

// found is a message file as a scan saw it.
type found struct {
	suffix *suffix
	inNew  bool
}

func (f found) path(base string) string {
	return subOf(f.inNew) + "/" + base + f.suffix.text
}

// suffix is one of the few that many names share.
type suffix struct {
	text  string
	flags fileFlags
}

// twin is a second file with the same base name in one scan: a duplicate, or
// one file that was renamed meanwhile.
type twin struct {
	base string
	found
}

// scan is what is in cur/ and new/.
type scan struct {
	files    map[string]found // by base name
	twins    []twin
	suffixes map[string]*suffix
}

func (m *mailbox) scan() (*scan, error) {
	s := &scan{suffixes: map[string]*suffix{}}
	for _, dir := range []string{"cur", "new"} {
		names, err := m.store.fs.ReadDirNames(m.path(dir))
		if err != nil {
			return nil, err
		}
		slices.Sort(names)
		if s.files == nil {
			s.files = make(map[string]found, len(names))
		}
		for _, name := range names {
			s.take(name, dir == "new")
		}
	}
	return s, nil
}

func (s *scan) take(name string, inNew bool) {
	if strings.HasPrefix(name, ".") {
		return
	}
	base, text := splitName(name)
	if !isBaseName(base) {
		return
	}
	f := found{s.suffix(text), inNew}
	if _, again := s.files[base]; again {
		s.twins = append(s.twins, twin{base, f})
		return
	}
	s.files[base] = f
}

func (s *scan) suffix(text string) *suffix {
	known := s.suffixes[text]
	if known == nil {
		text = strings.Clone(text) // the name it is cut from goes away
		known = &suffix{text, parseSuffix(text)}
		s.suffixes[text] = known
	}
	return known
}

// merge adds what only an earlier scan saw.
func (s *scan) merge(earlier *scan) {
	for base, f := range earlier.files {
		if _, here := s.files[base]; !here {
			s.files[base] = f
		}
	}
}

// usedLetters are the keyword letters in all names.
func (s *scan) usedLetters() storage.KeywordSet {
	var used storage.KeywordSet
	for _, x := range s.suffixes {
		used = used.Union(x.flags.keywords)
	}
	return used
}
