package mtasts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"gomaild/internal/dns"
	"gomaild/internal/durable"
	"gomaild/mail"
)

// fetchWait is for a whole policy (section 3.3 says a minute).
const fetchWait = time.Minute

// After a policy could not be had the web server is left alone for a while, so
// that one that is silent does not hold up every message (section 3.3).
const (
	retryAfter  = 5 * time.Minute
	maxFailures = 1000 // domains that are remembered
)

// Why a policy that a domain publishes could not be had.
var (
	errFailedBefore = errors.New("MTA-STS policy could not be had a moment ago")
	errFetch        = errors.New("fetch MTA-STS policy")
	errInvalid      = errors.New("MTA-STS policy cannot be read")
)

// FailureType is what an error of Cache.Policy is in a report about TLS, a result
// type of RFC 8460 section 4.3.2.2; "" where nothing is known of a policy.
func FailureType(err error) string {
	_, isPKI := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.Is(err, errInvalid):
		return "sts-policy-invalid"
	case isPKI:
		return "sts-webpki-invalid"
	case errors.Is(err, errFetch):
		return "sts-policy-fetch-error"
	}
	return ""
}

// Config of a Cache. All but HTTP is required.
type Config struct {
	Resolver dns.Resolver
	FS       durable.FS   // a directory for the policies alone
	HTTP     *http.Client // for its transport; nil is the default transport
}

// Cache finds policies.
type Cache struct {
	cfg  Config
	http http.Client

	mu     sync.Mutex
	failed map[string]failure // by domain
}

// failure is a fetch that failed.
type failure struct {
	at  time.Time
	err error
}

// New makes a Cache.
func New(cfg Config) *Cache {
	c := &Cache{cfg: cfg, failed: map[string]failure{}}
	if cfg.HTTP != nil {
		c.http = *cfg.HTTP
	}
	// Section 3.3: a redirect is no policy.
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// stored is a policy on disk.
type stored struct {
	id     string
	at     time.Time
	text   string
	policy Policy
}

// Policy is the policy of a domain that counts now, and false where it has
// none. err tells why a new one could not be had or kept; the answer is good
// in any case, since what is stored goes on to count.
func (c *Cache) Policy(ctx context.Context, domain string) (p Policy, ok bool, err error) {
	if d, err := mail.ParseDomain(domain); err != nil || d != domain || strings.HasPrefix(domain, "[") {
		return Policy{}, false, err
	}
	old, found := c.load(domain)
	txt, err := dns.LookupTXT(ctx, c.cfg.Resolver, "_mta-sts."+domain)
	id := parseRecord(txt)
	if err != nil || id == "" || found && id == old.id {
		if dns.IsNone(err) {
			err = nil
		}
		return old.policy, found, err
	}
	if err := c.failedLately(domain); err != nil {
		return old.policy, found, err
	}
	s, err := c.fetch(ctx, domain, id)
	if err != nil {
		c.noteFailure(domain, err)
		return old.policy, found, err
	}
	return s.policy, true, c.store(domain, s)
}

func (c *Cache) failedLately(domain string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f, ok := c.failed[domain]; ok && time.Since(f.at) < retryAfter {
		return fmt.Errorf("%w: %w", errFailedBefore, f.err)
	}
	return nil
}

func (c *Cache) noteFailure(domain string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.failed) >= maxFailures {
		clear(c.failed) // costs a fetch too many, never a policy
	}
	c.failed[domain] = failure{time.Now(), err}
}

func (c *Cache) fetch(ctx context.Context, domain, id string) (stored, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mta-sts."+domain+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return stored{}, err
	}
	res, err := c.http.Do(req)
	if err != nil {
		return stored{}, fmt.Errorf("%w: %w", errFetch, err)
	}
	defer res.Body.Close()
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if res.StatusCode != http.StatusOK || kind != "text/plain" {
		return stored{}, fmt.Errorf("%w of %s: status %d, type %.40q", errFetch, domain, res.StatusCode, kind)
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, MaxPolicy+1))
	if err != nil {
		return stored{}, fmt.Errorf("%w: %w", errFetch, err)
	}
	p, err := Parse(string(text))
	if err != nil {
		return stored{}, fmt.Errorf("%w: %w", errInvalid, err)
	}
	return stored{id: id, at: time.Now(), text: string(text), policy: p}, nil
}

func (c *Cache) store(domain string, s stored) error {
	head := s.id + "\n" + strconv.FormatInt(s.at.Unix(), 10) + "\n\n"
	if err := durable.WriteFile(c.cfg.FS, domain, []byte(head+s.text), 0o600); err != nil {
		return fmt.Errorf("keep MTA-STS policy of %s: %w", domain, err)
	}
	return nil
}

// load is the stored policy if it still counts. What cannot be read is as if
// it were not there: it is fetched again.
func (c *Cache) load(domain string) (stored, bool) {
	data, err := durable.ReadFile(c.cfg.FS, domain)
	if err != nil || len(data) > MaxPolicy+100 {
		return stored{}, false
	}
	head, text, ok := strings.Cut(string(data), "\n\n")
	id, seconds, _ := strings.Cut(head, "\n")
	at, err := strconv.ParseInt(seconds, 10, 64)
	if !ok || err != nil {
		return stored{}, false
	}
	p, err := Parse(text)
	s := stored{id: id, at: time.Unix(at, 0), text: text, policy: p}
	return s, err == nil && time.Since(s.at) < p.MaxAge
}
