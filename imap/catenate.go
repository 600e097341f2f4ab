package imap

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strconv"
	"strings"

	"gomaild/imap/wire"
	"gomaild/storage"
)

// catenation reads a message that the client puts together from texts and
// from parts of messages that are here: CATENATE, RFC 4469. The texts are on
// the connection, so each part is parsed when the one before it was read.
type catenation struct {
	ctx  context.Context // of the one command that reads it
	s    *session
	g    *grammar
	rest func() error // reads what follows the list

	part  io.Reader
	close func() error // of part
	begun bool
	ended bool
	size  int64 // octets so far
}

// Read implements io.Reader.
func (c *catenation) Read(p []byte) (int, error) {
	for !c.ended {
		if c.part == nil {
			if err := c.next(); err != nil {
				return 0, err
			}
			continue
		}
		n, err := c.part.Read(p)
		if c.size += int64(n); c.size > c.g.limits.Message {
			c.g.FailCode("TOOBIG", "Message is larger than the limit")
			return 0, c.g.Err()
		}
		if errors.Is(err, io.EOF) {
			c.part, err = nil, c.close()
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// leave closes the part that was being read, if the store read no further.
func (c *catenation) leave() {
	if c.part != nil {
		c.s.warn("close part of a message", c.close())
	}
}

// next opens the next part or finds the end of the list.
func (c *catenation) next() error {
	g := c.g
	if c.begun && g.Accept(')') {
		c.ended = true
		if c.size == 0 {
			g.FailCode("CANNOT", "Message is empty")
		}
		return c.rest()
	}
	if c.begun {
		g.SP()
	}
	c.begun = true
	switch g.Word() {
	case "TEXT":
		g.SP()
		if g.LiteralSize() > g.limits.Message-c.size {
			g.FailCode("TOOBIG", "Message is larger than the limit")
		}
		c.part, c.close = g.Stream(g.Err), func() error { return nil }
		return g.Err()
	case "UTF8": // RFC 6855 section 4
		g.SP()
		parseUTF8(g)
		g.Accept('~')
		if g.LiteralSize() > g.limits.Message-c.size {
			g.FailCode("TOOBIG", "Message is larger than the limit")
		}
		c.part, c.close = &lineReader{r: g.Stream(func() error {
			g.Expect(')')
			return g.Err()
		})}, func() error { return nil }
		return g.Err()
	case "URL":
		g.SP()
		link := g.AString()
		if g.Err() != nil {
			return g.Err()
		}
		return c.open(link)
	}
	g.Fail("TEXT, UTF8 or URL expected")
	return g.Err()
}

// open opens what a URL names. What it does not name is BADURL with the URL,
// RFC 4469 section 5.
func (c *catenation) open(link string) error {
	badURL := no("BADURL "+quoted(link), "URL names nothing here")
	t, ok := parseMessageURL(link)
	if !ok {
		return badURL
	}
	mailbox, err := c.s.account.Open(c.ctx, t.mailbox)
	if err != nil {
		return notThere(err, badURL)
	}
	content, size, r, err := t.find(c.ctx, mailbox)
	if err != nil {
		return errors.Join(notThere(err, badURL), mailbox.Close())
	}
	if r == nil {
		return errors.Join(badURL, content.Close(), mailbox.Close())
	}
	c.part = io.LimitReader(r, size)
	c.close = func() error { return errors.Join(content.Close(), mailbox.Close()) }
	return nil
}

// notThere is badURL where the store knows no such thing, and err where it
// could not look.
func notThere(err, badURL error) error {
	for _, absent := range []error{storage.ErrNoMailbox, storage.ErrName, storage.ErrNoSelect, storage.ErrExpunged} {
		if errors.Is(err, absent) {
			return badURL
		}
	}
	return err
}

// quoted is link as a quoted string of a response code, which "]" would end.
func quoted(link string) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, strings.ReplaceAll(link, "]", "%5D"))
	return `"` + clean[:min(len(clean), 1000)] + `"`
}

// messageURL is what an IMAP URL names (RFC 5092): a message or a section of
// it.
type messageURL struct {
	mailbox     string
	uidValidity uint32 // 0: any
	uid         storage.UID
	section     section
}

// parseMessageURL reads a URL relative to this server and login:
// /mailbox;UIDVALIDITY=n/;UID=n/;SECTION=s/;PARTIAL=o.n
func parseMessageURL(link string) (t messageURL, ok bool) {
	path, ok := strings.CutPrefix(link, "/")
	if !ok {
		return t, false
	}
	name, rest, ok := strings.Cut(path, "/;")
	if !ok {
		return t, false
	}
	name, validity, dated := cutFold(name, ";UIDVALIDITY=")
	if dated {
		n, err := strconv.ParseUint(validity, 10, 32)
		if err != nil || n == 0 {
			return t, false
		}
		t.uidValidity = uint32(n)
	}
	name, err := url.PathUnescape(name)
	if err != nil {
		return t, false
	}
	t.mailbox = wire.FoldINBOX(name)
	return t, t.parseRest(rest)
}

// cutFold is strings.Cut for an ASCII separator in capitals, found in any
// case.
func cutFold(s, sep string) (before, after string, found bool) {
	for i := range s {
		if len(s)-i >= len(sep) && strings.EqualFold(s[i:i+len(sep)], sep) {
			return s[:i], s[i+len(sep):], true
		}
	}
	return s, "", false
}

// parseRest reads what follows the mailbox.
func (t *messageURL) parseRest(rest string) bool {
	sectionText, partial := "", ""
	for piece := range strings.SplitSeq(rest, "/;") {
		key, value, _ := strings.Cut(piece, "=")
		value, err := url.PathUnescape(value)
		if err != nil {
			return false
		}
		switch strings.ToUpper(key) {
		case "UID":
			n, err := strconv.ParseUint(value, 10, 32)
			if err != nil || n == 0 {
				return false
			}
			t.uid = storage.UID(n)
		case "SECTION":
			sectionText = value
		case "PARTIAL":
			partial = "<" + value + ">"
		default:
			return false
		}
	}
	return t.uid != 0 && t.parseSection("["+sectionText+"]"+partial)
}

// parseSection reads a section as FETCH would.
func (t *messageURL) parseSection(text string) bool {
	if strings.ContainsAny(text, "\r\n{") {
		return false
	}
	limits := Limits{}.withDefaults()
	g := &grammar{Decoder: wire.NewDecoder(strings.NewReader("x "+text+"\r\n"), limits.wire(), func() error { return nil }), limits: &limits}
	if _, err := g.Next(); err != nil {
		return false
	}
	g.SP()
	t.section = parseSection(g)
	g.End()
	return g.Err() == nil
}

// find opens the message and finds the section; r is nil without one. content
// is to be closed.
func (t *messageURL) find(ctx context.Context, mailbox storage.Mailbox) (content storage.Content, size int64, r io.Reader, err error) {
	view, err := mailbox.View(ctx)
	if err != nil {
		return nil, 0, nil, err
	}
	if t.uidValidity != 0 && t.uidValidity != view.UIDValidity {
		return nil, 0, nil, storage.ErrExpunged
	}
	m := &fetched{msg: storage.Message{UID: t.uid}}
	known := mailbox.Reader()
	err = (fetch{needs: needsFacts | needsStructure | needsContent}).gather(ctx, mailbox, known, m)
	err = errors.Join(err, known.Close())
	ok := false
	if err == nil {
		r, size, ok, err = t.section.extract(m)
	}
	if err != nil && m.content != nil {
		err = errors.Join(err, m.content.Close())
	}
	if err != nil {
		return nil, 0, nil, err
	}
	if !ok {
		r = nil
	}
	return m.content, size, r, nil
}
