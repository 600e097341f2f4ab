package smtp

import (
	"io"

	"gomaild/mail"
	"gomaild/smtp/reply"
)

var errLineEnds = &mail.Status{Code: 550, Enhanced: "5.6.11", Text: "Message holds a bare CR or LF", Cause: reply.ErrBareLineEnd}

// content is what a Receiver reads: the octets of a message, with the limits
// that hold for all messages however they are sent. A last line without CRLF,
// which BDAT can send, gets one: those who store it keep whole lines. Its first
// error is its error for ever.
type content struct {
	src  io.Reader
	max  int64 // octets; negative: no limit
	size int64 // octets that came
	ends reply.LineEnds
	tail string // what is added at the end and not yet read
	err  error  // io.EOF after the last octet
}

// Read is io.Reader.
func (c *content) Read(p []byte) (int, error) {
	if c.tail != "" {
		return c.readTail(p)
	}
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.src.Read(p)
	c.size += int64(n)
	switch {
	case c.ends.Check(p[:n]) != nil:
		c.err = errLineEnds
	case c.max >= 0 && c.size > c.max:
		c.err = errTooBig
	case err != nil:
		c.err = c.ending(err)
	}
	if c.failure() != nil {
		return 0, c.err
	}
	if c.tail != "" {
		return n, nil
	}
	return n, c.err
}

// ending is what it means that the source ended with err.
func (c *content) ending(err error) error {
	if err != io.EOF {
		return err
	}
	if c.ends.AfterCR() {
		return errLineEnds
	}
	if !c.ends.AtLineStart() {
		c.tail = "\r\n"
	}
	return io.EOF
}

func (c *content) readTail(p []byte) (int, error) {
	n := copy(p, c.tail)
	c.tail = c.tail[n:]
	if c.tail != "" {
		return n, nil
	}
	return n, c.err
}

// failure is why the content could not be read, nil if it was or still can be.
func (c *content) failure() error {
	if c.err == io.EOF {
		return nil
	}
	return c.err
}
