package message

import (
	"html"
	"strings"
)

// inlineTags are the elements of HTML that stand inside a word without ending
// it.
var inlineTags = strings.Fields("a abbr acronym b bdi bdo big cite code del dfn em font i ins kbd label mark o:p q s samp small span strike strong sub sup tt u var wbr")

// hiddenTags are the elements whose text nobody reads.
var hiddenTags = []string{"script", "style", "title", "template", "noscript"}

// HTMLText is what a person reads of an HTML text, in one line: the text between
// tags with its character references resolved. It reads any text in linear time
// and renders nothing: what style sheets hide or scripts show it does not know.
func HTMLText(s string) string {
	var b strings.Builder
	b.Grow(len(s) / 2)
	for s != "" {
		before, after, found := strings.Cut(s, "<")
		b.WriteString(before)
		if !found {
			break
		}
		name := tagName(after)
		switch {
		case strings.HasPrefix(after, "!--"):
			_, s, _ = strings.Cut(after[3:], "-->")
			continue
		case name == "" && !strings.HasPrefix(after, "!") && !strings.HasPrefix(after, "?"):
			b.WriteByte('<') // no tag: "1 < 2"
			s = after
			continue
		}
		s = behindTag(after)
		if isIn(hiddenTags, name) {
			s = behindElement(s, name)
		}
		if !isIn(inlineTags, strings.TrimPrefix(name, "/")) {
			b.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(html.UnescapeString(b.String())), " ")
}

// tagName is the name that s, which follows a "<", begins with, in lower case
// and with the slash of an end tag; "" if it is none.
func tagName(s string) string {
	letters := strings.TrimPrefix(s[:min(len(s), 16)], "/")
	if letters == "" || letters[0]|0x20 < 'a' || letters[0]|0x20 > 'z' {
		return ""
	}
	if i := strings.IndexAny(letters, " \t\r\n\f>/"); i >= 0 {
		letters = letters[:i]
	}
	if s[0] == '/' {
		letters = s[:len(letters)+1]
	}
	return strings.ToLower(letters)
}

// behindTag is what follows the ">" of a tag; one inside quotes does not end it.
func behindTag(s string) string {
	quote := byte(0)
	for i := range len(s) {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '>':
			return s[i+1:]
		case (c == '"' || c == '\'') && i > 0 && s[i-1] == '=':
			quote = c
		}
	}
	return ""
}

// behindElement is what follows the end tag of an element.
func behindElement(s, name string) string {
	for {
		_, after, found := strings.Cut(s, "</")
		if !found {
			return ""
		}
		s = after
		if len(s) >= len(name) && strings.EqualFold(s[:len(name)], name) {
			return behindTag(s)
		}
	}
}

func isIn(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
