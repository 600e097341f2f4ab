package imap

import "strings"

// matches reports whether a mailbox name matches a LIST pattern: "*" is
// anything, "%" is anything without the separator (RFC 3501 section 6.3.8).
// The first level INBOX is the same in any case of letters. The work is at
// most the product of the lengths, whatever the pattern: reached holds all
// positions of the pattern that the name read so far can have led to.
func matches(pattern, name string) bool {
	if name == "INBOX" || strings.HasPrefix(name, "INBOX/") {
		pattern = foldPattern(pattern)
	}
	reached := make([]bool, len(pattern)+1)
	reached[0] = true
	skipWildcards(pattern, reached)
	for i := range len(name) {
		step(pattern, reached, name[i])
	}
	return reached[len(pattern)]
}

// foldPattern spells a pattern that begins with inbox in any case as the
// mailbox is spelled.
func foldPattern(pattern string) string {
	i := 0
	for i < len(pattern) && i < len("INBOX") && pattern[i] != '*' && pattern[i] != '%' && pattern[i] != '/' {
		i++
	}
	if strings.EqualFold(pattern[:i], "INBOX"[:i]) {
		return "INBOX"[:i] + pattern[i:]
	}
	return pattern
}

// step reads one octet of the name, from the end of the pattern down, so that
// reached can be changed in place.
func step(pattern string, reached []bool, c byte) {
	for p := len(pattern); p >= 0; p-- {
		stays := p < len(pattern) && (pattern[p] == '*' || pattern[p] == '%' && c != '/')
		comes := p > 0 && reached[p-1] && pattern[p-1] == c && c != '*' && c != '%'
		reached[p] = reached[p] && stays || comes
	}
	skipWildcards(pattern, reached)
}

// skipWildcards: a wildcard may stand for nothing.
func skipWildcards(pattern string, reached []bool) {
	for p := range len(pattern) {
		if reached[p] && (pattern[p] == '*' || pattern[p] == '%') {
			reached[p+1] = true
		}
	}
}
