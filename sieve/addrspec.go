package sieve

import (
	"errors"
	"strings"

	"gomaild/mail"
)

// What mailboxScanner finds amiss.
var (
	errNoAt        = errors.New("there is no @")
	errNoLocalPart = errors.New("nothing stands before the @")
	errNoDomain    = errors.New("no domain stands behind the @")
	errUnclosed    = errors.New("a quote, comment or bracket is not closed")
	errTrailing    = errors.New("something stands behind the address")
)

// parseMailbox reads one address as RFC 5228 section 2.4.2.3 has it: an addr-spec,
// or a name with the addr-spec in angle brackets, with blanks and comments between
// the words (RFC 5322 sections 3.4 and 4.4). A local part may begin or end in a dot or hold
// two in a row, as there are such mailboxes; printed, it is quoted.
func parseMailbox(s string) (mail.Address, error) {
	local, domain, err := scanMailbox(s)
	if err != nil {
		return mail.Address{}, err
	}
	return mail.ParseAddress(mail.Address{Local: local, Domain: domain}.String())
}

func isMailbox(s string) bool {
	_, err := parseMailbox(s)
	return err == nil
}

// scanMailbox is parseMailbox for any domain, be it one that nobody can have.
func scanMailbox(s string) (local, domain string, err error) {
	in := mailboxScanner{rest: s}
	if inner, ok := in.inBrackets(); ok {
		in.rest = inner
	}
	if local, err = in.localPart(); err != nil {
		return "", "", err
	}
	domain, err = in.domain()
	return local, domain, err
}

// splitMailboxes cuts a list at the commas between its mailboxes.
func splitMailboxes(s string) []string {
	var list []string
	start, comment, quoted, inBrackets := 0, 0, false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '"' && comment == 0:
			quoted = !quoted
		case quoted:
		case c == '(':
			comment++
		case c == ')' && comment > 0:
			comment--
		case comment > 0:
		case c == '<':
			inBrackets = true
		case c == '>':
			inBrackets = false
		case c == ',' && !inBrackets:
			list = append(list, strings.TrimSpace(s[start:i]))
			start = i + 1
		}
	}
	return append(list, strings.TrimSpace(s[start:]))
}

// mailboxScanner takes the text of an address apart.
type mailboxScanner struct {
	rest string
	bad  bool // a quote or comment has no end
}

// inBrackets is what stands between angle brackets, if they end the text and
// nothing but words stands before them.
func (in *mailboxScanner) inBrackets() (string, bool) {
	out := *in
	for {
		out.blanks()
		switch {
		case out.bad || out.rest == "":
			return "", false
		case out.rest[0] == '<':
			inner, after, closed := strings.Cut(out.rest[1:], ">")
			out.rest = after
			out.blanks()
			if !closed || out.rest != "" {
				return "", false
			}
			return inner, true
		case out.rest[0] == '"':
			out.quoted()
		case out.rest[0] == '.' || out.atom() != "":
			out.rest = strings.TrimPrefix(out.rest, ".")
		default:
			return "", false
		}
	}
}

// localPart reads the words and dots before the @, and the @.
func (in *mailboxScanner) localPart() (string, error) {
	var local strings.Builder
	isWord := false // so a word cannot follow: there is a dot between two
	for {
		in.blanks()
		switch {
		case in.bad:
			return "", errUnclosed
		case in.rest == "":
			return "", errNoAt
		case in.rest[0] == '@' && local.Len() == 0:
			return "", errNoLocalPart
		case in.rest[0] == '@':
			in.rest = in.rest[1:]
			return local.String(), nil
		case in.rest[0] == '.':
			in.rest = in.rest[1:]
			local.WriteByte('.')
			isWord = false
			continue
		case isWord:
			return "", errNoAt
		case in.rest[0] == '"':
			local.WriteString(in.quoted())
		default:
			word := in.atom()
			if word == "" {
				return "", errNoAt
			}
			local.WriteString(word)
		}
		isWord = true
	}
}

// domain reads what is left: labels with dots between, or a literal.
func (in *mailboxScanner) domain() (string, error) {
	in.blanks()
	if strings.HasPrefix(in.rest, "[") {
		literal, after, closed := strings.Cut(in.rest, "]")
		in.rest = after
		in.blanks()
		if !closed || in.bad {
			return "", errUnclosed
		}
		return literal + "]", in.end()
	}
	var domain strings.Builder
	for {
		domain.WriteString(in.atom())
		in.blanks()
		if !strings.HasPrefix(in.rest, ".") {
			break
		}
		domain.WriteByte('.')
		in.rest = in.rest[1:]
		in.blanks()
	}
	if domain.Len() == 0 {
		return "", errNoDomain
	}
	return domain.String(), in.end()
}

func (in *mailboxScanner) end() error {
	switch {
	case in.bad:
		return errUnclosed
	case in.rest != "":
		return errTrailing
	}
	return nil
}

// atom takes the octets that need no quotes, and UTF-8 (RFC 6532 section 3.2).
func (in *mailboxScanner) atom() string {
	i := strings.IndexFunc(in.rest, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`()<>[]:;@\,."`, r)
	})
	if i < 0 {
		i = len(in.rest)
	}
	word := in.rest[:i]
	in.rest = in.rest[i:]
	return word
}

// quoted takes a quoted-string without its quotes.
func (in *mailboxScanner) quoted() string {
	var b strings.Builder
	for i := 1; i < len(in.rest); i++ {
		switch c := in.rest[i]; {
		case c == '"':
			in.rest = in.rest[i+1:]
			return b.String()
		case c == '\\' && i+1 < len(in.rest):
			i++
			b.WriteByte(in.rest[i])
		default:
			b.WriteByte(c)
		}
	}
	in.rest, in.bad = "", true
	return ""
}

// blanks passes over white space and comments.
func (in *mailboxScanner) blanks() {
	depth := 0
	for i := 0; i < len(in.rest); i++ {
		switch c := in.rest[i]; {
		case c == '(':
			depth++
		case depth > 0 && c == ')':
			depth--
		case depth > 0 && c == '\\':
			i++
		case depth == 0 && c != ' ' && c != '\t' && c != '\r' && c != '\n':
			in.rest = in.rest[i:]
			return
		}
	}
	in.rest, in.bad = "", in.bad || depth > 0
}
