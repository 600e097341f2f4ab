// Package dmarc evaluates DMARC (RFC 7489): the record of the domain in From,
// its alignment with what SPF and DKIM have shown, and what the domain asks to
// be done with a message that fails.
//
// The rules are pure but for the look-up of the record. A record that is
// written badly is read as far as it can be: treating it as none would let
// through what it was to stop. A fault of the DNS is TempError, never Fail.
package dmarc

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"gomaild/mail"
)

// Result is that of RFC 7489 section 11.2.
type Result string

// The results.
const (
	None      Result = "none" // no record
	Pass      Result = "pass"
	Fail      Result = "fail"
	TempError Result = "temperror"
	PermError Result = "permerror"
)

// Action is what a domain asks for (RFC 7489 section 6.3, p=).
type Action string

// The actions, from the mildest.
const (
	Deliver    Action = "none"
	Quarantine Action = "quarantine"
	Reject     Action = "reject"
)

// Record is a DMARC record. The zero value of a field is its default but for
// Percent.
type Record struct {
	Policy       Action // p=
	Subdomains   Action // sp=, "" for Policy
	Nonexistent  Action // np= (RFC 9091), "" for Subdomains
	StrictDKIM   bool   // adkim=s
	StrictSPF    bool   // aspf=s
	Percent      int    // pct=, 100 where it is missing
	Testing      bool   // t=y: one step milder
	AggregateTo  []string
	FailureTo    []string
	FailureWhen  string // fo=
	ReportPeriod int    // ri=, seconds
}

// What a text that is no DMARC record is.
var (
	errNoRecord = errors.New("no DMARC record")
	errPolicy   = errors.New("DMARC record without a policy")
)

// maxRecord is how much of a TXT record is looked at, in octets.
const maxRecord = 4096

// ParseRecord reads a record. Values are taken in any case of letters, unknown
// tags and values that cannot be read are passed over (section 6.3); only a
// record without a policy and without anybody to report to is an error.
func ParseRecord(text string) (Record, error) {
	r := Record{Percent: 100, ReportPeriod: 86400}
	if len(text) > maxRecord {
		return r, errNoRecord
	}
	for i, part := range strings.Split(text, ";") {
		name, value, _ := strings.Cut(part, "=")
		name, value = strings.ToLower(strings.TrimSpace(name)), strings.TrimSpace(value)
		if i == 0 {
			if name != "v" || value != "DMARC1" {
				return r, errNoRecord
			}
			continue
		}
		r.set(name, value)
	}
	if r.Policy == "" {
		if len(r.AggregateTo) == 0 {
			return r, errPolicy
		}
		r.Policy = Deliver // section 6.6.3, step 6
	}
	return r, nil
}

func (r *Record) set(name, value string) {
	low := mail.FoldASCII(value)
	switch name {
	case "p":
		setAction(&r.Policy, low)
	case "sp":
		setAction(&r.Subdomains, low)
	case "np":
		setAction(&r.Nonexistent, low)
	case "adkim":
		r.StrictDKIM = low == "s"
	case "aspf":
		r.StrictSPF = low == "s"
	case "pct":
		if n, err := strconv.Atoi(value); err == nil && n >= 0 && n <= 100 {
			r.Percent = n
		}
	case "t":
		r.Testing = low == "y"
	case "rua":
		r.AggregateTo = mailtos(value)
	case "ruf":
		r.FailureTo = mailtos(value)
	case "fo":
		r.FailureWhen = low
	case "ri":
		if n, err := strconv.Atoi(value); err == nil && n > 0 {
			r.ReportPeriod = n
		}
	}
}

func setAction(a *Action, value string) {
	if v := Action(value); v == Deliver || v == Quarantine || v == Reject {
		*a = v
	}
}

// mailtos are the addresses of a list of URIs, those that are none left out.
func mailtos(s string) (all []string) {
	for uri := range strings.SplitSeq(s, ",") {
		address, ok := cutFold(strings.TrimSpace(uri), "mailto:")
		if !ok {
			continue
		}
		address, _, _ = strings.Cut(address, "!") // a limit of size
		if _, err := mail.ParseAddress(address); err == nil {
			all = append(all, address)
		}
	}
	return all
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// OrganizationalDomain is the name that was registered under a public suffix
// (RFC 7489 section 3.2); a public suffix is its own.
func OrganizationalDomain(domain string) string {
	d, err := publicsuffix.EffectiveTLDPlusOne(domain)
	if err != nil {
		return domain
	}
	return d
}

// Resolver is the part of the DNS that is needed; *net.Resolver is one.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Facts are what the other checks have shown.
type Facts struct {
	From     string   // the domain in the From field
	SPF      string   // the domain of the reverse-path if SPF passed for it, else ""
	DKIM     []string // the domains of the signatures that passed
	SPFTemp  bool     // SPF could not be asked
	DKIMTemp bool     // a key could not be asked for
}

// Evaluation is the outcome.
type Evaluation struct {
	Result  Result
	From    string // domain in From, in lower case
	Action  Action // what the domain asks for: Deliver unless Result is Fail
	Policy  Action // what its record says, "" if there is none
	Domain  string // where the record was found
	Record  Record
	Percent int
}

// Evaluate looks the record up and judges. sample is a number from 0 to 99
// which chooses the messages that pct= wants treated (section 6.6.4).
func Evaluate(ctx context.Context, r Resolver, f Facts, sample int) Evaluation {
	e := Evaluation{Result: None, From: mail.FoldASCII(strings.TrimSuffix(f.From, ".")), Action: Deliver}
	record, at, err := find(ctx, r, e.From)
	switch {
	case errors.Is(err, errNoRecord):
		return e
	case errors.Is(err, errPolicy):
		e.Result = PermError
		return e
	case err != nil:
		e.Result = TempError
		return e
	}
	e.Record, e.Domain, e.Percent = record, at, record.Percent
	e.Policy = record.Policy
	if at != e.From && record.Subdomains != "" {
		e.Policy = record.Subdomains
	}
	switch {
	case aligned(f.SPF, e.From, record.StrictSPF) || slices.ContainsFunc(f.DKIM, func(d string) bool { return aligned(d, e.From, record.StrictDKIM) }):
		e.Result = Pass
	case f.SPFTemp || f.DKIMTemp:
		e.Result = TempError // what could not be asked might have passed
	default:
		e.Result = Fail
		e.Action = record.act(e.Policy, sample)
	}
	return e
}

// act makes milder what pct= and t= want milder.
func (r Record) act(a Action, sample int) Action {
	if !r.Testing && sample < r.Percent {
		return a
	}
	if a == Reject {
		return Quarantine
	}
	return Deliver
}

// aligned is identifier alignment (section 3.1). An empty domain is aligned
// with nothing.
func aligned(domain, from string, strict bool) bool {
	domain = mail.FoldASCII(strings.TrimSuffix(domain, "."))
	switch {
	case domain == "":
		return false
	case strict:
		return domain == from
	}
	return domain == from || OrganizationalDomain(domain) == OrganizationalDomain(from)
}

// find looks at the domain itself, then at its organizational domain (section
// 6.6.3).
func find(ctx context.Context, r Resolver, domain string) (Record, string, error) {
	record, err := lookUp(ctx, r, domain)
	if org := OrganizationalDomain(domain); errors.Is(err, errNoRecord) && org != domain {
		record, err = lookUp(ctx, r, org)
		return record, org, err
	}
	return record, domain, err
}

func lookUp(ctx context.Context, r Resolver, domain string) (Record, error) {
	name := "_dmarc." + domain
	if domain == "" || len(name) > 253 || strings.ContainsAny(domain, "[] ") {
		return Record{}, errNoRecord
	}
	texts, err := r.LookupTXT(ctx, name)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return Record{}, errNoRecord
	}
	if err != nil {
		return Record{}, err
	}
	texts = slices.DeleteFunc(slices.Clone(texts), func(t string) bool {
		_, err := ParseRecord(t)
		return errors.Is(err, errNoRecord)
	})
	if len(texts) != 1 {
		return Record{}, errNoRecord // none, or several, which is none (section 6.6.3, step 5)
	}
	return ParseRecord(texts[0])
}
