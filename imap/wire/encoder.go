package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	flushSize = 32 << 10 // a buffer of this size is sent although more may come
	keepSize  = 64 << 10 // a larger buffer is not kept
	maxQuoted = 1000     // a longer string is a literal, also without need
)

// ErrShort is recorded when a literal's content ends before its size: what the
// client was promised cannot be sent, so the connection cannot go on.
var ErrShort = errors.New("content is shorter than its size")

// Encoder prints responses into a buffer and sends it when it is large or
// flushed. It remembers the first error and prints nothing after it.
type Encoder struct {
	// UTF8 says that names of mailboxes, and quoted strings, are in UTF-8
	// (RFC 6855, RFC 9051).
	UTF8 bool

	w    io.Writer
	buf  []byte
	sent int64 // octets handed to w, for Mark
	err  error
}

// NewEncoder prints to w.
func NewEncoder(w io.Writer) *Encoder { return &Encoder{w: w} }

// Err is the first error.
func (e *Encoder) Err() error { return e.err }

// Buffered is how many octets wait for Flush.
func (e *Encoder) Buffered() int { return len(e.buf) }

// Flush sends the buffer, and gives a large one back.
func (e *Encoder) Flush() error {
	e.send()
	if cap(e.buf) > keepSize {
		e.buf = nil
	}
	return e.err
}

// send sends the buffer and keeps it for what follows.
func (e *Encoder) send() {
	if len(e.buf) > 0 && e.err == nil {
		_, e.err = e.w.Write(e.buf)
		e.sent += int64(len(e.buf))
	}
	e.buf = e.buf[:0]
}

// Release gives the buffer back, for a session that will be idle: it is nil if
// there is none worth keeping. The buffer must have been flushed.
func (e *Encoder) Release() (buf []byte) {
	buf, e.buf = e.buf, nil
	return buf
}

// Lend is a buffer to print into, as Release returned it.
func (e *Encoder) Lend(buf []byte) {
	if cap(e.buf) == 0 {
		e.buf = buf[:0]
	}
}

// Mark is a place to come back to with Rollback.
func (e *Encoder) Mark() int64 { return e.sent + int64(len(e.buf)) }

// Rollback takes back what was printed since mark, which is only possible
// while it has not been sent.
func (e *Encoder) Rollback(mark int64) bool {
	if mark < e.sent {
		return false
	}
	e.buf = e.buf[:mark-e.sent]
	return true
}

// Raw prints text as it is.
func (e *Encoder) Raw(text string) { e.buf = append(e.buf, text...) }

// Byte prints one octet.
func (e *Encoder) Byte(c byte) { e.buf = append(e.buf, c) }

// Append prints what f adds to the buffer.
func (e *Encoder) Append(f func(dst []byte) []byte) { e.buf = f(e.buf) }

// Octets prints octets as they are.
func (e *Encoder) Octets(octets []byte) { e.buf = append(e.buf, octets...) }

// LiteralOctets prints a literal.
func (e *Encoder) LiteralOctets(octets []byte) {
	e.buf = append(e.buf, '{')
	e.buf = strconv.AppendInt(e.buf, int64(len(octets)), 10)
	e.buf = append(e.buf, "}\r\n"...)
	e.appendHidden(octets)
}

// appendHidden appends text of a literal.
func (e *Encoder) appendHidden(text []byte) {
	at := len(e.buf)
	e.buf = append(e.buf, text...)
	hideNULs(e.buf[at:])
}

// hideNULs writes 0x80 for each NUL, as Dovecot does: a literal may not hold one
// (RFC 3501 section 9, CHAR8), whatever strangers put into their messages. The
// size stays.
func hideNULs(text []byte) {
	for {
		i := bytes.IndexByte(text, 0)
		if i < 0 {
			return
		}
		text[i] = 0x80
		text = text[i+1:]
	}
}

// nulHider reads with NULs hidden.
type nulHider struct{ r io.Reader }

// Read implements io.Reader.
func (h nulHider) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	hideNULs(p[:n])
	return n, err
}

// LiteralInto prints a literal of size octets, which fill puts into the buffer
// itself; fewer than that break the Encoder, as in Literal.
func (e *Encoder) LiteralInto(size int, fill func(buf []byte) (int, error)) {
	if e.err != nil {
		return
	}
	e.buf = append(e.buf, '{')
	e.buf = strconv.AppendInt(e.buf, int64(size), 10)
	e.buf = append(e.buf, "}\r\n"...)
	at := len(e.buf)
	e.buf = slices.Grow(e.buf, size)[:at+size]
	n, err := fill(e.buf[at:])
	hideNULs(e.buf[at:])
	e.fail(int64(n), int64(size), err)
}

// CRLF ends a response. Sending may happen here, and in Literal.
func (e *Encoder) CRLF() {
	e.buf = append(e.buf, '\r', '\n')
	if len(e.buf) >= flushSize {
		e.send()
	}
}

// Number prints a number.
func (e *Encoder) Number(n uint64) { e.buf = strconv.AppendUint(e.buf, n, 10) }

// String prints a quoted string, or a literal where quotes cannot hold it.
func (e *Encoder) String(s string) {
	if !quotable(s, e.UTF8) {
		e.buf = append(e.buf, '{')
		e.buf = strconv.AppendInt(e.buf, int64(len(s)), 10)
		e.buf = append(e.buf, "}\r\n"...)
		e.appendHidden([]byte(s))
		return
	}
	e.buf = append(e.buf, '"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			e.buf = append(e.buf, '\\')
		}
		e.buf = append(e.buf, s[i])
	}
	e.buf = append(e.buf, '"')
}

// quotable: RFC 3501 section 9, QUOTED-CHAR; RFC 9051 section 9 has UTF-8 too.
func quotable(s string, inUTF8 bool) bool {
	if len(s) > maxQuoted || inUTF8 && !utf8.ValidString(s) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c == 0 || c == '\r' || c == '\n' || c >= 0x80 && !inUTF8 {
			return false
		}
	}
	return true
}

// AString prints an atom where that is enough, else a string.
func (e *Encoder) AString(s string) {
	for i := range len(s) {
		if !isAStringChar(s[i]) {
			e.String(s)
			return
		}
	}
	if s == "" {
		e.String(s)
		return
	}
	e.Raw(s)
}

// Mailbox prints a mailbox name, in modified UTF-7 unless UTF8 is set.
func (e *Encoder) Mailbox(name string) {
	if e.UTF8 {
		e.AString(name)
		return
	}
	e.AString(EncodeUTF7(name))
}

// DateTime prints INTERNALDATE's form, quoted.
func (e *Encoder) DateTime(t time.Time) {
	e.buf = append(e.buf, '"')
	e.buf = t.AppendFormat(e.buf, "02-Jan-2006 15:04:05 -0700")
	e.buf = append(e.buf, '"')
}

// Literal prints {size} and size octets of r. Small ones go through the
// buffer, large ones straight to the connection. If r fails or ends early the
// client has been promised octets that do not exist: the Encoder is broken.
func (e *Encoder) Literal(size int64, r io.Reader) { e.Literal8(size, nulHider{r}) }

// Literal8 is Literal of octets that may hold NULs; the caller prints the ~ that
// says so (RFC 3516 section 4.2).
func (e *Encoder) Literal8(size int64, r io.Reader) {
	if e.err != nil {
		return
	}
	e.buf = append(e.buf, '{')
	e.buf = strconv.AppendInt(e.buf, size, 10)
	e.buf = append(e.buf, "}\r\n"...)
	if size < flushSize {
		e.copySmall(int(size), r)
		return
	}
	if e.send(); e.err != nil {
		return
	}
	n, err := io.Copy(e.w, io.LimitReader(r, size))
	e.sent += n
	e.fail(n, size, err)
}

func (e *Encoder) copySmall(size int, r io.Reader) {
	at := len(e.buf)
	e.buf = slices.Grow(e.buf, size)[:at+size]
	n, err := io.ReadFull(r, e.buf[at:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	e.fail(int64(n), int64(size), err)
}

func (e *Encoder) fail(n, size int64, err error) {
	switch {
	case err != nil:
		e.err = fmt.Errorf("literal of %d octets: %w", size, err)
	case n < size:
		e.err = fmt.Errorf("literal of %d octets ended after %d: %w", size, n, ErrShort)
	}
}
