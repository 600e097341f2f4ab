// Package milter asks filters that speak Sendmail's milter protocol, version 6
// (2 at least), about a message that has come in whole: OpenDKIM, rspamd, ClamAV
// and others. A filter may change the header and the body, refuse, discard and
// quarantine. It may not change recipients or the reverse-path: that is not
// offered, so a filter that needs it says so at its start.
//
// Nothing that a filter does takes memory without end, and the time for all is
// the caller's context and the Client's.
package milter

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"gomaild/mail"
	"gomaild/message"
)

const defaultTimeout = 30 * time.Second

// Client asks one filter. It is safe for concurrent use: each message has a
// connection of its own.
type Client struct {
	Network, Address string        // "tcp" or "unix"
	Timeout          time.Duration // for a message; default 30 s
}

// Message is what a filter is told besides the content.
type Message struct {
	Hostname string // ours
	Listener string // the macro daemon_name
	ID       string // the macro i
	Client   netip.Addr
	Port     uint16
	Helo     string
	Account  string // who has logged in, "" if nobody has
	From     mail.ReversePath
	To       []mail.Address
}

// Verdict is what a filter wants.
type Verdict struct {
	Refusal    *mail.Status // the reply to the client, nil if it may pass
	Discard    bool         // accept it and keep nothing
	Quarantine bool         // to the junk folder

	changes []change
	body    []byte
	hasBody bool
}

// session is one message at a filter.
type session struct {
	conn  net.Conn
	in    *bufio.Reader
	steps uint32 // the filter's
}

// errDone ends the talk: the filter has said all.
var errDone = errors.New("filter has decided")

// Filter asks about a message. An error says that the filter could not be asked.
func (c *Client) Filter(ctx context.Context, m Message, content message.Content) (Verdict, error) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, c.Network, c.Address)
	if err != nil {
		return Verdict{}, fmt.Errorf("milter: %w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	s := &session{conn: conn, in: bufio.NewReader(conn)}
	var v Verdict
	err = s.talk(&v, m, content)
	switch {
	case err == nil || errors.Is(err, errDone):
		_ = writePacket(conn, cmdQuit, nil) // the filter sees the end in any case
		return v, nil
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	return Verdict{}, fmt.Errorf("milter: %w", err)
}

// talk is the whole conversation, in the order of SMTP.
func (s *session) talk(v *Verdict, m Message, c message.Content) error {
	if err := s.negotiate(); err != nil {
		return err
	}
	steps := []struct {
		code     byte
		no, mute uint32
		macros   []string
		data     []byte
	}{
		{cmdConnect, noConnect, silentConnect, []string{"j", m.Hostname, "{daemon_name}", m.Listener, "v", "gomaild"}, connectData(m)},
		{cmdHelo, noHelo, silentHelo, nil, words(m.Helo)},
		{cmdMail, noMail, silentMail, mailMacros(m), words(m.From.String())},
	}
	for _, to := range m.To {
		steps = append(steps, steps[0])
		last := &steps[len(steps)-1]
		last.code, last.no, last.mute = cmdRcpt, noRcpt, silentRcpt
		last.macros, last.data = []string{"{rcpt_addr}", to.String()}, words("<"+to.String()+">")
	}
	for _, one := range steps {
		if err := s.step(v, one.code, one.no, one.mute, one.macros, one.data); err != nil {
			return err
		}
	}
	if err := s.step(v, cmdData, noData, silentData, []string{"i", m.ID}, nil); err != nil {
		return err
	}
	return s.content(v, m, c)
}

func connectData(m Message) []byte {
	if !m.Client.IsValid() {
		return append(words("localhost"), 'U')
	}
	family := byte('4')
	if m.Client.Is6() {
		family = '6'
	}
	data := append(words("["+m.Client.String()+"]"), family)
	data = binary.BigEndian.AppendUint16(data, m.Port)
	return append(data, words(m.Client.String())...)
}

func mailMacros(m Message) []string {
	macros := []string{"i", m.ID, "{mail_addr}", m.From.Address.String()}
	if m.Account != "" {
		macros = append(macros, "{auth_type}", "PLAIN", "{auth_authen}", m.Account)
	}
	return macros
}

// negotiate says what we can, and hears what the filter wants of it.
func (s *session) negotiate() error {
	var offer []byte
	for _, n := range []uint32{version, offeredActions, offeredSteps} {
		offer = binary.BigEndian.AppendUint32(offer, n)
	}
	if err := writePacket(s.conn, cmdNegotiate, offer); err != nil {
		return err
	}
	p, err := readPacket(s.in)
	if err != nil {
		return err
	}
	if p.code != cmdNegotiate || len(p.data) < negotiateBytes {
		return errProtocol
	}
	theirs, actions := binary.BigEndian.Uint32(p.data), binary.BigEndian.Uint32(p.data[4:])
	s.steps = binary.BigEndian.Uint32(p.data[8:])
	if theirs < leastVersion || theirs > version || actions&^offeredActions != 0 || s.steps&^offeredSteps != 0 {
		return fmt.Errorf("it wants version %d, actions %#x, steps %#x: %w", theirs, actions, s.steps, errProtocol)
	}
	return nil
}

// step sends a command with its macros and hears the reply, as far as the filter
// wants the one and gives the other.
func (s *session) step(v *Verdict, code byte, no, mute uint32, macros []string, data []byte) error {
	if s.steps&no != 0 {
		return nil
	}
	if macros != nil {
		if err := writePacket(s.conn, cmdMacro, append([]byte{code}, words(macros...)...)); err != nil {
			return err
		}
	}
	if err := writePacket(s.conn, code, data); err != nil {
		return err
	}
	if s.steps&mute != 0 {
		return nil
	}
	_, err := s.answer(v)
	return err
}

// maxAsks bounds what a filter asks for one message.
const maxAsks = 10_000

// answer reads replies up to one that ends a command. errDone ends the talk.
func (s *session) answer(v *Verdict) (code byte, err error) {
	for range maxAsks {
		p, err := readPacket(s.in)
		if err != nil {
			return 0, err
		}
		switch p.code {
		case replyProgress:
		case replyContinue, replySkip:
			return p.code, nil
		case replyAccept:
			return p.code, errDone
		case replyDiscard:
			v.Discard = true
			return p.code, errDone
		case replyReject:
			v.Refusal = &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Command rejected"}
			return p.code, errDone
		case replyTempFail:
			v.Refusal = &mail.Status{Code: 451, Enhanced: "4.7.1", Text: "Service unavailable - try again later"}
			return p.code, errDone
		case replyCode:
			if v.Refusal, err = parseReply(p.data); err != nil {
				return 0, err
			}
			return p.code, errDone
		default:
			if err := v.ask(p); err != nil {
				return 0, err
			}
		}
	}
	return 0, errProtocol
}

// parseReply reads "550 5.7.1 text", of which the first line is taken.
func parseReply(data []byte) (*mail.Status, error) {
	text, _, _ := strings.Cut(strings.TrimRight(string(data), "\x00"), "\r\n")
	number, rest, _ := strings.Cut(text, " ")
	code, err := strconv.Atoi(number)
	if err != nil || len(number) != 3 || code < 400 || code > 599 {
		return nil, fmt.Errorf("reply %q: %w", text, errProtocol)
	}
	s := &mail.Status{Code: code, Enhanced: fmt.Sprintf("%d.7.1", code/100), Text: rest}
	if enhanced, after, _ := strings.Cut(rest, " "); strings.Count(enhanced, ".") == 2 && enhanced[0] == number[0] {
		s.Enhanced, s.Text = enhanced, after
	}
	s.Text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s.Text)
	return s, nil
}

// content sends header and body, and hears what is to be changed.
func (s *session) content(v *Verdict, m Message, c message.Content) error {
	h, err := readHeader(c)
	if err != nil {
		return err
	}
	for _, f := range h.fields {
		if err := s.step(v, cmdHeader, noHeaders, silentHeader, nil, words(f.name, f.value(s.steps&leadingSpace != 0))); err != nil {
			return err
		}
	}
	if err := s.step(v, cmdEndHeader, noEndHeader, silentEndHdr, nil, nil); err != nil {
		return err
	}
	if err := s.body(v, c, h.end); err != nil {
		return err
	}
	if err := writePacket(s.conn, cmdMacro, append([]byte{cmdEnd}, words("i", m.ID)...)); err != nil {
		return err
	}
	if err := writePacket(s.conn, cmdEnd, nil); err != nil {
		return err
	}
	_, err = s.answer(v)
	return err
}

// body sends the body in wire form, as long as the filter wants more of it.
func (s *session) body(v *Verdict, c message.Content, off int64) error {
	if s.steps&noBody != 0 {
		return nil
	}
	r := message.NewWireReader(c, message.Span{Off: off, Len: max(c.Size()-off, 0)})
	buf := make([]byte, maxChunk)
	for {
		n, err := io.ReadFull(r, buf)
		if n > 0 {
			if err := writePacket(s.conn, cmdBody, buf[:n]); err != nil {
				return err
			}
			if s.steps&silentBody == 0 {
				code, err := s.answer(v)
				if err != nil || code == replySkip && s.steps&maySkip != 0 {
					return err
				}
			}
		}
		switch {
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return err
		}
	}
}
