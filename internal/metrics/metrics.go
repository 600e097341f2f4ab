// Package metrics counts, for Prometheus. What happens to mail and logins is
// counted from the events of the log (mail.EventAccepted and the others), so
// that a count is always the number of lines, and the packages where it happens
// know nothing of it. Labels come from small fixed sets, never from clients: a
// value that is not in its set is counted as "other".
package metrics

import (
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// other stands for whatever is not in the set of a label.
const other = "other"

// Config holds the sets of labels that others know.
type Config struct {
	Version   string   // of gomaild
	Listeners []string // types of listeners
	Checks    []string // names of checks that refuse
}

// Metrics is a registry and what counts into it. It is safe for concurrent use.
type Metrics struct {
	cfg Config
	reg *prometheus.Registry

	connections *prometheus.CounterVec
	open        *prometheus.GaugeVec
	turnedAway  *prometheus.CounterVec
	messages    *prometheus.CounterVec
	octets      *prometheus.CounterVec
	delay       *prometheus.HistogramVec
	recipients  *prometheus.CounterVec
	refusals    *prometheus.CounterVec
	checks      *prometheus.CounterVec
	logins      *prometheus.CounterVec
	records     *prometheus.CounterVec
}

// New makes a registry of its own.
func New(c Config) *Metrics {
	m := &Metrics{cfg: c, reg: prometheus.NewRegistry()}
	m.connections = m.counter("connections_total", "Connections taken.", "listener")
	m.open = prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "connections_open", Help: "Connections that are open."}, []string{"listener"})
	m.turnedAway = m.counter("connections_refused_total", "Connections refused because of a limit (total, client).", "limit")
	m.messages = m.counter("messages_accepted_total", "Messages that became ours, by the way they came in.", "way")
	m.octets = m.counter("messages_accepted_octets_total", "Octets of messages that became ours.", "way")
	m.delay = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: namespace, Name: "accept_seconds", Help: "Time from MAIL to the reply that makes a message ours.",
		Buckets: prometheus.ExponentialBuckets(0.002, 4, 9),
	}, []string{"way"})
	m.recipients = m.counter("recipients_total", "What became of recipients: delivered, queued, discarded, deferred (an attempt of the queue), bounced.", "result", "way")
	m.refusals = m.counter("refusals_total", "Replies of ours that refuse: deferred (4xx) or rejected (5xx), at a stage of the session.", "result", "stage")
	m.checks = m.counter("check_refusals_total", "Refusals by the check or limit that asked for them.", "check")
	m.logins = m.counter("logins_total", "Logins: login, refused, unavailable.", "result", "protocol")
	m.records = m.counter("log_records_total", "Lines of the log that somebody should read.", "level")
	m.reg.MustRegister(m.open, m.delay,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Name: "build_info", Help: "1, with the version."}, []string{"version"})
	info.WithLabelValues(c.Version).Set(1)
	m.reg.MustRegister(info)
	return m
}

const namespace = "gomaild"

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Name: name, Help: help}, labels)
	m.reg.MustRegister(v)
	return v
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
	m.connections.WithLabelValues(label).Inc()
	open := m.open.WithLabelValues(label)
	open.Inc()
	return open.Dec
}

// Gauge shows what value says each time somebody asks; it must not block. name
// is without the namespace and has its unit at the end.
func (m *Metrics) Gauge(name, help string, value func() float64) {
	m.reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help}, value))
}

// maxScrapes bounds how many may ask at the same time.
const maxScrapes = 4

// Page is the page with all metrics.
func (m *Metrics) Page() http.Handler {
	return promhttp.HandlerFor(m.reg, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
}
