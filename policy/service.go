package policy

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gomaild/mail"
)

// Service is a policy server that speaks Postfix's protocol; a
// *delegation.Client is one.
type Service interface {
	// Ask sends attributes, names and values, and returns the action.
	Ask(ctx context.Context, request [][2]string) (action string, err error)
	// Close ends what it keeps open.
	Close() error
}

// Close ends what the services of p keep open; p may be nil.
func (p *Policy) Close() error {
	if p == nil {
		return nil
	}
	var errs []error
	for _, s := range p.cfg.Services {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// errPermit ends the checks of a stage with the permission to go on.
var errPermit = errors.New("permitted")

var errService = &mail.Status{Code: 451, Enhanced: "4.3.5", Text: "Recipient address rejected: policy service is not available"}

// maxPrepended bounds the fields that services put before a message, in octets.
const maxPrepended = 16 << 10

// policyService asks the services about a recipient, in order.
func (p *Policy) policyService(ctx context.Context, j *Judge) error {
	for _, s := range p.cfg.Services {
		action, err := s.Ask(ctx, j.request())
		if err != nil {
			p.log.WarnContext(ctx, "policy service does not answer", "error", err)
			if err = p.cfg.WithoutService(err); err != nil {
				return err
			}
			continue
		}
		if err := j.act(ctx, action); err != nil {
			return err
		}
	}
	return nil
}

// request is what is told of a recipient; names are Postfix's.
func (j *Judge) request() [][2]string {
	address := ""
	if j.Client.IsValid() {
		address = j.Client.String()
	}
	return [][2]string{
		{"request", "smtpd_access_policy"},
		{"protocol_state", "RCPT"},
		{"protocol_name", j.Protocol},
		{"helo_name", j.Helo},
		{"queue_id", ""},
		{"instance", j.Instance},
		{"sender", j.From.Address.String()},
		{"recipient", j.to.String()},
		{"recipient_count", "0"},
		{"client_address", address},
		{"client_name", "unknown"},
		{"reverse_client_name", "unknown"},
		{"size", strconv.FormatInt(j.Size, 10)},
		{"sasl_method", ""}, {"sasl_username", ""}, {"sasl_sender", ""},
	}
}

// act does what an action says (access(5)). Actions that need a queue are not
// known, and like what is no action at all defer the recipient.
func (j *Judge) act(ctx context.Context, action string) error {
	verb, text, _ := strings.Cut(action, " ")
	text = strings.TrimSpace(text)
	switch strings.ToUpper(verb) {
	case "DUNNO", "DEFER_IF_REJECT":
		return nil
	case "OK", "PERMIT":
		return errPermit
	case "REJECT":
		return refusal(554, "5.7.1", text)
	case "DEFER", "DEFER_IF_PERMIT":
		return refusal(450, "4.7.1", text)
	case "PREPEND":
		return j.prepend(text)
	case "WARN", "INFO":
		j.p.log.InfoContext(ctx, "policy service says", "text", text, "from", j.From.Address.String(), "to", j.to.String())
		return nil
	}
	if code, err := strconv.Atoi(verb); err == nil && len(verb) == 3 && code >= 400 && code < 600 {
		return refusal(code, fmt.Sprintf("%d.7.1", code/100), text)
	}
	return errService.WithCause(fmt.Errorf("policy service: action %q", verb))
}

// refusal is a reply with the text of a service, which may begin with an
// enhanced code of the same class.
func refusal(code int, enhanced, text string) error {
	if first, rest, _ := strings.Cut(text, " "); isEnhanced(first, enhanced[0]) {
		enhanced, text = first, rest
	}
	if text == "" {
		text = "Access denied"
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
	return &mail.Status{Code: code, Enhanced: enhanced, Text: "Recipient address rejected: " + text}
}

func isEnhanced(s string, class byte) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != string(class) {
		return false
	}
	for _, p := range parts {
		if n, err := strconv.Atoi(p); err != nil || n < 0 || len(p) > 3 {
			return false
		}
	}
	return true
}

// prepend keeps a header field for the message: once, however many recipients
// it was said for.
func (j *Judge) prepend(field string) error {
	name, value, found := strings.Cut(field, ":")
	isName := name != "" && !strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' })
	if !found || !isName || strings.ContainsAny(value, "\r\n\x00") {
		return errService.WithCause(fmt.Errorf("policy service: field %q", field))
	}
	line := field + "\r\n"
	if !strings.Contains(j.prepended, line) && len(j.prepended)+len(line) <= maxPrepended {
		j.prepended += line
	}
	return nil
}
