package policy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/policy/arc"
	"gomaild/policy/authres"
	"gomaild/policy/dkim"
	"gomaild/policy/dmarc"
	"gomaild/policy/spf"
)

// Replies to a sender that may not, and to content.
var (
	errSPF   = &mail.Status{Code: 550, Enhanced: "5.7.23", Text: "SPF validation failed"}                             // RFC 7372 section 3.2
	errDMARC = &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Email rejected per DMARC policy of the From domain"} // RFC 7489 section 10.3
	errFrom  = &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "Message needs one From field with one domain"}
)

// Verdict is what was found out about a message that is not refused.
type Verdict struct {
	// Field is the Authentication-Results field to stand above the message, nil
	// if nothing was checked; and the fields that policy services want.
	Field []byte
	// Junk is mail that its domain wants in quarantine, or that failed where
	// refusing is not asked for.
	Junk bool
}

// spf asks once, for the field and for DMARC.
func (p *Policy) spf(ctx context.Context, j *Judge) error {
	if j.spf == nil {
		v := spf.Check(ctx, p.cfg.Resolver, j.Client, j.Helo, j.From)
		j.spf = &v
	}
	return nil
}

func (p *Policy) spfFail(ctx context.Context, j *Judge) error {
	_ = p.spf(ctx, j) // never an error
	if j.spf.Result == spf.Fail {
		return errSPF
	}
	return nil
}

// Filter reads a message of a stranger or a user without the
// Authentication-Results that claim to be ours: they must not reach who believes
// us (RFC 8601 section 5).
func (p *Policy) Filter(r io.Reader) io.Reader {
	return message.RemoveFields(r, authres.FieldName, func(text string) bool { return authres.Claims(text, p.cfg.Hostname) })
}

// Content makes the checks of the content. A Refusal refuses the
// message; other errors are those of reading it.
func (j *Judge) Content(ctx context.Context, c message.Content) (Verdict, error) {
	p := j.p
	var v Verdict
	var methods []authres.Method
	if j.spf != nil {
		methods = append(methods, spfMethod(j))
	}
	wantsDMARC := p.has("dmarc", "reject_dmarc")
	var signatures []dkim.Verification
	if wantsDMARC || p.has("dkim") {
		found, err := p.verify(ctx, c)
		if err != nil {
			return v, err
		}
		signatures = found
		methods = append(methods, dkimMethods(found)...)
	}
	var chain arc.Verdict
	if p.has("arc") {
		found, err := p.chain(ctx, c)
		if err != nil {
			return v, err
		}
		chain = found
		methods = append(methods, arcMethods(found)...)
	}
	if wantsDMARC {
		e, sealer, err := p.evaluate(ctx, j, c, signatures, &chain)
		if err != nil {
			return v, err
		}
		methods = append(methods, dmarcMethod(e, sealer))
		v.Junk = sealer == "" && e.Action != dmarc.Deliver
	}
	if methods != nil {
		v.Field = authres.Format(p.cfg.Hostname, methods)
	}
	v.Field = append(v.Field, j.prepended...)
	return v, nil
}

func (p *Policy) verify(ctx context.Context, c message.Content) ([]dkim.Verification, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DNSTimeout)
	defer cancel()
	verifier := dkim.Verifier{Resolver: p.cfg.Resolver, Now: p.cfg.Now}
	found, err := verifier.Verify(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("verify signatures: %w", err)
	}
	return found, nil
}

// chain verifies the ARC chain.
func (p *Policy) chain(ctx context.Context, c message.Content) (arc.Verdict, error) {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DNSTimeout)
	defer cancel()
	verifier := arc.Verifier{Resolver: p.cfg.Resolver, Now: p.cfg.Now}
	found, err := verifier.Verify(ctx, c)
	if err != nil {
		return found, fmt.Errorf("verify chain: %w", err)
	}
	return found, nil
}

// arcMethods is what the field says of a chain: nothing where it could not be
// verified for now, so that it is not sealed.
func arcMethods(found arc.Verdict) []authres.Method {
	if found.Temporary {
		return nil
	}
	return []authres.Method{{Name: "arc", Result: string(found.Result), Reason: found.Reason}}
}

// evaluate judges by the domain in From. A message that has no such domain, or
// several, could be anybody's: it is refused where a failure is. sealer is who
// is believed that the message passed before it changed it, "" for nobody: then
// nothing is done to it.
func (p *Policy) evaluate(ctx context.Context, j *Judge, c message.Content, signatures []dkim.Verification, chain *arc.Verdict) (e dmarc.Evaluation, sealer string, err error) {
	domain, err := dmarc.AuthorDomain(c)
	if errors.Is(err, dmarc.ErrFrom) {
		if p.has("reject_dmarc") {
			return e, "", &Refusal{"reject_dmarc", errFrom}
		}
		return dmarc.Evaluation{Result: dmarc.PermError, Action: dmarc.Deliver}, "", nil
	}
	if err != nil {
		return e, "", fmt.Errorf("read From: %w", err)
	}
	if j.spf == nil {
		_ = check{run: (*Policy).spf}.within(ctx, j) // never an error
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.DNSTimeout)
	defer cancel()
	e = dmarc.Evaluate(ctx, p.cfg.Resolver, facts(domain, j.spf, signatures), p.cfg.Sample())
	if e.Result == dmarc.Fail {
		sealer = p.believed(chain, e.From)
	}
	if e.Action == dmarc.Reject && sealer == "" && p.has("reject_dmarc") {
		return e, "", &Refusal{"reject_dmarc", errDMARC}
	}
	return e, sealer, nil
}

// believed is the sealer of a chain that saw the message of domain pass DMARC
// (RFC 8617 section 7.2.1), if it and all who sealed after it are trusted; ""
// without one.
func (p *Policy) believed(chain *arc.Verdict, domain string) string {
	if chain.Result != arc.Pass {
		return ""
	}
	for _, l := range chain.Links() {
		if !slices.ContainsFunc(p.cfg.ARCTrusted, func(t string) bool { return strings.EqualFold(t, l.Sealer) }) {
			return ""
		}
		for _, m := range l.Results {
			if m.Name == "dmarc" && m.Result == string(dmarc.Pass) && strings.EqualFold(m.Property("header.from"), domain) {
				return l.Sealer
			}
		}
	}
	return ""
}

func facts(domain string, s *spf.Verdict, signatures []dkim.Verification) dmarc.Facts {
	f := dmarc.Facts{From: domain, SPFTemp: s.Result == spf.TempError}
	if s.Result == spf.Pass {
		f.SPF = s.Domain
	}
	for _, sig := range signatures {
		switch {
		case sig.Result == dkim.Pass && !sig.Testing:
			f.DKIM = append(f.DKIM, sig.Domain)
		case sig.Result == dkim.TempError:
			f.DKIMTemp = true
		}
	}
	return f
}

func spfMethod(j *Judge) authres.Method {
	m := authres.Method{Name: "spf", Result: string(j.spf.Result), Reason: j.spf.Reason}
	if j.spf.Identity == "helo" {
		m.Properties = []authres.Property{{Name: "smtp.helo", Value: j.Helo}}
	} else {
		m.Properties = []authres.Property{{Name: "smtp.mailfrom", Value: j.From.Address.String()}}
	}
	return m
}

func dkimMethods(found []dkim.Verification) []authres.Method {
	if len(found) == 0 {
		return []authres.Method{{Name: "dkim", Result: string(dkim.None)}}
	}
	var all []authres.Method
	for _, f := range found {
		all = append(all, authres.Method{Name: "dkim", Result: string(f.Result), Reason: f.Reason, Properties: []authres.Property{
			{Name: "header.d", Value: f.Domain}, {Name: "header.s", Value: f.Selector},
			{Name: "header.a", Value: string(f.Algorithm)}, {Name: "header.b", Value: f.Value},
		}})
	}
	return all
}

func dmarcMethod(e dmarc.Evaluation, sealer string) authres.Method {
	m := authres.Method{Name: "dmarc", Result: string(e.Result), Properties: []authres.Property{
		{Name: "header.from", Value: e.From}, {Name: "policy.dmarc", Value: string(e.Policy)},
	}}
	if sealer != "" {
		m.Reason = "passed at " + sealer + ", which is trusted (ARC)"
	}
	return m
}
