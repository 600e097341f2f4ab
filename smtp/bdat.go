package smtp

import (
	"context"
	"errors"
	"io"
	"strconv"
	"strings"

	"gomaild/mail"
)

// Replies to BDAT.
var (
	errBdatSyntax = &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "Syntax: BDAT size [LAST]"}
	// errAborted is what the Receiver reads when the client gives up.
	errAborted = errors.New("the client gave up the message")
)

// chunk is the argument of BDAT (RFC 3030 section 2): so many octets follow.
type chunk struct {
	size int64
	last bool
}

func parseChunk(arg string) (chunk, error) {
	digits, word, hasWord := strings.Cut(arg, " ")
	last := strings.EqualFold(strings.TrimLeft(word, " "), "LAST")
	if digits == "" || strings.Trim(digits, "0123456789") != "" || hasWord && !last {
		return chunk{}, errBdatSyntax
	}
	size, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return chunk{}, errBdatSyntax
	}
	return chunk{size: size, last: last}, nil
}

// bdat receives content in chunks. The Receiver reads it as one: between two
// chunks it is the reader that answers and takes the commands that come.
func (s *session) bdat(ctx context.Context, arg string) error {
	ch, err := parseChunk(arg)
	if err != nil {
		return s.end(errBdatSyntax)
	}
	s.state = stateBdat
	s.wire.beginContent()
	defer s.wire.endContent()

	r := &chunkReader{ctx: ctx, s: s, chunk: ch, left: ch.size}
	c := s.newContent(r)
	accepted := s.accepted
	results := s.commit(ctx, c)
	if err := s.finishChunk(r, c, results); err != nil {
		return err
	}
	defer s.forget()
	switch {
	case errors.Is(c.err, errAborted):
		return nil // the command that did it is pending
	case r.last:
		return s.answer(ctx, accepted, c, results)
	}
	// One reply for the chunk, in LMTP too: the recipients are answered
	// after the last. With the transaction gone, further chunks are 503.
	return mail.StatusOf(worst(s.settled(accepted, c, results)))
}

// finishChunk reads what the Receiver left: the rest of the chunk of a message
// that was refused, all chunks of one that it took without looking.
func (s *session) finishChunk(r *chunkReader, c *content, results []error) error {
	var err error
	switch {
	case errors.Is(c.err, errAborted):
	case c.failure() == nil && worst(results) == nil:
		_, err = io.Copy(io.Discard, r)
	default:
		err = s.discard(r.left)
	}
	if errors.Is(err, errAborted) {
		c.err, err = errAborted, nil
	}
	if r.fatal != nil {
		return r.fatal
	}
	if err != nil {
		return s.lost(err)
	}
	return nil
}

// skipChunk throws away the octets of a BDAT that may not come, so that they
// are never taken for commands, and refuses it.
func (s *session) skipChunk(arg string, refusal error) error {
	ch, err := parseChunk(arg)
	if err != nil {
		// Where the chunk ends nobody knows.
		return s.end(errBdatSyntax)
	}
	s.wire.beginContent()
	defer s.wire.endContent()
	if err := s.discard(ch.size); err != nil {
		return s.lost(err)
	}
	return refusal
}

// discard throws away n octets of content.
func (s *session) discard(n int64) error {
	for n > 0 {
		if _, err := s.wire.Peek(1); err != nil {
			return err
		}
		k := min(n, int64(s.wire.Buffered()))
		if _, err := s.wire.Discard(int(k)); err != nil {
			return err
		}
		n -= k
	}
	return nil
}

// chunkReader reads the chunks of one message as one content.
type chunkReader struct {
	ctx context.Context // of the BDAT command, for those between the chunks
	s   *session
	chunk
	left  int64 // octets of this chunk
	fatal error // ended the session between two chunks
}

// Read is io.Reader.
func (r *chunkReader) Read(p []byte) (int, error) {
	for r.left == 0 {
		if r.last {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	w := r.s.wire
	if _, err := w.Peek(1); err != nil {
		return 0, err
	}
	b, err := w.Peek(int(min(r.left, int64(w.Buffered()))))
	if err != nil {
		return 0, err
	}
	n, err := w.Discard(copy(p, b))
	r.left -= int64(n)
	return n, err
}

// next answers the chunk that has been read and takes commands up to the next
// one. A command that ends the message is left to the session.
func (r *chunkReader) next() error {
	s := r.s
	s.reply(250, "2.0.0", strconv.FormatInt(r.size, 10)+" octets received")
	if s.idle += emptyChunk(r.chunk); s.idle > s.srv.cfg.Limits.MaxIdleCommands {
		r.fatal = s.end(errTooIdle)
		return r.fatal
	}
	for {
		req, err := s.next()
		switch {
		case err == nil && req.verb == "BDAT":
			return r.begin(req.arg)
		case err == nil && req.rules&endsMessage != 0:
			s.pending = &req
			return errAborted
		case err == nil:
			err = s.run(r.ctx, req)
		}
		if r.fatal = s.settle(r.ctx, err); r.fatal != nil {
			return r.fatal
		}
	}
}

// begin starts on the next chunk.
func (r *chunkReader) begin(arg string) error {
	ch, err := parseChunk(arg)
	if err != nil {
		r.fatal = r.s.end(errBdatSyntax)
		return r.fatal
	}
	r.chunk, r.left = ch, ch.size
	return nil
}

// emptyChunk counts a chunk of nothing as a command that moves no mail.
func emptyChunk(c chunk) int {
	if c.size == 0 {
		return 1
	}
	return 0
}
