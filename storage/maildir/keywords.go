package maildir

import (
	"strconv"
	"strings"

	"gomaild/storage"
)

const (
	keywordsFile = "dovecot-keywords"
	maxKeywords  = 26 // letters a to z
)

// keywords is the content of dovecot-keywords, one "<index> <name>" a line:
// names of the letters a to z in file names, "" for a free one. Each folder has
// its own.
type keywords [maxKeywords]string

// parseKeywords passes over lines that make no sense, as Dovecot does.
func parseKeywords(data string) keywords {
	var k keywords
	for line := range strings.SplitSeq(data, "\n") {
		index, name, _ := strings.Cut(line, " ")
		i, err := strconv.ParseUint(index, 10, 8)
		if err == nil && i < maxKeywords && isKeyword(name) {
			k[i] = name
		}
	}
	return k
}

// isKeyword takes every flag-keyword of RFC 3501, and what others may have
// written that can still be sent as one.
func isKeyword(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`(){%*"\]`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

func (k *keywords) format() []byte {
	var b []byte
	for i, name := range k {
		if name != "" {
			b = strconv.AppendInt(b, int64(i), 10)
			b = append(b, ' ')
			b = append(append(b, name...), '\n')
		}
	}
	return b
}

// names are the names for a View, as far as there are some.
func (k *keywords) names() []string {
	n := maxKeywords
	for n > 0 && k[n-1] == "" {
		n--
	}
	return append([]string(nil), k[:n]...)
}

func (k *keywords) hasRoom() bool {
	for _, name := range k {
		if name == "" {
			return true
		}
	}
	return false
}

// index compares as IMAP clients expect: without regard to case.
func (k *keywords) index(name string) int {
	for i, known := range k {
		if known != "" && strings.EqualFold(known, name) {
			return i
		}
	}
	return -1
}

// define gives letters to names that have none and are not in more, as far as
// there are letters; the others are left. changed tells that the file must be
// written. ErrKeywordLimit if one could not be a keyword.
func (k *keywords) define(names []string, more *moreKeywords) (set storage.KeywordSet, left []string, changed bool, err error) {
	for _, name := range names {
		i := k.index(name)
		if i < 0 && !isKeyword(name) {
			return "", nil, false, storage.ErrKeywordLimit
		}
		if i < 0 && more.index(name) < 0 {
			if i = k.free(); i >= 0 {
				k[i] = name
				changed = true
			}
		}
		if i < 0 {
			left = append(left, name)
			continue
		}
		set = set.With(i)
	}
	return set, left, changed, nil
}

func (k *keywords) free() int {
	for i, name := range k {
		if name == "" {
			return i
		}
	}
	return -1
}

// nameUnknown names letters that occur in file names and not in the file
// unknown-N, as Dovecot does.
func (k *keywords) nameUnknown(used storage.KeywordSet) (changed bool) {
	for i := range k {
		if used.Has(i) && k[i] == "" {
			k[i] = "unknown-" + strconv.Itoa(i)
			changed = true
		}
	}
	return changed
}
