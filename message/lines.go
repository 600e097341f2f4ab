package message

import (
	"bytes"
	"errors"
	"io"
)

// windowSize is how much of a Content is in memory at a time, and firstWindow
// how much at first: who reads a header needs no more.
const (
	windowSize  = 32 << 10
	firstWindow = 4 << 10
)

// lineScanner reads a span line by line through one window. Lines longer than
// the window come in pieces, so memory does not depend on the content.
type lineScanner struct {
	c     io.ReaderAt
	off   int64 // stored offset of buf[r]
	end   int64
	buf   []byte
	r, w  int
	start bool // the next piece begins a line
	err   error
}

// piece is a line with its line end, or a part of a long one. Text is valid
// until the next call.
type piece struct {
	text  []byte
	start bool // it begins a line
	end   bool // it ends in LF
}

func newLineScanner(c io.ReaderAt, s Span) *lineScanner {
	size := min(max(s.Len, 0), firstWindow)
	return &lineScanner{c: c, off: s.Off, end: s.Off + s.Len, buf: make([]byte, max(size, 2)), start: true}
}

// next returns the next piece, or false at the end or after an error (err).
func (l *lineScanner) next() (piece, bool) {
	for searched := 0; ; {
		if i := bytes.IndexByte(l.buf[l.r+searched:l.w], '\n'); i >= 0 {
			return l.take(searched + i + 1), true
		}
		searched = l.w - l.r
		if searched >= windowSize {
			// The last octet stays: a CR must meet its LF in one piece.
			return l.take(searched - 1), true
		}
		if !l.fill() {
			if l.r == l.w {
				return piece{}, false
			}
			return l.take(l.w - l.r), true
		}
	}
}

func (l *lineScanner) take(n int) piece {
	text := l.buf[l.r : l.r+n]
	p := piece{text: text, start: l.start, end: text[n-1] == '\n'}
	l.r += n
	l.off += int64(n)
	l.start = p.end
	return p
}

// fill reads more octets behind those in the window.
func (l *lineScanner) fill() bool {
	at := l.off + int64(l.w-l.r)
	if l.err != nil || at >= l.end {
		return false
	}
	unread := l.buf[l.r:l.w]
	if left := l.end - l.off; l.w > 0 && len(l.buf) < windowSize {
		l.buf = make([]byte, max(min(left, windowSize), int64(len(unread)), 2))
	}
	l.w = copy(l.buf, unread)
	l.r = 0
	room := l.buf[l.w:]
	if left := l.end - at; int64(len(room)) > left {
		room = room[:left]
	}
	n, err := l.c.ReadAt(room, at)
	l.w += n
	switch {
	case n == len(room):
	case err == nil || errors.Is(err, io.EOF):
		l.err = io.ErrUnexpectedEOF // shorter than Size says
	default:
		l.err = err
	}
	return n > 0
}

// eolLen is how many octets the line end of text takes: 0, 1 or 2.
func eolLen(text []byte) int {
	n := len(text)
	switch {
	case n == 0 || text[n-1] != '\n':
		return 0
	case n > 1 && text[n-2] == '\r':
		return 2
	}
	return 1
}

// isBlank reports a whole line that is only a line end.
func (p piece) isBlank() bool {
	return p.start && p.end && len(p.text) == eolLen(p.text)
}
