package smtp

import (
	"errors"
	"strings"
	"unicode/utf8"

	"gomaild/mail"
)

var errPath = errors.New("no path in angle brackets")

// parsePath cuts the path of MAIL or RCPT from its angle brackets and returns
// the mailbox in it, "" for <>, and the parameters after it. Blanks before the
// path, which RFC 5321 forbids and many clients send, are passed over. A source
// route is passed over too (section 4.1.1.3 and appendix C), as Postfix does.
// A ">" inside a quoted local part does not end the path.
func parsePath(s string) (mailbox, params string, err error) {
	s = strings.TrimLeft(s, " ")
	path, ok := strings.CutPrefix(s, "<")
	if !ok {
		return parseBare(s)
	}
	if path, err = skipRoute(path); err != nil {
		return "", "", err
	}
	end := indexUnquoted(path, '>')
	if end < 0 {
		return "", "", errPath
	}
	mailbox, params = path[:end], path[end+1:]
	if params != "" && params[0] != ' ' {
		return "", "", errPath
	}
	return mailbox, params, nil
}

// parseBare reads a mailbox without angle brackets, up to a blank or the end:
// scripts and devices send that, and Postfix takes it. It must be a mailbox as
// it stands, so what was meant cannot be in doubt.
func parseBare(s string) (mailbox, params string, err error) {
	mailbox = s
	if end := indexUnquoted(s, ' '); end >= 0 {
		mailbox, params = s[:end], s[end:]
	}
	if _, err := parseRecipient(mailbox); err != nil {
		return "", "", errPath
	}
	return mailbox, params, nil
}

// indexUnquoted is where the first c outside quotes is, -1 if nowhere.
func indexUnquoted(s string, c byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == c && !quoted:
			return i
		}
	}
	return -1
}

// parseMailbox takes an address, and one whose only fault is dots where
// RFC 5321 section 4.1.2 wants quotes around them (a..b@, a.@): networks have
// given out such names, and Postfix takes them. It becomes the quoted form.
func parseMailbox(s string) (mail.Address, error) {
	a, err := mail.ParseAddress(s)
	at := strings.LastIndexByte(s, '@')
	if err == nil || at < 0 {
		return a, err
	}
	local, domain := s[:at], s[at:]
	if _, err := mail.ParseAddress(strings.ReplaceAll(local, ".", "-") + domain); err != nil {
		return mail.Address{}, err
	}
	return mail.ParseAddress(`"` + local + `"` + domain)
}

// skipRoute passes over A-d-l ":" (RFC 5321 section 4.1.2), whose domains must
// be domains all the same.
func skipRoute(s string) (string, error) {
	for strings.HasPrefix(s, "@") {
		end := routeDomainEnd(s)
		if end < 0 {
			return "", errPath
		}
		if _, err := mail.ParseDomain(s[1:end]); err != nil {
			return "", errPath
		}
		if s[end] == ':' {
			return s[end+1:], nil
		}
		if s = s[end+1:]; !strings.HasPrefix(s, "@") {
			return "", errPath
		}
	}
	return s, nil
}

// routeDomainEnd is where a domain of a route ends in "," or ":". The colons
// of an IPv6 literal stand in brackets.
func routeDomainEnd(s string) int {
	literal := false
	for i := range len(s) {
		switch s[i] {
		case '[', ']':
			literal = s[i] == '['
		case ',', ':':
			if !literal {
				return i
			}
		}
	}
	return -1
}

// eachParam calls take for each parameter (RFC 5321 section 4.1.2, esmtp-param)
// with its name in upper case. One that comes twice, or that take does not
// know, is 555.
func eachParam(params string, take func(name, value string) error) error {
	var seen []string
	for word := range strings.FieldsSeq(params) {
		name, value, hasValue := strings.Cut(word, "=")
		name = strings.ToUpper(name)
		if !isKeyword(name) || hasValue && !isParamValue(value) {
			return &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "Malformed parameter"}
		}
		for _, s := range seen {
			if s == name {
				return &mail.Status{Code: 555, Enhanced: "5.5.4", Text: name + " given twice"}
			}
		}
		seen = append(seen, name)
		if err := take(name, value); err != nil {
			return err
		}
	}
	return nil
}

func badParam(name string) error {
	return &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "Malformed value of " + name}
}

func unknownParam(name string) error {
	return &mail.Status{Code: 555, Enhanced: "5.5.4", Text: "Unknown parameter " + name}
}

// isKeyword is esmtp-keyword, and atom enough for an addr-type.
func isKeyword(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		alnum := 'a' <= c && c <= 'z' || '0' <= s[i] && s[i] <= '9'
		if !alnum && (s[i] != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

// isParamValue is esmtp-value: printable, without "=" and blank; RFC 6531
// section 3.3 adds what is not ASCII.
func isParamValue(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == '=' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
