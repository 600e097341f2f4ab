// Package mtasts keeps the policies of MTA-STS (RFC 8461): which hosts may take
// a domain's mail, and that they must show a good certificate.
//
// On disk, one file a domain: the id of the DNS record, when the policy was
// fetched (seconds since 1970), an empty line, and the policy as it came. A
// policy counts until its max_age is over, whatever happens to the DNS record
// or the web server meanwhile: only so does it help against those who block
// them (section 10.2).
package mtasts

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gomaild/mail"
)

// Bounds of a policy (RFC 8461 section 3.2 and 3.3).
const (
	MaxPolicy = 64 * 1024 // octets
	maxHosts  = 100
	maxAge    = 31557600 // seconds, the RFC's own limit
)

// Mode is what to do when no host satisfies the policy.
type Mode string

// The modes.
const (
	Enforce Mode = "enforce" // do not deliver
	Testing Mode = "testing" // deliver
	Off     Mode = "none"
)

// Policy is one domain's policy.
type Policy struct {
	Mode   Mode
	Hosts  []string // patterns: a name, or *.name for one label more
	MaxAge time.Duration
	Lines  []string // as published, for reports
}

// Parse reads a policy (section 3.2). Keys that are unknown are passed over; a
// key that comes twice counts the first time.
func Parse(text string) (Policy, error) {
	if len(text) > MaxPolicy {
		return Policy{}, errors.New("MTA-STS policy is too long")
	}
	var p Policy
	seen := map[string]string{}
	for line := range strings.SplitSeq(text, "\n") {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\r"), ":")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok {
			continue
		}
		p.Lines = append(p.Lines, key+": "+value)
		if _, twice := seen[key]; !twice {
			seen[key] = value
		}
		if key != "mx" {
			continue
		}
		host, err := parsePattern(value)
		if err != nil {
			return Policy{}, err
		}
		if p.Hosts = append(p.Hosts, host); len(p.Hosts) > maxHosts {
			return Policy{}, errors.New("MTA-STS policy has too many hosts")
		}
	}
	return p, p.fill(seen)
}

func (p *Policy) fill(seen map[string]string) error {
	if seen["version"] != "STSv1" {
		return errors.New("MTA-STS policy of an unknown version")
	}
	age, err := strconv.ParseUint(seen["max_age"], 10, 32)
	if err != nil {
		return fmt.Errorf("max_age of an MTA-STS policy: %w", err)
	}
	p.MaxAge = time.Duration(min(age, maxAge)) * time.Second
	switch p.Mode = Mode(seen["mode"]); {
	case p.Mode != Enforce && p.Mode != Testing && p.Mode != Off:
		return fmt.Errorf("MTA-STS policy of the unknown mode %.20q", seen["mode"])
	case p.Mode != Off && len(p.Hosts) == 0:
		return errors.New("MTA-STS policy without hosts")
	}
	return nil
}

func parsePattern(s string) (string, error) {
	name, wild := strings.CutPrefix(s, "*.")
	name, err := mail.ParseDomain(name)
	if err != nil {
		return "", fmt.Errorf("host of an MTA-STS policy: %w", err)
	}
	if wild {
		return "*." + name, nil
	}
	return name, nil
}

// Allows reports whether a host, in lower case, may take the mail (section
// 4.1).
func (p Policy) Allows(host string) bool {
	_, parent, _ := strings.Cut(host, ".")
	for _, h := range p.Hosts {
		if h == host || parent != "" && h == "*."+parent {
			return true
		}
	}
	return false
}

// parseRecord is the id of a domain's one TXT record (section 3.1), "" where
// there is none or more than one.
func parseRecord(list []string) (id string) {
	found := 0
	for _, s := range list {
		first, rest, _ := strings.Cut(s, ";")
		if strings.TrimSpace(first) != "v=STSv1" {
			continue
		}
		found++
		for field := range strings.SplitSeq(rest, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(field), "id="); ok && isID(v) && id == "" {
				id = v
			}
		}
	}
	if found != 1 {
		return ""
	}
	return id
}

func isID(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 32
}
