package wire

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// Limits bound what one command may make the server hold or read. Every field
// must be set.
type Limits struct {
	Line    int   // octets of one line; longer ones are discarded and refused
	Literal int64 // octets of a literal that is held in memory
	Command int64 // octets of all lines and such literals of one command
	Discard int64 // octets to read and forget to get past a refused command
}

// ErrDiscard is returned when a refused command is longer than the server
// cares to read past: only closing the connection is safe then.
var ErrDiscard = errors.New("refused command is too long to read past")

// readBuffer is small because each connection holds one while it is idle;
// literals are read past it.
const readBuffer = 1024

// tailSize is what is kept of the end of an over-long line: enough for the
// longest announcement of a literal.
const tailSize = 32

// SyntaxError says what is wrong with a command. It is shown to the client.
type SyntaxError struct {
	Code string // response code without brackets, may be empty
	Text string
}

// Error implements error.
func (e *SyntaxError) Error() string { return e.Text }

// announcement is a literal whose {n} was read and whose octets were not.
type announcement struct {
	size    int64
	nonSync bool // {n+}: the octets come without being asked for
}

// Decoder reads commands from a connection. Call Next, the token methods, and
// Finish, in turns.
type Decoder struct {
	// UTF8 says that names of mailboxes are in UTF-8 (RFC 6855, RFC 9051).
	UTF8 bool

	r   *bufio.Reader // nil while WaitBare waits
	src source
	lim Limits
	// proceed asks the client for a literal: it sends a continuation request.
	proceed func() error

	line    []byte        // the present line without its end and announcement
	pos     int           // what of line is consumed
	literal *announcement // at the end of line, nil if none
	stream  int64         // octets of an opened literal not read yet
	inside  bool          // a literal was opened, and the line after it not read yet
	used    int64         // octets of this command held so far
	skipped int64         // octets of this command discarded so far
	err     error         // the first error
	ioErr   error         // the first error of r, or ErrDiscard: all is over
}

// NewDecoder reads from r; proceed sends a continuation request for a
// synchronising literal.
func NewDecoder(r io.Reader, lim Limits, proceed func() error) *Decoder {
	d := &Decoder{src: source{r: r}, lim: lim, proceed: proceed}
	d.r = bufio.NewReaderSize(&d.src, readBuffer)
	return d
}

// source is what is read from, and an octet that was read before its time.
type source struct {
	r     io.Reader
	octet [1]byte
	early bool
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if !s.early || len(p) == 0 {
		return s.r.Read(p)
	}
	s.early = false
	return copy(p, s.octet[:]), nil
}

// await reads the octet before its time.
func (s *source) await() error {
	for !s.early {
		n, err := s.r.Read(s.octet[:])
		if s.early = n > 0; err != nil && !s.early {
			return err
		}
	}
	return nil
}

// Buffered is how many octets were received that no command has taken.
func (d *Decoder) Buffered() int { return d.r.Buffered() }

// Wait returns when something can be read, or with the reader's error.
func (d *Decoder) Wait() error {
	_, err := d.r.Peek(1)
	return err
}

// WaitBare is Wait for a client that will be quiet for long: no buffer is held
// meanwhile.
func (d *Decoder) WaitBare() error {
	if d.r.Buffered() > 0 {
		return nil
	}
	d.r, d.line, d.pos = nil, nil, 0
	err := d.src.await()
	d.r = bufio.NewReaderSize(&d.src, readBuffer)
	return err
}

// Next begins a command: it reads the first line and the tag. The tag is empty
// when there is none; that, like an over-long line, is an error in Err. The
// error returned is of the connection.
func (d *Decoder) Next() (tag string, err error) {
	d.used, d.skipped, d.err = 0, 0, nil
	d.readLine()
	if d.ioErr != nil {
		return "", d.ioErr
	}
	refused := d.err
	d.err = nil
	tag = d.take(isTagChar)
	switch {
	case tag == "":
		d.Fail("tag expected")
	case refused != nil:
		d.err = refused
	}
	return tag, nil
}

// Line is the next line as it stands, for what is not a command: a SASL
// response or DONE. A line with a literal is an error in Err.
func (d *Decoder) Line() (string, error) {
	d.used, d.skipped, d.err = 0, 0, nil
	d.readLine()
	if d.literal != nil {
		d.Fail("no literal here")
	}
	return string(d.line), d.ioErr
}

// Finish discards what is left of the command, announced literals included.
// After it the next command can be read; its error is of the connection, or
// ErrDiscard.
func (d *Decoder) Finish() error {
	for d.ioErr == nil && (d.inside || d.literal != nil) {
		if !d.inside {
			if !d.literal.nonSync {
				break // refused: the client does not send it
			}
			d.stream = d.literal.size
		}
		d.literal = nil
		d.discard(d.stream)
		d.stream = 0
		d.readLine()
	}
	d.line, d.pos, d.literal = d.line[:0], 0, nil
	if cap(d.line) > 4*readBuffer {
		d.line = nil
	}
	return d.ioErr
}

// Err is the first thing that went wrong in this command: a *SyntaxError, or
// an error of the connection.
func (d *Decoder) Err() error {
	if d.ioErr != nil {
		return d.ioErr
	}
	return d.err
}

// Fail records a syntax error, if it is the first.
func (d *Decoder) Fail(format string, args ...any) {
	if d.err == nil {
		d.err = &SyntaxError{Text: fmt.Sprintf(format, args...)}
	}
}

// FailCode is Fail with a response code.
func (d *Decoder) FailCode(code, text string) {
	if d.err == nil {
		d.err = &SyntaxError{Code: code, Text: text}
	}
}

// readLine reads a line into d.line, sets what it announces, and refuses it
// when it is too long. A lone LF ends a line too, as with other servers.
func (d *Decoder) readLine() {
	d.line, d.pos, d.literal, d.inside = d.line[:0], 0, nil, false
	var tail []byte
	for {
		piece, err := d.r.ReadSlice('\n')
		tail = d.keep(piece, tail)
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			d.endInput(err, len(d.line) > 0)
			return
		}
		if d.ioErr != nil {
			return
		}
	}
	d.used += int64(len(d.line))
	if tail != nil {
		_, d.literal = cutAnnouncement(trimEOL(tail))
		d.Fail("command line is longer than %d octets", d.lim.Line)
		return
	}
	d.line, d.literal = cutAnnouncement(trimEOL(d.line))
	if d.used > d.lim.Command {
		d.Fail("command is longer than %d octets", d.lim.Command)
	}
}

// keep adds a piece of the line to d.line. Once the line is over its limit
// only the last octets are kept, in tail.
func (d *Decoder) keep(piece, tail []byte) []byte {
	if tail == nil && len(d.line)+len(piece) <= d.lim.Line+len("\r\n") {
		d.line = append(d.line, piece...)
		return nil
	}
	if tail == nil {
		tail = append(make([]byte, 0, tailSize+readBuffer), d.line[max(0, len(d.line)-tailSize):]...)
		d.line = append(d.line, piece[:max(0, min(len(piece), d.lim.Line-len(d.line)))]...) // has the tag
	}
	d.skipped += int64(len(piece))
	if d.skipped > d.lim.Discard {
		d.endInput(ErrDiscard, false)
	}
	tail = append(tail, piece...)
	copy(tail, tail[max(0, len(tail)-tailSize):])
	return tail[:min(len(tail), tailSize)]
}

// endInput records that nothing more can be read.
func (d *Decoder) endInput(err error, inside bool) {
	if inside && errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if d.ioErr == nil {
		d.ioErr = err
	}
}

func (d *Decoder) discard(n int64) {
	if n > d.lim.Discard-d.skipped {
		d.endInput(ErrDiscard, true)
		return
	}
	d.skipped += n
	if _, err := io.CopyN(io.Discard, d.r, n); err != nil {
		d.endInput(err, true)
	}
}

func trimEOL(line []byte) []byte {
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line
}

// cutAnnouncement splits {n} or {n+} off the end of a line. A number that does
// not fit is the largest, so that it is over every limit.
func cutAnnouncement(line []byte) ([]byte, *announcement) {
	n := len(line)
	if n < 3 || line[n-1] != '}' {
		return line, nil
	}
	digits := n - 1
	nonSync := line[digits-1] == '+'
	if nonSync {
		digits--
	}
	i := digits
	for i > 0 && isDigit(line[i-1]) {
		i--
	}
	if i == 0 && n > tailSize-len("{+}") {
		// Digits all along a kept tail: the number is larger than any limit.
		return line[:0], &announcement{size: maxInt64, nonSync: nonSync}
	}
	if i == 0 || i == digits || line[i-1] != '{' {
		return line, nil
	}
	size, err := strconv.ParseInt(string(line[i:digits]), 10, 64)
	if err != nil {
		size = maxInt64
	}
	return line[:i-1], &announcement{size: size, nonSync: nonSync}
}

const maxInt64 = 1<<63 - 1

// atLiteral reports that a literal comes next.
func (d *Decoder) atLiteral() bool { return d.pos == len(d.line) && d.literal != nil }

// readLiteral reads a literal into memory and the line that follows it.
func (d *Decoder) readLiteral() string {
	lit := *d.literal
	if lit.size > d.lim.Literal || d.used+lit.size > d.lim.Command {
		d.FailCode("TOOBIG", "literal is too long here")
		return ""
	}
	if !d.accept() {
		return ""
	}
	text := make([]byte, lit.size)
	if _, err := io.ReadFull(d.r, text); err != nil {
		d.endInput(err, true)
		return ""
	}
	d.used += lit.size
	d.stream = 0
	d.readLine()
	return string(text)
}

// accept asks for the literal if it must, and counts it as coming.
func (d *Decoder) accept() bool {
	lit := *d.literal
	if !lit.nonSync {
		if err := d.proceed(); err != nil {
			d.endInput(err, true)
			return false
		}
	}
	d.literal = nil
	d.stream, d.inside = lit.size, true
	return true
}

// LiteralComes reports whether a literal comes next.
func (d *Decoder) LiteralComes() bool { return d.Err() == nil && d.atLiteral() }

// LiteralSize is the size of the literal that comes next. Without one it is a
// syntax error.
func (d *Decoder) LiteralSize() int64 {
	if d.Err() != nil {
		return 0
	}
	if !d.atLiteral() {
		d.Fail("literal expected")
		return 0
	}
	return d.literal.size
}

// Stream asks for the literal that comes next and reads it from the
// connection. Its end, io.EOF, comes when the line after the literal has been
// read too and check, called then, has found no fault in it; so what is stored
// from a stream belongs to a whole command. After LiteralSize only.
func (d *Decoder) Stream(check func() error) io.Reader {
	return &literalReader{d: d, check: check, opened: d.Err() == nil && d.accept()}
}

type literalReader struct {
	d      *Decoder
	check  func() error
	opened bool
	ended  bool
}

// Read implements io.Reader.
func (l *literalReader) Read(p []byte) (int, error) {
	d := l.d
	switch {
	case d.Err() != nil:
		return 0, d.Err()
	case !l.opened:
		return 0, io.ErrUnexpectedEOF
	case d.stream == 0 && !l.ended:
		l.ended = true
		d.readLine()
		if errors.Is(d.ioErr, io.EOF) { // not the end of the content: the command has none
			d.ioErr = io.ErrUnexpectedEOF
		}
		if err := l.check(); err != nil {
			return 0, err
		}
		fallthrough
	case l.ended:
		return 0, io.EOF
	}
	n, err := d.r.Read(p[:min(int64(len(p)), d.stream)])
	d.stream -= int64(n)
	if err != nil {
		d.endInput(err, true)
		return n, d.ioErr
	}
	return n, nil
}
