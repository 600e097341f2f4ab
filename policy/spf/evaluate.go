package spf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"gomaild/mail"
)

// Limits of one check (RFC 7208 section 4.6.4).
const (
	maxLookups = 10 // terms that ask the DNS
	maxVoid    = 2  // answers without a record
	maxNames   = 10 // mail exchangers of an mx, names of an address
)

// What ends a check early.
var (
	errTemp    = errors.New("the DNS did not answer")
	errLookups = errors.New("too many look-ups")
	errVoids   = errors.New("too many look-ups in vain")
	errMany    = errors.New("too many mail exchangers")
	errSeveral = errors.New("several records")
	errNone    = errors.New("no record")
	errNobody  = errors.New("no domain to ask")
	errMissing = errors.New("a record that is included is missing")
)

// reasons are the errors whose texts may be shown: they hold nothing that a
// stranger wrote.
var reasons = []error{
	errCharacter, errTerm, errTwice, errDomain, errMacro, errPrefix,
	errTemp, errLookups, errVoids, errMany, errSeveral, errNone, errNobody, errMissing,
}

// evaluation is one check.
type evaluation struct {
	r             Resolver
	client        netip.Addr // not mapped
	helo          string
	local, sender string // of the address
	lookups       int
	voids         int
	names         []string // of the client, whose addresses lead back to it
	askedNames    bool
}

// check is check_host() for a domain (section 4): the result, and the mechanism
// that matched, or with an error one of reasons.
func (c *evaluation) check(ctx context.Context, domain string) (Result, string, error) {
	text, err := c.find(ctx, domain)
	switch {
	case errors.Is(err, errNone):
		return None, "", err
	case err != nil:
		return resultOf(err), "", err
	}
	p, err := parseRecord(text)
	if err != nil {
		return PermError, "", err
	}
	for _, m := range p.mechanisms {
		matches, err := c.matches(ctx, &m, domain)
		if err != nil {
			return resultOf(err), "", err
		}
		if matches {
			return m.result, m.name, nil
		}
	}
	if p.redirect == "" {
		return Neutral, "", nil // section 4.7
	}
	if err := c.count(); err != nil {
		return PermError, "", err
	}
	result, by, err := c.check(ctx, c.expand(ctx, p.redirect, domain))
	if result == None {
		return PermError, "", errMissing // section 6.1
	}
	return result, by, err
}

func resultOf(err error) Result {
	if errors.Is(err, errTemp) {
		return TempError
	}
	return PermError
}

// find is the one record of a domain (section 4.5).
func (c *evaluation) find(ctx context.Context, domain string) (string, error) {
	if !isDomain(domain) {
		return "", errNone
	}
	all, err := c.r.LookupTXT(ctx, domain)
	if isNotFound(err) {
		return "", errNone
	}
	if err != nil {
		return "", errTemp
	}
	found := ""
	for _, text := range all {
		switch {
		case !isRecord(text):
		case found != "":
			return "", errSeveral
		default:
			found = text
		}
	}
	if found == "" {
		return "", errNone
	}
	return found, nil
}

// isDomain reports a name of several labels that can be asked for (section 4.3).
func isDomain(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 {
			return false
		}
	}
	return true
}

func isNotFound(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// count counts a term that asks the DNS.
func (c *evaluation) count() error {
	if c.lookups++; c.lookups > maxLookups {
		return errLookups
	}
	return nil
}

// void counts an answer without a record.
func (c *evaluation) void() error {
	if c.voids++; c.voids > maxVoid {
		return errVoids
	}
	return nil
}

// matches reports that a mechanism has the client (section 5).
func (c *evaluation) matches(ctx context.Context, m *mechanism, domain string) (bool, error) {
	switch m.name {
	case "all":
		return true, nil
	case "ip4", "ip6":
		return m.prefix.Contains(c.client), nil
	}
	if err := c.count(); err != nil {
		return false, err
	}
	name := domain
	if m.domain != "" {
		name = c.expand(ctx, m.domain, domain)
	}
	switch m.name {
	case "include":
		return c.includes(ctx, name)
	case "a":
		addrs, err := c.addresses(ctx, name, c.client.Is4())
		return m.holds(addrs, c.client), err
	case "mx":
		return c.exchangers(ctx, m, name)
	case "exists":
		addrs, err := c.addresses(ctx, name, true)
		return len(addrs) > 0, err
	}
	return c.isNamed(ctx, name), nil // ptr
}

// includes is the table of section 5.2.
func (c *evaluation) includes(ctx context.Context, domain string) (bool, error) {
	result, _, err := c.check(ctx, domain)
	switch result {
	case Pass:
		return true, nil
	case Fail, SoftFail, Neutral:
		return false, nil
	case None:
		return false, errMissing
	}
	return false, err
}

// addresses are those of a name, counted as void when there is none.
func (c *evaluation) addresses(ctx context.Context, name string, is4 bool) ([]netip.Addr, error) {
	if !isDomain(name) {
		return nil, c.void()
	}
	network := "ip6"
	if is4 {
		network = "ip4"
	}
	all, err := c.r.LookupNetIP(ctx, network, name)
	switch {
	case isNotFound(err) || err == nil && len(all) == 0:
		return nil, c.void()
	case err != nil:
		return nil, errTemp
	}
	return all, nil
}

func (m *mechanism) holds(addrs []netip.Addr, client netip.Addr) bool {
	bits := m.bits6
	if client.Is4() {
		bits = m.bits4
	}
	for _, a := range addrs {
		if p, err := a.Unmap().Prefix(bits); err == nil && p.Contains(client) {
			return true
		}
	}
	return false
}

func (c *evaluation) exchangers(ctx context.Context, m *mechanism, domain string) (bool, error) {
	if !isDomain(domain) {
		return false, c.void()
	}
	all, err := c.r.LookupMX(ctx, domain)
	switch {
	case isNotFound(err) || err == nil && len(all) == 0:
		return false, c.void()
	case err != nil:
		return false, errTemp
	case len(all) > maxNames:
		return false, errMany
	}
	for _, mx := range all {
		if host := strings.TrimSuffix(mx.Host, "."); host == "" { // RFC 7505: it takes no mail
			continue
		}
		addrs, err := c.addresses(ctx, mx.Host, c.client.Is4())
		if err != nil {
			return false, err
		}
		if m.holds(addrs, c.client) {
			return true, nil
		}
	}
	return false, nil
}

// validatedNames are the names of the client that lead back to it. What cannot be
// looked up is none (section 5.5).
func (c *evaluation) validatedNames(ctx context.Context) []string {
	if c.askedNames {
		return c.names
	}
	c.askedNames = true
	names, err := c.r.LookupAddr(ctx, c.client.String())
	if err != nil {
		return nil
	}
	network := "ip6"
	if c.client.Is4() {
		network = "ip4"
	}
	exactly := mechanism{bits4: 32, bits6: 128}
	for _, name := range names[:min(len(names), maxNames)] {
		if name = mail.FoldASCII(strings.TrimSuffix(name, ".")); !isDomain(name) {
			continue
		}
		if addrs, err := c.r.LookupNetIP(ctx, network, name); err == nil && exactly.holds(addrs, c.client) {
			c.names = append(c.names, name)
		}
	}
	return c.names
}

// isNamed reports that a name of the client is the domain or below it.
func (c *evaluation) isNamed(ctx context.Context, domain string) bool {
	domain = mail.FoldASCII(strings.TrimSuffix(domain, "."))
	for _, name := range c.validatedNames(ctx) {
		if name == domain || strings.HasSuffix(name, "."+domain) {
			return true
		}
	}
	return false
}

// validated is the macro p (section 7.3): the domain itself, or a name below it,
// or any; "unknown" without one.
func (c *evaluation) validated(ctx context.Context, domain string) string {
	domain = mail.FoldASCII(domain)
	best := "unknown"
	for i, name := range c.validatedNames(ctx) {
		switch {
		case name == domain:
			return name
		case strings.HasSuffix(name, "."+domain):
			best = name
		case i == 0:
			best = name
		}
	}
	return best
}

// reason is a text for people.
func reason(by string, err error) string {
	for _, known := range reasons {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if by != "" {
		return fmt.Sprintf("matched %s", by)
	}
	return ""
}
