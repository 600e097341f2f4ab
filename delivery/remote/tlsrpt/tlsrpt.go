// Package tlsrpt counts how TLS went with mail exchangers of others, writes the
// reports that their domains ask for (RFC 8460), and posts those that go by HTTPS.
//
// A day is one of UTC. Counts are in memory; Save and Load carry them over a
// restart or a failover, and what is lost in a crash is a day's numbers at most.
// Bounds: so many domains, and so many kinds of failure of each, as the constants
// say; what is above them is not counted.
package tlsrpt

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what is counted.
const (
	maxDomains  = 10_000
	maxFailures = 100 // kinds of failure of one domain and policy
	maxReason   = 200 // octets of a reason
)

// Result is one attempt to speak TLS with a host of a domain.
type Result struct {
	Domain   string
	Policy   string   // "sts", "tlsa" or "no-policy-found"
	Lines    []string // of the policy
	MX       []string // host patterns of the policy
	Host     string
	HostAddr string
	Failure  string // a result type of section 4.3, "" for a success
	Reason   string
}

// Counter counts. It is safe for concurrent use.
type Counter struct {
	mu   sync.Mutex // guards the fields below
	days map[string]map[string]*domain
}

// domain is what is known of one domain on one day, by kind of policy.
type domain struct {
	Policies map[string]*policy
}

type policy struct {
	Lines     []string
	MX        []string
	Successes int64
	Failures  map[failure]int64 `json:"-"`
	Saved     []savedFailure    `json:"Failures"`
}

type failure struct{ Type, Host, Addr, Reason string }

type savedFailure struct {
	failure
	Count int64
}

// New makes a Counter.
func New() *Counter { return &Counter{days: map[string]map[string]*domain{}} }

// day is the key of a day.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Add counts a result at a time.
func (c *Counter) Add(now time.Time, r Result) {
	c.mu.Lock()
	defer c.mu.Unlock()
	domains := c.days[day(now)]
	if domains == nil {
		domains = map[string]*domain{}
		c.days[day(now)] = domains
	}
	d := domains[r.Domain]
	if d == nil {
		if len(domains) >= maxDomains {
			return
		}
		d = &domain{Policies: map[string]*policy{}}
		domains[r.Domain] = d
	}
	p := d.Policies[r.Policy]
	if p == nil {
		p = &policy{Failures: map[failure]int64{}}
		d.Policies[r.Policy] = p
	}
	p.Lines, p.MX = r.Lines, r.MX
	if r.Failure == "" {
		p.Successes++
		return
	}
	f := failure{r.Failure, r.Host, r.HostAddr, r.Reason[:min(len(r.Reason), maxReason)]}
	if _, known := p.Failures[f]; known || len(p.Failures) < maxFailures {
		p.Failures[f]++
	}
}

// Due are the days before now that have counts, oldest first, each with its
// domains.
func (c *Counter) Due(now time.Time) (days []string, domains map[string][]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	domains = map[string][]string{}
	for key, list := range c.days {
		if key >= day(now) {
			continue
		}
		days = append(days, key)
		for name := range list {
			domains[key] = append(domains[key], name)
		}
		slices.Sort(domains[key])
	}
	slices.Sort(days)
	return days, domains
}

// Drop forgets a domain of a day: it was reported, or wants no report.
func (c *Counter) Drop(key, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.days[key], name); len(c.days[key]) == 0 {
		delete(c.days, key)
	}
}

// Save is the counts for Load.
func (c *Counter) Save() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, domains := range c.days {
		for _, d := range domains {
			for _, p := range d.Policies {
				p.Saved = nil
				for f, n := range p.Failures {
					p.Saved = append(p.Saved, savedFailure{f, n})
				}
			}
		}
	}
	return json.Marshal(c.days)
}

// Load takes what Save gave, in the place of all counts.
func (c *Counter) Load(data []byte) error {
	var days map[string]map[string]*domain
	if err := json.Unmarshal(data, &days); err != nil {
		return fmt.Errorf("counts for TLS reports: %w", err)
	}
	kept := map[string]map[string]*domain{}
	for key, domains := range days {
		if _, err := time.Parse(time.DateOnly, key); err != nil {
			continue
		}
		for name, d := range domains {
			if d == nil || len(kept[key]) >= maxDomains {
				continue
			}
			for kind, p := range d.Policies {
				if p == nil {
					delete(d.Policies, kind)
					continue
				}
				p.Failures = map[failure]int64{}
				for _, f := range p.Saved {
					p.Failures[f.failure] = f.Count
				}
			}
			if d.Policies == nil {
				continue
			}
			if kept[key] == nil {
				kept[key] = map[string]*domain{}
			}
			kept[key][name] = d
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.days = kept
	return nil
}

// ErrNone means that there is nothing to report.
var ErrNone = errors.New("nothing to report")

// Sender is who reports.
type Sender struct {
	Organization string // our name
	Contact      string // mail address
	Addr         string // address that our connections come from, "" where it is not known
}

// The JSON of section 4.4.
type (
	report struct {
		Organization string         `json:"organization-name"`
		Range        dateRange      `json:"date-range"`
		Contact      string         `json:"contact-info"`
		ID           string         `json:"report-id"`
		Policies     []policyReport `json:"policies"`
	}
	dateRange struct {
		Start string `json:"start-datetime"`
		End   string `json:"end-datetime"`
	}
	policyReport struct {
		Policy   policyText       `json:"policy"`
		Summary  summary          `json:"summary"`
		Failures []failureDetails `json:"failure-details,omitempty"`
	}
	policyText struct {
		Type   string   `json:"policy-type"`
		Lines  []string `json:"policy-string,omitempty"`
		Domain string   `json:"policy-domain"`
		MX     []string `json:"mx-host,omitempty"`
	}
	summary struct {
		Successes int64 `json:"total-successful-session-count"`
		Failures  int64 `json:"total-failure-session-count"`
	}
	failureDetails struct {
		Type   string `json:"result-type"`
		From   string `json:"sending-mta-ip,omitempty"`
		Host   string `json:"receiving-mx-hostname,omitempty"`
		Addr   string `json:"receiving-ip,omitempty"`
		Count  int64  `json:"failed-session-count"`
		Reason string `json:"failure-reason-code,omitempty"`
	}
)

// JSON is the report about a domain of a day, with its ID. ErrNone.
func (c *Counter) JSON(s Sender, key, name string) (text []byte, id string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := c.days[key][name]
	if d == nil || len(d.Policies) == 0 {
		return nil, "", ErrNone
	}
	id = key + "T00:00:00Z_" + name + "_" + rand.Text() + "@" + s.Organization
	r := report{Organization: s.Organization, Contact: s.Contact, ID: id, Range: dateRange{key + "T00:00:00Z", key + "T23:59:59Z"}}
	kinds := make([]string, 0, len(d.Policies))
	for kind := range d.Policies {
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		p := d.Policies[kind]
		one := policyReport{Policy: policyText{kind, p.Lines, name, p.MX}, Summary: summary{Successes: p.Successes}}
		for f, n := range p.Failures {
			one.Summary.Failures += n
			one.Failures = append(one.Failures, failureDetails{f.Type, s.Addr, f.Host, f.Addr, n, f.Reason})
		}
		slices.SortFunc(one.Failures, func(a, b failureDetails) int {
			return cmp.Or(strings.Compare(a.Type, b.Type), strings.Compare(a.Host, b.Host), strings.Compare(a.Addr, b.Addr), strings.Compare(a.Reason, b.Reason))
		})
		r.Policies = append(r.Policies, one)
	}
	text, err = json.Marshal(r)
	return text, id, err
}

// Bounds of what one domain may ask for.
const (
	maxMail  = 10 // mail addresses
	maxPosts = 3  // HTTPS URIs, each of which may be silent for a while
)

// Recipients are the mail addresses and the HTTPS URIs that a domain's TXT records
// at _smtp._tls name (section 3), at most ten and three; none where there is no
// record or more than one.
func Recipients(records []string) (mail, posts []string) {
	var found []string
	for _, r := range records {
		first, _, _ := strings.Cut(r, ";")
		if strings.TrimSpace(first) == "v=TLSRPTv1" {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		return nil, nil
	}
	for field := range strings.SplitSeq(found[0], ";") {
		uris, ok := strings.CutPrefix(strings.TrimSpace(field), "rua=")
		if !ok {
			continue
		}
		for uri := range strings.SplitSeq(uris, ",") {
			uri = strings.TrimSpace(uri)
			scheme, rest, _ := strings.Cut(uri, ":")
			switch scheme = strings.ToLower(scheme); {
			case scheme == "mailto" && len(mail) < maxMail:
				rest, _, _ = strings.Cut(rest, "?")
				mail = append(mail, rest)
			case scheme == "https" && len(posts) < maxPosts:
				posts = append(posts, uri)
			}
		}
	}
	return mail, posts
}

// postWait is for one Post.
const postWait = time.Minute

// Post brings a report to an HTTPS URI (section 5.4). The transport decides which
// hosts may be spoken to; a redirect is not followed. Errors are those of the way
// and answers other than 2xx; the report may be posted again.
func Post(ctx context.Context, through http.RoundTripper, uri string, text []byte) error {
	packed, err := pack(text)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, postWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, uri, bytes.NewReader(packed))
	if err != nil {
		return err
	}
	if request.URL.Scheme != "https" || request.URL.Host == "" {
		return fmt.Errorf("%.100q is no HTTPS URI", uri)
	}
	request.Header.Set("Content-Type", "application/tlsrpt+gzip")
	client := http.Client{Transport: through, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = answer.Body.Close() // nobody reads what it says
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s answers %s", request.URL.Host, answer.Status)
	}
	return nil
}

func pack(text []byte) ([]byte, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// Message is a report as mail (section 5.3), in wire form.
func Message(s Sender, to, key, name, id string, text []byte, now time.Time) ([]byte, error) {
	packed, err := pack(text)
	if err != nil {
		return nil, err
	}
	start, err := time.Parse(time.DateOnly, key)
	if err != nil {
		return nil, err
	}
	file := fmt.Sprintf("%s!%s!%d!%d.json.gz", s.Organization, name, start.Unix(), start.Unix()+24*3600-1)
	boundary := rand.Text()
	var b strings.Builder
	line := func(parts ...string) { b.WriteString(strings.Join(parts, "") + "\r\n") }
	line("From: <", s.Contact, ">")
	line("To: <", to, ">")
	line("Date: ", now.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	line("Subject: Report Domain: ", name, " Submitter: ", s.Organization, "\r\n Report-ID: <", id, ">")
	line("Message-ID: <", rand.Text(), "@", s.Organization, ">")
	line("TLS-Report-Domain: ", name)
	line("TLS-Report-Submitter: ", s.Organization)
	line("TLS-Required: No")
	line("Auto-Submitted: auto-generated")
	line("MIME-Version: 1.0")
	line(`Content-Type: multipart/report; report-type="tlsrpt"; boundary="`, boundary, `"`)
	line()
	line("--", boundary)
	line("Content-Type: text/plain; charset=us-ascii")
	line()
	line("This is an aggregate TLS report of ", s.Organization, " about ", name, " for ", key, ".")
	line()
	line("--", boundary)
	line("Content-Type: application/tlsrpt+gzip")
	line("Content-Transfer-Encoding: base64")
	line(`Content-Disposition: attachment; filename="`, file, `"`)
	line()
	coded := base64.StdEncoding.EncodeToString(packed)
	for len(coded) > 76 {
		line(coded[:76])
		coded = coded[76:]
	}
	line(coded)
	line("--", boundary, "--")
	return []byte(b.String()), nil
}
