package dkim

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	peer "github.com/emersion/go-msgauth/dkim"

	"gomaild/internal/peertest"
)

// zone is a Resolver over a literal; a name with the value "fault" is one.
type zone map[string]string

func (z zone) LookupTXT(_ context.Context, name string) ([]string, error) {
	text, there := z[name]
	switch {
	case !there:
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	case text == "fault":
		return nil, &net.DNSError{Err: "server misbehaving", Name: name, IsTemporary: true}
	}
	return strings.Split(text, "\n"), nil
}

// wire makes CRLF of LF.
func wire(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

// The example of RFC 8463 appendix A: one message with a signature of each
// algorithm.
var (
	rfc8463Zone = zone{
		"brisbane._domainkey.football.example.com": "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
		"test._domainkey.football.example.com": "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWR" +
			"iGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKr" +
			"M3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB",
	}
	rfc8463Message = wire(`DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=brisbane; t=1528637909; h=from : to :
 subject : date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus
 Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=football.example.com; i=@football.example.com;
 q=dns/txt; s=test; t=1528637909; h=from : to : subject :
 date : message-id : from : subject : date;
 bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;
 b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3
 DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz
 dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=
From: Joe SixPack <joe@football.example.com>
To: Suzie Q <suzie@shopping.example.net>
Subject: Is dinner ready?
Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)
Message-ID: <20030712040037.46341.5F8J@football.example.com>

Hi.

We lost the game.  Are you hungry yet?

Joe.
`)
)

func verify(t *testing.T, z zone, text string) []Verification {
	t.Helper()
	v := Verifier{Resolver: z}
	got, err := v.Verify(t.Context(), strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestRFC8463(t *testing.T) {
	t.Parallel()
	got := verify(t, rfc8463Zone, rfc8463Message)
	if len(got) != 2 || got[0].Result != Pass || got[1].Result != Pass {
		t.Fatalf("%+v", got)
	}
	if got[0].Value != "/gCrinpc" || got[0].Selector != "brisbane" || got[0].Domain != "football.example.com" || got[0].Algorithm != Ed25519SHA256 {
		t.Errorf("%+v", got[0])
	}
}

const plainMessage = "From: Alice <alice@example.org>\r\nTo: bob@example.net\r\nSubject:  folded\r\n\t subject \r\n" +
	"Date: Fri, 27 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n\r\nHello  Bob, \r\n\r\n.dot\r\n\r\n\r\n"

func keys(t testing.TB) map[string]crypto.Signer {
	t.Helper()
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"rsa": r, "ed25519": e}
}

func zoneOf(t testing.TB, k crypto.Signer, more string) zone {
	t.Helper()
	record, err := Record(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return zone{"sel._domainkey.example.org": record + more}
}

// TestSignVerify holds that what we sign verifies here and with go-msgauth, and
// that what go-msgauth signs verifies here.
func TestSignVerify(t *testing.T) {
	t.Parallel()
	messages := map[string]string{
		"usual":     plainMessage,
		"no body":   "From: a@example.org\r\n\r\n",
		"no header": "From: a@example.org\r\n",
		"blanks":    "From: a@example.org\r\n\r\n \t \r\nx\t\ty \r\n \r\n",
		"no end":    "From: a@example.org\r\n\r\nlast line",
	}
	for kind, k := range keys(t) {
		z := zoneOf(t, k, "")
		for name, text := range messages {
			s := Signer{Domain: "example.org", Selector: "sel", Key: k, Life: time.Hour}
			field, err := s.Sign(strings.NewReader(text))
			if err != nil {
				t.Fatalf("%s %s: %v", kind, name, err)
			}
			for line := range bytes.SplitSeq(bytes.TrimSuffix(field, []byte("\r\n")), []byte("\r\n")) {
				if len(line) > 78 {
					t.Errorf("%s %s: a line of %d: %s", kind, name, len(line), line)
				}
			}
			if got := verify(t, z, string(field)+text); len(got) != 1 || got[0].Result != Pass {
				t.Errorf("%s %s: %+v", kind, name, got)
			}
			if name == "no header" {
				continue // go-msgauth does not read a message without an empty line
			}
			theirs, err := peer.VerifyWithOptions(strings.NewReader(string(field)+text), &peer.VerifyOptions{
				LookupTXT: func(name string) ([]string, error) { return z.LookupTXT(t.Context(), name) },
			})
			if err != nil || len(theirs) != 1 || theirs[0].Err != nil {
				t.Errorf("go-msgauth on %s %s: %+v, %v", kind, name, theirs, err)
			}
			for _, canon := range []peer.Canonicalization{peer.CanonicalizationSimple, peer.CanonicalizationRelaxed} {
				var signed bytes.Buffer
				err := peer.Sign(&signed, strings.NewReader(text), &peer.SignOptions{
					Domain: "example.org", Selector: "sel", Signer: k, HeaderCanonicalization: canon, BodyCanonicalization: canon,
				})
				if err != nil {
					t.Fatal(err)
				}
				if got := verify(t, z, signed.String()); len(got) != 1 || got[0].Result != Pass {
					t.Errorf("go-msgauth signs %s %s %s: %+v", kind, name, canon, got)
				}
			}
		}
	}
}

// TestChanges holds which changes on the way a signature of ours survives.
func TestChanges(t *testing.T) {
	t.Parallel()
	k := keys(t)["ed25519"]
	z := zoneOf(t, k, "")
	field, err := (&Signer{Domain: "example.org", Selector: "sel", Key: k}).Sign(strings.NewReader(plainMessage))
	if err != nil {
		t.Fatal(err)
	}
	signed := string(field) + plainMessage
	for _, tt := range []struct {
		rule     string
		old, new string
		want     Result
	}{
		{"nothing", "", "", Pass},
		{"a field on top", "DKIM-Signature:", "Received: x\r\nDKIM-Signature:", Pass},
		{"folding", "Subject:  folded\r\n\t subject", "subject: folded subject", Pass},
		{"blanks in the body", "Hello  Bob, ", "Hello\tBob,", Pass},
		{"empty lines at the end", ".dot\r\n\r\n\r\n", ".dot\r\n", Pass},
		{"a word", "Bob", "Rob", Fail},
		{"an empty line inside", "\r\n\r\n.dot", "\r\n\r\n\r\n.dot", Fail},
		{"the subject", "folded", "other", Fail},
		{"a second From", "From: Alice", "From: eve@example.org\r\nFrom: Alice", Fail},
		{"a second From below", "\r\n\r\nHello", "\r\nFrom: eve@example.org\r\n\r\nHello", Fail},
		{"a field that was not there", "To: bob", "Cc: eve@example.org\r\nTo: bob", Fail},
		{"the domain", "d=example.org", "d=example.com", PermError},
		{"the time", "t=", "t=1", Fail},
	} {
		got := verify(t, z, strings.Replace(signed, tt.old, tt.new, 1))
		if len(got) != 1 || got[0].Result != tt.want {
			t.Errorf("%s: %+v, want %s", tt.rule, got, tt.want)
		}
	}
}

// TestSignatures holds what is wrong with a signature field or its key.
func TestSignatures(t *testing.T) {
	t.Parallel()
	k := keys(t)["ed25519"]
	field, err := (&Signer{Domain: "example.org", Selector: "sel", Key: k}).Sign(strings.NewReader(plainMessage))
	if err != nil {
		t.Fatal(err)
	}
	record := zoneOf(t, k, "")["sel._domainkey.example.org"]
	for _, tt := range []struct {
		rule     string
		old, new string // in the field
		record   string
		want     Result
		reason   string
	}{
		{"no key", "", "", "", PermError, "no key for signature"},
		{"a fault of the DNS", "", "", "fault", TempError, "key could not be asked for"},
		{"revoked", "", "", "v=DKIM1; k=ed25519; p=", PermError, "key is revoked"},
		{"no p", "", "", "v=DKIM1; k=ed25519", PermError, "malformed key record"},
		{"another version", "", "", strings.Replace(record, "DKIM1", "DKIM2", 1), PermError, "malformed key record"},
		{"another type", "", "", strings.Replace(record, "ed25519", "rsa", 1), PermError, "key is of another type"},
		{"not for mail", "", "", record + "; s=tlsrpt", PermError, "key is not for mail"},
		{"for mail among others", "", "", record + "; s=tlsrpt : email", Pass, ""},
		{"another hash", "", "", record + "; h=sha1", PermError, "key is not for this hash algorithm"},
		{"strict, same domain", "", "", record + "; t=s", Pass, ""},
		{"huge", "", "", record + "; n=" + strings.Repeat("x", 3000), PermError, "key is too short or too long"},
		{"the second of two records", "", "", "other text\n" + record, Pass, ""},
		{"version", "v=1", "v=2", record, PermError, "unknown version"},
		{"algorithm", "a=ed25519-sha256", "a=rsa-sha1", record, PermError, "unknown algorithm"},
		{"canonicalization", "relaxed/relaxed", "relaxed/lax", record, PermError, "unknown canonicalization"},
		{"a tag twice", "v=1;", "v=1; v=1;", record, PermError, "malformed tag list"},
		{"no From in h=", "h=From:From:", "h=", record, PermError, "From is not signed"},
		{"expired", "t=", "x=1; t=", record, PermError, "signature has expired"},
		{"i= elsewhere", "v=1;", "v=1; i=a@example.com;", record, PermError, "i= is not within d="},
		{"i= in a domain that ends alike", "v=1;", "v=1; i=a@notexample.org;", record, PermError, "i= is not within d="},
		{"strict, a domain below", "v=1;", "v=1; i=a@b.example.org;", record + "; t=s", PermError, "i= is not within d="},
		{"a domain below", "v=1;", "v=1; i=a@b.example.org;", record, Fail, "signature did not verify"},
		{"the last record that is looked at", "", "", strings.Repeat("other text\n", maxRecords-1) + record, Pass, ""},
		{"one record more", "", "", strings.Repeat("other text\n", maxRecords) + record, PermError, "malformed key record"},
		{"a domain that is none", "d=example.org", "d=example..org", record, PermError, "malformed domain or selector"},
		{"a query that is unknown", "v=1;", "v=1; q=http;", record, PermError, "unknown query method"},
	} {
		z := zone{}
		if tt.record != "" {
			z["sel._domainkey.example.org"] = tt.record
		}
		got := verify(t, z, strings.Replace(string(field), tt.old, tt.new, 1)+plainMessage)
		if len(got) != 1 || got[0].Result != tt.want || got[0].Reason != tt.reason {
			t.Errorf("%s: %+v, want %s %q", tt.rule, got, tt.want, tt.reason)
		}
	}
}

// TestLength holds that a signature over a part of the body passes for nothing.
func TestLength(t *testing.T) {
	t.Parallel()
	k := keys(t)["ed25519"]
	signer := Signer{Domain: "example.org", Selector: "sel", Key: k}
	const signed = "From: a@example.org\r\n\r\nabcdef\r\n"
	h, _, err := readHeader(strings.NewReader(signed))
	if err != nil {
		t.Fatal(err)
	}
	sum := crypto.SHA256.New()
	sum.Write([]byte("abcdef\r\n"))
	sig := &Signature{Algorithm: Ed25519SHA256, Fields: []string{"From"}, header: relaxed, body: relaxed}
	open := strings.Replace(signer.field(FieldName+": v=1", sig, sum.Sum(nil)), "bh=", "l=8; bh=", 1)
	value, err := signer.sign(Ed25519SHA256, h.digest(sig, []byte(open+"\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	field := open + encode(value) + "\r\n"
	for body, want := range map[string]Result{
		"abcdef\r\n": Pass, "abcdef\r\nmore\r\n": Policy, "abcdef": Pass, "abcdeg\r\n": Fail, "abc\r\n": Fail,
	} {
		got := verify(t, zoneOf(t, k, ""), field+"From: a@example.org\r\n\r\n"+body)
		if len(got) != 1 || got[0].Result != want {
			t.Errorf("%q: %+v, want %s", body, got, want)
		}
	}
	const longer = "From: a@example.org\r\n\r\nabcdef\r\nmore\r\n"
	whole, err := signer.Sign(strings.NewReader(longer))
	if err != nil {
		t.Fatal(err)
	}
	for rule, tt := range map[string]struct {
		fields string
		want   []Result
	}{"part first": {field + string(whole), []Result{Policy, Pass}}, "whole first": {string(whole) + field, []Result{Pass, Policy}}} {
		got := verify(t, zoneOf(t, k, ""), tt.fields+longer)
		if len(got) != 2 || got[0].Result != tt.want[0] || got[1].Result != tt.want[1] {
			t.Errorf("%s: %+v, want %s", rule, got, tt.want)
		}
	}
}

// TestTwoBodies: each signature has the body in its own canonical form.
func TestTwoBodies(t *testing.T) {
	t.Parallel()
	k := keys(t)["ed25519"]
	text := "From: a@example.org\r\n\r\nblanks \t at  the end \r\n"
	for _, canon := range []peer.Canonicalization{peer.CanonicalizationSimple, peer.CanonicalizationRelaxed, peer.CanonicalizationSimple} {
		var signed bytes.Buffer
		o := &peer.SignOptions{Domain: "example.org", Selector: "sel", Signer: k, HeaderCanonicalization: canon, BodyCanonicalization: canon}
		if err := peer.Sign(&signed, strings.NewReader(text), o); err != nil {
			t.Fatal(err)
		}
		text = signed.String()
	}
	got := verify(t, zoneOf(t, k, ""), text)
	if len(got) != 3 || got[0].Result != Pass || got[1].Result != Pass || got[2].Result != Pass {
		t.Errorf("%+v", got)
	}
}

// TestKeySizes holds RFC 8301 section 3.2.
func TestKeySizes(t *testing.T) {
	t.Parallel()
	small := &rsa.PublicKey{N: newInt(512), E: 65537}
	large := &rsa.PublicKey{N: newInt(8192), E: 65537}
	for name, k := range map[string]*rsa.PublicKey{"small": small, "large": large} {
		record, err := Record(k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parseKey(record, RSASHA256); !errors.Is(err, errKeySize) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestHostile holds that work stays linear: each of these took a library
// seconds or minutes.
func TestHostile(t *testing.T) {
	t.Parallel()
	sig := "DKIM-Signature: v=1; a=rsa-sha256; c=simple/simple; d=a.test; s=s; h=From; bh=aGk=; b=aGk=\r\n"
	for name, text := range map[string]string{
		"folds":       sig + "From: a\r\n" + strings.Repeat(" x\r\n", 100_000) + "\r\n",
		"empty lines": sig + "From: a\r\n\r\n" + strings.Repeat("\r\n", 8<<20) + "x",
		"blanks":      sig + "From: a\r\n\r\n" + strings.Repeat(" ", 16<<20),
		"signatures":  strings.Repeat(sig, 1000) + "From: a\r\n\r\n" + strings.Repeat("x\r\n", 1<<20),
		"names":       strings.Replace(sig, "h=From", "h=From"+strings.Repeat(":From", 100_000), 1) + "From: a\r\n\r\n",
		"fields":      sig + strings.Repeat("From: a\r\n", 100_000) + "\r\n",
	} {
		var got []Verification
		d := peertest.ThreadTime(t, func() { got = verify(t, zone{}, text) })
		if len(got) > 5 {
			t.Errorf("%s: %d results", name, len(got))
		}
		for _, v := range got {
			if v.Result == Pass {
				t.Errorf("%s passes", name)
			}
		}
		if d > 10*time.Second {
			t.Errorf("%s took %v", name, d)
		}
	}
}

// TestQuestions holds how many keys a message of a thousand signatures can have
// asked for, and what keys of hostile size and shape come to.
func TestQuestions(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	good, err := Record(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	text := "From: a@a.test\r\n\r\nx\r\n"
	var all strings.Builder
	for i := range 1000 {
		field, err := (&Signer{Domain: fmt.Sprintf("d%d.test", i), Selector: "s", Key: private}).Sign(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		all.Write(field)
	}
	asked := 0
	v := Verifier{Resolver: txt(func(string) ([]string, error) { asked++; return []string{good}, nil })}
	got, err := v.Verify(t.Context(), strings.NewReader(all.String()+text))
	if err != nil || len(got) != defaultMost || asked != defaultMost {
		t.Errorf("%d results, %d questions, %v", len(got), asked, err)
	}

	signed, err := (&Signer{Domain: "a.test", Selector: "s", Key: private}).Sign(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	huge, err := Record(&rsa.PublicKey{N: newInt(16384), E: 65537})
	if err != nil {
		t.Fatal(err)
	}
	even, err := Record(&rsa.PublicKey{N: newInt(2048), E: 65536})
	if err != nil {
		t.Fatal(err)
	}
	for rule, records := range map[string][]string{
		"16384 bits": {huge}, "garbage": {"\x00\xff;;==p="}, "no text": {""}, "none": nil, "an even exponent": {even},
		"64 KB": {good + strings.Repeat(" ", 64<<10)}, "a thousand tags": {strings.Repeat("x=1;", 1000) + good},
		"a thousand records": slices.Repeat([]string{"v=DKIM1; p="}, 1000), "base64 of nothing": {"v=DKIM1; p====="}, "a certificate": {"v=DKIM1; p=" + encode(bytes.Repeat([]byte{0x30}, 500))},
	} {
		v := Verifier{Resolver: txt(func(string) ([]string, error) { return records, nil })}
		var got []Verification
		var err error
		d := peertest.ThreadTime(t, func() { got, err = v.Verify(t.Context(), strings.NewReader(string(signed)+text)) })
		if err != nil || len(got) != 1 || got[0].Result != PermError && got[0].Result != Fail {
			t.Errorf("%s: %+v, %v", rule, got, err)
		}
		if d > 5*time.Second {
			t.Errorf("%s took %v", rule, d)
		}
	}
}

type txt func(name string) ([]string, error)

func (f txt) LookupTXT(_ context.Context, name string) ([]string, error) { return f(name) }

func FuzzVerify(f *testing.F) {
	f.Add([]byte(rfc8463Message))
	f.Add([]byte("DKIM-Signature: v=1; a=rsa-sha256; d=a.test; s=s; h=From; bh=aGk=; b=aGk=; l=1; x=2\r\nFrom: a\r\n\r\n \r\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		v := Verifier{Resolver: rfc8463Zone}
		got, err := v.Verify(t.Context(), bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range got {
			if strings.ContainsAny(r.Reason+r.Domain+r.Selector+r.Value, "\r\n\x00") {
				t.Errorf("%+v", r)
			}
		}
	})
}

// FuzzBody holds that a body written in pieces is that written at once, and
// that relaxed text has no trailing blanks.
func FuzzBody(f *testing.F) {
	f.Add([]byte("a \r\n\r\n\rb\t \tc\r\r\n \r\n"), uint8(1))
	f.Fuzz(func(t *testing.T, text []byte, step uint8) {
		for _, c := range []canonicalizer{simple, relaxed} {
			whole, pieces := canon(t, c, text, len(text)), canon(t, c, text, int(step)+1)
			if !bytes.Equal(whole, pieces) {
				t.Errorf("%s: %q is %q whole and %q in pieces", c, text, whole, pieces)
			}
			if c == relaxed && (bytes.Contains(whole, []byte(" \r\n")) || bytes.Contains(whole, []byte("  "))) {
				t.Errorf("%q is %q", text, whole)
			}
		}
	})
}

func canon(t testing.TB, c canonicalizer, text []byte, step int) []byte {
	var out bytes.Buffer
	b := newBody(&out, c)
	for len(text) > 0 {
		n := min(step, len(text))
		if _, err := b.Write(text[:n]); err != nil {
			t.Fatal(err)
		}
		text = text[n:]
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestCanon has the example of RFC 6376 section 3.4.5 and the edges.
func TestCanon(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, simple, relaxed string }{
		{" C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n"},
		{"", "\r\n", ""},
		{"\r\n\r\n", "\r\n", ""},
		{" \r\n", " \r\n", ""},
		{"a", "a\r\n", "a\r\n"},
		{"a\r\n\r\nb", "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n"},
		{"a\rb\r", "a\rb\r\r\n", "a\rb\r\r\n"},
	} {
		if got := string(canon(t, simple, []byte(tt.in), 1)); got != tt.simple {
			t.Errorf("simple %q: %q", tt.in, got)
		}
		if got := string(canon(t, relaxed, []byte(tt.in), 1)); got != tt.relaxed {
			t.Errorf("relaxed %q: %q", tt.in, got)
		}
	}
	if got := string(relaxed.header([]byte("SubJect :  a\r\n\t b \r\n"))); got != "subject:a b\r\n" {
		t.Errorf("%q", got)
	}
}

// newInt is an odd number of so many bits.
func newInt(bits uint) *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	return n.Add(n, big.NewInt(1))
}
