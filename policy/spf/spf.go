// Package spf asks whether a client may send for a domain (RFC 7208). The
// evaluation is blitiri.com.ar/go/spf's, whose limits are the RFC's: ten
// look-ups, two of them in vain; here it gets a deadline, identities and a
// result that distinguishes a fault of the DNS.
package spf

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"time"

	"blitiri.com.ar/go/spf"

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
	LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error)
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
	sender := from.Address.Local + "@" + v.Domain
	if strings.Contains(from.Address.Local, "@") {
		sender = "postmaster@" + v.Domain // the library takes what follows the first @ for the domain
	}
	if from.IsNull() {
		v.Identity = "helo"
		domain, err := mail.ParseDomain(helo)
		if err != nil {
			v.Reason = "no domain to ask"
			return v
		}
		v.Domain = mail.FoldASCII(domain)
		sender = "postmaster@" + v.Domain
	}
	if !client.IsValid() || v.Domain == "" || v.Domain[0] == '[' {
		v.Reason = "no domain to ask"
		return v
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	result, err := spf.CheckHostWithSender(client.Unmap().AsSlice(), helo, sender, spf.WithContext(ctx), spf.WithResolver(r))
	v.Result, v.Reason = Result(result), reason(err)
	if ctx.Err() != nil {
		v.Result, v.Reason = TempError, "the DNS did not answer in time"
	}
	return v
}

// reason is a text of ours for an error of the library, which may hold what a
// stranger wrote.
func reason(err error) string {
	for _, known := range []error{
		spf.ErrUnknownField, spf.ErrInvalidIP, spf.ErrInvalidMask, spf.ErrInvalidMacro, spf.ErrInvalidDomain, spf.ErrNoResult,
		spf.ErrLookupLimitReached, spf.ErrVoidLookupLimitReached, spf.ErrTooManyMXRecords, spf.ErrMultipleRecords,
		spf.ErrMatchedAll, spf.ErrMatchedA, spf.ErrMatchedIP, spf.ErrMatchedMX, spf.ErrMatchedPTR, spf.ErrMatchedExists,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return ""
}
