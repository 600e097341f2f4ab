package smtp

import (
	"context"
	"math"
	"strconv"
	"strings"

	"gomaild/mail"
)

// maxEnvID is the longest ENVID, in octets of xtext (RFC 3461 section 4.4).
const maxEnvID = 100

// Replies to MAIL.
var (
	errMailSyntax  = &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "Syntax: MAIL FROM:<address> [parameters]"}
	errSender      = &mail.Status{Code: 501, Enhanced: "5.1.7", Text: "Malformed sender address"}
	errNeedsUTF8   = &mail.Status{Code: 553, Enhanced: "5.6.7", Text: "Non-ASCII address without SMTPUTF8"}
	errTooBig      = &mail.Status{Code: 552, Enhanced: "5.3.4", Text: "Message is larger than this server takes"}
	errManyMails   = &mail.Status{Code: 421, Enhanced: "4.7.0", Text: "Too many messages on this connection"}
	errNoBinary    = &mail.Status{Code: 555, Enhanced: "5.6.1", Text: "BODY=BINARYMIME is not offered"}
	errNoAuthParam = &mail.Status{Code: 555, Enhanced: "5.5.4", Text: "AUTH= is not offered"}
)

// mailArg is MAIL taken apart.
type mailArg struct {
	path    mail.ReversePath
	hasAuth bool // AUTH= was given (RFC 4954 section 5); what it says is not believed
}

// parseMail reads "FROM:<path> parameters" (RFC 5321 section 4.1.1.2).
func parseMail(arg string) (mailArg, error) {
	rest, ok := cutPrefixFold(arg, "FROM:")
	if !ok {
		return mailArg{}, errMailSyntax
	}
	p, params, err := parsePath(rest)
	if err != nil {
		return mailArg{}, errMailSyntax
	}
	var m mailArg
	if p != "" {
		if m.path.Address, err = parseMailbox(p); err != nil {
			return mailArg{}, errSender
		}
	}
	if err := eachParam(params, m.param); err != nil {
		return mailArg{}, err
	}
	if !isASCII(p) && !m.path.UTF8 {
		return mailArg{}, errNeedsUTF8
	}
	return m, nil
}

// param takes one parameter of MAIL.
func (m *mailArg) param(name, value string) error {
	switch name {
	case "SIZE":
		return m.size(value)
	case "BODY":
		return m.body(value)
	case "SMTPUTF8":
		if value != "" {
			return badParam(name)
		}
		m.path.UTF8 = true
	case "REQUIRETLS":
		if value != "" {
			return badParam(name)
		}
		m.path.RequireTLS = true
	case "RET":
		m.path.Ret = mail.Ret(strings.ToUpper(value))
		if m.path.Ret != mail.RetFull && m.path.Ret != mail.RetHeaders {
			return badParam(name)
		}
	case "ENVID":
		id, err := decodeXtext(value)
		if err != nil || id == "" || len(value) > maxEnvID {
			return badParam(name)
		}
		m.path.EnvID = id
	case "AUTH":
		if _, err := decodeXtext(value); err != nil || value == "" {
			return badParam(name)
		}
		m.hasAuth = true
	default:
		return unknownParam(name)
	}
	return nil
}

// size takes up to 20 digits (RFC 1870 section 3); more than an int64 holds is
// too big anyway.
func (m *mailArg) size(value string) error {
	if value == "" || len(value) > 20 || strings.Trim(value, "0123456789") != "" {
		return badParam("SIZE")
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		n = math.MaxInt64
	}
	m.path.Size = n
	return nil
}

func (m *mailArg) body(value string) error {
	switch b := mail.Body(strings.ToUpper(value)); b {
	case mail.Body7Bit, mail.Body8BitMIME:
		m.path.Body = b
		return nil
	case "BINARYMIME":
		return errNoBinary
	}
	return badParam("BODY")
}

// mail begins a transaction.
func (s *session) mail(ctx context.Context, m mailArg) error {
	l := s.srv.cfg.Limits
	switch {
	case m.path.RequireTLS && s.client.TLS == nil:
		return unknownParam("REQUIRETLS")
	case m.hasAuth && s.srv.cfg.Auth == nil:
		return errNoAuthParam
	case l.MaxMessageSize > 0 && m.path.Size > l.MaxMessageSize:
		return errTooBig
	case l.MaxTransactions > 0 && s.transactions >= l.MaxTransactions:
		return errManyMails
	}
	s.transactions++
	s.client.Message = s.client.Session + "." + strconv.Itoa(s.transactions)
	c := s.client
	c.Protocol = s.protocol(m.path.UTF8)
	c.Ahead = !s.extended && s.wire.Buffered() > 0
	tx, err := s.receiver.Begin(ctx, c, m.path)
	if err != nil {
		return mail.StatusOf(err)
	}
	s.tx, s.from, s.state = tx, m.path, stateMail
	s.reply(250, "2.1.0", "Ok")
	return nil
}
