package smtp

import (
	"context"
	"fmt"
	"io"
	"slices"

	"gomaild/mail"
	"gomaild/smtp/reply"
)

// data receives content up to CRLF "." CRLF (RFC 5321 section 4.1.1.4).
func (s *session) data(ctx context.Context, _ string) error {
	s.reply(354, "", "End data with <CR><LF>.<CR><LF>")
	s.wire.beginContent()
	defer s.wire.endContent()

	c := s.newContent(reply.NewDotReader(s.wire))
	accepted := s.accepted
	results := s.commit(ctx, c)
	// The end is looked for whatever became of the message: what stands
	// before it is content.
	if _, err := io.Copy(io.Discard, c.src); err != nil {
		return s.lost(err)
	}
	err := s.answer(ctx, accepted, c, results)
	s.forget()
	return err
}

func (s *session) newContent(src io.Reader) *content {
	return &content{src: src, max: s.srv.cfg.Limits.MaxMessageSize}
}

// commit lets the Receiver have the content.
func (s *session) commit(ctx context.Context, c *content) []error {
	return s.take().Commit(ctx, c)
}

// lost is the error that ends a session in the middle of content.
func (s *session) lost(err error) error {
	if s.wire.err != nil {
		err = s.wire.err
	}
	return fmt.Errorf("content cut off: %w", err)
}

// answer replies to the end of content: in LMTP once for each recipient that
// RCPT accepted (RFC 2033 section 4.2), else once for all. 421 ends the session.
func (s *session) answer(ctx context.Context, accepted int, c *content, results []error) error {
	results = s.settled(accepted, c, results)
	if !s.srv.cfg.LMTP {
		results = []error{worst(results)}
	}
	var taken, refused, ends bool
	for _, err := range results {
		if err == nil {
			s.reply(250, "2.0.0", "Ok, accepted as "+s.client.Message)
			taken = true
			continue
		}
		status := mail.StatusOf(err)
		s.refuse(status)
		refused = refused || status.Code >= 500
		ends = ends || status.Code == 421
	}
	if ends {
		return fmt.Errorf("%w: the receiver ends it", errEnded)
	}
	if taken {
		s.errors, s.idle = 0, 0
	}
	if refused {
		return s.countError(ctx)
	}
	return nil
}

// settled is one result for each recipient. Content that could not be read
// was not stored, whatever the Receiver says.
func (s *session) settled(accepted int, c *content, results []error) []error {
	if err := c.failure(); err != nil {
		return slices.Repeat([]error{err}, accepted)
	}
	if len(results) != accepted {
		err := fmt.Errorf("the receiver gave %d results for %d recipients", len(results), accepted)
		s.log.Error("message refused", "error", err)
		return slices.Repeat([]error{err}, max(accepted, 1))
	}
	return results
}

// worst is the one reply of SMTP for recipients that fared differently: mail
// that waits before mail that is lost before mail that was stored. So the
// client tries again where that can help, which may deliver twice to those who
// have it, and hears of every refusal. A Receiver that can do better (queue it,
// bounce it) returns nil for those recipients.
func worst(results []error) error {
	var refusal error
	for _, err := range results {
		if err == nil {
			continue
		}
		if mail.StatusOf(err).Temporary() {
			return err
		}
		refusal = err
	}
	return refusal
}
