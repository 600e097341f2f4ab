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
	for _, i := range hits {
		m, err := s.known(ctx, i, needsInfo|needsSummary)
		if err != nil {
			return nil, err
		}
		messages = append(messages, m.forThread())
	}
	return thread.OrderedSubject(messages), nil
}

// linkReferences reads what messages say they answer.
func (s *session) linkReferences(ctx context.Context, hits []int) (*thread.Builder, error) {
	b := thread.NewBuilder()
	progress := s.newProgress(len(hits))
	for n, i := range hits {
		progress.at(n)
		m, err := s.known(ctx, i, needsInfo|needsSummary)
		if err != nil {
			return nil, err
		}
		references, err := s.references(ctx, m.msg.UID)
		if err != nil {
			return nil, err
		}
		env := m.envelope()
		if len(references) == 0 {
			references = messageIDs(env.InReplyTo, 1) // RFC 5256 section 3: only its first
		}
		id := ""
		if ids := messageIDs(env.MessageID, 1); len(ids) > 0 {
			id = ids[0]
		}
		b.Add(m.forThread(), id, references)
	}
	return b, nil
}

func (m *fetched) forThread() thread.Message {
	base, reply := m.baseSubject()
	return thread.Message{Subject: base, Reply: reply, Sent: m.sent(), Arrived: m.info.InternalDate}
}

// sent is the date of RFC 5256 section 2.2: that of the Date field in UTC, or
// INTERNALDATE.
func (m *fetched) sent() time.Time {
	if m.summary == nil || m.summary.Date.IsZero() {
		return m.info.InternalDate
	}
	return m.summary.Date
}

// references are the last Message-IDs of the References field.
func (s *session) references(ctx context.Context, uid storage.UID) (ids []string, err error) {
	content, err := s.box.mailbox.Content(ctx, uid)
	if errors.Is(err, storage.ErrExpunged) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { s.warn("close message", content.Close()) }()
	for f, err := range message.Fields(content, message.Span{Len: content.Size()}) {
		if err != nil {
			return nil, err
		}
		if f.Is("References") {
			return messageIDs(f.Text(), 0), nil
		}
	}
	return nil, nil
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
