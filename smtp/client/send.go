package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"gomaild/mail"
	"gomaild/smtp/reply"
)

// window is how many RCPT commands may be unanswered: few enough that their
// replies fit the buffers of any server, which may write before it reads.
const window = 50

// Content is a message in the form of the wire.
type Content interface {
	io.ReaderAt
	Size() int64 // octets
}

// Message is what one transaction sends.
type Message struct {
	From    mail.ReversePath
	To      []mail.Recipient
	Content Content
	// RequireTLS is RFC 8689: the next host must promise to go on with TLS. With the
	// null reverse-path it is asked to, and gets the message in any case (section 5).
	RequireTLS bool
}

// Result is the outcome for one recipient.
type Result struct {
	// Err is nil when the server has taken responsibility. A *mail.Status is
	// what the server said, or what makes the message impossible for this
	// server; anything else is a fault of the connection.
	Err error
	// Unsure is true where the whole message was sent and no answer came: the
	// server may have it, so another server should not be tried at once.
	Unsure bool
}

// Send makes one transaction and returns a Result for each of m.To, in order.
func (c *Conn) Send(ctx context.Context, m Message) []Result {
	defer c.until(ctx)()
	s := &sending{c: c, m: m, results: make([]Result, len(m.To))}
	if err := s.plan(); err != nil {
		s.all(err)
		return s.results
	}
	s.envelope()
	if len(s.accepted) > 0 {
		s.data()
	} else if c.Usable() {
		_, _ = c.command(c.cfg.Timeouts.Command, "RSET") // read notes a broken connection
	}
	return s.results
}

// sending is one transaction.
type sending struct {
	c        *Conn
	m        Message
	eight    bool // the content holds octets above 127
	utf8     bool // SMTPUTF8 is needed by what all share
	results  []Result
	offered  []int // recipients that the server can be asked about
	accepted []int // recipients with a 250
}

func (s *sending) all(err error) {
	for i := range s.results {
		s.results[i].Err = err
	}
}

// unanswered gives err to those of list that have no outcome yet.
func (s *sending) unanswered(list []int, err error, unsure bool) {
	for _, i := range list {
		if s.results[i].Err == nil {
			s.results[i] = Result{err, unsure}
		}
	}
}

// plan finds what the server cannot carry before anything is sent.
func (s *sending) plan() error {
	if s.c.broken == nil && s.c.br.Buffered() > 0 {
		_ = s.c.fail("MAIL", errors.New("a reply before the question"))
	}
	if s.c.broken != nil {
		return s.c.broken
	}
	header8, body8, err := eightBit(s.m.Content)
	if err != nil {
		return fmt.Errorf("read content: %w", err)
	}
	s.eight = header8 || body8
	s.utf8 = s.m.From.Address.NeedsUTF8() || s.m.From.UTF8 && header8
	_, hasUTF8 := s.c.Extension("SMTPUTF8")
	switch {
	case s.utf8 && !hasUTF8:
		return errNoUTF8
	case s.eight && !s.c.has("8BITMIME"):
		return &mail.Status{Code: 554, Enhanced: "5.6.3", Text: "The next host takes no 8-bit content (RFC 6152)"}
	case s.m.RequireTLS && !s.m.From.Address.IsZero() && !s.c.has("REQUIRETLS"):
		return &mail.Status{Code: 550, Enhanced: "5.7.30", Text: "The next host does not offer REQUIRETLS (RFC 8689)"}
	}
	if limit := s.c.maxSize(); limit > 0 && s.m.Content.Size() > limit {
		return &mail.Status{Code: 552, Enhanced: "5.3.4", Text: fmt.Sprintf("The next host takes messages of up to %d octets", limit)}
	}
	for i, to := range s.m.To {
		if to.Address.NeedsUTF8() && !hasUTF8 {
			s.results[i].Err = errNoUTF8
			continue
		}
		s.utf8 = s.utf8 || to.Address.NeedsUTF8()
		s.offered = append(s.offered, i)
	}
	return nil
}

// errNoUTF8 is RFC 6531 section 3.7.1.
var errNoUTF8 = &mail.Status{Code: 550, Enhanced: "5.6.7", Text: "The next host takes no internationalised addresses (RFC 6531)"}

// envelope says MAIL and RCPT, in one go where the server allows it.
func (s *sending) envelope() {
	if len(s.offered) == 0 {
		return
	}
	size := window
	if !s.c.has("PIPELINING") {
		size = 1
		if !s.mail() {
			return
		}
	}
	for start := 0; start < len(s.offered); start += size {
		group := s.offered[start:min(start+size, len(s.offered))]
		withMail := start == 0 && size > 1
		s.c.deadline(s.c.cfg.Timeouts.Command)
		if withMail {
			s.c.put(s.mailLine())
		}
		for _, i := range group {
			s.c.put(s.rcptLine(s.m.To[i]))
		}
		err := s.c.flush()
		if err == nil && withMail {
			err = s.readMail()
		}
		if err == nil {
			err = s.readRcpts(group)
		}
		if err != nil {
			s.unanswered(s.offered, err, false)
			s.accepted = nil
			return
		}
	}
}

// mail says MAIL alone.
func (s *sending) mail() bool {
	s.c.deadline(s.c.cfg.Timeouts.Command)
	s.c.put(s.mailLine())
	err := s.c.flush()
	if err == nil {
		err = s.readMail()
	}
	if err != nil {
		s.unanswered(s.offered, err, false)
	}
	return err == nil
}

// readMail takes the reply to MAIL. A refusal is everybody's outcome; the
// replies to what was sent with it are still read.
func (s *sending) readMail() error {
	r, err := s.c.read("MAIL")
	if err != nil {
		return err
	}
	if r.Code/100 == 2 {
		return nil
	}
	err = s.c.refused("MAIL", r)
	s.unanswered(s.offered, err, false)
	if s.c.has("PIPELINING") {
		for range min(window, len(s.offered)) {
			s.c.deadline(s.c.cfg.Timeouts.Command)
			if _, broken := s.c.read("RCPT"); broken != nil {
				break
			}
		}
	}
	return err
}

func (s *sending) readRcpts(group []int) error {
	for _, i := range group {
		s.c.deadline(s.c.cfg.Timeouts.Command)
		r, err := s.c.read("RCPT")
		if err != nil {
			return err
		}
		if r.Code/100 == 2 {
			s.accepted = append(s.accepted, i)
			continue
		}
		// RFC 5321 section 4.5.3.1.10: 552 for too many recipients is to be
		// taken as 452.
		if r.Code == 552 && r.Enhanced == "" {
			r.Code = 452
		}
		s.results[i].Err = s.c.refused("RCPT", r)
	}
	return nil
}

// data sends the content and takes the outcome.
func (s *sending) data() {
	r, err := s.c.command(s.c.cfg.Timeouts.Data, "DATA")
	if err == nil && r.Code != 354 {
		err = s.c.refused("DATA", r)
		if s.c.Usable() {
			_, _ = s.c.command(s.c.cfg.Timeouts.Command, "RSET")
		}
	}
	if err == nil {
		err = s.content()
	}
	if err != nil {
		s.unanswered(s.accepted, err, false)
		return
	}
	s.c.deadline(s.c.cfg.Timeouts.EndOfData)
	if err := s.c.flush(); err != nil {
		s.unanswered(s.accepted, err, true)
		return
	}
	s.final()
}

// final takes one reply for all, with LMTP one for each accepted recipient
// (RFC 2033 section 4.2).
func (s *sending) final() {
	rest := s.accepted
	for len(rest) > 0 {
		s.c.deadline(s.c.cfg.Timeouts.EndOfData)
		r, err := s.c.read("end of data")
		if err != nil {
			s.unanswered(rest, err, true)
			return
		}
		whose := rest
		if s.c.cfg.LMTP {
			whose = rest[:1]
		}
		rest = rest[len(whose):]
		if r.Code/100 != 2 {
			s.unanswered(whose, s.c.refused("end of data", r), false)
		}
		if !s.c.Usable() {
			s.unanswered(rest, s.c.broken, true)
			return
		}
	}
	// More replies than recipients: whose the next ones are, nobody can tell.
	if s.c.br.Buffered() > 0 {
		_ = s.c.fail("end of data", errors.New("more replies than recipients"))
	}
}

// content writes all but the last block. Content that cannot be read or is
// not in lines breaks the connection: it must never seem to be whole.
func (s *sending) content() error {
	w := reply.NewDotWriter(blocks{s.c})
	_, err := io.Copy(w, io.NewSectionReader(s.m.Content, 0, s.m.Content.Size()))
	if err == nil {
		err = w.Close()
	}
	switch {
	case errors.Is(err, reply.ErrBareLineEnd):
		_ = s.c.fail("content", err)
		return &mail.Status{Code: 554, Enhanced: "5.6.0", Text: "The message holds a bare CR or LF", Cause: err}
	case err != nil:
		return s.c.fail("content", err)
	}
	return nil
}

// blocks gives every block that goes to the server its own time.
type blocks struct{ c *Conn }

// Write implements io.Writer.
func (b blocks) Write(p []byte) (int, error) {
	if len(p) > b.c.bw.Available() {
		b.c.deadline(b.c.cfg.Timeouts.Block)
	}
	return b.c.bw.Write(p)
}

// eightBit looks for octets above 127. It reads the content to its end only
// where there are none.
func eightBit(content Content) (header, body bool, err error) {
	r := io.NewSectionReader(content, 0, content.Size())
	buf := make([]byte, 32*1024)
	last := [3]byte{0, '\r', '\n'} // the octets before, to find the empty line
	inBody := false
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			switch {
			case b >= 0x80 && inBody:
				return header, true, nil
			case b >= 0x80:
				header = true
			}
			if inBody {
				continue
			}
			if b == '\n' && last == [3]byte{'\r', '\n', '\r'} {
				inBody = true
			}
			last = [3]byte{last[1], last[2], b}
		}
		switch {
		case errors.Is(err, io.EOF):
			return header, body, nil
		case err != nil:
			return header, body, err
		}
	}
}

func (c *Conn) has(extension string) bool {
	_, ok := c.ext[extension]
	return ok
}

// maxSize is the limit of SIZE (RFC 1870 section 4), 0 for none.
func (c *Conn) maxSize() int64 {
	var limit int64
	for _, d := range c.ext["SIZE"] {
		if d < '0' || d > '9' || limit > 1<<50 {
			return 0
		}
		limit = limit*10 + int64(d-'0')
	}
	return limit
}

// mailLine is MAIL with the parameters that the server knows.
func (s *sending) mailLine() string {
	var b strings.Builder
	b.WriteString("MAIL FROM:" + s.m.From.String())
	if s.c.has("SIZE") {
		fmt.Fprintf(&b, " SIZE=%d", s.m.Content.Size())
	}
	if s.eight {
		b.WriteString(" BODY=8BITMIME")
	}
	if s.utf8 {
		b.WriteString(" SMTPUTF8")
	}
	if s.m.RequireTLS && s.c.has("REQUIRETLS") {
		b.WriteString(" REQUIRETLS")
	}
	if s.c.has("DSN") {
		if ret := s.m.From.Ret; ret == mail.RetFull || ret == mail.RetHeaders {
			b.WriteString(" RET=" + string(ret))
		}
		if s.m.From.EnvID != "" {
			b.WriteString(" ENVID=" + xtext(s.m.From.EnvID))
		}
	}
	return b.String()
}

func (s *sending) rcptLine(to mail.Recipient) string {
	line := "RCPT TO:<" + to.Address.String() + ">"
	if !s.c.has("DSN") {
		return line
	}
	if to.Notify != 0 {
		line += " NOTIFY=" + to.Notify.String()
	}
	if kind, address, ok := strings.Cut(to.ORcpt, ";"); ok && isAtom(kind) {
		line += " ORCPT=" + kind + ";" + xtext(address)
	}
	return line
}

// xtext is RFC 3461 section 4: all that could end a parameter is hexadecimal.
func xtext(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '+' || c == '=' {
			fmt.Fprintf(&b, "+%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func isAtom(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return s != ""
}
