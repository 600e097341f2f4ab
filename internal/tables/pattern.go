package tables

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxDepth bounds if within if.
const maxDepth = 100

// rule is one line of a table of patterns.
type rule struct {
	kind    ruleKind
	pattern *regexp.Regexp
	not     bool
	end     int // of an if: the rule behind its endif
	value   string
}

type ruleKind int

const (
	aValue ruleKind = iota
	anIf
	anEndif
)

// patterns is a table of patterns: the first that fits says the value.
type patterns []rule

func (t patterns) find(key, _ string, whole bool) (string, bool) {
	if !whole {
		return "", false
	}
	for i := 0; i < len(t); i++ {
		r := &t[i]
		if r.kind == anEndif {
			continue
		}
		match := r.pattern.FindStringSubmatchIndex(key)
		fits := (match != nil) != r.not
		switch {
		case r.kind == anIf && !fits:
			i = r.end
		case r.kind == aValue && fits:
			if r.not {
				return r.value, true
			}
			return string(r.pattern.ExpandString(nil, r.value, key, match)), true
		}
	}
	return "", false
}

func (t patterns) values(yield func(string) bool) {
	for _, r := range t {
		if r.kind == aValue && !yield(r.value) {
			return
		}
	}
}

// dialect is what tells regexp: from pcre:.
type dialect struct {
	longest   bool
	dotAll    bool   // . fits a line end too
	switchers string // flags that are taken
}

func parsePatterns(text string, d dialect) (table, error) {
	lines, err := logicalLines(text)
	if err != nil {
		return nil, err
	}
	var t patterns
	var open []int
	for _, l := range lines {
		r, err := parseRule(l.text, d)
		if err != nil {
			return nil, &lineError{l.n, err}
		}
		switch r.kind {
		case anIf:
			open = append(open, len(t))
			if len(open) > maxDepth {
				return nil, &lineError{l.n, errors.New("too many if within one another")}
			}
		case anEndif:
			if len(open) == 0 {
				return nil, &lineError{l.n, errors.New("endif without an if")}
			}
			t[open[len(open)-1]].end = len(t)
			open = open[:len(open)-1]
		}
		t = append(t, r)
	}
	if len(open) > 0 {
		return nil, errors.New("an if has no endif")
	}
	return t, nil
}

func parseRule(line string, d dialect) (rule, error) {
	word, rest, _ := strings.Cut(strings.ReplaceAll(line, "\t", " "), " ")
	switch strings.ToLower(word) {
	case "endif":
		if strings.TrimSpace(rest) != "" {
			return rule{}, errors.New("text behind endif")
		}
		return rule{kind: anEndif}, nil
	case "if":
		r, rest, err := parsePattern(strings.TrimLeft(line[2:], " \t"), d)
		if err == nil && strings.TrimSpace(rest) != "" {
			err = errors.New("text behind the pattern of an if")
		}
		r.kind = anIf
		return r, err
	}
	r, value, err := parsePattern(line, d)
	if err != nil {
		return rule{}, err
	}
	if value = strings.TrimSpace(value); value == "" {
		return rule{}, errors.New(`there is no value; write "/pattern/flags value"`)
	}
	r.value, err = substitution(value, r)
	return r, err
}

// parsePattern reads "!/pattern/flags" and returns what is behind it. Any
// character that is no letter, digit, blank or ! may stand for the slash.
func parsePattern(s string, d dialect) (r rule, rest string, err error) {
	if s, r.not = strings.CutPrefix(s, "!"); r.not {
		s = strings.TrimLeft(s, " \t")
	}
	if s == "" || strings.ContainsAny(s[:1], " \t!\\") || isAlnum(s[0]) {
		return r, "", errors.New(`write "/pattern/flags value"`)
	}
	end := 1
	for end < len(s) && s[end] != s[0] {
		if s[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(s) {
		return r, "", fmt.Errorf("the pattern has no closing %c", s[0])
	}
	text, rest := s[1:end], s[end+1:]
	anyCase, multiLine, dotAll, spaced, anchored := true, false, d.dotAll, false, false
	for rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		if !strings.ContainsRune(d.switchers, rune(rest[0])) {
			return r, "", fmt.Errorf("the flag %q is not known here", rest[:1])
		}
		switch rest[0] {
		case 'i':
			anyCase = !anyCase
		case 'm':
			multiLine = !multiLine
		case 's':
			dotAll = !dotAll
		case 'x':
			spaced = !spaced
		case 'A':
			anchored = !anchored
		}
		rest = rest[1:]
	}
	if spaced && d.longest {
		return r, "", errors.New("the flag x (basic expressions) is not taken; write an extended one")
	}
	if spaced {
		return r, "", errors.New("the flag x (blanks in patterns) is not taken; write the pattern without")
	}
	if anchored {
		text = `\A(?:` + text + `)`
	}
	flags := ""
	for f, on := range map[string]bool{"i": anyCase, "m": multiLine, "s": dotAll} {
		if on {
			flags += f
		}
	}
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	if r.pattern, err = regexp.Compile(text); err != nil {
		return r, "", fmt.Errorf("the pattern is none that gomaild reads (RE2, no look-around, no back-references): %w", err)
	}
	if d.longest {
		r.pattern.Longest()
	}
	return r, rest, nil
}

// substitution turns Postfix's $1, ${1}, $(1) into the regexp package's ${1}.
func substitution(value string, r rule) (string, error) {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '$' {
			b.WriteByte(value[i])
			continue
		}
		if strings.HasPrefix(value[i:], "$$") {
			if r.not {
				b.WriteByte('$')
			} else {
				b.WriteString("$$")
			}
			i++
			continue
		}
		digits, end, err := groupNumber(value, i+1)
		if err != nil {
			return "", err
		}
		n, err := strconv.Atoi(digits)
		switch {
		case err != nil || n < 1 || n > r.pattern.NumSubexp():
			return "", fmt.Errorf("$%s is no group of the pattern", digits)
		case r.not:
			return "", errors.New("a pattern that must not fit has no groups")
		}
		b.WriteString("${" + digits + "}")
		i = end - 1
	}
	return b.String(), nil
}

// groupNumber reads 1, {1} or (1) at i.
func groupNumber(s string, i int) (digits string, end int, err error) {
	closing := byte(0)
	if i < len(s) && s[i] == '{' {
		closing = '}'
	} else if i < len(s) && s[i] == '(' {
		closing = ')'
	}
	if closing != 0 {
		i++
	}
	end = i
	for end < len(s) && '0' <= s[end] && s[end] <= '9' {
		end++
	}
	digits = s[i:end]
	if closing != 0 {
		if end >= len(s) || s[end] != closing {
			return "", 0, errors.New("a ${ is not closed")
		}
		end++
	}
	if digits == "" {
		return "", 0, errors.New("a $ without a number; write $$ for a dollar sign")
	}
	return digits, end, nil
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
