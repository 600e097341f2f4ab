package dkim

import (
	"bytes"
	"io"
)

// canonicalizer is one of the two ways to smooth what mail systems change
// (RFC 6376 section 3.4).
type canonicalizer bool

const (
	simple  canonicalizer = false
	relaxed canonicalizer = true
)

func (c canonicalizer) String() string {
	if c == relaxed {
		return "relaxed"
	}
	return "simple"
}

// header is a field, given with its line end, as it is signed.
func (c canonicalizer) header(field []byte) []byte {
	if c == simple {
		return field
	}
	name, value, _ := bytes.Cut(field, []byte(":"))
	out := make([]byte, 0, len(field))
	out = append(out, bytes.ToLower(bytes.TrimRight(name, " \t"))...)
	out = append(out, ':')
	return append(appendSquashed(out, value), "\r\n"...)
}

// appendSquashed appends value unfolded, runs of blanks made one, none at its
// ends (RFC 6376 section 3.4.2).
func appendSquashed(out, value []byte) []byte {
	begin, blank := len(out), false
	for _, b := range value {
		switch b {
		case ' ', '\t', '\r', '\n':
			blank = true
			continue
		}
		if blank && len(out) > begin {
			out = append(out, ' ')
		}
		blank = false
		out = append(out, b)
	}
	return out
}

// body writes to w a body in wire form as it is signed: without the empty
// lines at its end, and relaxed besides with runs of blanks made one and none
// at the end of a line. Close it to end the last line. Work is linear however
// many empty lines there are: they are counted, not kept.
type body struct {
	w       io.Writer
	relaxed canonicalizer
	out     []byte
	empty   int  // line ends not written yet
	blank   bool // relaxed: a run of blanks not written yet
	cr      bool // the octet before was CR
	any     bool // something was written
}

func newBody(w io.Writer, c canonicalizer) *body {
	return &body{w: w, relaxed: c, out: make([]byte, 0, 4096)}
}

// Write implements io.Writer. Errors are those of w.
func (b *body) Write(p []byte) (int, error) {
	for i := 0; i < len(p); {
		n := plain(p[i:])
		if n > 0 {
			if err := b.text(p[i : i+n]); err != nil {
				return i, err
			}
			i += n
			continue
		}
		if err := b.special(p[i]); err != nil {
			return i, err
		}
		i++
	}
	return len(p), nil
}

// plain is how many octets need no look.
func plain(p []byte) int {
	for i, c := range p {
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			return i
		}
	}
	return len(p)
}

// special takes one blank, CR or LF. A CR without LF is an octet like others.
func (b *body) special(c byte) error {
	switch {
	case c == '\n' && b.cr:
		b.cr, b.blank = false, false
		b.empty++
		return nil
	case c == '\r' && !b.cr:
		b.cr = true
		return nil
	case c == '\r': // the one before stood alone
		err := b.text(nil)
		b.cr = true
		return err
	case b.relaxed == relaxed && c != '\n':
		if b.cr {
			if err := b.text(nil); err != nil {
				return err
			}
		}
		b.blank = true
		return nil
	}
	return b.text([]byte{c})
}

// text writes octets, and before them what was held back.
func (b *body) text(p []byte) error {
	for ; b.empty > 0; b.empty-- {
		b.out = append(b.out, "\r\n"...)
		if err := b.spill(); err != nil {
			return err
		}
	}
	if b.blank {
		b.out = append(b.out, ' ')
		b.blank = false
	}
	if b.cr {
		b.out = append(b.out, '\r')
	}
	b.cr = false
	b.out = append(b.out, p...)
	b.any = true
	return b.spill()
}

func (b *body) spill() error {
	if len(b.out) < 4096 {
		return nil
	}
	return b.flush()
}

func (b *body) flush() error {
	_, err := b.w.Write(b.out)
	b.out = b.out[:0]
	return err
}

// Close writes the end. An empty body is one line end if simple, nothing if
// relaxed.
func (b *body) Close() error {
	if b.cr {
		if err := b.text(nil); err != nil {
			return err
		}
	}
	if b.any || b.relaxed == simple {
		b.out = append(b.out, "\r\n"...)
	}
	return b.flush()
}
