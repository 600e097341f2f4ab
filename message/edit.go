package message

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
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
	return &editor{src: bufio.NewReaderSize(r, 4096), rest: add, remove: remove}
}

type editor struct {
	src    *bufio.Reader
	rest   []byte
	remove []string
	inBody bool
	inLine bool // the last piece did not end its line
	drop   bool // the present field is taken out
	err    error
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
	if len(text) == 0 {
		return
	}
	pc := piece{text: text, start: !e.inLine, end: text[len(text)-1] == '\n'}
	e.inLine = !pc.end
	switch {
	case pc.isBlank():
		e.inBody, e.drop = e.err == nil, false
	case pc.start && text[0] != ' ' && text[0] != '\t':
		name, _ := cutField(text)
		e.drop = e.isRemoved(string(name))
	}
	if !e.drop {
		e.rest = text
	}
}

func (e *editor) isRemoved(name string) bool {
	for _, n := range e.remove {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

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
