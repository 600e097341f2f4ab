package arc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"gomaild/message"
	"gomaild/policy/authres"
	"gomaild/policy/dkim"
)

// Sealer adds links to chains. It is safe for concurrent use.
type Sealer struct {
	Signer dkim.Signer
	Now    func() time.Time // default time.Now
}

// Forward makes the set of fields for a message that came with id's own
// Authentication-Results field and goes on to somebody else. What that field
// says of the chain is believed: since then the message may have been changed,
// which is what chains are for. nil where nothing may be added, and where there
// is no such field or none that says what the chain was.
func (s *Sealer) Forward(c message.Content, id string) ([]byte, error) {
	h, ok, err := dkim.ReadHeader(c)
	if err != nil {
		return nil, fmt.Errorf("read header: %w", err)
	}
	if !ok {
		return nil, nil
	}
	results, state := ownResults(h, id)
	found := collect(h)
	switch {
	case state == "":
		return nil, nil
	case state == Fail && found.Result != None:
		found.Result = Fail
	case state != found.Result:
		return nil, nil
	}
	return s.Seal(c, found, results)
}

// ownResults is the topmost field of results that is id's, and what it says of
// the chain, "" for nothing.
func ownResults(h *dkim.Header, id string) (field []byte, state Result) {
	for _, raw := range slices.Backward(h.Named(authres.FieldName)) {
		_, value, _ := bytes.Cut(raw, []byte(":"))
		who, methods, err := authres.Parse(string(value))
		if err != nil || !strings.EqualFold(who, id) {
			continue
		}
		for _, m := range methods {
			if r := Result(m.Result); m.Name == "arc" && (r == None || r == Pass || r == Fail) {
				state = r
			}
		}
		return raw, state
	}
	return nil, ""
}

// Seal makes the set of fields for a message that goes on to somebody else, to
// stand above everything else. found is what Verify said when it came, authres
// our Authentication-Results field for it. nil where nothing may be added: to a
// chain that is over, too long, or could not be verified for now.
func (s *Sealer) Seal(c message.Content, found Verdict, results []byte) ([]byte, error) {
	if found.final || found.Temporary || len(found.sets) >= MaxSets {
		return nil, nil
	}
	i := len(found.sets) + 1
	_, value, isField := bytes.Cut(results, []byte(":"))
	if !isField || !bytes.HasPrefix(results, []byte(authres.FieldName)) {
		return nil, fmt.Errorf("seal: no %s field", authres.FieldName)
	}
	own := set{results: fmt.Appendf(nil, "%s: i=%d;%s", resultsField, i, value)}
	var err error
	if own.message, err = s.Signer.SignField(c, messageField, fmt.Sprintf("i=%d", i)); err != nil {
		return nil, err
	}
	a, err := s.Signer.Algorithm()
	if err != nil {
		return nil, err
	}
	now := time.Now
	if s.Now != nil {
		now = s.Now
	}
	open := fmt.Sprintf("%s: i=%d; a=%s; cv=%s;\r\n\td=%s; s=%s;\r\n\tt=%d;\r\n\tb=", sealField, i, a, found.Result, s.Signer.Domain, s.Signer.Selector, now().Unix())
	own.seal = []byte(open + "\r\n")
	// A broken chain is left out: the seal is about this set alone (RFC 8617
	// section 5.1.2).
	sets := []set{own}
	if found.Result == Pass {
		sets = append(found.sets[:len(found.sets):len(found.sets)], own)
	}
	_, signature, err := s.Signer.SignText(sealed(sets))
	if err != nil {
		return nil, err
	}
	return bytes.Join([][]byte{[]byte(open + signature + "\r\n"), own.message, own.results}, nil), nil
}
