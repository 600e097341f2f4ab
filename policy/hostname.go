package policy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"

	"gomaild/mail"
)

// Replies to what a client is or says it is. Codes are those of Postfix.
var (
	errNoReverse      = &mail.Status{Code: 450, Enhanced: "4.7.25", Text: "Client host rejected: cannot find your reverse hostname"}
	errNoClientName   = &mail.Status{Code: 450, Enhanced: "4.7.25", Text: "Client host rejected: cannot find your hostname"}
	errPipelining     = &mail.Status{Code: 503, Enhanced: "5.5.0", Text: "Sender address rejected: Improper use of SMTP command pipelining"}
	errHeloSyntax     = &mail.Status{Code: 501, Enhanced: "5.5.2", Text: "Helo command rejected: Invalid name"}
	errHeloFQDN       = &mail.Status{Code: 504, Enhanced: "5.5.2", Text: "Helo command rejected: need fully-qualified hostname"}
	errHeloUnknown    = &mail.Status{Code: 450, Enhanced: "4.7.1", Text: "Helo command rejected: Host not found"}
	errSenderFQDN     = &mail.Status{Code: 504, Enhanced: "5.5.2", Text: "Sender address rejected: need fully-qualified address"}
	errRecipientFQDN  = &mail.Status{Code: 504, Enhanced: "5.5.2", Text: "Recipient address rejected: need fully-qualified address"}
	errSenderUnknown  = &mail.Status{Code: 550, Enhanced: "5.1.8", Text: "Sender address rejected: Domain not found"}
	errSenderTemp     = &mail.Status{Code: 450, Enhanced: "4.1.8", Text: "Sender address rejected: Domain cannot be looked up now"}
	errSenderNullMX   = &mail.Status{Code: 550, Enhanced: "5.7.27", Text: "Sender address rejected: Domain does not accept mail (nullMX)"}
	errSenderUnusable = &mail.Status{Code: 550, Enhanced: "5.1.8", Text: "Sender address rejected: Malformed domain name"}
)

// isNotFound tells an answer of the DNS from a fault.
func isNotFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// reverseClient wants a name for the client's address.
func (p *Policy) reverseClient(ctx context.Context, j *Judge) error {
	if !j.Client.IsValid() {
		return nil
	}
	names, err := p.cfg.Resolver.LookupAddr(ctx, j.Client.String())
	if err != nil {
		return errNoReverse.WithCause(err)
	}
	if len(names) == 0 {
		return errNoReverse
	}
	return nil
}

// maxNames bounds the names of an address that are looked at.
const maxNames = 10

// client wants a name for the address that leads back to it.
func (p *Policy) client(ctx context.Context, j *Judge) error {
	if !j.Client.IsValid() {
		return nil
	}
	names, err := p.cfg.Resolver.LookupAddr(ctx, j.Client.String())
	if err != nil {
		return errNoClientName.WithCause(err)
	}
	for _, name := range names[:min(len(names), maxNames)] {
		addrs, err := p.cfg.Resolver.LookupNetIP(ctx, network(j.Client), name)
		if err == nil && slices.Contains(addrs, j.Client.Unmap()) {
			return nil
		}
	}
	return errNoClientName
}

// network is that of an address, in the words of Resolver.
func network(a netip.Addr) string {
	if a.Unmap().Is4() {
		return "ip4"
	}
	return "ip6"
}

// unauthPipelining refuses who said HELO, so that nobody told it that it may, and
// does not wait for replies (RFC 2920 section 3.1). Who said EHLO may; who talks
// where nobody may ends its session in any case.
func (p *Policy) unauthPipelining(_ context.Context, j *Judge) error {
	if j.Ahead {
		return errPipelining
	}
	return nil
}

// isLiteral reports an address in brackets, which is not a name and may stand
// for one (RFC 5321 section 4.1.4).
func isLiteral(s string) bool { return strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]") }

func (p *Policy) invalidHelo(_ context.Context, j *Judge) error {
	if _, err := mail.ParseDomain(j.Helo); err != nil {
		return errHeloSyntax
	}
	return nil
}

func (p *Policy) nonFQDNHelo(_ context.Context, j *Judge) error {
	if isLiteral(j.Helo) {
		return nil
	}
	if !isFQDN(j.Helo) {
		return errHeloFQDN
	}
	return nil
}

func isFQDN(name string) bool {
	d, err := mail.ParseDomain(name)
	return err == nil && strings.Contains(strings.TrimSuffix(d, "."), ".")
}

// unknownHelo wants an address or a mail exchanger for the name.
func (p *Policy) unknownHelo(ctx context.Context, j *Judge) error {
	if isLiteral(j.Helo) {
		return nil
	}
	if found, _, err := p.resolves(ctx, j.Helo); !found {
		return errHeloUnknown.WithCause(err)
	}
	return nil
}

func (p *Policy) nonFQDNSender(_ context.Context, j *Judge) error {
	if j.From.IsNull() || isLiteral(j.From.Address.Domain) || isFQDN(j.From.Address.Domain) {
		return nil
	}
	return errSenderFQDN
}

func (p *Policy) nonFQDNRecipient(_ context.Context, j *Judge) error {
	if j.to.IsPostmaster() || isLiteral(j.to.Domain) || isFQDN(j.to.Domain) {
		return nil
	}
	return errRecipientFQDN
}

// unknownSender wants a domain to which a bounce could go. That the DNS has no
// such name is an answer; that it has none to give is not.
func (p *Policy) unknownSender(ctx context.Context, j *Judge) error {
	domain := j.From.Address.Domain
	if j.From.IsNull() || isLiteral(domain) {
		return nil
	}
	if _, err := mail.ParseDomain(domain); err != nil {
		return errSenderUnusable
	}
	found, nullMX, err := p.resolves(ctx, domain)
	switch {
	case nullMX:
		return errSenderNullMX
	case found:
		return nil
	case err != nil:
		return errSenderTemp.WithCause(err)
	}
	return errSenderUnknown
}

// resolves reports whether mail could go to a name: it has a mail exchanger or
// an address (RFC 5321 section 5.1), and no null MX (RFC 7505). An error is a
// fault of the DNS.
func (p *Policy) resolves(ctx context.Context, name string) (found, nullMX bool, err error) {
	list, err := p.cfg.Resolver.LookupMX(ctx, name)
	switch {
	case err == nil && len(list) == 1 && strings.TrimSuffix(list[0].Host, ".") == "":
		return false, true, nil
	case err == nil && len(list) > 0:
		return true, false, nil
	case err != nil && !isNotFound(err):
		return false, false, err
	}
	addrs, err := p.cfg.Resolver.LookupNetIP(ctx, "ip", name)
	if err != nil && !isNotFound(err) {
		return false, false, err
	}
	return len(addrs) > 0, false, nil
}
