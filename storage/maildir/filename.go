package maildir

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"gomaild/storage"
)

// A file name is a base name, which is the message's identity and never
// changes, and a suffix with its flags:
//
//	SECONDS.M<usec>X<epoch>P<pid>Q<n>.<host>,S=<octets>,W=<octets>:2,<flags>
const flagMark = ":2,"

// splitName cuts a file name at its first colon; suffix is "" or starts with it.
func splitName(name string) (base, suffix string) {
	if i := strings.IndexByte(name, ':'); i >= 0 {
		return name[:i], name[i:]
	}
	return name, ""
}

// fileFlags is what a suffix says.
type fileFlags struct {
	system   storage.SystemFlag
	keywords storage.KeywordSet // position i is letter 'a'+i
	other    string             // letters without a meaning here (P for passed), kept
}

// flagLetters are the system flags by their letters.
var flagLetters = [...]struct {
	letter byte
	flag   storage.SystemFlag
}{
	{'D', storage.Drafted},
	{'F', storage.Flagged},
	{'R', storage.Answered},
	{'S', storage.Seen},
	{'T', storage.Deleted},
}

// parseSuffix reads the letters behind the last ":2,"; another kind of suffix
// (":1,", none) holds no flags.
func parseSuffix(suffix string) fileFlags {
	var f fileFlags
	i := strings.LastIndexByte(suffix, ':')
	if i < 0 || !strings.HasPrefix(suffix[i:], flagMark) {
		return f
	}
	var other []byte
	for _, c := range []byte(suffix[i+len(flagMark):]) {
		switch flag := systemFlag(c); {
		case flag != 0:
			f.system |= flag
		case 'a' <= c && c <= 'z':
			f.keywords = f.keywords.With(int(c - 'a'))
		case isOtherLetter(c) && !slices.Contains(other, c):
			other = append(other, c)
		}
	}
	f.other = string(other)
	return f
}

func systemFlag(c byte) storage.SystemFlag {
	for _, l := range flagLetters {
		if l.letter == c {
			return l.flag
		}
	}
	return 0
}

// isOtherLetter excludes what could end the list of flags.
func isOtherLetter(c byte) bool { return ' ' < c && c < 0x7f && c != ':' && c != ',' && c != '/' }

// suffix writes the flags in ASCII order, as Dovecot does.
func (f fileFlags) suffix() string {
	letters := []byte(f.other)
	for _, l := range flagLetters {
		if f.system&l.flag != 0 {
			letters = append(letters, l.letter)
		}
	}
	for i := range f.keywords.All() {
		letters = append(letters, 'a'+byte(i))
	}
	slices.Sort(letters)
	return flagMark + string(letters)
}

// sizes are the octets of a message, -1 where unknown.
type sizes struct {
	stored, wire int64
}

func (s sizes) known() bool { return s.stored >= 0 && s.wire >= 0 }

// nameSizes reads ,S= and ,W= of a base name.
func nameSizes(base string) sizes {
	s := sizes{-1, -1}
	_, fields, _ := strings.Cut(base, ",")
	for field := range strings.SplitSeq(fields, ",") {
		if v, ok := strings.CutPrefix(field, "S="); ok {
			s.stored = parseSize(v)
		}
		if v, ok := strings.CutPrefix(field, "W="); ok {
			s.wire = parseSize(v)
		}
	}
	return s
}

// extSizes reads the W and S fields of a uidlist line.
func extSizes(ext string) sizes {
	s := sizes{-1, -1}
	for field := range strings.SplitSeq(ext, " ") {
		if v, ok := strings.CutPrefix(field, "S"); ok {
			s.stored = parseSize(v)
		}
		if v, ok := strings.CutPrefix(field, "W"); ok {
			s.wire = parseSize(v)
		}
	}
	return s
}

func parseSize(s string) int64 {
	n, err := strconv.ParseUint(s, 10, 63)
	if err != nil {
		return -1
	}
	return int64(n)
}

// sizeTail is the part of a base name that gives the sizes.
func (s sizes) tail() string {
	return ",S=" + strconv.FormatInt(s.stored, 10) + ",W=" + strconv.FormatInt(s.wire, 10)
}

// arrival is the time in a base name, for the order of new messages; names
// without one come first.
type arrival struct {
	sec, usec uint64
}

func nameArrival(base string) arrival {
	sec, rest, _ := strings.Cut(base, ".")
	var a arrival
	var err error
	if a.sec, err = strconv.ParseUint(sec, 10, 64); err != nil {
		return arrival{}
	}
	if digits, ok := strings.CutPrefix(rest, "M"); ok {
		a.usec = leadingNumber(digits)
	}
	return a
}

func leadingNumber(s string) uint64 {
	end := 0
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	n, err := strconv.ParseUint(s[:end], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// sortByArrival orders things by their base names, as new UIDs are given out.
func sortByArrival[T any](all []T, base func(T) string) {
	type row struct {
		arrival
		base string
		one  T
	}
	rows := make([]row, len(all))
	for i, one := range all {
		rows[i] = row{nameArrival(base(one)), base(one), one}
	}
	slices.SortFunc(rows, func(a, b row) int {
		switch {
		case a.sec != b.sec:
			return cmp.Compare(a.sec, b.sec)
		case a.usec != b.usec:
			return cmp.Compare(a.usec, b.usec)
		}
		return strings.Compare(a.base, b.base)
	})
	for i := range rows {
		all[i] = rows[i].one
	}
}
