package routing

import (
	"errors"
	"fmt"
	"strings"

	"gomaild/accounts"
	"gomaild/mail"
)

// Kind is how a Transport carries mail.
type Kind string

// The kinds. The zero Kind is what the destination's class has without a
// transport: a mailbox here, or the mail exchangers of the domain.
const (
	ByDefault Kind = ""
	InMailbox Kind = "local"   // into a mailbox here
	BySMTP    Kind = "smtp"    // to Hop, or by the mail exchangers of the address's domain
	ByLMTP    Kind = "lmtp"    // to Hop, or to Socket
	Dropped   Kind = "discard" // taken and thrown away
	Failing   Kind = "error"   // refused or put off, with Status
)

// Transport is a row of a transport map (transport(5)). It is comparable.
type Transport struct {
	Kind   Kind
	Hop    mail.NextHop // zero: the domain of the address
	Socket string       // absolute path of a unix socket, for ByLMTP
	Status *mail.Status // for Failing
}

// ErrTransport is a transport that cannot be read.
var ErrTransport = errors.New(`not a transport; write "smtp:[host]:port", "lmtp:unix:/path", "local:", "discard:", "error:5.7.1 text" or ":"`)

// ParseTransport reads "transport:nexthop". Either may be empty; a name alone is
// one without a next hop. smtp and relay are one, local and virtual too; retry is
// error with a temporary status. ErrTransport.
func ParseTransport(s string) (Transport, error) {
	name, next, _ := strings.Cut(s, ":")
	next = strings.TrimSpace(next)
	switch strings.TrimSpace(name) {
	case "":
		return hopTransport(ByDefault, next)
	case "smtp", "relay":
		return hopTransport(BySMTP, strings.TrimPrefix(next, "inet:"))
	case "lmtp":
		if path, ok := strings.CutPrefix(next, "unix:"); ok {
			if !strings.HasPrefix(path, "/") {
				return Transport{}, fmt.Errorf("%q: the path of a socket must be absolute: %w", s, ErrTransport)
			}
			return Transport{Kind: ByLMTP, Socket: path}, nil
		}
		return hopTransport(ByLMTP, strings.TrimPrefix(next, "inet:"))
	case "local", "virtual":
		return Transport{Kind: InMailbox}, nil
	case "discard":
		return Transport{Kind: Dropped}, nil
	case "error":
		return Transport{Kind: Failing, Status: saidStatus(next, 550, "5.0.0")}, nil
	case "retry":
		return Transport{Kind: Failing, Status: saidStatus(next, 451, "4.0.0")}, nil
	}
	return Transport{}, fmt.Errorf("%q: %w", s, ErrTransport)
}

func hopTransport(k Kind, next string) (Transport, error) {
	if next == "" {
		return Transport{Kind: k}, nil
	}
	hop, err := mail.ParseNextHop(next)
	if err != nil {
		return Transport{}, fmt.Errorf("%q: %w: %w", next, err, ErrTransport)
	}
	return Transport{Kind: k, Hop: hop}, nil
}

// saidStatus is a status with an enhanced code that may stand before the text;
// error: and 4.x.x is temporary all the same.
func saidStatus(text string, code int, enhanced string) *mail.Status {
	if first, rest, _ := strings.Cut(text, " "); isEnhanced(first) && (code == 550 || first[0] == '4') {
		enhanced, text = first, strings.TrimSpace(rest)
		if first[0] == '4' {
			code = 451
		}
	}
	if text == "" {
		text = "Mail for this address is not taken"
	}
	return &mail.Status{Code: code, Enhanced: enhanced, Text: text}
}

// isEnhanced reports "4.x.x" or "5.x.x" (RFC 3463 section 2).
func isEnhanced(s string) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 3 || parts[0] != "4" && parts[0] != "5" {
		return false
	}
	for _, p := range parts[1:] {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}

// CheckTransport tells what is wrong with a value of a transport map; what has
// groups of a pattern in it is known at the look-up.
func CheckTransport(value string) error {
	if strings.Contains(value, "$") {
		return nil
	}
	_, err := ParseTransport(value)
	return err
}

// errTransport is the reply where a table says what nobody can read: mail waits
// until it is mended.
func errTransport(a mail.Address, err error) error {
	return &mail.Status{Code: 451, Enhanced: "4.3.5", Text: "<" + typed(a) + ">: the transport of this address cannot be read", Cause: err}
}

// transport is what the transport maps say about an address that leads no
// further, or, where they say nothing, its domain's row.
func (r *Router) transport(a mail.Address, d accounts.Domain) (Transport, error) {
	value, ok := r.config.Transports.Find(r.transportKeys(a)...)
	if !ok {
		return r.domainTransport(d), nil
	}
	t, err := ParseTransport(value)
	if err != nil {
		return Transport{}, errTransport(a, err)
	}
	if t == (Transport{}) { // ":", as if there were no maps
		return r.domainTransport(d), nil
	}
	return t, nil
}

// transportKeys is the order of transport(5): the address, without its detail,
// its domain, the domains above that with a leading dot, *.
func (r *Router) transportKeys(a mail.Address) []string {
	if r.config.Transports.IsEmpty() {
		return nil
	}
	keys := []string{a.String()}
	if base, _, ok := a.CutDetail(r.config.Delimiter); ok {
		keys = append(keys, base.String())
	}
	keys = append(keys, a.Domain)
	for domain := a.Domain; ; {
		_, above, ok := strings.Cut(domain, ".")
		if !ok || strings.HasPrefix(domain, "[") {
			break
		}
		keys = append(keys, "."+above)
		domain = above
	}
	return append(keys, "*")
}

// domainTransport is domain.transport of the account database. One that cannot
// be read is as if it were empty (postfixadmin offers whatever its configuration
// says, names of master.cf among them). "relay" and "smtp" alone say nothing that
// is not so anyway.
func (r *Router) domainTransport(d accounts.Domain) Transport {
	if d.Transport == "" || d.Class != accounts.Relay && !r.config.DomainTransport {
		return Transport{}
	}
	t, err := ParseTransport(d.Transport)
	if err != nil || t.Kind == InMailbox {
		return Transport{}
	}
	if t.Hop.Host == "" && (t.Kind == BySMTP || t.Kind == ByLMTP && d.Class == accounts.Hosted && t.Socket == "") {
		return Transport{}
	}
	return t
}

// carried makes a destination of a class go by a transport.
func carried(d Destination, t Transport) Destination {
	switch t.Kind {
	case Dropped:
		d.Class = Discard
	case Failing:
		d.Class = Refused
	case BySMTP, ByLMTP:
		if d.Class == Local {
			d.Class = Relay
		}
	case InMailbox:
		if d.Class != Local { // nobody here has a mailbox for it
			d.Class = NoUser
		}
	case ByDefault:
		if d.Class == Local {
			t = Transport{}
		}
	}
	d.Transport = t
	return d
}
