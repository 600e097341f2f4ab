package maildir

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"time"

	"gomaild/internal/durable"
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

// isOf reports whether the last change was the one of ours that left these stamps,
// so that nothing need be waited for: who appends all the time would never see
// a settled mailbox. What others do in the same moment is found after ownTime.
func (s stamps) isOf(ours stamps, looked time.Time) bool {
	return s.cur == ours.cur && s.list == ours.list && stamps{new: s.new, keys: s.keys}.settledAt(looked)
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
	isFile bool // surely
}

// before is the order in which files of one base name come.
func (f found) before(other found) bool {
	if f.inNew != other.inNew {
		return other.inNew
	}
	return f.suffix.text < other.suffix.text
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
	hasNew   bool             // some are in new/
	twins    []twin
	suffixes map[string]*suffix
}

func (m *mailbox) scan() (*scan, error) {
	s := &scan{suffixes: map[string]*suffix{}}
	for _, inNew := range []bool{false, true} {
		entries, err := m.store.fs.ReadDir(m.path(subOf(inNew)))
		if err != nil {
			return nil, err
		}
		if s.files == nil {
			s.files = make(map[string]found, len(entries))
		}
		for _, e := range entries {
			s.take(e, inNew)
		}
	}
	slices.SortFunc(s.twins, func(a, b twin) int {
		return cmp.Or(cmp.Compare(a.base, b.base), cmp.Compare(a.suffix.text, b.suffix.text))
	})
	return s, nil
}

// take adds an entry. Of files with one base name the first counts, whatever
// order the directory has.
func (s *scan) take(e durable.Entry, inNew bool) {
	if strings.HasPrefix(e.Name, ".") {
		return
	}
	base, text := splitName(e.Name)
	if !isBaseName(base) {
		return
	}
	f := found{s.suffix(text), inNew, e.IsFile}
	s.hasNew = s.hasNew || inNew
	if first, again := s.files[base]; again {
		if f.before(first) {
			f, first = first, f
			s.files[base] = first
		}
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
			s.hasNew = s.hasNew || f.inNew
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
