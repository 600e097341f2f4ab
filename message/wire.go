package message

import (
	"bytes"
	"errors"
	"io"
)

// WireInto puts the wire form of a span into buf, which is as long as that is, and
// returns how much there is of it: less where the content is not what its sizes
// say. It reads once, and copies nothing twice.
func WireInto(buf []byte, c io.ReaderAt, s Span) (int, error) {
	extra := int64(len(buf)) - s.Len // line ends that get a CR
	if extra < 0 {
		buf, extra = buf[:0], 0
	}
	stored := buf[extra:]
	n, err := c.ReadAt(stored, s.Off)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	stored = stored[:n]
	if extra == 0 {
		return n, nil
	}
	at := 0 // never beyond the beginning of stored while there are CRs left to add
	lastCR := false
	for len(stored) > 0 && len(buf)-at > len(stored) {
		i := bytes.IndexByte(stored, '\n')
		if i < 0 {
			break
		}
		lone := i > 0 && stored[i-1] != '\r' || i == 0 && !lastCR
		at += copy(buf[at:], stored[:i])
		stored = stored[i+1:]
		if lone {
			buf[at] = '\r'
			at++
		}
		buf[at] = '\n'
		at++
		lastCR = false
	}
	return at + copy(buf[at:], stored), nil
}

// NewWireReader reads a span in wire form: a lone LF becomes CRLF, everything
// else stays as it is stored.
func NewWireReader(c Content, s Span) io.Reader {
	return &wireReader{src: io.NewSectionReader(c, s.Off, s.Len), size: s.Len}
}

// Section reads n wire octets of a span from wire offset off, fewer where it
// ends; n below 0 means all. wireSize is the span's size on the wire: a span
// that is stored as it travels is read from where it lies, another is counted
// through from its beginning.
func Section(c Content, s Span, wireSize, off, n int64) io.Reader {
	off = min(max(off, 0), wireSize)
	if n < 0 || n > wireSize-off {
		n = wireSize - off
	}
	if wireSize == s.Len {
		return io.NewSectionReader(c, s.Off+off, n)
	}
	w := &wireReader{src: io.NewSectionReader(c, s.Off, s.Len), size: s.Len, drop: off}
	return io.LimitReader(w, n)
}

// wireReader turns stored line ends into CRLF.
type wireReader struct {
	src    io.Reader
	size   int64 // of src at most
	buf    []byte
	rest   []byte // of buf, not yet given out
	lastCR bool   // the octet before rest was CR
	needLF bool   // CR of an inserted pair was given out, its LF is at rest[0]
	drop   int64  // wire octets to pass over first
	err    error
}

// Read implements io.Reader.
func (w *wireReader) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		if len(w.rest) == 0 {
			if n > 0 {
				return n, nil
			}
			if err := w.fill(); err != nil {
				return 0, err
			}
		}
		if w.drop > 0 {
			w.skip()
			continue
		}
		n += w.move(p[n:])
	}
	return n, nil
}

func (w *wireReader) fill() error {
	if w.err != nil {
		return w.err
	}
	if w.buf == nil {
		w.buf = make([]byte, min(windowSize, max(w.size, 1)))
	}
	n, err := w.src.Read(w.buf)
	w.rest, w.err = w.buf[:n], err
	if n == 0 && err == nil {
		w.err = io.ErrNoProgress
	}
	if n == 0 {
		return w.err
	}
	return nil
}

// move gives out the octets up to the next lone LF, or that LF's CR.
func (w *wireReader) move(p []byte) int {
	if w.needLF {
		p[0] = '\n'
		w.rest, w.needLF, w.lastCR = w.rest[1:], false, false
		return 1
	}
	i := bytes.IndexByte(w.rest, '\n')
	switch {
	case i < 0:
		i = len(w.rest)
	case i > 0 && w.rest[i-1] == '\r' || i == 0 && w.lastCR:
		i++
	case i == 0:
		p[0], w.needLF = '\r', true
		return 1
	}
	n := copy(p, w.rest[:i])
	w.lastCR = w.rest[n-1] == '\r'
	w.rest = w.rest[n:]
	return n
}

// skip passes over wire octets without making them, a line at a time.
func (w *wireReader) skip() {
	i := bytes.IndexByte(w.rest, '\n')
	if i < 0 {
		i = len(w.rest) - 1
	}
	line := w.rest[:i+1]
	wire := int64(len(line))
	lone := eolLen(line) == 1 && !(len(line) == 1 && w.lastCR)
	if lone {
		wire++
	}
	if wire <= w.drop {
		w.drop -= wire
		w.lastCR = line[len(line)-1] == '\r'
		w.rest = w.rest[len(line):]
		return
	}
	// The wanted octet is in this line: before its LF, or that LF itself.
	n := w.drop
	w.drop = 0
	if lone && n == wire-1 {
		n, w.needLF = n-1, true
	}
	if n > 0 {
		w.lastCR = line[n-1] == '\r'
		w.rest = w.rest[n:]
	}
}
