package keys

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/internal/durable"
	"gomaild/policy/dkim"
)

func newRoot(t *testing.T) (durable.FS, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := durable.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root, dir
}

// records is a resolver of the records of a ring.
type records map[string]string

func (r records) LookupTXT(_ context.Context, name string) ([]string, error) {
	return []string{r[name]}, nil
}

// TestSign holds that all keys of a domain sign, that a subdomain's mail is
// signed by the domain, and what is not signed.
func TestSign(t *testing.T) {
	t.Parallel()
	root, _ := newRoot(t)
	published := records{}
	for selector, kind := range map[string]Type{"a": RSA, "b": Ed25519} {
		k, err := Generate(root, "keys", "example.org", selector, kind)
		if err != nil {
			t.Fatal(err)
		}
		if published[k.RecordName()], err = k.Record(); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := Load(root, "keys")
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]int{
		"a@example.org": 2, "a@Mail.Example.ORG": 2, "a@example.com": 0, "a@notexample.org": 0,
		"a@example.org, b@example.com": 0,
	} {
		text := "From: " + from + "\r\nSubject: x\r\n\r\nbody\r\n"
		fields, err := ring.Sign(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		v := dkim.Verifier{Resolver: published}
		got, err := v.Verify(t.Context(), strings.NewReader(string(fields)+text))
		if err != nil || len(got) != want {
			t.Errorf("%s: %+v, %v", from, got, err)
		}
		for _, one := range got {
			if one.Result != dkim.Pass || one.Domain != "example.org" {
				t.Errorf("%s: %+v", from, one)
			}
		}
	}
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	root, _ := newRoot(t)
	for _, tt := range []struct {
		domain, selector string
		kind             Type
		want             error
	}{
		{"example.org", "a", Ed25519, nil},
		{"example.org", "a", Ed25519, ErrExists},
		{"example.org", "A", Ed25519, ErrExists},
		{"../example.org", "a", Ed25519, ErrName},
		{"example.org", "a/b", Ed25519, ErrName},
		{"", "a", Ed25519, ErrName},
		{"example.org", "c", "dsa", ErrType},
	} {
		if _, err := Generate(root, "keys", tt.domain, tt.selector, tt.kind); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// TestLoad holds what is read: nothing from nowhere, keys of opendkim-genkey,
// and no broken key in silence.
func TestLoad(t *testing.T) {
	t.Parallel()
	root, dir := newRoot(t)
	if ring, err := Load(root, "keys"); err != nil || len(ring.Keys()) != 0 {
		t.Fatalf("%v, %v", ring, err)
	}
	write := func(name string, text []byte) {
		t.Helper()
		name = filepath.Join(dir, "keys", name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	write("example.org/mail.pem", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)}))
	write("example.org/mail.txt", []byte("the record"))
	ring, err := Load(root, "keys")
	if err != nil || len(ring.Keys()) != 1 || ring.Keys()[0].RecordName() != "mail._domainkey.example.org" {
		t.Fatalf("%v, %v", ring, err)
	}
	write("example.com/broken.pem", []byte("not a key"))
	if _, err := Load(root, "keys"); err == nil || !strings.Contains(err.Error(), "broken of example.com") {
		t.Errorf("a broken key: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if k, err := parse(text); err == nil && k == nil {
			t.Error("no key and no error")
		}
	})
}

// TestTable holds whose mail which key of a table signs, and which texts are no
// keys.
func TestTable(t *testing.T) {
	t.Parallel()
	pemOf := func(bits int) []byte {
		k, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)})
	}
	good := pemOf(1024)
	for rule, tt := range map[string]struct {
		domain, selector string
		text             []byte
	}{
		"no PEM":         {"a.test", "s", []byte("key")},
		"too long":       {"a.test", "s", append(bytes.Repeat([]byte("x\n"), maxPEM), good...)},
		"no domain":      {"", "s", good},
		"no selector":    {"a.test", "s; d=b.test", good},
		"a long modulus": {"a.test", "s", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: bytes.Repeat([]byte{0x30, 0x82}, 2000)})},
	} {
		if _, err := Parse(tt.domain, tt.selector, tt.text); err == nil {
			t.Errorf("%s: is a key", rule)
		}
	}
	var table Table
	for author, selector := range map[string]string{"bob@a.test": "bob", "*@A.test": "a", ".test": "below", "b.test": "b", "*": "all"} {
		k, err := Parse("sign.test", selector, good)
		if err != nil {
			t.Fatal(err)
		}
		table.Add(author, k)
	}
	for from, want := range map[string]string{
		"Bob@A.test": "bob", "al@a.test": "a", "al@b.test": "b", "al@x.b.test": "below", "al@else.where": "all", "a@a.test, b@b.test": "",
	} {
		fields, err := table.Sign(strings.NewReader("From: " + from + "\r\n\r\nx\r\n"))
		if err != nil || (want == "") != (len(fields) == 0) || want != "" && !strings.Contains(string(fields), " s="+want+";") {
			t.Errorf("%s: %v\n%s", from, err, fields)
		}
	}
}
