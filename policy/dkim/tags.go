package dkim

import (
	"encoding/base64"
	"errors"
	"strings"
)

// tags is a tag list (RFC 6376 section 3.2): name=value, with ; between.
type tags map[string]string

var errTags = errors.New("malformed tag list")

// maxTags bounds a list; the RFC defines a dozen.
const maxTags = 64

// parseTags reads a list. A name twice makes the whole list invalid.
func parseTags(s string) (tags, error) {
	t := tags{}
	for part := range strings.SplitSeq(s, ";") {
		part = strings.Trim(part, " \t\r\n")
		if part == "" {
			continue
		}
		name, value, found := strings.Cut(part, "=")
		name = strings.TrimRight(name, " \t\r\n")
		if _, twice := t[name]; !found || twice || !isTagName(name) || len(t) >= maxTags {
			return nil, errTags
		}
		t[name] = strings.Trim(value, " \t\r\n")
	}
	return t, nil
}

func isTagName(s string) bool {
	for i, c := range []byte(s) {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c != '_' && (c < '0' || c > '9')) {
			return false
		}
	}
	return s != ""
}

// list splits a value at colons, blanks around its parts removed.
func (t tags) list(name string) []string {
	v, ok := t[name]
	if !ok {
		return nil
	}
	var l []string
	for part := range strings.SplitSeq(v, ":") {
		l = append(l, strings.Trim(part, " \t\r\n"))
	}
	return l
}

// base64 decodes a value that may be folded.
func (t tags) base64(name string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(stripBlanks(t[name]))
}

func stripBlanks(s string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, s)
}
