package smtp

import (
	"context"
	"strings"

	"gomaild/mail"
)

// maxORcpt is the longest ORCPT, in octets (RFC 3461 section 4.2).
const maxORcpt = 500

// Replies to RCPT.
var (
	errRcptSyntax = &mail.Status{Code: 501, Enhanced: "5.5.4", Text: "Syntax: RCPT TO:<address> [parameters]"}
	errRecipient  = &mail.Status{Code: 501, Enhanced: "5.1.3", Text: "Malformed recipient address"}
	errManyRcpts  = &mail.Status{Code: 452, Enhanced: "4.5.3", Text: "Too many recipients"}
)

// rcptArg is RCPT taken apart.
type rcptArg struct {
	to        mail.Recipient
	needsUTF8 bool // the address is not ASCII as it came
}

// parseRcpt reads "TO:<path> parameters" (RFC 5321 section 4.1.1.3).
func parseRcpt(arg string) (rcptArg, error) {
	rest, ok := cutPrefixFold(arg, "TO:")
	if !ok {
		return rcptArg{}, errRcptSyntax
	}
	p, params, err := parsePath(rest)
	if err != nil {
		return rcptArg{}, errRcptSyntax
	}
	r := rcptArg{needsUTF8: !isASCII(p)}
	if r.to.Address, err = parseRecipient(p); err != nil {
		return rcptArg{}, errRecipient
	}
	if err := eachParam(params, r.param); err != nil {
		return rcptArg{}, err
	}
	return r, nil
}

// parseRecipient takes an address, or <postmaster> without a domain, which
// every server must take (RFC 5321 section 4.5.1).
func parseRecipient(p string) (mail.Address, error) {
	if bare := (mail.Address{Local: p}); bare.IsPostmaster() {
		return bare, nil
	}
	return parseMailbox(p)
}

// param takes one parameter of RCPT.
func (r *rcptArg) param(name, value string) error {
	switch name {
	case "NOTIFY":
		n, ok := parseNotify(value)
		if !ok {
			return badParam(name)
		}
		r.to.Notify = n
	case "ORCPT":
		o, ok := parseORcpt(value)
		if !ok {
			return badParam(name)
		}
		r.to.ORcpt = o
	default:
		return unknownParam(name)
	}
	return nil
}

// parseNotify reads NEVER, or a list of the others (RFC 3461 section 4.1).
func parseNotify(value string) (mail.Notify, bool) {
	var set mail.Notify
	for word := range strings.SplitSeq(strings.ToUpper(value), ",") {
		n, ok := notifyWord(word)
		if !ok || set&n != 0 {
			return 0, false
		}
		set |= n
	}
	return set, set&mail.NotifyNever == 0 || set == mail.NotifyNever
}

func notifyWord(word string) (mail.Notify, bool) {
	for n := mail.NotifyNever; n <= mail.NotifyDelay; n <<= 1 {
		if n.String() == word {
			return n, true
		}
	}
	return 0, false
}

// parseORcpt reads addr-type ";" xtext (RFC 3461 section 4.2) and decodes it.
func parseORcpt(value string) (string, bool) {
	addrType, x, ok := strings.Cut(value, ";")
	if !ok || len(value) > maxORcpt || !isKeyword(addrType) {
		return "", false
	}
	addr, err := decodeXtext(x)
	if err != nil || addr == "" {
		return "", false
	}
	return addrType + ";" + addr, true
}

// rcpt adds a recipient to the transaction.
func (s *session) rcpt(ctx context.Context, r rcptArg) error {
	switch {
	case r.needsUTF8 && !s.from.UTF8:
		return errNeedsUTF8
	case s.accepted >= s.srv.cfg.Limits.MaxRecipients:
		return errManyRcpts
	}
	if err := s.tx.AddRecipient(ctx, r.to); err != nil {
		return mail.StatusOf(err)
	}
	s.accepted++
	s.state = stateRcpt
	s.reply(250, "2.1.5", "Ok")
	return nil
}
