// Package srs rewrites the reverse-path of mail that is forwarded to another
// domain (Sender Rewriting Scheme), so that SPF asks about us, and takes the
// notifications that come back to where they belong.
//
// SRS0=HASH=DAY=DOMAIN=LOCAL stands for LOCAL@DOMAIN; SRS1=HASH=HOST==... for an
// address that HOST, an earlier forwarder, had rewritten: it leads back to HOST
// without growing at each hop. HASH is a part of an HMAC, so that nobody can
// use us to send to third parties; DAY ends its use. Letters are compared
// without their case, since hosts on the way change it. Nothing is stored.
package srs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"
	"time"

	"gomaild/mail"
)

// Why an address does not lead back. ErrNotSRS: deliver it as any other. The
// other two: refuse it for good (550 5.1.1), it was made up or is too old.
var (
	ErrNotSRS  = errors.New("not an SRS address")
	ErrForged  = errors.New("SRS address with a wrong hash")
	ErrExpired = errors.New("SRS address is too old")
)

const (
	hashLen = 8    // characters of base32: 40 bits
	days    = 1024 // before DAY comes round
	day     = 24 * time.Hour
)

// Config of a Rewriter. Domain and Secrets are required.
type Config struct {
	Domain  string           // ours, of rewritten addresses
	Secrets [][]byte         // the first signs, all are taken: put a new one in front
	MaxAge  time.Duration    // 0 is 21 days; whole days, below 1024
	Now     func() time.Time // nil is time.Now
}

// Rewriter rewrites and leads back.
type Rewriter struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Rewriter, error) {
	if cfg.MaxAge == 0 {
		cfg.MaxAge = 21 * day
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	domain, err := mail.ParseDomain(cfg.Domain)
	if err != nil {
		return nil, fmt.Errorf("SRS domain: %w", err)
	}
	cfg.Domain = domain
	if len(cfg.Secrets) == 0 || cfg.MaxAge < day || cfg.MaxAge >= days*day {
		return nil, errors.New("SRS needs a secret, and an age of 1 to 1023 days")
	}
	for _, s := range cfg.Secrets {
		if len(s) < 16 {
			return nil, errors.New("an SRS secret has at least 16 octets")
		}
	}
	return &Rewriter{cfg}, nil
}

// Forward is the reverse-path to forward with. The null reverse-path and our
// own domain stay. An error means that the result would be no address (too
// long): forward with the original.
func (r *Rewriter) Forward(from mail.Address) (mail.Address, error) {
	if from.IsZero() || from.Domain == r.cfg.Domain {
		return from, nil
	}
	local := ""
	if rest, ok := cutPrefix(from.Local, "SRS0"); ok {
		local = r.again(from.Domain, rest)
	} else if host, tail, ok := cutSRS1(from.Local); ok {
		local = r.again(host, tail)
	} else {
		stamp := base32Day(r.cfg.Now())
		rest := stamp + "=" + from.Domain + "=" + from.Local
		local = "SRS0=" + r.hash(r.cfg.Secrets[0], rest) + "=" + rest
	}
	return mail.ParseAddress(mail.Address{Local: local, Domain: r.cfg.Domain}.String())
}

// again is the local part of an SRS1 address for what a forwarder made.
func (r *Rewriter) again(host, tail string) string {
	rest := host + "=" + tail
	return "SRS1=" + r.hash(r.cfg.Secrets[0], rest) + "=" + rest
}

// Reverse is the address that a rewritten one stands for.
func (r *Rewriter) Reverse(to mail.Address) (mail.Address, error) {
	if to.Domain != r.cfg.Domain {
		return mail.Address{}, ErrNotSRS
	}
	if rest, ok := cutPrefix(to.Local, "SRS0"); ok {
		return r.reverse0(rest[1:])
	}
	rest, ok := cutPrefix(to.Local, "SRS1")
	if !ok {
		return mail.Address{}, ErrNotSRS
	}
	signed, err := r.check(rest[1:])
	if err != nil {
		return mail.Address{}, err
	}
	host, tail, ok := strings.Cut(signed, "=")
	if !ok {
		return mail.Address{}, ErrForged
	}
	return build("SRS0"+tail, host)
}

func (r *Rewriter) reverse0(s string) (mail.Address, error) {
	signed, err := r.check(s)
	if err != nil {
		return mail.Address{}, err
	}
	stamp, rest, _ := strings.Cut(signed, "=")
	domain, local, ok := strings.Cut(rest, "=")
	made, isDay := dayOf(stamp)
	if !ok || !isDay {
		return mail.Address{}, ErrForged
	}
	today := int(r.cfg.Now().Unix()/int64(day/time.Second)) % days
	if age := (today - made + days) % days; age > int(r.cfg.MaxAge/day) {
		return mail.Address{}, ErrExpired
	}
	return build(local, domain)
}

// check takes the hash from the head of s and returns what it signs.
func (r *Rewriter) check(s string) (signed string, err error) {
	hash, signed, ok := strings.Cut(s, "=")
	if !ok || len(hash) != hashLen {
		return "", ErrForged
	}
	for _, secret := range r.cfg.Secrets {
		if hmac.Equal([]byte(strings.ToUpper(hash)), []byte(r.hash(secret, signed))) {
			return signed, nil
		}
	}
	return "", ErrForged
}

func (r *Rewriter) hash(secret []byte, s string) string {
	m := hmac.New(sha256.New, secret)
	m.Write([]byte(mail.FoldASCII(s))) // a Hash never fails
	return base32.StdEncoding.EncodeToString(m.Sum(nil))[:hashLen]
}

func build(local, domain string) (mail.Address, error) {
	a, err := mail.ParseAddress(mail.Address{Local: local, Domain: domain}.String())
	if err != nil {
		return mail.Address{}, fmt.Errorf("%w: %w", ErrForged, err)
	}
	return a, nil
}

// cutPrefix takes SRS0 or SRS1 away and leaves the separator, one of = + -.
func cutPrefix(local, prefix string) (rest string, ok bool) {
	if len(local) <= len(prefix) || !strings.EqualFold(local[:len(prefix)], prefix) {
		return "", false
	}
	rest = local[len(prefix):]
	return rest, strings.IndexByte("=+-", rest[0]) >= 0
}

// cutSRS1 takes an SRS1 local part of another forwarder apart.
func cutSRS1(local string) (host, tail string, ok bool) {
	rest, ok := cutPrefix(local, "SRS1")
	if !ok {
		return "", "", false
	}
	_, rest, ok = strings.Cut(rest[1:], "=")
	if !ok {
		return "", "", false
	}
	host, tail, ok = strings.Cut(rest, "=")
	return host, tail, ok && host != "" && tail != ""
}

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

// base32Day is the day of t, modulo 1024, in two digits.
func base32Day(t time.Time) string {
	n := int(t.Unix()/int64(day/time.Second)) % days
	return string([]byte{digits[n>>5], digits[n&31]})
}

func dayOf(stamp string) (int, bool) {
	if len(stamp) != 2 {
		return 0, false
	}
	stamp = strings.ToUpper(stamp)
	high, low := strings.IndexByte(digits, stamp[0]), strings.IndexByte(digits, stamp[1])
	return high<<5 | low, high >= 0 && low >= 0
}
