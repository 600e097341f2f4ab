package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"

	"gomaild/internal/durable"
)

// The names of a self-signed pair in its directory.
const (
	CertFile = "cert.pem"
	KeyFile  = "key.pem"
)

const (
	selfSignedLife = 2 * 365 * 24 * time.Hour
	// clockSlack lets clients in whose clock is a little behind ours.
	clockSlack = time.Hour
)

// SelfSigned makes a certificate that nobody vouches for, for the hosts (names
// or IP addresses), and keeps it as CertFile and KeyFile in fsys, the key
// readable by its owner only. A pair that is there stays, so that a client that
// was told to trust it need not be told again; it is made anew when it ends
// soon, does not parse, or is not for all the hosts.
func SelfSigned(fsys durable.FS, hosts ...string) error {
	now := time.Now()
	if usable(fsys, now, hosts) {
		return nil
	}
	cert, key, err := makePair(now, hosts)
	if err != nil {
		return fmt.Errorf("make a self-signed certificate: %w", err)
	}
	if err := durable.WriteFile(fsys, KeyFile, key, 0o600); err != nil {
		return fmt.Errorf("keep the self-signed key: %w", err)
	}
	// A crash between the two leaves a pair that does not match; it is made
	// anew at the next start.
	if err := durable.WriteFile(fsys, CertFile, cert, 0o644); err != nil {
		return fmt.Errorf("keep the self-signed certificate: %w", err)
	}
	return nil
}

// usable reports whether the pair in fsys can go on serving the hosts.
func usable(fsys durable.FS, now time.Time, hosts []string) bool {
	cert, err := durable.ReadFile(fsys, CertFile)
	if err != nil {
		return false
	}
	key, err := durable.ReadFile(fsys, KeyFile)
	if err != nil {
		return false
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil || now.Before(leaf.NotBefore) || now.Add(renewBefore).After(leaf.NotAfter) {
		return false
	}
	for _, host := range hosts {
		if leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

func makePair(now time.Time, hosts []string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template, err := templateFor(now, hosts)
	if err != nil {
		return nil, nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return cert, key, nil
}

// templateFor is a certificate that is its own authority, so that a client can
// be told to trust the file itself.
func templateFor(now time.Time, hosts []string) (*x509.Certificate, error) {
	const serialBits = 127 // RFC 5280 section 4.1.2.2: at most 20 octets, positive
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), serialBits))
	if err != nil {
		return nil, err
	}
	c := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{"gomaild self-signed"}},
		NotBefore:             now.Add(-clockSlack),
		NotAfter:              now.Add(selfSignedLife),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
			continue
		}
		c.DNSNames = append(c.DNSNames, host)
	}
	return c, nil
}
