package dkim

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"gomaild/message"
)

// Result is what Authentication-Results says of a signature (RFC 8601 section
// 2.7.1).
type Result string

// The results.
const (
	None      Result = "none"    // not signed
	Pass      Result = "pass"    //
	Fail      Result = "fail"    // the signature is wrong
	Policy    Result = "policy"  // right, and not to be relied on: a part of the body is not signed
	Neutral   Result = "neutral" // cannot be read
	TempError Result = "temperror"
	PermError Result = "permerror" // no key, a key of no use
)

// Verification is the outcome for one signature.
type Verification struct {
	Result    Result
	Reason    string // for people, plain ASCII; "" with Pass
	Domain    string // d=, may be "" where the field could not be read
	Selector  string
	Identity  string
	Algorithm Algorithm
	Value     string // the first octets of b=, as header.b of RFC 6008 section 4 tells signatures apart
	Testing   bool   // the key says t=y
}

// Verifier verifies. It is safe for concurrent use.
type Verifier struct {
	Resolver Resolver         // required
	Most     int              // signatures of one message that are verified; default 5
	Now      func() time.Time // default time.Now
}

const defaultMost = 5

// Verify verifies the signatures of a message, from the top. The error is one
// of reading c; there is no other.
func (v *Verifier) Verify(ctx context.Context, c message.Content) ([]Verification, error) {
	h, ok, err := readHeader(c)
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if !ok {
		return []Verification{{Result: PermError, Reason: "header is too large"}}, nil
	}
	checks := v.checks(&h)
	if err := hashAll(c, h.end, checks); err != nil {
		return nil, fmt.Errorf("read body: %w", err)
	}
	out := make([]Verification, len(checks))
	for i, ch := range checks {
		out[i] = v.finish(ctx, &h, ch)
	}
	return out, nil
}

// check is a signature on its way to a result.
type check struct {
	*Signature
	err  error // of parsing
	body *bodyHash
}

func (v *Verifier) checks(h *header) []*check {
	most := v.Most
	if most <= 0 {
		most = defaultMost
	}
	var all []*check
	for _, f := range h.fields {
		if len(all) == most {
			break
		}
		if strings.EqualFold(f.name, FieldName) {
			s, err := parseSignature(f.raw)
			all = append(all, &check{Signature: s, err: err})
		}
	}
	return all
}

// hashAll hashes each form of the body that is asked for, once.
func hashAll(c message.Content, off int64, checks []*check) error {
	var hashes []*bodyHash
	for _, ch := range checks {
		if ch.err != nil {
			continue
		}
		for _, b := range hashes {
			if b.canon == ch.Signature.body && b.limit == ch.length {
				ch.body = b
			}
		}
		if ch.body == nil {
			ch.body = newBodyHash(ch.Signature.body, ch.length, ch.Algorithm.hash())
			hashes = append(hashes, ch.body)
		}
	}
	if len(hashes) == 0 {
		return nil
	}
	return hashBodies(c, off, hashes)
}

// finish comes to the result of a signature.
func (v *Verifier) finish(ctx context.Context, h *header, ch *check) Verification {
	out := Verification{Domain: ch.Domain, Selector: ch.Selector, Identity: ch.Identity, Algorithm: ch.Algorithm}
	if !IsName(out.Domain) {
		out.Domain = ""
	}
	if !IsName(out.Selector) {
		out.Selector = ""
	}
	if len(ch.value) > 0 {
		out.Value = base64.StdEncoding.EncodeToString(ch.value)[:min(8, 4*((len(ch.value)+2)/3))]
	}
	out.Result, out.Reason = v.judge(ctx, h, ch, &out.Testing)
	return out
}

func (v *Verifier) judge(ctx context.Context, h *header, ch *check, testing *bool) (Result, string) {
	if ch.err != nil {
		return PermError, reasonOf(ch.err)
	}
	now := time.Now
	if v.Now != nil {
		now = v.Now
	}
	if !ch.Expires.IsZero() && now().After(ch.Expires) {
		return PermError, "signature has expired"
	}
	if subtle.ConstantTimeCompare(ch.body.sum.Sum(nil), ch.bodyHash) == 0 {
		return Fail, "body hash did not verify"
	}
	k, err := lookUp(ctx, v.Resolver, ch.Signature)
	switch {
	case errors.Is(err, errDNS):
		return TempError, errDNS.Error()
	case err != nil:
		return PermError, reasonOf(err)
	}
	*testing = k.testing
	if k.strict && !strings.EqualFold(strings.TrimPrefix(ch.Identity[strings.LastIndexByte(ch.Identity, '@'):], "@"), ch.Domain) {
		return PermError, errIdentity.Error()
	}
	if !k.verify(ch.Algorithm, h.digest(ch.Signature, withoutValue(ch.field)), ch.value) {
		return Fail, "signature did not verify"
	}
	if ch.length >= 0 && ch.body.seen > ch.length {
		return Policy, "a part of the body is not signed"
	}
	return Pass, ""
}

// reasonOf is an error's text without what a stranger wrote.
func reasonOf(err error) string {
	for _, known := range []error{
		errTags, errVersion, errAlgorithm, errQuery, errCanon, errNoFrom, errIdentity, errNumber, errFields, errDomain,
		errNoKey, errRevoked, errKeySyntax, errKeyType, errKeyHash, errKeyService, errKeySize, errMissing,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "malformed signature"
}

// encode is base64 in one line.
func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
