// Package arc verifies the Authenticated Received Chain of a message and adds a
// link to it (RFC 8617). Who forwards a message breaks its SPF, and often its
// signature; a chain says who saw it whole before, as far as one believes the
// domains that sealed it.
//
// Work is bounded: a chain of more than MaxSets links is failed unread, and each
// link costs one look-up, the newest two.
package arc

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gomaild/message"
	"gomaild/policy/authres"
	"gomaild/policy/dkim"
)

// The fields of a set.
const (
	sealField    = "ARC-Seal"
	messageField = "ARC-Message-Signature"
	resultsField = "ARC-Authentication-Results"
)

// MaxSets is the longest chain that is verified or added to. RFC 8617 section
// 4.2.1 allows 50; nobody has seen ten.
const MaxSets = 10

// Result is the state of a chain (RFC 8617 section 4.4).
type Result string

// The results.
const (
	None Result = "none"
	Pass Result = "pass"
	Fail Result = "fail"
)

// Verdict is what a chain is found to be.
type Verdict struct {
	Result Result
	Reason string // for people, with Fail
	// Temporary is a Fail because of the DNS: it must not be sealed.
	Temporary bool
	// Sealers are the domains of the seals, the first to seal first. They are
	// proven with Pass only.
	Sealers []string

	sets  []set
	final bool // the newest seal says fail: nobody may add to it
}

// set is the three fields of an instance.
type set struct {
	results, message, seal []byte // as they stand, with line ends
	tags                   map[string]string
}

// Verifier verifies chains. It is safe for concurrent use.
type Verifier struct {
	Resolver dkim.Resolver // required
	Now      func() time.Time
}

// Verify verifies the chain of a message (RFC 8617 section 5.2). The error is one
// of reading c.
func (v *Verifier) Verify(ctx context.Context, c message.Content) (Verdict, error) {
	h, ok, err := dkim.ReadHeader(c)
	if err != nil {
		return Verdict{}, fmt.Errorf("read header: %w", err)
	}
	if !ok {
		return Verdict{Result: Fail, Reason: "header is too large", final: true}, nil
	}
	out := collect(h)
	if out.Result != Pass {
		return out, nil
	}
	d := dkim.Verifier{Resolver: v.Resolver, Now: v.Now}
	newest := out.sets[len(out.sets)-1]
	m, err := d.VerifyField(ctx, c, h, newest.message)
	if err != nil {
		return Verdict{}, err
	}
	if m.Result != dkim.Pass {
		return out.failed(m.Result, fmt.Sprintf("message signature %d: %s", len(out.sets), m.Reason)), nil
	}
	for i := len(out.sets); i > 0; i-- {
		t := out.sets[i-1].tags
		value, err := dkim.Value(t["b"])
		if err != nil {
			return out.failed(dkim.Fail, fmt.Sprintf("seal %d: malformed", i)), nil
		}
		r, reason := d.VerifyText(ctx, dkim.Algorithm(strings.ToLower(t["a"])), strings.ToLower(t["d"]), strings.ToLower(t["s"]), sealed(out.sets[:i]), value)
		if r != dkim.Pass {
			return out.failed(r, fmt.Sprintf("seal %d: %s", i, reason)), nil
		}
	}
	return out, nil
}

// Link is one set of a chain: who sealed it, and what it says was found out when
// the message came to it.
type Link struct {
	Sealer  string
	Results []authres.Method
}

// Links are the sets of a chain, the newest first, down to one whose results
// cannot be read. They are proven with Pass only.
func (v *Verdict) Links() []Link {
	var links []Link
	for i := len(v.sets) - 1; i >= 0 && i < len(v.Sealers); i-- {
		_, value, _ := strings.Cut(string(v.sets[i].results), ":")
		_, value, _ = strings.Cut(value, ";") // the instance
		_, methods, err := authres.Parse(value)
		if err != nil {
			break
		}
		links = append(links, Link{v.Sealers[i], methods})
	}
	return links
}

func (v Verdict) failed(r dkim.Result, reason string) Verdict {
	v.Result, v.Reason, v.Temporary = Fail, reason, r == dkim.TempError
	return v
}

// collect sorts the fields into sets and looks at their shape: each instance
// from 1 up has one of each field, and each seal says what the chain was before
// it. Pass says that it is worth verifying.
func collect(h *dkim.Header) Verdict {
	all := map[string][][]byte{}
	n := 0
	for _, name := range []string{resultsField, messageField, sealField} {
		all[name] = h.Named(name)
		n = max(n, len(all[name]))
	}
	if n == 0 {
		return Verdict{Result: None}
	}
	out := Verdict{Result: Pass, sets: make([]set, min(n, MaxSets))}
	if n > MaxSets {
		return Verdict{Result: Fail, Reason: "chain is too long", final: true}
	}
	for name, fields := range all {
		for _, raw := range fields {
			if !out.put(name, raw) {
				return Verdict{Result: Fail, Reason: "malformed chain", final: true}
			}
		}
	}
	for i, s := range out.sets {
		if reason := s.fault(i + 1); reason != "" {
			isLast := i == len(out.sets)-1 && s.tags["cv"] == string(Fail)
			return Verdict{Result: Fail, Reason: reason, final: isLast || s.isIncomplete()}
		}
		out.Sealers = append(out.Sealers, strings.ToLower(s.tags["d"]))
	}
	return out
}

// put puts a field into its set, if it has an instance that is free.
func (v *Verdict) put(name string, raw []byte) bool {
	_, value, _ := strings.Cut(string(raw), ":")
	tags, err := dkim.ParseTags(value)
	instance := tags["i"]
	if name == resultsField {
		first, _, _ := strings.Cut(value, ";")
		key, number, _ := strings.Cut(first, "=")
		err = nil
		if instance = strings.TrimSpace(number); strings.TrimSpace(key) != "i" {
			return false
		}
	}
	i, numberErr := strconv.Atoi(instance)
	if err != nil || numberErr != nil || i < 1 || i > len(v.sets) {
		return false
	}
	s := &v.sets[i-1]
	slot := map[string]*[]byte{resultsField: &s.results, messageField: &s.message, sealField: &s.seal}[name]
	if *slot != nil {
		return false
	}
	*slot = raw
	if name == sealField {
		s.tags = tags
	}
	return true
}

func (s set) isIncomplete() bool { return s.results == nil || s.message == nil || s.seal == nil }

// fault is what is wrong with the shape of instance i.
func (s set) fault(i int) string {
	_, hasFields := s.tags["h"]
	switch cv := s.tags["cv"]; {
	case s.isIncomplete():
		return fmt.Sprintf("set %d is not whole", i)
	case hasFields:
		return fmt.Sprintf("seal %d has h=", i) // RFC 8617 section 4.1.3
	case cv == string(Fail):
		return fmt.Sprintf("seal %d says fail", i)
	case i == 1 && cv != string(None), i > 1 && cv != string(Pass):
		return fmt.Sprintf("seal %d says %q", i, "cv="+cv[:min(len(cv), 20)])
	}
	return ""
}

// sealed is what the last seal of the sets signs (RFC 8617 section 5.1.1): the
// fields of all, its own without value and line end.
func sealed(sets []set) []byte {
	var text []byte
	for i, s := range sets {
		text = append(text, dkim.Relaxed(s.results)...)
		text = append(text, dkim.Relaxed(s.message)...)
		if i < len(sets)-1 {
			text = append(text, dkim.Relaxed(s.seal)...)
			continue
		}
		own := dkim.Relaxed(dkim.WithoutValue(s.seal))
		text = append(text, own[:len(own)-len("\r\n")]...)
	}
	return text
}
