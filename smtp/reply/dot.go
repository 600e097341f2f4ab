package reply

import (
	"bytes"
	"errors"
	"io"
)

// ErrBareLineEnd means that content holds a CR or LF that is not part of CRLF.
// RFC 5321 section 2.3.8 forbids both; passing them on is how one message is
// made to look like two to the next server.
var ErrBareLineEnd = errors.New("bare CR or LF in content")

// Window is input that can be looked at before it is taken. *bufio.Reader is
// one.
type Window interface {
	// Peek waits until n octets are there and shows them.
	Peek(n int) ([]byte, error)
	// Buffered is how many octets Peek shows without waiting.
	Buffered() int
	// Discard takes n octets that Peek has shown.
	Discard(n int) (int, error)
}

var (
	crlfDot   = []byte("\r\n.")
	lfDot     = crlfDot[1:]
	endOfData = []byte(".\r\n")
)

// DotReader reads content that was dot-stuffed to its end, which is CRLF "."
// CRLF and nothing else (RFC 5321 section 4.1.1.4), and takes the stuffed dots
// away. Everything else passes as it came, bare line ends too: that they are
// refused is the server's rule, but they must never move the end. Lines may be
// of any length.
//
// Read returns io.EOF at the end of data, which is then taken from the Window,
// and io.ErrUnexpectedEOF if the input ends before it.
type DotReader struct {
	in        Window
	lineStart bool // nothing, or CRLF, was read last
	oweLF     bool // a CRLF was taken and there was room for CR only
	err       error
}

// NewDotReader reads the content that begins in in.
func NewDotReader(in Window) *DotReader { return &DotReader{in: in, lineStart: true} }

// Read is io.Reader.
func (d *DotReader) Read(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if d.oweLF {
		d.oweLF = false
		p[0] = '\n'
		return 1, nil
	}
	n, err := d.read(p)
	if err != nil {
		d.err = err
	}
	return n, err
}

func (d *DotReader) read(p []byte) (int, error) {
	if d.lineStart {
		// Content never ends in less than three octets, so waiting for
		// them cannot wait for nothing.
		b, err := d.in.Peek(len(endOfData))
		if err != nil {
			return 0, cutOff(err, true)
		}
		if bytes.Equal(b, endOfData) {
			if _, err := d.in.Discard(len(endOfData)); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
		if b[0] == '.' {
			if _, err := d.in.Discard(1); err != nil {
				return 0, err
			}
		}
		d.lineStart = false
	}
	piece, wholeLine, err := d.piece()
	if err != nil {
		return 0, err
	}
	return d.take(p, piece, wholeLine)
}

// piece is the input up to the next line that begins with a dot, or up to what
// has not come yet. wholeLine says that it ends in CRLF.
func (d *DotReader) piece() (piece []byte, wholeLine bool, err error) {
	for need := 1; ; need = 2 {
		if _, err := d.in.Peek(need); err != nil {
			return nil, false, cutOff(err, true)
		}
		b, err := d.in.Peek(d.in.Buffered())
		if err != nil {
			return nil, false, err
		}
		if i := bytes.Index(b, crlfDot); i >= 0 {
			return b[:i+2], true, nil
		}
		if bytes.HasSuffix(b, crlfDot[:2]) {
			return b, true, nil
		}
		if b[len(b)-1] != '\r' {
			return b, false, nil
		}
		// What follows the CR decides; it waits for its LF.
		if len(b) > 1 {
			return b[:len(b)-1], false, nil
		}
	}
}

// take copies as much of piece as p has room for. A CRLF is always taken whole,
// so that the search for CRLF "." never begins in its middle.
func (d *DotReader) take(p, piece []byte, wholeLine bool) (int, error) {
	n := copy(p, piece)
	taken := n
	if n < len(piece) && piece[n-1] == '\r' && piece[n] == '\n' {
		d.oweLF = true
		taken++
	}
	d.lineStart = wholeLine && taken == len(piece)
	_, err := d.in.Discard(taken)
	return n, err
}

// cutOff is err, as io.ErrUnexpectedEOF where the input ended in the middle.
func cutOff(err error, inside bool) error {
	if inside && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// LineEnds checks that CR and LF stand only together, over content that comes
// in pieces. The zero LineEnds is at the beginning of a line.
type LineEnds struct {
	afterCR bool // the last octet was a CR, its LF must come next
	inLine  bool // the last octet was not the LF of a CRLF
}

// Check looks at the next piece and returns ErrBareLineEnd at the first octet
// that stands alone.
func (l *LineEnds) Check(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if l.afterCR {
		if b[0] != '\n' {
			return ErrBareLineEnd
		}
		b = b[1:]
		l.afterCR, l.inLine = false, false
	}
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return l.checkTail(b)
		}
		if i == 0 || b[i-1] != '\r' || bytes.IndexByte(b[:i-1], '\r') >= 0 {
			return ErrBareLineEnd
		}
		l.inLine = false
		b = b[i+1:]
	}
}

// checkTail looks at a piece without LF: only its last octet may be a CR.
func (l *LineEnds) checkTail(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	l.inLine = true
	i := bytes.IndexByte(b, '\r')
	if i >= 0 && i < len(b)-1 {
		return ErrBareLineEnd
	}
	l.afterCR = i >= 0
	return nil
}

// AtLineStart reports whether content that ends here ends in CRLF, or is empty.
func (l *LineEnds) AtLineStart() bool { return !l.inLine && !l.afterCR }

// AfterCR reports whether content that ends here ends in a bare CR.
func (l *LineEnds) AfterCR() bool { return l.afterCR }

// DotWriter writes content with its dots stuffed. It takes canonical content
// only: a bare CR or LF is ErrBareLineEnd, and since part of the content may
// be on its way by then, the caller has to close the connection.
type DotWriter struct {
	w    io.Writer // buffered by the caller: lines are written one by one
	ends LineEnds
	err  error
}

// NewDotWriter writes to w, which should be buffered.
func NewDotWriter(w io.Writer) *DotWriter { return &DotWriter{w: w} }

// Write is io.Writer. The first error is the error of all that follows.
func (d *DotWriter) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	lineStart := d.ends.AtLineStart()
	if d.err = d.ends.Check(p); d.err != nil {
		return 0, d.err
	}
	for rest := p; len(rest) > 0; {
		if lineStart && rest[0] == '.' {
			d.write(endOfData[:1])
		}
		// Every LF has its CR, perhaps at the end of the Write before.
		piece := rest
		if i := bytes.Index(rest, lfDot); i >= 0 {
			piece = rest[:i+1]
		}
		d.write(piece)
		rest, lineStart = rest[len(piece):], true
	}
	if d.err != nil {
		return 0, d.err
	}
	return len(p), nil
}

// Close ends the content, with a CRLF where the last line has none, and the
// line of one dot. It does not close the writer beneath.
func (d *DotWriter) Close() error {
	if d.err == nil && d.ends.AfterCR() {
		d.err = ErrBareLineEnd
	}
	if !d.ends.AtLineStart() {
		d.write(crlfDot[:2])
	}
	d.write(endOfData)
	return d.err
}

func (d *DotWriter) write(b []byte) {
	if d.err == nil {
		_, d.err = d.w.Write(b)
	}
}
