package metrics

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"gomaild/mail"
)

// TestEvents holds which line counts as what, and that a label is never what a
// client may choose.
func TestEvents(t *testing.T) {
	t.Parallel()
	m := New(Config{Listeners: []string{"mx"}, Checks: []string{"spf"}})
	log := slog.New(m.Events())
	mx := log.With("session", "S1", "way", "mx", "client", "192.0.2.1")
	mx.Info(mail.EventAccepted, "size", int64(100), "delay", 3*time.Millisecond)
	mx.Info(mail.EventDelivered, "to", "a@x.test")
	mx.Info(mail.EventRejected, "stage", "rcpt", "check", "spf")
	mx.Warn(mail.EventDeferred, "stage", "made up", "check", "made up")
	log.Info(mail.EventDeferred, "queue_id", "1", "attempt", 1)
	log.Info(mail.EventBounced, "queue_id", "1")
	log.Info(mail.EventLogin, "protocol", "imap")
	log.Info(mail.EventLoginRefused, "protocol", "imap")
	log.Error(mail.EventLoginUnavailable, "protocol", "x")
	log.With("listener", "mx").Warn("connection refused", "limit", "client")
	log.WithGroup("g").With("way", "mx").Info(mail.EventAccepted, "way", "mx")
	log.Debug(mail.EventLogin, "protocol", "imap")
	log.Info("whatever", "way", "mx")
	m.Connected("mx")()
	m.Connected("made up")
	m.Gauge("queue_messages", "Messages in the queue.", func() float64 { return 7 })

	page := httptest.NewRecorder()
	m.Page().ServeHTTP(page, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	for _, want := range []string{
		"# HELP gomaild_queue_messages Messages in the queue.\n# TYPE gomaild_queue_messages gauge\ngomaild_queue_messages 7\n",
		"# TYPE gomaild_accept_seconds histogram\ngomaild_accept_seconds_bucket{way=\"mx\",le=\"", "\n# TYPE gomaild_logins_total counter\n",
		"\nprocess_resident_memory_bytes ", "\nprocess_open_fds ", "\ngo_goroutines ",
	} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	got := map[string]bool{}
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "gomaild_") && !strings.Contains(line, "_bucket") && !strings.HasPrefix(line, "gomaild_build") {
			got[strings.TrimSpace(line)] = true
		}
	}
	for _, want := range []string{
		`gomaild_messages_accepted_total{way="mx"} 1`, `gomaild_messages_accepted_octets_total{way="mx"} 100`,
		`gomaild_messages_accepted_total{way="queue"} 1`, `gomaild_messages_accepted_octets_total{way="queue"} 0`,
		`gomaild_accept_seconds_count{way="mx"} 1`, `gomaild_accept_seconds_sum{way="mx"} 0.003`,
		`gomaild_accept_seconds_count{way="queue"} 1`, `gomaild_accept_seconds_sum{way="queue"} 0`,
		`gomaild_recipients_total{result="delivered",way="mx"} 1`, `gomaild_recipients_total{result="deferred",way="queue"} 1`,
		`gomaild_recipients_total{result="bounced",way="queue"} 1`,
		`gomaild_refusals_total{result="rejected",stage="rcpt"} 1`, `gomaild_refusals_total{result="deferred",stage="other"} 1`,
		`gomaild_check_refusals_total{check="spf"} 1`, `gomaild_check_refusals_total{check="other"} 1`,
		`gomaild_logins_total{protocol="imap",result="login"} 1`, `gomaild_logins_total{protocol="imap",result="refused"} 1`,
		`gomaild_logins_total{protocol="other",result="unavailable"} 1`,
		`gomaild_log_records_total{level="warn"} 2`, `gomaild_log_records_total{level="error"} 1`,
		`gomaild_connections_refused_total{limit="client"} 1`,
		`gomaild_connections_total{listener="mx"} 1`, `gomaild_connections_open{listener="mx"} 0`,
		`gomaild_connections_total{listener="other"} 1`, `gomaild_connections_open{listener="other"} 1`,
		`gomaild_queue_messages 7`,
	} {
		if !got[want] {
			t.Errorf("no %s", want)
		}
		delete(got, want)
	}
	for line := range got {
		t.Errorf("also %s", line)
	}
}

// TestScrapes holds how many may ask at the same time.
func TestScrapes(t *testing.T) {
	t.Parallel()
	m := New(Config{})
	asked, answer := make(chan struct{}), make(chan struct{})
	m.Gauge("slow", "A gauge that blocks.", func() float64 {
		asked <- struct{}{}
		<-answer
		return 1
	})
	page := m.Page()
	get := func() int {
		w := httptest.NewRecorder()
		page.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
		return w.Code
	}
	done := make(chan int)
	for range maxScrapes {
		go func() { done <- get() }()
		<-asked
	}
	if code := get(); code != http.StatusServiceUnavailable {
		t.Errorf("one more than may ask heard %d", code)
	}
	close(answer)
	for range maxScrapes {
		if code := <-done; code != http.StatusOK {
			t.Errorf("one of those that may ask heard %d", code)
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	m := New(Config{})
	log := slog.New(m.Events())
	b.ReportAllocs()
	for b.Loop() {
		log.With("session", "S1", "way", "mx", "client", "192.0.2.1").Info(mail.EventDelivered, "to", "a@x.test")
	}
}
