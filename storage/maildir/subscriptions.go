package maildir

import (
	"slices"
	"strings"
)

const (
	subscriptionsFile = "subscriptions"
	subscriptionsV2   = "V\t2\n\n"
)

// subscriptions is the content of that file. Version 2 has a header and a tab
// between the levels of a name, version 1 no header and a dot; levels are in
// modified UTF-7. Lines that cannot be read are kept.
type subscriptions struct {
	v2    bool
	lines []string
}

// parseSubscriptions reads a file; a missing or empty one is of version 2. Like
// Dovecot it passes over a last line without an end, and carriage returns.
func parseSubscriptions(data string) subscriptions {
	var s subscriptions
	rest, v2 := strings.CutPrefix(data, subscriptionsV2)
	s.v2 = v2 || data == ""
	lines := strings.Split(rest, "\n")
	for _, line := range lines[:len(lines)-1] {
		line = strings.TrimRight(line, "\r")
		if line != "" && !slices.Contains(s.lines, line) {
			s.lines = append(s.lines, line)
		}
	}
	return s
}

func (s *subscriptions) format() []byte {
	var b []byte
	if s.v2 {
		b = append(b, subscriptionsV2...)
	}
	for _, line := range s.lines {
		b = append(append(b, line...), '\n')
	}
	return b
}

func (s *subscriptions) separator() string {
	if s.v2 {
		return "\t"
	}
	return "."
}

// names are the names that can be shown, in the order of the file.
func (s *subscriptions) names() []string {
	var all []string
	for _, line := range s.lines {
		name, ok := s.name(line)
		if ok && !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	return all
}

func (s *subscriptions) name(line string) (string, bool) {
	if strings.Contains(line, separator) {
		return "", false
	}
	name, ok := decodeUTF7(strings.ReplaceAll(line, s.separator(), separator))
	return name, ok && name != ""
}

// set adds name or takes it away; false if nothing changed. Version 1 cannot
// hold a dot within a level, which only names of other accounts have: with one
// of them the file becomes one of version 2.
func (s *subscriptions) set(name string, on bool) bool {
	i := slices.IndexFunc(s.lines, func(line string) bool {
		known, ok := s.name(line)
		return ok && known == name
	})
	switch {
	case on && i < 0:
		if !s.v2 && strings.Contains(name, ".") {
			s.v2 = true
			for n, line := range s.lines {
				s.lines[n] = strings.ReplaceAll(line, ".", s.separator())
			}
		}
		s.lines = append(s.lines, strings.ReplaceAll(encodeUTF7(name), separator, s.separator()))
	case !on && i >= 0:
		s.lines = slices.Delete(s.lines, i, i+1)
	default:
		return false
	}
	return true
}
