package postfixadmin

import (
	"strings"

	"gomaild/mail"
)

// parseGoto reads the goto column of an alias row. PostfixAdmin writes
// addresses with commas between them; older releases, imports and hands left
// blanks, line ends, empty entries, display names and comments, and Postfix
// took them all. So do we:
//
//	list    = entry *( separator entry )
//	entry   = [ phrase ] "<" address ">" / address / ""
//	address = local [ "@" domain ] / "@" domain
//
// A separator is a comma, a semicolon, a line end or, between addresses that
// are not in angle brackets, a blank. Comments in parentheses are dropped. The
// local part keeps its case; an address without @ has no Domain. Nothing is
// ever a command or a file: `"|cat"` is a local part. Entries that are no
// addresses are returned apart.
func parseGoto(s string) (list []mail.Address, refused []string) {
	p := gotoParser{rest: s}
	for p.rest != "" {
		p.step()
	}
	p.endEntry()
	return p.list, p.refused
}

type gotoParser struct {
	rest    string
	word    strings.Builder // the word being read, quotes included
	words   []string        // words since the last separator: addresses, or the phrase before a "<"
	list    []mail.Address
	refused []string
}

// step reads one octet or one bracketed thing.
func (p *gotoParser) step() {
	switch c := p.rest[0]; c {
	case ',', ';', '\r', '\n':
		p.rest = p.rest[1:]
		p.endEntry()
	case ' ', '\t', '\v', '\f':
		p.rest = p.rest[1:]
		p.endWord()
	case '(':
		p.rest = p.rest[commentLen(p.rest):]
		p.endWord()
	case '<':
		p.angle()
	case '"':
		n := quotedLen(p.rest)
		p.word.WriteString(p.rest[:n])
		p.rest = p.rest[n:]
	default:
		p.word.WriteByte(c)
		p.rest = p.rest[1:]
	}
}

func (p *gotoParser) endWord() {
	if p.word.Len() > 0 {
		p.words = append(p.words, p.word.String())
		p.word.Reset()
	}
}

func (p *gotoParser) endEntry() {
	p.endWord()
	for _, w := range p.words {
		p.add(w)
	}
	p.words = nil
}

// angle reads `<address>`: what stood before it was a display name.
func (p *gotoParser) angle() {
	p.word.Reset()
	p.words = nil
	inner := p.rest[1:]
	n := 0
	for n < len(inner) && inner[n] != '>' && inner[n] != '\n' {
		if inner[n] == '"' {
			n += quotedLen(inner[n:])
			continue
		}
		n++
	}
	p.rest = inner[n:]
	p.rest = strings.TrimPrefix(p.rest, ">")
	if address := strings.TrimSpace(inner[:n]); address != "" {
		p.add(address)
	}
}

func (p *gotoParser) add(word string) {
	a, ok := parseEntry(word)
	if !ok {
		p.refused = append(p.refused, word)
		return
	}
	p.list = append(p.list, a)
}

// parseEntry makes an address of one word. RFC 5321's limits and its ban on
// control characters hold here too.
func parseEntry(word string) (mail.Address, bool) {
	local, domain, hasDomain := cutDomain(word)
	a := mail.Address{Local: unquote(local)}
	if !hasDomain {
		_, err := mail.ParseAddress(mail.Address{Local: a.Local, Domain: "x"}.String())
		return a, err == nil && a.Local != ""
	}
	var err error
	if a.Domain, err = mail.ParseDomain(domain); err != nil {
		return mail.Address{}, false
	}
	if a.Local == "" {
		return a, local == ""
	}
	a, err = mail.ParseAddress(a.String())
	return a, err == nil
}

// cutDomain splits at the last @ that is not in quotes.
func cutDomain(word string) (local, domain string, ok bool) {
	at := -1
	for i := 0; i < len(word); {
		switch word[i] {
		case '"':
			i += quotedLen(word[i:])
			continue
		case '@':
			at = i
		}
		i++
	}
	if at < 0 {
		return word, "", false
	}
	return word[:at], word[at+1:], true
}

// unquote drops quotes, and backslashes inside them.
func unquote(s string) string {
	if !strings.Contains(s, `"`) {
		return s
	}
	var b strings.Builder
	inQuotes := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			inQuotes = !inQuotes
		case s[i] == '\\' && inQuotes && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// quotedLen is the length of the quoted string at the head of s, to its
// closing quote or to the end.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(s)
}

// commentLen is the length of the comment at the head of s, with the comments
// in it (RFC 5322 section 3.2.2).
func commentLen(s string) int {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			depth--
			if depth == 0 {
				return i + 1
			}
		}
	}
	return len(s)
}
