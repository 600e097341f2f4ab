package imap

import (
	"context"
	"errors"
	"strings"
	"time"

	"gomaild/imap/thread"
	"gomaild/message"
	"gomaild/storage"
)

// threadMessages is THREAD and UID THREAD, RFC 5256 section 3.
type threadMessages struct {
	search
	algorithm threadAlgorithm
}

// threadAlgorithm puts the messages at indexes of the known View into threads;
// nodes name positions in hits.
type threadAlgorithm func(ctx context.Context, s *session, hits []int) ([]*thread.Node, error)

var threadAlgorithms = map[string]threadAlgorithm{
	"ORDEREDSUBJECT": orderedSubject,
	"REFERENCES": func(ctx context.Context, s *session, hits []int) ([]*thread.Node, error) {
		b, err := s.linkReferences(ctx, hits)
		if err != nil {
			return nil, err
		}
		return b.References(), nil
	},
	"REFS": func(ctx context.Context, s *session, hits []int) ([]*thread.Node, error) {
		b, err := s.linkReferences(ctx, hits)
		if err != nil {
			return nil, err
		}
		return b.Refs(), nil
	},
}

func parseThread(byUID bool) func(*grammar) request {
	return func(g *grammar) request {
		r := threadMessages{search: search{results: results{byUID: byUID}}}
		g.SP()
		if r.algorithm = threadAlgorithms[g.Word()]; r.algorithm == nil {
			g.Fail("unknown threading algorithm")
		}
		g.SP()
		r.parseProgram(g)
		return r
	}
}

func (r threadMessages) run(ctx context.Context, s *session) (reply, error) {
	hits, err := r.find(ctx, s)
	if err != nil {
		return reply{}, err
	}
	threads, err := r.algorithm(ctx, s, hits)
	if err != nil {
		return reply{}, err
	}
	p := threadPrinter{s: s, results: &r.results, hits: hits}
	s.enc.Raw("* THREAD")
	if len(threads) > 0 {
		s.enc.Byte(' ')
	}
	p.print(threads)
	s.enc.CRLF()
	return reply{}, nil
}

func orderedSubject(ctx context.Context, s *session, hits []int) ([]*thread.Node, error) {
	messages := make([]thread.Message, 0, len(hits))
	err := s.readHeaders(ctx, hits, func(h *threadHeader) { messages = append(messages, h.message()) })
	if err != nil {
		return nil, err
	}
	return thread.OrderedSubject(messages), nil
}

// linkReferences reads what messages say they answer.
func (s *session) linkReferences(ctx context.Context, hits []int) (*thread.Builder, error) {
	b := thread.NewBuilder()
	err := s.readHeaders(ctx, hits, func(h *threadHeader) { b.Add(h.message(), h.id(), h.answers()) })
	return b, err
}

// threadHeader is what THREAD looks at of a message: INTERNALDATE and the
// first field of each name.
type threadHeader struct {
	arrived                                         time.Time
	date, subject, messageID, inReplyTo, references string
}

// field is where the value of a header field belongs, nil for others.
func (h *threadHeader) field(f message.Field) *string {
	for _, known := range []struct {
		name  string
		value *string
	}{
		{"Date", &h.date}, {"Subject", &h.subject}, {"Message-ID", &h.messageID},
		{"In-Reply-To", &h.inReplyTo}, {"References", &h.references},
	} {
		if f.Is(known.name) {
			return known.value
		}
	}
	return nil
}

// message is the base subject and the date of RFC 5256 section 2.2: that of
// the Date field, or INTERNALDATE.
func (h *threadHeader) message() thread.Message {
	base, reply := thread.BaseSubject(message.DecodeHeader(h.subject))
	sent, err := message.ParseDate(h.date)
	if err != nil {
		sent = h.arrived
	}
	return thread.Message{Subject: fold(base), Reply: reply, Sent: sent, Arrived: h.arrived}
}

func (h *threadHeader) id() string {
	if ids := messageIDs(h.messageID, 1); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// answers are the Message-IDs of References, or if there are none the first of
// In-Reply-To (RFC 5256 section 3).
func (h *threadHeader) answers() []string {
	if ids := messageIDs(h.references, 0); len(ids) > 0 {
		return ids
	}
	return messageIDs(h.inReplyTo, 1)
}

// readHeaders reads the headers of messages, in their order. Of a message that
// is gone meanwhile nothing is known.
func (s *session) readHeaders(ctx context.Context, hits []int, each func(*threadHeader)) error {
	progress := s.newProgress(len(hits))
	for n, i := range hits {
		progress.at(n)
		h, err := s.readHeader(ctx, s.box.known.Messages[i].UID)
		if err != nil && !errors.Is(err, storage.ErrExpunged) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		each(h)
	}
	return nil
}

// readHeader returns what could be read also with an error.
func (s *session) readHeader(ctx context.Context, uid storage.UID) (*threadHeader, error) {
	h := new(threadHeader)
	info, err := s.box.mailbox.Info(ctx, uid)
	if err != nil {
		return h, err
	}
	h.arrived = info.InternalDate
	content, err := s.box.mailbox.Content(ctx, uid)
	if err != nil {
		return h, err
	}
	defer func() { s.warn("close message", content.Close()) }()
	for f, err := range message.Fields(content, message.Span{Len: content.Size()}) {
		if err != nil {
			return h, err
		}
		if value := h.field(f); value != nil && *value == "" {
			*value = f.Text()
		}
	}
	return h, nil
}

// messageIDs finds the Message-IDs in a field, at most the first of them (0:
// all). What stands around them, in In-Reply-To often prose, is passed over.
func messageIDs(text string, limit int) []string {
	var ids []string
	for limit == 0 || len(ids) < limit {
		_, after, found := strings.Cut(text, "<")
		if !found {
			break
		}
		end := strings.IndexAny(after, "<>")
		if end < 0 {
			break
		}
		id := strings.Join(strings.Fields(after[:end]), "")
		if after[end] == '>' && strings.Contains(id, "@") {
			ids = append(ids, id)
		}
		text = after[end:]
	}
	return ids
}

// threadPrinter prints threads in the form of RFC 5256 section 4.
type threadPrinter struct {
	s       *session
	results *results
	hits    []int
}

func (p *threadPrinter) print(threads []*thread.Node) {
	for _, n := range threads {
		p.s.enc.Byte('(')
		p.node(n)
		p.s.enc.Byte(')')
	}
}

// node prints a line of answers as one, and goes deeper only where it parts.
func (p *threadPrinter) node(n *thread.Node) {
	for {
		if n.Message >= 0 {
			p.s.enc.Number(uint64(p.results.number(p.s.box.known, p.hits[n.Message])))
		}
		if len(n.Children) != 1 {
			break
		}
		p.s.enc.Byte(' ')
		n = n.Children[0]
	}
	if len(n.Children) == 0 {
		return
	}
	if n.Message >= 0 {
		p.s.enc.Byte(' ')
	}
	p.print(n.Children)
}
