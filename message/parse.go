package message

import (
	"bytes"
	"fmt"
	"strings"
)

// Limits of Parse, the same as Dovecot's where it has them. Beyond them the
// content is still served octet by octet; it is only not taken apart.
const (
	maxDepth     = 100      // nested entities; deeper ones are leaves
	maxParts     = 10_000   // entities of one message
	maxValue     = 64 << 10 // kept octets of one header field
	maxKept      = 4 << 20  // kept octets of header fields of one message
	maxMailboxes = 10_000   // addresses of one message
	maxBoundary  = 1000     // RFC 2046 allows 70; real mail exceeds that
)

// Parse reads the whole content once and takes it apart. Any octets parse to
// something; the only errors are those of reading c, wrapped.
func Parse(c Content) (*Summary, error) {
	size := c.Size()
	p := &parser{lines: newLineScanner(c, Span{Len: size}), kept: maxKept, mailboxes: maxMailboxes}
	p.open(frameRoot)
	for {
		pc, ok := p.lines.next()
		if !ok {
			break
		}
		p.piece(pc)
	}
	if p.lines.err != nil {
		return nil, fmt.Errorf("parse message: %w", p.lines.err)
	}
	for len(p.stack) > 1 {
		p.closeTop(p.now)
	}
	p.finish(p.stack[0], p.now)
	s := &Summary{Root: p.stack[0].part, WireSize: p.now.wire}
	if d, err := ParseDate(s.Root.Envelope.Date); err == nil {
		s.Date = d
	}
	return s, nil
}

// mark is a position counted in three ways.
type mark struct {
	off, wire, lines int64
}

// frameKind says what an entity hangs on.
type frameKind int

const (
	frameRoot   frameKind = iota // of the content or of a message/rfc822
	framePart                    // of a multipart
	frameDigest                  // of a multipart/digest (RFC 2046 section 5.1.5)
)

// frame is an entity whose end has not been seen.
type frame struct {
	part     Part
	kind     frameKind
	inHeader bool
	start    mark // of the header
	body     mark
	boundary []byte // "--" and the boundary, for a multipart
	ended    bool   // the closing boundary was seen
	sawType  bool   // a readable Content-Type
}

// parser keeps the chain of open entities, outermost first. Sizes of all of
// them are differences of marks, so no octet is looked at twice however deep
// the nesting is.
type parser struct {
	lines     *lineScanner
	stack     []*frame
	parts     int
	now       mark // before the present piece
	last      mark // before the line end of the line before: where a part ends
	kept      int
	mailboxes int

	name  string // the field being read, "" when it is of no interest
	value []byte
}

func (p *parser) top() *frame { return p.stack[len(p.stack)-1] }

func (p *parser) open(kind frameKind) {
	f := &frame{kind: kind, inHeader: true, start: p.now}
	if kind == frameRoot {
		f.part.Envelope = &Envelope{}
	}
	p.parts++
	p.stack = append(p.stack, f)
}

// piece takes one piece of a line and moves the marks over it.
func (p *parser) piece(pc piece) {
	after, lineEnd := p.now, p.now
	n := int64(len(pc.text))
	eol := int64(eolLen(pc.text))
	lineEnd.off += n - eol
	lineEnd.wire += n - eol
	after.off += n
	after.wire += n
	if eol > 0 {
		after.lines++
		after.wire += 2 - eol
	}
	switch {
	case pc.start && p.atBoundary(pc.text, after):
	case p.top().inHeader:
		p.header(pc, after)
	}
	p.now = after
	p.last = lineEnd
	if eol == 0 {
		p.last = after
	}
}

// atBoundary handles a line that is a boundary of an open multipart.
func (p *parser) atBoundary(line []byte, after mark) bool {
	i, closing := p.findBoundary(line)
	if i < 0 || !closing && p.parts >= maxParts {
		return false
	}
	end := p.last
	for len(p.stack) > i+1 {
		end = p.closeTop(end)
	}
	f := p.stack[i]
	if closing {
		f.ended = true
		return true
	}
	kind := framePart
	if strings.EqualFold(f.part.Subtype, "digest") {
		kind = frameDigest
	}
	p.now = after
	p.open(kind)
	return true
}

// findBoundary finds the multipart that line is a boundary of. RFC 2046
// section 5.1.1: the beginning of the line is compared, not all of it; of
// several boundaries that fit, the longest is meant, and of equal ones the
// innermost.
func (p *parser) findBoundary(line []byte) (index int, closing bool) {
	if len(line) < 3 || line[0] != '-' || line[1] != '-' {
		return -1, false
	}
	text := line[:len(line)-eolLen(line)]
	best := -1
	for i := len(p.stack) - 1; i >= 0; i-- {
		b := p.stack[i].boundary
		if b == nil || p.stack[i].ended || !bytes.HasPrefix(text, b) {
			continue
		}
		if best < 0 || len(b) > len(p.stack[best].boundary) {
			best = i
		}
	}
	if best < 0 {
		return -1, false
	}
	return best, bytes.HasPrefix(text[len(p.stack[best].boundary):], []byte("--"))
}

// closeTop ends the innermost entity at end and hangs it on its parent. It
// returns where the entity really ended, so that none reaches beyond its
// parent.
func (p *parser) closeTop(end mark) mark {
	f := p.top()
	end = p.finish(f, end)
	p.stack = p.stack[:len(p.stack)-1]
	parent := p.top()
	parent.part.Parts = append(parent.part.Parts, f.part)
	return end
}

// finish computes the spans and sizes of an entity that ends at end, or where
// its header ends if that is later: a boundary may follow it at once, and then
// the line end before the boundary is the header's too.
func (p *parser) finish(f *frame, end mark) mark {
	if f.inHeader {
		p.endField(f)
		if end.off < f.start.off {
			end = f.start
		}
		f.inHeader = false
		f.body = end
		p.applyDefaults(f)
	}
	if end.off < f.body.off {
		end = f.body
	}
	f.part.Header = Span{Off: f.start.off, Len: f.body.off - f.start.off}
	f.part.HeaderWireSize = f.body.wire - f.start.wire
	f.part.Body = Span{Off: f.body.off, Len: end.off - f.body.off}
	f.part.BodyWireSize = end.wire - f.body.wire
	f.part.BodyLines = end.lines - f.body.lines
	return end
}

// header takes a piece of the header of the innermost entity.
func (p *parser) header(pc piece, after mark) {
	f := p.top()
	switch {
	case pc.isBlank():
		p.endField(f)
		f.inHeader = false
		f.body = after
		p.now = after
		p.startBody(f)
	case !pc.start || pc.text[0] == ' ' || pc.text[0] == '\t':
		p.keep(pc.text)
	default:
		p.endField(f)
		p.startField(f, pc.text)
	}
}

// startBody decides what the body of f is, once its header is known.
func (p *parser) startBody(f *frame) {
	p.applyDefaults(f)
	if len(p.stack) >= maxDepth || p.parts >= maxParts {
		return
	}
	boundary := param(f.part.Params, "boundary")
	switch {
	case f.part.IsMultipart() && boundary != "":
		f.boundary = append([]byte("--"), boundary[:min(len(boundary), maxBoundary)]...)
	case f.part.IsMessage():
		p.open(frameRoot)
	}
}

func (p *parser) applyDefaults(f *frame) {
	part := &f.part
	if !f.sawType {
		part.Type, part.Subtype = "text", "plain"
		if f.kind == frameDigest {
			part.Type, part.Subtype = "message", "rfc822"
		}
	}
	if part.Encoding == "" {
		part.Encoding = "7bit"
	}
	if e := part.Envelope; e != nil {
		if e.Sender == nil {
			e.Sender = e.From
		}
		if e.ReplyTo == nil {
			e.ReplyTo = e.From
		}
	}
}

// IsMultipart reports a multipart. It may have no Parts: no boundary is named
// or found, or the limits are reached.
func (p *Part) IsMultipart() bool { return strings.EqualFold(p.Type, "multipart") }

// IsMessage reports a message/rfc822. Beyond the depth limit it has no Parts.
func (p *Part) IsMessage() bool {
	return strings.EqualFold(p.Type, "message") && strings.EqualFold(p.Subtype, "rfc822")
}

// param is the value of the first parameter of that name, "" if absent.
func param(params []Param, name string) string {
	for _, v := range params {
		if strings.EqualFold(v.Name, name) {
			return v.Value
		}
	}
	return ""
}
