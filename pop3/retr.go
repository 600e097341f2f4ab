package pop3

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gomaild/message"
	"gomaild/storage"
)

// retr is RETR.
func (s *session) retr(ctx context.Context, arg string) error {
	_, m, err := s.message(arg)
	if err != nil {
		return err
	}
	return s.send(ctx, m, -1)
}

// top is TOP: the header, the blank line and the first lines of the body. It
// does not count as retrieved.
func (s *session) top(ctx context.Context, arg string) error {
	number, count, _ := strings.Cut(arg, " ")
	_, m, err := s.message(number)
	if err != nil {
		return err
	}
	lines, err := strconv.ParseUint(strings.TrimSpace(count), 10, 31)
	if err != nil {
		return fail("Not a number of lines")
	}
	return s.send(ctx, m, int(lines))
}

// send sends a message, with at most lines of its body unless below 0. Once
// +OK is out there is no way to say that reading failed but to end the
// connection without the last dot.
func (s *session) send(ctx context.Context, m *letter, lines int) error {
	c, err := s.drop.box.Content(ctx, m.uid)
	if errors.Is(err, storage.ErrExpunged) {
		return fail("Message was removed by another session")
	}
	if err != nil {
		s.log.Error("open message", "uid", m.uid, "error", err)
		return errTemporary
	}
	s.ok(fmt.Sprintf("%d octets", m.size))
	w := newDotWriter(s.line.Out)
	whole := message.NewWireReader(c, message.Span{Len: c.Size()})
	if lines < 0 {
		_, err = io.Copy(w, whole)
	} else {
		err = copyTop(w, whole, lines)
	}
	if err = errors.Join(err, c.Close(), w.end()); err != nil {
		return fmt.Errorf("send message %d: %w", m.uid, err)
	}
	m.retrieved = m.retrieved || lines < 0
	return nil
}

// topBuffer is of copyTop, in octets.
const topBuffer = 4 << 10

// copyTop copies the header, the blank line and so many lines of the body.
func copyTop(w io.Writer, r io.Reader, lines int) error {
	in := bufio.NewReaderSize(r, topBuffer)
	inBody, start := false, true
	for !inBody || lines > 0 {
		piece, err := in.ReadSlice('\n')
		if _, werr := w.Write(piece); werr != nil {
			return werr
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
		ends := err == nil
		switch {
		case inBody && ends:
			lines--
		case start && ends && len(bytes.TrimRight(piece, "\r\n")) == 0:
			inBody = true
		}
		start = ends
	}
	return nil
}

// dotWriter writes a multi-line reply (RFC 1939 section 3): a dot more in front
// of a line that begins with one, and at the end a dot on a line of its own.
type dotWriter struct {
	w    *bufio.Writer
	last byte // octet written before; LF at the beginning
}

func newDotWriter(w *bufio.Writer) *dotWriter { return &dotWriter{w: w, last: '\n'} }

// Write implements io.Writer. Its input is in wire form.
func (d *dotWriter) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for rest := p; ; {
		if d.last == '\n' && len(rest) > 0 && rest[0] == '.' {
			_ = d.w.WriteByte('.') // an error stays with the writer
		}
		i := bytes.Index(rest, []byte("\n."))
		if i < 0 {
			_, err := d.w.Write(rest)
			d.last = rest[len(rest)-1]
			return len(p), err
		}
		_, _ = d.w.Write(rest[:i+1])
		d.last, rest = '\n', rest[i+1:]
	}
}

// end completes the last line and writes the dot.
func (d *dotWriter) end() error {
	if d.last != '\n' {
		_, _ = d.w.WriteString("\r\n")
	}
	_, err := d.w.WriteString(".\r\n")
	return err
}
