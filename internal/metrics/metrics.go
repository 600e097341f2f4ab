// Package metrics counts, for Prometheus. What happens to mail and logins is
// counted from the events of the log (mail.EventAccepted and the others), so
// that a count is always the number of lines, and the packages where it happens
// know nothing of it. Labels come from small fixed sets, never from clients: a
// value that is not in its set is counted as "other".
//
// The library is one whose packages do little before main: `gomaild deliver`
// starts for each message and counts nothing
// (docs/decisions/0011-light-metrics.md).
package metrics

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/VictoriaMetrics/metrics"
)

// other stands for whatever is not in the set of a label.
const other = "other"

// namespace begins the name of each metric of ours.
const namespace = "gomaild_"

// Config holds the sets of labels that others know.
type Config struct {
	Version   string   // of gomaild
	Listeners []string // types of listeners
	Checks    []string // names of checks that refuse
}

// Metrics is a registry and what counts into it. It is safe for concurrent use.
type Metrics struct {
	cfg Config

	mu       sync.Mutex
	families []*family

	connections, open, turnedAway        *family
	messages, octets, delay              *family
	recipients, refusals, checks, logins *family
	records                              *family
}

// delayBounds are the upper bounds of accept_seconds: 2 ms, and four times as
// much each.
func delayBounds() []float64 { return metrics.ExponentialBuckets(0.002, 4, 9) }

// New makes a registry of its own.
func New(c Config) *Metrics {
	m := &Metrics{cfg: c}
	m.connections = m.family("connections_total", "counter", "Connections taken.", "listener")
	m.open = m.family("connections_open", "gauge", "Connections that are open.", "listener")
	m.turnedAway = m.family("connections_refused_total", "counter", "Connections refused because of a limit (total, client).", "limit")
	m.messages = m.family("messages_accepted_total", "counter", "Messages that became ours, by the way they came in.", "way")
	m.octets = m.family("messages_accepted_octets_total", "counter", "Octets of messages that became ours.", "way")
	m.delay = m.family("accept_seconds", "histogram", "Time from MAIL to the reply that makes a message ours.", "way")
	m.recipients = m.family("recipients_total", "counter", "What became of recipients: delivered, queued, discarded, deferred (an attempt of the queue), bounced.", "result", "way")
	m.refusals = m.family("refusals_total", "counter", "Replies of ours that refuse: deferred (4xx) or rejected (5xx), at a stage of the session.", "result", "stage")
	m.checks = m.family("check_refusals_total", "counter", "Refusals by the check or limit that asked for them.", "check")
	m.logins = m.family("logins_total", "counter", "Logins: login, refused, unavailable.", "protocol", "result")
	m.records = m.family("log_records_total", "counter", "Lines of the log that somebody should read.", "level")
	m.family("build_info", "gauge", "1, with the version.", "version").gauge(c.Version).Set(1)
	return m
}

// family is all metrics of one name. The library writes the values; it has no
// text for HELP, so each family is a set of its own.
type family struct {
	name, kind, help string
	labels           []string
	set              *metrics.Set
}

func (m *Metrics) family(name, kind, help string, labels ...string) *family {
	f := &family{name: namespace + name, kind: kind, help: help, labels: labels, set: metrics.NewSet()}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.families = append(m.families, f)
	return f
}

// metric is the name with the values of the labels, in the order of family.
func (f *family) metric(values ...string) string {
	if len(values) == 0 {
		return f.name
	}
	var b strings.Builder
	b.WriteString(f.name)
	separator := byte('{')
	for i, v := range values {
		b.WriteByte(separator)
		b.WriteString(f.labels[i])
		b.WriteByte('=')
		b.WriteString(strconv.Quote(v))
		separator = ','
	}
	b.WriteByte('}')
	return b.String()
}

func (f *family) counter(values ...string) *metrics.Counter {
	return f.set.GetOrCreateCounter(f.metric(values...))
}

func (f *family) gauge(values ...string) *metrics.Gauge {
	return f.set.GetOrCreateGauge(f.metric(values...), nil)
}

func (f *family) histogram(bounds []float64, values ...string) *metrics.PrometheusHistogram {
	return f.set.GetOrCreatePrometheusHistogramExt(f.metric(values...), bounds)
}

// write writes the family in the text format of Prometheus; one without values
// is left out.
func (f *family) write(w io.Writer) {
	var values bytes.Buffer
	f.set.WritePrometheus(&values)
	if values.Len() > 0 {
		fmt.Fprintf(w, "# HELP %s %s\n# TYPE %[1]s %[3]s\n%[4]s", f.name, f.help, f.kind, values.Bytes())
	}
}

// oneOf is value if the set has it.
func oneOf(value string, set []string) string {
	if slices.Contains(set, value) {
		return value
	}
	return other
}

// Connected counts a connection to a listener of a type until done is called.
func (m *Metrics) Connected(listener string) (done func()) {
	label := oneOf(listener, m.cfg.Listeners)
	m.connections.counter(label).Inc()
	open := m.open.gauge(label)
	open.Inc()
	return open.Dec
}

// Gauge shows what value says each time somebody asks; it must not block. name
// is without the namespace and has its unit at the end.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	f := m.family(name, "gauge", help)
	f.set.NewGauge(f.name, value)
}

// maxScrapes bounds how many may ask at the same time.
const maxScrapes = 4

// Page is the page with all metrics, those of the process and of the Go runtime
// too.
func (m *Metrics) Page() http.Handler {
	scrapes := make(chan struct{}, maxScrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case scrapes <- struct{}{}:
			defer func() { <-scrapes }()
		default:
			http.Error(w, "others are asking; try again", http.StatusServiceUnavailable)
			return
		}
		var page bytes.Buffer
		m.mu.Lock()
		families := slices.Clone(m.families)
		m.mu.Unlock()
		for _, f := range families {
			f.write(&page)
		}
		metrics.WriteProcessMetrics(&page)
		metrics.WriteFDMetrics(&page)
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_, _ = w.Write(page.Bytes())
	})
}
