package reply

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Bounds of a reply that is read. They are above everything that a server
// sends in earnest, and below everything that hurts.
const (
	MaxReadLine  = 2048      // octets of one line with its line end
	MaxReadTotal = 32 * 1024 // octets of one reply
)

// What Read finds wrong with a peer. After either nothing more can be said
// about where the next reply begins: close the connection.
var (
	ErrMalformed = errors.New("malformed reply")
	ErrTooLong   = errors.New("reply too long")
)

// Read reads one reply. It holds at most MaxReadTotal octets, however much the
// peer sends. A bare LF ends a line as CRLF does, which is harmless in this
// direction. An enhanced code is taken from the text only where its class
// agrees with the code.
//
// Errors are ErrMalformed, ErrTooLong, or what reading br gave; a connection
// that ends inside a reply is io.ErrUnexpectedEOF, before it io.EOF.
func Read(br *bufio.Reader) (Reply, error) {
	var r Reply
	for total := 0; ; {
		line, err := readLine(br, len(r.Lines) > 0)
		if err != nil {
			return Reply{}, err
		}
		if total += len(line); total > MaxReadTotal {
			return Reply{}, fmt.Errorf("%w: more than %d octets", ErrTooLong, MaxReadTotal)
		}
		last, err := r.add(line)
		if err != nil {
			return Reply{}, err
		}
		if last {
			return r, nil
		}
	}
}

// add takes one line, without its line end, into the reply.
func (r *Reply) add(line string) (last bool, err error) {
	code, sep, text, ok := cutCode(line)
	if !ok {
		return false, fmt.Errorf("%w: line %.40q", ErrMalformed, line)
	}
	if len(r.Lines) == 0 {
		r.Code = code
		r.Enhanced = enhancedIn(code, text)
	} else if code != r.Code {
		return false, fmt.Errorf("%w: codes %d and %d in one reply", ErrMalformed, r.Code, code)
	}
	if e, rest, _ := strings.Cut(text, " "); e == r.Enhanced && e != "" {
		text = rest
	}
	r.Lines = append(r.Lines, text)
	return sep != '-', nil
}

// cutCode splits "250-text"; a line of the code alone is a last line (RFC 5321
// section 4.2).
func cutCode(line string) (code int, sep byte, text string, ok bool) {
	if len(line) < 3 {
		return 0, 0, "", false
	}
	for i := range 3 {
		if line[i] < '0' || line[i] > '9' {
			return 0, 0, "", false
		}
		code = code*10 + int(line[i]-'0')
	}
	if code < 200 || code > 599 {
		return 0, 0, "", false
	}
	if len(line) == 3 {
		return code, ' ', "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, 0, "", false
	}
	return code, line[3], line[4:], true
}

func enhancedIn(code int, text string) string {
	e, _, _ := strings.Cut(text, " ")
	if isEnhanced(e) && int(e[0]-'0') == code/100 {
		return e
	}
	return ""
}

// readLine reads to LF, in pieces of the reader's buffer.
func readLine(br *bufio.Reader, inside bool) (string, error) {
	var line []byte
	for {
		piece, err := br.ReadSlice('\n')
		if len(line)+len(piece) > MaxReadLine {
			return "", fmt.Errorf("%w: a line of more than %d octets", ErrTooLong, MaxReadLine)
		}
		line = append(line, piece...)
		switch {
		case err == nil:
			line = bytes.TrimSuffix(line[:len(line)-1], []byte("\r"))
			return string(line), nil
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return "", cutOff(err, inside || len(line) > 0)
		}
	}
}
