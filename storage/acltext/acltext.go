// Package acltext is the text of access control lists as Dovecot's backend vfile
// writes it: a line `IDENTIFIER LETTERS[ :NAME...]` each, a '-' before the
// identifier for rights that are taken away, the identifier in quotes if a blank
// is in it, '#' before comments. A global file has such lines behind a pattern of
// mailbox names.
package acltext

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"gomaild/storage"
)

// MaxSize is far more octets than a list has.
const MaxSize = 64 << 10

// rightNames are Dovecot's long names, in the order of storage.RightLetters.
var rightNames = []string{
	"lookup", "read", "write", "write-seen", "write-deleted", "insert", "post", "expunge", "create", "delete", "admin",
}

// Parse reads a list. One line that cannot be read makes all of it
// storage.ErrACL, as with Dovecot: what it would have taken away is not known.
func Parse(text string) ([]storage.Grant, error) {
	var all []storage.Grant
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: longer than %d octets", storage.ErrACL, MaxSize)
	}
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		g, err := parseGrant(line)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", storage.ErrACL, n+1, err)
		}
		all = append(all, g)
	}
	return all, nil
}

func parseGrant(line string) (storage.Grant, error) {
	id, rest, err := cutIdentifier(line)
	if err != nil {
		return storage.Grant{}, err
	}
	g := storage.Grant{}
	id, g.Negative = strings.CutPrefix(id, "-")
	if g.Kind, g.Name, err = parseIdentifier(id); err != nil {
		return g, err
	}
	return g, parseRightNames(&g, strings.TrimLeft(rest, " \t"))
}

// cutIdentifier cuts the line behind its first word, which may be in quotes.
func cutIdentifier(line string) (id, rest string, err error) {
	if line[0] != '"' {
		id, rest, _ = strings.Cut(line, " ")
		return id, rest, nil
	}
	var b strings.Builder
	for i := 1; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case c == '"':
			rest = line[i+1:]
			if rest != "" && rest[0] != ' ' {
				return "", "", errors.New("no blank behind the quotes")
			}
			return b.String(), rest, nil
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("quotes are not closed")
}

func parseIdentifier(id string) (storage.GrantKind, string, error) {
	switch id {
	case "owner":
		return storage.GrantOwner, "", nil
	case "authenticated":
		return storage.GrantAuthenticated, "", nil
	case "anyone", "anonymous":
		return storage.GrantAnyone, "", nil
	}
	for _, k := range []storage.GrantKind{storage.GrantUser, storage.GrantGroup, storage.GrantGroupOverride} {
		if name, ok := strings.CutPrefix(id, identifierPrefix(k)); ok {
			return k, name, nil
		}
	}
	return 0, "", fmt.Errorf("unknown identifier %q", id)
}

func identifierPrefix(k storage.GrantKind) string {
	switch k {
	case storage.GrantUser:
		return "user="
	case storage.GrantGroup:
		return "group="
	case storage.GrantGroupOverride:
		return "group-override="
	case storage.GrantAnyone:
		return "anyone"
	case storage.GrantAuthenticated:
		return "authenticated"
	case storage.GrantOwner:
		return "owner"
	}
	return ""
}

// parseRightNames reads `letters[ :name...]`.
func parseRightNames(g *storage.Grant, text string) error {
	end := strings.IndexAny(text, " \t:")
	if end < 0 {
		end = len(text)
	}
	letters := text[:end]
	if strings.ContainsAny(letters, "cd") { // of IMAP only; Dovecot refuses them here
		return fmt.Errorf("unknown right in %q", letters)
	}
	rights, ok := storage.ParseRights(letters)
	if !ok {
		return fmt.Errorf("unknown right in %q", letters)
	}
	g.Rights = rights
	rest := strings.TrimLeft(text[end:], " \t")
	if rest == "" {
		return nil
	}
	names, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return errors.New("':' is missing before the names of rights")
	}
	for _, name := range strings.FieldsFunc(names, func(r rune) bool { return r == ' ' || r == '\t' || r == ',' }) {
		switch i := slices.Index(rightNames, name); {
		case i >= 0:
			g.Rights |= 1 << i
		case !slices.Contains(g.Others, name):
			g.Others = append(g.Others, name)
		}
	}
	return nil
}

// Format writes a list as Dovecot does: entries by kind and name, letters in
// the order of the rights' names.
func Format(all []storage.Grant) []byte {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b storage.Grant) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return strings.Compare(a.Name, b.Name)
	})
	b := []byte{}
	for _, g := range all {
		id := identifierPrefix(g.Kind) + g.Name
		if g.Negative {
			id = "-" + id
		}
		if strings.ContainsAny(id, " \"\\\t") {
			id = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(id) + `"`
		}
		b = append(append(b, id...), ' ')
		b = append(b, lettersByName(g.Rights)...)
		if len(g.Others) > 0 {
			b = append(append(b, " :"...), strings.Join(g.Others, " ")...)
		}
		b = append(b, '\n')
	}
	return b
}

func lettersByName(r storage.Rights) string {
	letters := []byte(r.String())
	slices.SortFunc(letters, func(a, b byte) int {
		return strings.Compare(rightNames[strings.IndexByte(storage.RightLetters, a)], rightNames[strings.IndexByte(storage.RightLetters, b)])
	})
	return string(letters)
}

// Rule is a line of a global file: an entry for all mailboxes whose names match.
type Rule struct {
	Pattern string // '*' stands for any characters, '?' for one
	storage.Grant
}

// maxRules bounds a global file, in octets.
const maxRules = 1 << 20

// ParseRules reads a global file, whose lines are `PATTERN IDENTIFIER
// LETTERS[ :NAME...]`, the pattern in quotes if a blank is in it. One line that
// cannot be read makes all of it storage.ErrACL.
func ParseRules(text string) ([]Rule, error) {
	var all []Rule
	if len(text) > maxRules {
		return nil, fmt.Errorf("%w: longer than %d octets", storage.ErrACL, maxRules)
	}
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimRight(line, "\r")
		if line == "" || line[0] == '#' {
			continue
		}
		r, err := parseRule(line)
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", storage.ErrACL, n+1, err)
		}
		all = append(all, r)
	}
	return all, nil
}

func parseRule(line string) (r Rule, err error) {
	var rest string
	if r.Pattern, rest, err = cutIdentifier(line); err != nil {
		return r, err
	}
	rest = strings.TrimPrefix(rest, " ")
	if r.Pattern == "" && line[0] != '"' || rest == "" {
		return r, errors.New("a pattern, an identifier and rights are wanted")
	}
	r.Grant, err = parseGrant(rest)
	r.Global = true
	return r, err
}

// Matches reports whether the rule is for a mailbox. It takes time of the
// product of both lengths.
func (r Rule) Matches(name string) bool { return wildcardMatch(r.Pattern, name) }

func wildcardMatch(pattern, name string) bool {
	p, n := 0, 0
	star, again := -1, 0 // where the last '*' is, and what it has taken
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, again = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p, n = p+1, n+1
		case star >= 0:
			again++
			p, n = star+1, again
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
