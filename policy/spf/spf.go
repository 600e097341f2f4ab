// Package spf asks whether a client may send for a domain (RFC 7208), within the
// RFC's limits: ten terms that ask the DNS, two answers in vain, ten names of
// each, and a deadline. A fault of the DNS is TempError, never Fail. Explanations
// (exp=) are not asked for: nobody shall write our replies.
//
// The openspf test suite is in testdata, and passes whole.
package spf

import (
	"context"
	"net"
	"net/netip"
	"time"

	"gomaild/mail"
)

// Result is that of RFC 7208 section 2.6, spelled as in Authentication-Results.
type Result string

// The results.
const (
	None      Result = "none"
	Neutral   Result = "neutral"
	Pass      Result = "pass"
	Fail      Result = "fail"
	SoftFail  Result = "softfail"
	TempError Result = "temperror"
	PermError Result = "permerror"
)

// Resolver is the part of the DNS that is needed; *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) // "ip4" or "ip6"
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Verdict is what came of a check.
type Verdict struct {
	Result   Result
	Domain   string // that was checked
	Identity string // "mailfrom" or "helo" (RFC 7208 section 2.3, 2.4)
	Reason   string // for people, plain ASCII, of fixed texts
}

// timeout is for one check: RFC 7208 section 4.6.4 asks for at least 20 seconds.
const timeout = 20 * time.Second

// Check checks the reverse-path, or with the null reverse-path the name that
// the client gave itself. An address literal or a name that is no domain has
// nobody to ask: None.
func Check(ctx context.Context, r Resolver, client netip.Addr, helo string, from mail.ReversePath) Verdict {
	v := Verdict{Result: None, Identity: "mailfrom", Domain: mail.FoldASCII(from.Address.Domain)}
	c := evaluation{r: r, client: client.Unmap().WithZone(""), helo: helo, local: from.Address.Local, sender: v.Domain}
	if from.IsNull() {
		v.Identity, v.Domain = "helo", mail.FoldASCII(helo)
		c.sender = v.Domain
	}
	if c.local == "" {
		c.local = "postmaster" // section 4.3
	}
	if !client.IsValid() || !isDomain(v.Domain) || v.Domain[0] == '[' {
		v.Reason = errNobody.Error()
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, by, err := c.check(ctx, v.Domain)
	v.Result, v.Reason = result, reason(by, err)
	if ctx.Err() != nil {
		v.Result, v.Reason = TempError, "the DNS did not answer in time"
	}
	return v
}
