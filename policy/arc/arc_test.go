package arc

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"gomaild/internal/peertest"
	"gomaild/policy/authres"
	"gomaild/policy/dkim"
)

// zone answers for keys; "down" is a fault.
type zone map[string]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	switch text, known := z[name]; {
	case text == "down":
		return nil, errors.New("no answer")
	case known:
		return []string{text}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

// sealers are three hosts with keys, and the zone that has them.
func sealers(t testing.TB) ([]*Sealer, zone) {
	t.Helper()
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	z := zone{}
	var all []*Sealer
	for i, k := range []crypto.Signer{rsaKey, edKey, rsaKey} {
		domain := fmt.Sprintf("s%d.test", i+1)
		record, err := dkim.Record(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		z["sel._domainkey."+domain] = record
		all = append(all, &Sealer{Signer: dkim.Signer{Domain: domain, Selector: "sel", Key: k}})
	}
	return all, z
}

const plain = "From: a@r.test\r\nTo: b@x.test\r\nSubject: hi\r\n\r\nhello\r\n"

func verdict(t testing.TB, z zone, text string) Verdict {
	t.Helper()
	v := Verifier{Resolver: z}
	got, err := v.Verify(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// seal puts a set above a message.
func seal(t testing.TB, s *Sealer, z zone, text string) string {
	t.Helper()
	results := authres.Format("mx."+s.Signer.Domain, []authres.Method{{Name: "spf", Result: "pass"}, {Name: "dkim", Result: "none"}})
	fields, err := s.Seal(strings.NewReader(text), verdict(t, z, text), results)
	if err != nil {
		t.Fatal(err)
	}
	return string(fields) + text
}

// chain is a message that all have sealed.
func chain(t testing.TB, all []*Sealer, z zone) string {
	t.Helper()
	text := plain
	for _, s := range all {
		text = seal(t, s, z, "Received: by mx."+s.Signer.Domain+"\r\n"+text)
	}
	return text
}

func TestChain(t *testing.T) {
	t.Parallel()
	all, z := sealers(t)
	if got := verdict(t, z, plain); got.Result != None {
		t.Errorf("no chain: %+v", got)
	}
	text := chain(t, all, z)
	if got := verdict(t, z, text); got.Result != Pass || fmt.Sprint(got.Sealers) != "[s1.test s2.test s3.test]" {
		t.Errorf("%s %s %v\n%s", got.Result, got.Reason, got.Sealers, text)
	}
	if got := verdict(t, z, "X-More: above\r\n"+text); got.Result != Pass {
		t.Errorf("a field above: %s %s", got.Result, got.Reason)
	}
	z["sel._domainkey.s2.test"] = "down"
	if got := verdict(t, z, text); got.Result != Fail || !got.Temporary || got.Reason != "seal 2: key could not be asked for" {
		t.Errorf("DNS is down: %+v", got)
	}
}

// TestBroken holds what fails a chain, and what may be added to it then.
func TestBroken(t *testing.T) {
	t.Parallel()
	all, z := sealers(t)
	whole := chain(t, all, z)
	cut := func(name, instance string) string {
		from := strings.Index(whole, name+": i="+instance)
		end := from
		for end == from || whole[end] == '\t' {
			end += strings.Index(whole[end:], "\r\n") + 2
		}
		return whole[:from] + whole[end:]
	}
	double := func(name string) string {
		from := strings.Index(whole, name+": i=2")
		end := strings.Index(whole[from:], "\r\nARC-") + from + 2
		return whole[from:end] + whole
	}
	for _, tt := range []struct {
		rule, text, reason string
		sealed             bool // a set may be added
	}{
		{"the body changed", strings.Replace(whole, "hello", "hallo", 1), "message signature 3: body hash did not verify", true},
		{"a signed field changed", strings.Replace(whole, "Subject: hi", "Subject: ho", 1), "message signature 3: signature did not verify", true},
		{"old results changed", strings.Replace(whole, "i=1; mx.s1.test;\r\n\tspf=pass", "i=1; mx.s1.test;\r\n\tspf=fail", 1), "seal 3: signature did not verify", true},
		{"a seal is gone", cut(sealField, "2"), "set 2 is not whole", false},
		{"results are gone", cut(resultsField, "1"), "set 1 is not whole", false},
		{"a message signature is gone", cut(messageField, "3"), "set 3 is not whole", false},
		{"a seal twice", double(sealField), "malformed chain", false},
		{"an instance too high", strings.Replace(whole, "ARC-Seal: i=3", "ARC-Seal: i=4", 1), "malformed chain", false},
		{"an instance that is no number", strings.Replace(whole, "ARC-Seal: i=3", "ARC-Seal: i=x", 1), "malformed chain", false},
		{"the first says pass", strings.Replace(whole, "cv=none", "cv=pass", 1), `seal 1 says "cv=pass"`, true},
		{"a later one says none", strings.Replace(whole, "cv=pass", "cv=none", 1), `seal 3 says "cv=none"`, true},
		{"the newest says fail", strings.Replace(whole, "cv=pass", "cv=fail", 1), "seal 3 says fail", false},
		{"a seal has fields", strings.Replace(whole, "cv=pass;", "cv=pass; h=From;", 1), "seal 3 has h=", true},
		{"another algorithm", strings.Replace(whole, "ARC-Seal: i=3; a=rsa-sha256", "ARC-Seal: i=3; a=rsa-sha1", 1), "seal 3: unknown algorithm", true},
	} {
		got := verdict(t, z, tt.text)
		if got.Result != Fail || got.Reason != tt.reason || got.Temporary {
			t.Errorf("%s: %s %q, want %q", tt.rule, got.Result, got.Reason, tt.reason)
		}
		fields, err := all[0].Seal(strings.NewReader(tt.text), got, authres.Format("mx", nil))
		if err != nil || (fields != nil) != tt.sealed || fields != nil && !strings.Contains(string(fields), "cv=fail;") {
			t.Errorf("%s: sealed: %v\n%s", tt.rule, err, fields)
		}
	}
	long := plain
	for i := range MaxSets + 2 {
		long = fmt.Sprintf("%s: i=%d; a=rsa-sha256; cv=pass; d=a.test; s=b; b=YQ==\r\n", sealField, i+1) + long
	}
	if got := verdict(t, z, long); got.Result != Fail || got.Reason != "chain is too long" {
		t.Errorf("a long chain: %+v", got)
	}
}

// TestLongest holds that nothing is added to a chain that is as long as we look
// at.
func TestLongest(t *testing.T) {
	t.Parallel()
	all, z := sealers(t)
	text := plain
	for range MaxSets {
		text = seal(t, all[1], z, text)
	}
	if got := verdict(t, z, text); got.Result != Pass || len(got.Sealers) != MaxSets {
		t.Fatalf("%+v", got)
	}
	if seal(t, all[1], z, text) != text {
		t.Error("one set more than is looked at")
	}
	if _, err := all[0].Seal(strings.NewReader(plain), Verdict{}, []byte("X: y\r\n")); err == nil {
		t.Error("sealed what are no results")
	}
}

// TestHostile: a chain costs a look-up a set and one more, one of more sets none,
// and no field is so long that it costs more than its octets' work.
func TestHostile(t *testing.T) {
	t.Parallel()
	all, z := sealers(t)
	longest := plain
	for range MaxSets {
		longest = seal(t, all[1], z, longest)
	}
	sets := func(n int, more string) string {
		text := plain
		for i := range n {
			text = fmt.Sprintf("ARC-Seal: i=%d; a=rsa-sha256; cv=pass; d=a.test; s=b; b=YQ==%s\r\nARC-Message-Signature: i=%d; a=rsa-sha256; d=a.test; s=b; h=From; bh=YQ==; b=YQ==\r\n"+
				"ARC-Authentication-Results: i=%d; a.test; none\r\n", i+1, more, i+1, i+1) + text
		}
		return text
	}
	for _, tt := range []struct {
		rule, text string
		want       Result
		most       int // questions
	}{
		{"as long as is verified", longest, Pass, MaxSets + 1},
		{"one set more", sets(MaxSets+1, ""), Fail, 0},
		{"60 sets", sets(60, ""), Fail, 0},
		{"a thousand sets", sets(1000, ""), Fail, 0},
		{"thousands of seals of one set", strings.Repeat("ARC-Seal: i=1; a=rsa-sha256; cv=none; d=a.test; s=b; b=YQ==\r\n", 4000) + plain, Fail, 0},
		{"a thousand tags", sets(1, strings.Repeat("; x=1", 1000)), Fail, 1},
		{"folds", sets(2, strings.Repeat("\r\n YQ==", 20_000)), Fail, 1},
		{"a header of 2 MB", sets(1, "; x="+strings.Repeat("a", 2<<20)), Fail, 0},
		{"instances out of all bounds", strings.ReplaceAll(sets(1, ""), "i=1", "i=99999999999999999999"), Fail, 0},
		{"instances below 1", strings.ReplaceAll(sets(1, ""), "i=1", "i=0"), Fail, 0},
		{"results of 400 KB", strings.Replace(longest, "ARC-Authentication-Results: i=10;", "ARC-Authentication-Results: i=10;"+strings.Repeat(" x.test; dkim=pass", 20_000)+";", 1), Fail, MaxSets + 1},
	} {
		asked := 0
		v := Verifier{Resolver: counting{z, &asked}}
		var got Verdict
		var err error
		took := peertest.ThreadTime(t, func() {
			got, err = v.Verify(t.Context(), strings.NewReader(tt.text))
			got.Links()
		})
		if err != nil || got.Result != tt.want || asked > tt.most {
			t.Errorf("%s: %s (%s), %v after %d questions; want %s after %d at most", tt.rule, got.Result, got.Reason, err, asked, tt.want, tt.most)
		}
		if took > 2*time.Second {
			t.Errorf("%s took %v", tt.rule, took)
		}
	}
}

// counting counts the questions that reach a zone.
type counting struct {
	zone
	asked *int
}

func (c counting) LookupTXT(ctx context.Context, name string) ([]string, error) {
	*c.asked++
	return c.zone.LookupTXT(ctx, name)
}

// TestForward holds what is sealed on the word of our own results, whatever has
// become of the message since.
func TestForward(t *testing.T) {
	t.Parallel()
	all, z := sealers(t)
	results := func(id, arc string) string {
		m := []authres.Method{{Name: "spf", Result: "pass"}}
		if arc != "" {
			m = append(m, authres.Method{Name: "arc", Result: arc})
		}
		return string(authres.Format(id, m))
	}
	one := chain(t, all[:1], z)
	changed := strings.Replace(one, "hello", "hallo", 1)
	broken := strings.Replace(one, "ARC-Seal: i=1", "ARC-Seal: i=7", 1)
	for _, tt := range []struct{ rule, text, want string }{
		{"no chain yet", results("us.test", "none") + plain, "ARC-Seal: i=1; a=ed25519-sha256; cv=none;"},
		{"a chain that passed", results("us.test", "pass") + one, "ARC-Seal: i=2; a=ed25519-sha256; cv=pass;"},
		{"a chain that passed, and we changed the message", results("us.test", "pass") + changed, "ARC-Seal: i=2; a=ed25519-sha256; cv=pass;"},
		{"a chain that had failed", results("us.test", "fail") + one, "ARC-Seal: i=2; a=ed25519-sha256; cv=fail;"},
		{"the topmost of ours counts", results("other.test", "none") + results("US.test", "fail") + results("us.test", "pass") + one, "cv=fail;"},
		{"nobody looked at the chain", results("us.test", "") + one, ""},
		{"results of others", results("other.test", "pass") + one, ""},
		{"no results", one, ""},
		{"results that do not fit the chain", results("us.test", "none") + one, ""},
		{"results that do not fit the lack of one", results("us.test", "pass") + plain, ""},
		{"a chain that is over", results("us.test", "fail") + broken, ""},
	} {
		fields, err := all[1].Forward(strings.NewReader(tt.text), "us.test")
		if err != nil || (fields == nil) != (tt.want == "") || !strings.Contains(string(fields), tt.want) {
			t.Errorf("%s: %v\n%s", tt.rule, err, fields)
		}
		if strings.Contains(tt.want, "pass") || strings.Contains(tt.want, "none") {
			if got := verdict(t, z, string(fields)+tt.text); got.Result != Pass || got.Links()[0].Sealer != "s2.test" || got.Links()[0].Results[0].Name != "spf" {
				t.Errorf("%s: the next finds %+v", tt.rule, got)
			}
		}
	}
}

// peer runs dkimpy: the message on its input, a result on its output.
const peer = `
import sys, dkim
key, record, mode = sys.argv[1], sys.argv[2].encode(), sys.argv[3]
message = sys.stdin.buffer.read()
dns = lambda name, timeout=5: record
if mode == "verify":
    cv, results, reason = dkim.arc_verify(message, dnsfunc=dns)
    print(cv.decode(), reason)
else:
    fields = dkim.arc_sign(message, b"sel", b"s1.test", open(key, "rb").read(), b"peer.test")
    sys.stdout.buffer.write(b"".join(fields))
`

// TestPeer: dkimpy verifies our chain, and we its.
func TestPeer(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "arcverify", "python3-dkim")
	python := peertest.Need(t, "/usr/bin/python3", "python3")
	all, z := sealers(t)
	record := z["sel._domainkey.s1.test"]
	key := t.TempDir() + "/key.pem"
	der := x509.MarshalPKCS1PrivateKey(all[0].Signer.Key.(*rsa.PrivateKey))
	writeFile(t, key, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der}))

	ours := chain(t, []*Sealer{all[0], all[2]}, z)
	if got := peertest.Run(t, ours, python, "-c", peer, key, record, "verify"); !strings.HasPrefix(got, "pass ") {
		t.Errorf("dkimpy about ours: %s\n%s", got, ours)
	}
	broken := strings.Replace(ours, "hello", "hallo", 1)
	if got := peertest.Run(t, broken, python, "-c", peer, key, record, "verify"); !strings.HasPrefix(got, "fail ") {
		t.Errorf("dkimpy about ours, broken: %s", got)
	}
	text := "Authentication-Results: peer.test; spf=pass smtp.mailfrom=r.test\r\n" + plain
	theirs := peertest.Run(t, text, python, "-c", peer, key, record, "sign") + text
	if got := verdict(t, z, theirs); got.Result != Pass || len(got.Sealers) != 1 {
		t.Errorf("ours about dkimpy: %s %s\n%s", got.Result, got.Reason, theirs)
	}
	both := seal(t, all[0], z, theirs)
	if got := peertest.Run(t, both, python, "-c", peer, key, record, "verify"); !strings.HasPrefix(got, "pass ") {
		t.Errorf("dkimpy about ours upon its own: %s\n%s", got, both)
	}
}

func FuzzVerify(f *testing.F) {
	all, z := sealers(f)
	f.Add(chain(f, all, z))
	f.Add(plain)
	f.Add("ARC-Seal: i=1\r\nARC-Message-Signature: i=1\r\nARC-Authentication-Results: i=1\r\n\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		got := verdict(t, z, text)
		if _, err := all[0].Seal(strings.NewReader(text), got, authres.Format("mx", nil)); err != nil {
			return // what cannot be read cannot be sealed
		}
		if got.Result == Pass && len(got.Sealers) == 0 {
			t.Errorf("a chain of nobody passes: %q", text)
		}
	})
}

func writeFile(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.WriteFile(name, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
