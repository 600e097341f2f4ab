package imap

import (
	"context"
	"strings"

	"gomaild/imap/thread"
)

// threadMessages is THREAD and UID THREAD, RFC 5256 section 3.
type threadMessages struct {
	search
	algorithm threadAlgorithm
	name      string
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
		r.name = g.Word()
		if r.algorithm = threadAlgorithms[r.name]; r.algorithm == nil {
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
	threads, err := r.remembered(ctx, s, hits)
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
	err := s.readHeaders(ctx, hits, threadFields, func(h *header) { messages = append(messages, h.forThread()) })
	if err != nil {
		return nil, err
	}
	return thread.OrderedSubject(messages), nil
}

// What the algorithms look at.
const (
	threadFields    = fieldMask(1<<fieldDate | 1<<fieldSubject)
	referenceFields = threadFields | 1<<fieldMessageID | 1<<fieldInReplyTo | 1<<fieldReferences
)

// linkReferences reads what messages say they answer.
func (s *session) linkReferences(ctx context.Context, hits []int) (*thread.Builder, error) {
	b := thread.NewBuilder()
	err := s.readHeaders(ctx, hits, referenceFields, func(h *header) { b.Add(h.forThread(), h.id(), h.answers()) })
	return b, err
}

func (h *header) forThread() thread.Message {
	base, reply := h.baseSubject()
	return thread.Message{Subject: base, Reply: reply, Sent: h.sent(), Arrived: h.facts.InternalDate}
}

func (h *header) id() string {
	if ids := messageIDs(h.text[fieldMessageID], 1); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// answers are the Message-IDs of References, or if there are none the first of
// In-Reply-To (RFC 5256 section 3).
func (h *header) answers() []string {
	if ids := messageIDs(h.text[fieldReferences], 0); len(ids) > 0 {
		return ids
	}
	return messageIDs(h.text[fieldInReplyTo], 1)
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
		id := unquoteID(strings.Join(strings.Fields(after[:end]), ""))
		if after[end] == '>' && strings.Contains(id, "@") {
			ids = append(ids, id)
		}
		text = after[end:]
	}
	return ids
}

// unquoteID is a Message-ID without the quotes that its left part may have: with
// and without them it is the same (RFC 5256 section 3).
func unquoteID(id string) string {
	at := strings.LastIndexByte(id, '@')
	if at < 2 || id[0] != '"' || id[at-1] != '"' {
		return id
	}
	var left strings.Builder
	for i := 1; i < at-1; i++ {
		if id[i] == '\\' && i+1 < at-1 {
			i++
		}
		left.WriteByte(id[i])
	}
	return left.String() + id[at:]
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
