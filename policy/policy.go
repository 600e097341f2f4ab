// Package policy judges strangers: checks of a client, of what it says of
// itself, of the sender, of a recipient and of the content, in one list whose
// order the administrator sees and sets. Names are those of Postfix's
// restrictions where Postfix has them.
//
// Rules. A check refuses with a *mail.Status or has nothing against it. What
// cannot be found out because the DNS does not answer refuses nothing for good:
// it is 450, or nothing at all where the check is about a reputation. Users who
// have logged in and trusted networks are not judged.
package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"gomaild/mail"
	"gomaild/policy/rate"
	"gomaild/policy/spf"
)

// Resolver is the part of the DNS that checks need; *net.Resolver is one. A
// name that does not exist is a *net.DNSError with IsNotFound; every other
// error is a fault.
type Resolver interface {
	LookupTXT(ctx context.Context, name string) ([]string, error)
	LookupMX(ctx context.Context, name string) ([]*net.MX, error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) // "ip", "ip4" or "ip6"
	LookupAddr(ctx context.Context, addr string) ([]string, error)
}

// Config is what a Policy is made of. Hostname and Resolver are required.
type Config struct {
	Hostname string   // our name in Authentication-Results
	Checks   []string // in the order in which they are made; see Names
	Resolver Resolver

	DNSBL          []List // for reject_rbl_client
	DNSBLThreshold int    // sum of weights that refuses; default 1

	Greylist      Greylist      // for greylist; required there
	GreylistDelay time.Duration // default 5 min

	Services []Service // for check_policy_service, asked in order
	// WithoutService says what is said in place of a service that does not answer;
	// with nil it has nothing against it. Default: the recipient is put off.
	WithoutService func(err error) error

	// ARCTrusted are the domains of forwarders that are believed about what a
	// message was before they changed it: DMARC that failed refuses nothing where
	// one of them saw it pass. It needs the check arc.
	ARCTrusted []string

	Rates     Rates       // counted before Checks, as far as there are limits
	RateTable *rate.Table // what was counted; a new one if nil

	DNSTimeout time.Duration // for one check; default 10 s
	Logger     *slog.Logger
	Now        func() time.Time
	// Sample chooses the messages that a DMARC record with pct= wants treated:
	// a number from 0 to 99. Default: by the time.
	Sample func() int
}

// Policy holds the checks. It is safe for concurrent use.
type Policy struct {
	cfg    Config
	log    *slog.Logger
	checks []check
}

// stage is when a check can be made.
type stage uint8

const (
	atConnect stage = iota
	atMail
	atRecipient
	atContent
)

// check is a row of the table.
type check struct {
	name  string
	stage stage
	run   func(p *Policy, ctx context.Context, j *Judge) error // nil for those of the content
}

// table is all checks that there are.
var table = []check{
	{"reject_unknown_reverse_client_hostname", atMail, (*Policy).reverseClient},
	{"reject_unknown_client_hostname", atMail, (*Policy).client},
	{"reject_rbl_client", atMail, (*Policy).rblClient},
	{"reject_unauth_pipelining", atMail, (*Policy).unauthPipelining},
	{"reject_invalid_helo_hostname", atMail, (*Policy).invalidHelo},
	{"reject_non_fqdn_helo_hostname", atMail, (*Policy).nonFQDNHelo},
	{"reject_unknown_helo_hostname", atMail, (*Policy).unknownHelo},
	{"reject_non_fqdn_sender", atMail, (*Policy).nonFQDNSender},
	{"reject_unknown_sender_domain", atMail, (*Policy).unknownSender},
	{"spf", atMail, (*Policy).spf},
	{"reject_spf_fail", atMail, (*Policy).spfFail},
	{"reject_non_fqdn_recipient", atRecipient, (*Policy).nonFQDNRecipient},
	{"check_policy_service", atRecipient, (*Policy).policyService},
	{"greylist", atRecipient, (*Policy).greylist},
	{"dkim", atContent, nil},
	{"arc", atContent, nil},
	{"dmarc", atContent, nil},
	{"reject_dmarc", atContent, nil},
}

// rates are the checks that are made without being asked for, before all
// others: they cost nothing, and refuse nobody where no limit is set.
var rates = []check{
	{"connection_rate", atConnect, (*Policy).connectionRate},
	{"message_rate", atMail, (*Policy).messageRate},
	{"recipient_rate", atRecipient, (*Policy).recipientRate},
}

// Names are the checks that Config.Checks may name.
func Names() []string {
	names := make([]string, len(table))
	for i, c := range table {
		names[i] = c.name
	}
	return names
}

// RateNames are the checks of rates, of strangers and of users, as a Refusal
// names them.
func RateNames() []string {
	names := []string{accountMessages, accountRecipients}
	for _, c := range rates {
		names = append(names, c.name)
	}
	return names
}

// New is a Policy. The error names a check that there is not.
func New(c Config) (*Policy, error) {
	if c.DNSTimeout <= 0 {
		c.DNSTimeout = 10 * time.Second
	}
	if c.GreylistDelay <= 0 {
		c.GreylistDelay = 5 * time.Minute
	}
	if c.DNSBLThreshold <= 0 {
		c.DNSBLThreshold = 1
	}
	if c.WithoutService == nil {
		c.WithoutService = func(err error) error { return errService.WithCause(err) }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Sample == nil {
		c.Sample = func() int { return int(c.Now().UnixNano()/1000) % 100 }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.RateTable == nil {
		c.RateTable = rate.NewTable(0)
	}
	p := &Policy{cfg: c, log: c.Logger, checks: slices.Clone(rates)}
	for _, name := range c.Checks {
		row, ok := find(name)
		if !ok {
			return nil, fmt.Errorf("%q is not a check", name)
		}
		p.checks = append(p.checks, row)
	}
	return p, nil
}

func find(name string) (check, bool) {
	for _, c := range table {
		if c.name == name {
			return c, true
		}
	}
	return check{}, false
}

// has reports that one of the checks is asked for.
func (p *Policy) has(names ...string) bool {
	for _, c := range p.checks {
		for _, n := range names {
			if c.name == n {
				return true
			}
		}
	}
	return false
}

// Connect makes the checks of a client that has said nothing yet. The error,
// a Refusal, sends it away.
func (p *Policy) Connect(ctx context.Context, client netip.Addr) error {
	j := &Judge{Query: Query{Client: client}, p: p}
	return j.run(ctx, atConnect)
}

// Query is what is known of a stranger at MAIL.
type Query struct {
	Client netip.Addr // zero for a unix socket
	Helo   string
	From   mail.ReversePath

	// For policy services.
	Protocol string // "ESMTP"
	Instance string // tells this message from others
	Size     int64  // octets, as MAIL announced it; 0 if it did not

	Ahead bool // it sent more before the reply to MAIL, and was not offered PIPELINING
}

// Judge judges one message, from MAIL on. It belongs to one transaction.
type Judge struct {
	Query
	p   *Policy
	to  mail.Address // in a check of a recipient
	spf *spf.Verdict // nil before it was asked for

	prepended string // fields of policy services
}

// Begin makes the checks of MAIL. The error, a Refusal, refuses the sender.
func (p *Policy) Begin(ctx context.Context, q Query) (*Judge, error) {
	j := &Judge{Query: q, p: p}
	return j, j.run(ctx, atMail)
}

// Recipient makes the checks of RCPT. The error, a Refusal, refuses the
// recipient.
func (j *Judge) Recipient(ctx context.Context, to mail.Address) error {
	j.to = to
	return j.run(ctx, atRecipient)
}

// Refusal is what a check has to say: a *mail.Status, and who says it.
type Refusal struct {
	Check string // one of Names, or a rate's
	Err   error
}

func (r *Refusal) Error() string { return r.Check + ": " + r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

func (j *Judge) run(ctx context.Context, at stage) error {
	for _, c := range j.p.checks {
		if c.stage != at {
			continue
		}
		err := c.within(ctx, j)
		if errors.Is(err, errPermit) {
			return nil
		}
		if err != nil {
			return &Refusal{c.name, err}
		}
	}
	return nil
}

// within makes one check in its time.
func (c check) within(ctx context.Context, j *Judge) error {
	ctx, cancel := context.WithTimeout(ctx, j.p.cfg.DNSTimeout)
	defer cancel()
	return c.run(j.p, ctx, j)
}
