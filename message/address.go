package message

import "strings"

// ParseAddressList reads an address-list of RFC 5322 section 3.4 with the
// obsolete forms of section 4.4: groups, routes, comments as names. Whatever
// is written there gives some entry; at most limit entries are returned. Names
// stay undecoded.
func ParseAddressList(s string, limit int) []Mailbox {
	p := addressParser{lexer: lexer{s: s}, limit: limit}
	for !p.done() && len(p.list) < limit {
		p.address()
	}
	if p.inGroup && len(p.list) < limit {
		p.list = append(p.list, Mailbox{GroupEnd: true})
	}
	return p.list
}

type addressParser struct {
	lexer
	list    []Mailbox
	limit   int
	inGroup bool
}

// address reads one mailbox, the head of a group or its end, and the comma
// after it.
func (p *addressParser) address() {
	switch p.peek() {
	case ',':
		p.i++
		return
	case ';':
		p.i++
		p.endGroup()
		return
	}
	p.comment = ""
	local, phrase := p.words()
	switch p.peek() {
	case '<':
		p.angle(phrase)
	case ':':
		p.i++
		p.inGroup = true
		p.list = append(p.list, Mailbox{Local: phrase, GroupStart: true})
	case '@':
		p.i++
		domain := p.domain()
		p.skip()
		p.list = append(p.list, Mailbox{Name: p.comment, Local: local, Domain: domain})
		p.toSeparator()
	default:
		p.noDomain(phrase)
		p.toSeparator()
	}
}

// noDomain takes words without an address: one word is a local part, several
// are a name.
func (p *addressParser) noDomain(phrase string) {
	m := Mailbox{Name: p.comment, Local: phrase}
	if strings.Contains(phrase, " ") {
		m = Mailbox{Name: phrase}
	}
	if m != (Mailbox{}) {
		p.list = append(p.list, m)
	}
}

func (p *addressParser) endGroup() {
	if p.inGroup {
		p.list = append(p.list, Mailbox{GroupEnd: true})
	}
	p.inGroup = false
}

// words reads atoms with their dots and quoted strings, as a local part
// (nothing between) and as a phrase (a blank between).
func (p *addressParser) words() (local, phrase string) {
	var words []string
	for !p.done() {
		switch c := p.peek(); {
		case strings.IndexByte(",;:<>@", c) >= 0:
			return strings.Join(words, ""), strings.Join(words, " ")
		case c == '"':
			words = append(words, p.quoted())
		case c == ')':
			p.i++
		default:
			words = append(words, p.until(" \t\r\n\"(),:;<>@"))
		}
	}
	return strings.Join(words, ""), strings.Join(words, " ")
}

// angle reads `<route:local@domain>` after a phrase.
func (p *addressParser) angle(name string) {
	p.i++
	m := Mailbox{Name: name}
	p.skip()
	if route := p.until(":>\""); strings.HasPrefix(route, "@") && p.eat(':') {
		m.Route = strings.TrimSpace(route)
	} else {
		p.i -= len(route)
	}
	m.Local, _ = p.words()
	if p.eat('@') {
		m.Domain = p.domain()
	}
	p.until(">,")
	p.eat('>')
	p.skip()
	if m.Name == "" {
		m.Name = p.comment
	}
	p.list = append(p.list, m)
	p.toSeparator()
}

// domain reads a dot-atom or a literal in brackets, blanks and comments left
// out.
func (p *addressParser) domain() string {
	var b strings.Builder
	for {
		p.skip()
		switch c := p.peek(); {
		case p.i >= len(p.s) || strings.IndexByte(",;:<>@\")\\", c) >= 0:
			return b.String()
		case c == '[':
			b.WriteString(p.until("]"))
			if p.eat(']') {
				b.WriteByte(']')
			}
		case c == ']':
			p.i++
		default:
			if b.Len() > 0 && c != '.' && !strings.HasSuffix(b.String(), ".") {
				return b.String()
			}
			b.WriteString(p.until(" \t\r\n\"(),:;<>@[]\\"))
		}
	}
}

// toSeparator passes over what follows a complete address.
func (p *addressParser) toSeparator() {
	p.until(",;")
	p.eat(',')
}
