package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
)

// Trace is what a receiver must know of a header before it takes the message.
type Trace struct {
	Received    int      // how many Received fields: hops so far (RFC 5321 section 6.3)
	DeliveredTo []string // values of Delivered-To, the first hundred
	MessageID   string   // the first Message-ID, "" if there is none
	HasDate     bool
	HasFrom     bool
}

// maxDeliveredTo bounds Trace.DeliveredTo.
const maxDeliveredTo = 100

// ReadTrace reads the header of a message.
func ReadTrace(c Content) (Trace, error) {
	var t Trace
	for f, err := range Fields(c, Span{Len: c.Size()}) {
		if err != nil {
			return Trace{}, err
		}
		switch {
		case f.Is("Received"):
			t.Received++
		case f.Is("Delivered-To") && len(t.DeliveredTo) < maxDeliveredTo:
			t.DeliveredTo = append(t.DeliveredTo, f.Text())
		case f.Is("Message-ID"):
			first(&t.MessageID, f.Text())
		case f.Is("Date"):
			t.HasDate = true
		case f.Is("From"):
			t.HasFrom = true
		}
	}
	return t, nil
}

// EditHeader reads a message from r with the fields of the given names taken
// out of its header and add put before it. add is whole fields in the line
// ends of r, or empty. Memory does not depend on the message.
func EditHeader(r io.Reader, add []byte, remove ...string) io.Reader {
	return &editor{src: bufio.NewReaderSize(r, 4096), rest: add, rule: &dropper{names: remove}}
}

// editor reads a message with its header edited by rule, and its body as it is.
type editor struct {
	src    *bufio.Reader
	rest   []byte // to be given out
	rule   headerRule
	inBody bool
	inLine bool // the last piece did not end its line
	err    error
}

// headerRule decides what becomes of a header.
type headerRule interface {
	// piece returns what to give out now. begins says that the piece is the first
	// of a field, or the line that ends the header.
	piece(pc piece, begins bool) []byte
	// end returns what was held back when the message ends in its header.
	end() []byte
}

// Read implements io.Reader.
func (e *editor) Read(p []byte) (int, error) {
	for len(e.rest) == 0 {
		if e.inBody {
			return e.src.Read(p)
		}
		if e.err != nil {
			return 0, e.err
		}
		e.advance()
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// advance reads the next piece of the header.
func (e *editor) advance() {
	text, err := e.src.ReadSlice('\n')
	if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
		e.err = err
	}
	if len(text) > 0 {
		pc := piece{text: text, start: !e.inLine, end: text[len(text)-1] == '\n'}
		e.inLine = !pc.end
		e.inBody = pc.isBlank() && e.err == nil
		e.rest = e.rule.piece(pc, pc.isBlank() || pc.start && text[0] != ' ' && text[0] != '\t')
	}
	if e.err != nil {
		e.rest = append(slices.Clip(e.rest), e.rule.end()...)
	}
}

// dropper takes out the fields of some names.
type dropper struct {
	names []string
	drop  bool // the present field is taken out
}

func (d *dropper) piece(pc piece, begins bool) []byte {
	if begins {
		name, _ := cutField(pc.text)
		d.drop = !pc.isBlank() && slices.ContainsFunc(d.names, func(n string) bool { return strings.EqualFold(n, string(name)) })
	}
	if d.drop {
		return nil
	}
	return pc.text
}

func (d *dropper) end() []byte { return nil }

// Joined is content made of octets in memory and other content after them.
type Joined struct {
	Head []byte
	Tail Content
}

// Size implements Content.
func (j Joined) Size() int64 { return int64(len(j.Head)) + j.Tail.Size() }

// ReadAt implements io.ReaderAt.
func (j Joined) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at offset %d: %w", off, fs.ErrInvalid)
	}
	n := 0
	if off < int64(len(j.Head)) {
		n = copy(p, j.Head[off:])
		if n == len(p) {
			return n, nil
		}
	}
	m, err := j.Tail.ReadAt(p[n:], off+int64(n)-int64(len(j.Head)))
	return n + m, err
}
