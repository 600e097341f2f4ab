package managesieve

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gomaild/internal/lineconn"
)

// maxArguments bounds a command; RFC 5804 has none with more than two.
const maxArguments = 4

// maxQuoted is what a quoted string may have (RFC 5804 section 4), in octets.
const maxQuoted = 1024

// What is wrong with a command. The session goes on but for errTooMuch.
var (
	errSyntax  = errors.New("malformed command")
	errTooMuch = errors.New("too much input")
)

// argument is a string or a number.
type argument struct {
	text     string
	isNumber bool
}

// request is one command: its verb in upper case and its arguments. What they
// mean is the command's business.
type request struct {
	verb string
	args []argument
}

// readRequest reads a command with its literals (RFC 5804 section 4). A literal
// over the limit ends the session: reading past it would be for nothing.
func (s *session) readRequest() (request, error) {
	line, err := s.conn.ReadLine(s.deadline(), s.limits.Line)
	if err != nil {
		return request{}, err
	}
	var r request
	r.verb, line, _ = strings.Cut(line, " ")
	r.verb = strings.ToUpper(r.verb)
	r.args, err = s.readArguments(line)
	return r, err
}

// readArguments reads what follows on a line, and after a literal on the next.
func (s *session) readArguments(line string) ([]argument, error) {
	var args []argument
	total := int64(0)
	for {
		line = strings.TrimLeft(line, " ")
		if line == "" {
			return args, nil
		}
		if len(args) == maxArguments {
			return nil, errSyntax
		}
		size, isLiteral, err := parseLiteral(line)
		switch {
		case err != nil:
			return nil, err
		case !isLiteral:
			a, rest, err := parseArgument(line)
			if err != nil {
				return nil, err
			}
			args, line = append(args, a), rest
			continue
		}
		if total += size; total > s.limits.Script {
			return nil, errTooMuch
		}
		text, err := s.conn.ReadOctets(time.Now().Add(s.limits.StallTimeout), int(size))
		if err != nil {
			return nil, err
		}
		if line, err = s.conn.ReadLine(time.Now().Add(s.limits.StallTimeout), s.limits.Line); err != nil {
			return nil, err
		}
		if !utf8.Valid(text) {
			return nil, errSyntax
		}
		args = append(args, argument{text: string(text)})
	}
}

// parseLiteral reads "{N+}" at the end of a line; without the plus is taken
// too, as from clients that write it so.
func parseLiteral(line string) (size int64, ok bool, err error) {
	inner, ok := strings.CutPrefix(line, "{")
	if !ok {
		return 0, false, nil
	}
	inner, ok = strings.CutSuffix(inner, "}")
	if !ok {
		return 0, false, errSyntax
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(inner, "+"), 10, 32)
	if err != nil {
		return 0, false, errSyntax
	}
	return int64(n), true, nil
}

// parseArgument reads a quoted string or a number at the beginning of line.
func parseArgument(line string) (argument, string, error) {
	if line[0] == '"' {
		text, rest, ok := cutQuoted(line[1:])
		if !ok || rest != "" && rest[0] != ' ' {
			return argument{}, "", errSyntax
		}
		return argument{text: text}, rest, nil
	}
	word, rest, _ := strings.Cut(line, " ")
	if _, err := strconv.ParseUint(word, 10, 32); err != nil {
		return argument{}, "", errSyntax
	}
	return argument{text: word, isNumber: true}, rest, nil
}

func cutQuoted(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], utf8.ValidString(b.String())
		case c == '\\':
			if i++; i == len(s) || s[i] != '"' && s[i] != '\\' {
				return "", "", false
			}
		case c == 0 || c == '\r':
			return "", "", false
		}
		if b.Len() == maxQuoted {
			return "", "", false
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// isFatal reports errors after which nothing more can be read.
func isFatal(err error) bool { return !errors.Is(err, errSyntax) && !errors.Is(err, lineconn.ErrLong) }
