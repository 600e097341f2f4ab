package policy

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"gomaild/mail"
)

// List is a DNS list of addresses (RFC 5782): a block list, or with a negative
// weight a list of the good.
type List struct {
	Domain string
	Weight int // default 1
	// Answers are those that count, "" for any in 127.0.0.0/8. An answer
	// outside of it is no listing: the list is gone or refuses us.
	Answers []netip.Addr
}

// maxLists bounds how many lists are asked for one client.
const maxLists = 32

// rblClient adds up the weights of the lists that have the client. A list that
// does not answer says nothing.
func (p *Policy) rblClient(ctx context.Context, j *Judge) error {
	reversed := reverse(j.Client)
	if reversed == "" {
		return nil
	}
	lists := p.cfg.DNSBL[:min(len(p.cfg.DNSBL), maxLists)]
	found := make([]bool, len(lists))
	done := make(chan struct{})
	for i, l := range lists {
		go func() {
			defer func() { done <- struct{}{} }()
			found[i] = p.isListed(ctx, reversed, l)
		}()
	}
	for range lists {
		<-done
	}
	sum, by := 0, ""
	for i, l := range lists {
		if !found[i] {
			continue
		}
		weight := l.Weight
		if weight == 0 {
			weight = 1
		}
		sum += weight
		if weight > 0 {
			by = l.Domain
		}
	}
	if sum < p.cfg.DNSBLThreshold {
		return nil
	}
	return &mail.Status{Code: 554, Enhanced: "5.7.1", Text: "Service unavailable; client [" + j.Client.String() + "] blocked using " + by}
}

func (p *Policy) isListed(ctx context.Context, reversed string, l List) bool {
	answers, err := p.cfg.Resolver.LookupNetIP(ctx, "ip4", reversed+l.Domain)
	if err != nil {
		if !isNotFound(err) {
			p.log.WarnContext(ctx, "a DNS list does not answer", "list", l.Domain, "error", err)
		}
		return false
	}
	for _, a := range answers {
		if counts(a, l.Answers) {
			return true
		}
	}
	return false
}

func counts(ip netip.Addr, wanted []netip.Addr) bool {
	if ip = ip.Unmap(); !ip.Is4() || !ip.IsLoopback() {
		return false
	}
	return len(wanted) == 0 || slices.Contains(wanted, ip)
}

// reverse is the address as lists are asked for it: octets, or nibbles of an
// IPv6 address, from the last (RFC 5782 section 2), with a dot at the end.
func reverse(a netip.Addr) string {
	a = a.Unmap()
	var b strings.Builder
	raw := a.AsSlice()
	for i := len(raw) - 1; i >= 0; i-- {
		if a.Is4() {
			b.WriteString(strconv.Itoa(int(raw[i])) + ".")
			continue
		}
		const digits = "0123456789abcdef"
		b.WriteByte(digits[raw[i]&15])
		b.WriteByte('.')
		b.WriteByte(digits[raw[i]>>4])
		b.WriteByte('.')
	}
	return b.String()
}
