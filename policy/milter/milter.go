// Package milter asks filters that speak Sendmail's milter protocol, version 6
// (2 at least), about sessions and messages as they come in: OpenDKIM, rspamd,
// ClamAV and others. A filter may refuse the client, its HELO, the sender, a
// recipient and the message, change header, body, recipients and reverse-path,
// discard and quarantine. A session of SMTP has one connection to the filter.
//
// Nothing that a filter does takes memory without end, and the time that it may
// take for each step up to a message, and for a message, the client's own slowness
// not counted, is the Client's.
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
	"slices"
	"strconv"
	"strings"
	"time"

	"gomaild/mail"
	"gomaild/message"
)

const defaultTimeout = 30 * time.Second

// Client asks one filter. It is safe for concurrent use: each session has a
// connection of its own.
type Client struct {
	Network, Address string        // "tcp" or "unix"
	Timeout          time.Duration // for a message, and for what comes before the first; default 30 s
}

// Connection is what a filter is told when a client connects.
type Connection struct {
	Hostname string // ours
	Listener string // the macro daemon_name
	Local    netip.AddrPort
	Client   netip.Addr
	Port     uint16
}

// Hello is what a filter is told at EHLO, HELO and LHLO.
type Hello struct {
	Name   string
	TLS    string // the macro tls_version, "" on plaintext
	Cipher string
}

// Message is what a filter is told at MAIL.
type Message struct {
	ID      string // the macro i
	Account string // who has logged in, "" if nobody has
	From    mail.ReversePath
}

// Verdict is what a filter wants of a message that it does not refuse.
type Verdict struct {
	Discard    bool           // accept it and keep nothing
	Quarantine bool           // do not bring it where it was to go
	Added      []mail.Address // recipients, in order
	Removed    []mail.Address // recipients that were there
	From       *mail.Address  // the reverse-path in place of the old one, nil to leave it

	changes []change
	body    []byte
	hasBody bool
}

// Session is a session of SMTP at a filter. It is not safe for concurrent use.
// An error of its methods is a *mail.Status that refuses, or says that the filter
// could not be asked: then there is nothing left but Close.
type Session struct {
	timeout time.Duration
	conn    net.Conn
	in      *bufio.Reader
	steps   uint32            // the filter's
	names   map[byte][]string // of the macros that it wants at a command, where it says so
	left    time.Duration     // that it may yet take
	c       Connection
	h       Hello
	m       Message
	v       Verdict
	begun   bool         // a message that the filter is to hear the end of
	done    bool         // it has said all of the message, or of the session before one: nothing more is asked
	passed  bool         // it lets the whole session pass
	refused *mail.Status // it refuses the whole session
}

var (
	errDone = errors.New("filter has decided") // ends the talk
	errGone = errors.New("milter: connection is gone")
)

// Open tells a filter of a client that connects. Errors are those of the Session,
// which is nil with one.
func (c *Client) Open(ctx context.Context, about Connection) (*Session, error) {
	s := &Session{timeout: c.Timeout, c: about}
	if s.timeout <= 0 {
		s.timeout = defaultTimeout
	}
	s.left = s.timeout
	err := s.within(ctx, func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, c.Network, c.Address)
		if err != nil {
			return err
		}
		s.conn, s.in = conn, bufio.NewReader(conn)
		return nil
	})
	if err == nil {
		err = s.stage(ctx, func() error {
			if err := s.negotiate(); err != nil {
				return err
			}
			return s.step(cmdConnect, noConnect, silentConnect, s.macros(cmdConnect, mail.Address{}), connectData(s.c))
		})
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Hello tells the filter of an EHLO; each one after STARTTLS too.
func (s *Session) Hello(ctx context.Context, h Hello) error {
	s.Abort()
	s.left, s.h = s.timeout, h
	return s.stage(ctx, func() error {
		return s.step(cmdHelo, noHelo, silentHelo, s.macros(cmdHelo, mail.Address{}), words(h.Name))
	})
}

// stage is a step before a message: what the filter decides is about the session.
func (s *Session) stage(ctx context.Context, f func() error) error {
	switch {
	case s.refused != nil:
		return s.refused
	case s.conn == nil:
		return errGone
	case s.passed:
		return nil
	}
	s.done = false
	err := s.within(ctx, func(context.Context) error { return f() })
	s.passed = s.done && err == nil
	if status, refuses := errors.AsType[*mail.Status](err); refuses {
		s.refused = status
	}
	return err
}

// Begin tells the filter of a sender. The message before it must have ended, with
// Content or Abort.
func (s *Session) Begin(ctx context.Context, m Message) error {
	switch {
	case s.refused != nil:
		return s.refused
	case s.conn == nil:
		return errGone
	}
	s.left, s.m, s.v = s.timeout, m, Verdict{}
	s.begun, s.done = !s.passed, s.passed
	err := s.within(ctx, func(context.Context) error {
		arguments := append([]string{m.From.String()}, parameters(m.From)...)
		return s.step(cmdMail, noMail, silentMail, s.macros(cmdMail, mail.Address{}), words(arguments...))
	})
	if err != nil {
		s.Abort()
	}
	return err
}

// Abort lets the filter forget a message that it has not heard the end of.
func (s *Session) Abort() {
	if !s.begun || s.conn == nil {
		return
	}
	s.begun = false
	_ = s.conn.SetDeadline(time.Now().Add(time.Second))
	if writePacket(s.conn, cmdAbort, nil) != nil || s.conn.SetDeadline(time.Time{}) != nil {
		s.drop()
	}
}

// Close ends the talk.
func (s *Session) Close() {
	if s.conn == nil {
		return
	}
	s.Abort()
	if s.conn != nil {
		_ = s.conn.SetDeadline(time.Now().Add(time.Second)) // the filter sees the end in any case
		_ = writePacket(s.conn, cmdQuit, nil)
		s.drop()
	}
}

// Alive reports that the filter can be asked, as far as is known.
func (s *Session) Alive() bool { return s.conn != nil }

// drop closes the connection to a filter that cannot be asked any more.
func (s *Session) drop() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
	s.conn, s.begun, s.done = nil, false, true
}

// within runs f in the time that is left, and takes what it took off it. The end
// of the talk is no error.
func (s *Session) within(ctx context.Context, f func(context.Context) error) error {
	if s.done {
		return nil
	}
	start := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.left)
	defer cancel()
	if conn := s.conn; conn != nil {
		stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		defer stop()
	}
	err := f(ctx)
	s.left -= time.Since(start)
	_, refuses := errors.AsType[*mail.Status](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errDone):
		s.done = true
		return nil
	case refuses:
		return err
	case ctx.Err() != nil:
		err = ctx.Err()
	}
	s.drop()
	return fmt.Errorf("milter: %w", err)
}

func parameters(p mail.ReversePath) []string {
	var list []string
	if p.Size > 0 {
		list = append(list, "SIZE="+strconv.FormatInt(p.Size, 10))
	}
	if p.UTF8 {
		list = append(list, "SMTPUTF8")
	}
	return list
}

// Recipient tells of a recipient. One that is refused is no recipient, and the
// others stay.
func (s *Session) Recipient(ctx context.Context, to mail.Address) error {
	return s.within(ctx, func(context.Context) error {
		return s.step(cmdRcpt, noRcpt, silentRcpt, s.macros(cmdRcpt, to), words("<"+to.String()+">"))
	})
}

// Refused tells of a recipient that was refused, where the filter wants to hear of
// those; macros say why, as Postfix's do. Its answer changes nothing for him; the
// error says that it could not be asked.
func (s *Session) Refused(ctx context.Context, to mail.Address, why *mail.Status) error {
	if s.steps&wantsRefused == 0 {
		return nil
	}
	macros := []string{"i", s.m.ID, "{rcpt_mailer}", "error", "{rcpt_host}", why.Enhanced, "{rcpt_addr}", why.Text}
	err := s.within(ctx, func(context.Context) error {
		return s.step(cmdRcpt, noRcpt, silentRcpt, macros, words("<"+to.String()+">"))
	})
	if _, answered := errors.AsType[*mail.Status](err); answered {
		return nil
	}
	return err
}

// Content asks about the message, which ends with that.
func (s *Session) Content(ctx context.Context, c message.Content) (*Verdict, error) {
	err := s.within(ctx, func(context.Context) error {
		if err := s.step(cmdData, noData, silentData, s.macros(cmdData, mail.Address{}), nil); err != nil {
			return err
		}
		return s.content(c)
	})
	s.Abort()
	return &s.v, err
}

func connectData(m Connection) []byte {
	if !m.Client.IsValid() {
		return append(words("localhost"), 'U')
	}
	family, text := byte('4'), m.Client.String()
	if m.Client.Is6() {
		family, text = '6', "IPv6:"+text
	}
	data := append(words("["+m.Client.String()+"]"), family)
	data = binary.BigEndian.AppendUint16(data, m.Port)
	return append(data, words(text)...)
}

// macros are the names and values for a command, as far as the filter wants
// them: those that it named, or all.
func (s *Session) macros(code byte, to mail.Address) []string {
	c, m, address, local, port := &s.c, &s.m, "unknown", "", ""
	if c.Local.IsValid() {
		local, port = c.Local.Addr().String(), strconv.Itoa(int(c.Local.Port()))
	}
	if c.Client.IsValid() {
		address = c.Client.String()
	}
	all := map[byte][]string{
		cmdConnect: {"j", c.Hostname, "{daemon_name}", c.Listener, "v", "gomaild", "_", "unknown [" + address + "]",
			"{client_addr}", address, "{client_name}", "unknown", "{client_port}", strconv.Itoa(int(c.Port)),
			"{daemon_addr}", local, "{daemon_port}", port},
		cmdHelo: {"{tls_version}", s.h.TLS, "{cipher}", s.h.Cipher},
		cmdMail: {"i", m.ID, "{mail_addr}", m.From.Address.String(), "{mail_host}", m.From.Address.Domain, "{auth_authen}", m.Account, "{auth_author}", m.Account},
		cmdRcpt: {"i", m.ID, "{rcpt_addr}", to.String(), "{rcpt_host}", to.Domain},
		cmdData: {"i", m.ID}, cmdEndHeader: {"i", m.ID}, cmdEnd: {"i", m.ID},
	}
	if m.Account != "" {
		all[cmdMail] = append(all[cmdMail], "{auth_type}", "PLAIN")
	}
	wanted, chosen := s.names[code]
	var given []string
	for _, list := range [][]string{all[code], all[cmdConnect], all[cmdHelo], all[cmdMail]} {
		for i := 0; i < len(list); i += 2 {
			isKnown := slices.Contains(given, list[i])
			if list[i+1] != "" && !isKnown && (chosen && slices.Contains(wanted, strings.Trim(list[i], "{}"))) {
				given = append(given, list[i], list[i+1])
			} else if list[i+1] != "" && !chosen && !isKnown {
				given = append(given, list[i], list[i+1])
			}
		}
		if !chosen {
			break // what it did not name it gets where it is new
		}
	}
	return given
}

// negotiate says what we can, and hears what the filter wants of it, and which
// macros (SMFIF_SETSYMLIST).
func (s *Session) negotiate() error {
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
	s.names = macroNames(p.data[negotiateBytes:])
	return nil
}

// macroNames reads the lists of macros: a stage, and names with blanks or commas
// between them.
func macroNames(data []byte) map[byte][]string {
	stages := []byte{cmdConnect, cmdHelo, cmdMail, cmdRcpt, cmdData, cmdEnd, cmdEndHeader}
	names := map[byte][]string{}
	for len(data) > 4 {
		stage := binary.BigEndian.Uint32(data)
		list, rest, _ := strings.Cut(string(data[4:]), "\x00")
		data = []byte(rest)
		if stage >= uint32(len(stages)) {
			continue
		}
		var all []string
		for _, n := range strings.FieldsFunc(list, func(r rune) bool { return r == ' ' || r == ',' }) {
			all = append(all, strings.Trim(n, "{}"))
		}
		names[stages[stage]] = all
	}
	return names
}

// step sends a command with its macros and hears the reply, as far as the filter
// wants the one and gives the other.
func (s *Session) step(code byte, no, mute uint32, macros []string, data []byte) error {
	if s.steps&no != 0 {
		return nil
	}
	if len(macros) > 0 {
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
	_, err := s.answer()
	return err
}

// maxAsks bounds what a filter asks for one message.
const maxAsks = 10_000

// answer reads replies up to one that ends a command. errDone ends the talk.
func (s *Session) answer() (code byte, err error) {
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
			s.v.Discard = true
			return p.code, errDone
		case replyReject:
			return p.code, &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Command rejected"}
		case replyTempFail:
			return p.code, &mail.Status{Code: 451, Enhanced: "4.7.1", Text: "Service unavailable - try again later"}
		case replyCode:
			status, err := parseReply(p.data)
			if err != nil {
				return 0, err
			}
			return p.code, status
		case replyShutdown:
			return p.code, &mail.Status{Code: 421, Enhanced: "4.7.0", Text: "Service unavailable"}
		case replyConnFail:
			return 0, errProtocol
		default:
			if err := s.v.ask(p); err != nil {
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
func (s *Session) content(c message.Content) error {
	h, err := readHeader(c)
	if err != nil {
		return err
	}
	for _, f := range h.fields {
		if err := s.step(cmdHeader, noHeaders, silentHeader, nil, words(f.name, f.value(s.steps&leadingSpace != 0))); err != nil {
			return err
		}
	}
	if err := s.step(cmdEndHeader, noEndHeader, silentEndHdr, s.macros(cmdEndHeader, mail.Address{}), nil); err != nil {
		return err
	}
	if err := s.body(c, h.end); err != nil {
		return err
	}
	if err := writePacket(s.conn, cmdMacro, append([]byte{cmdEnd}, words(s.macros(cmdEnd, mail.Address{})...)...)); err != nil {
		return err
	}
	if err := writePacket(s.conn, cmdEnd, nil); err != nil {
		return err
	}
	s.begun = false
	_, err = s.answer()
	return err
}

// body sends the body in wire form, as long as the filter wants more of it.
func (s *Session) body(c message.Content, off int64) error {
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
				code, err := s.answer()
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
