package arc

import (
	"bytes"
	"fmt"
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
