package daemon

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"gomaild/cluster/control"
	"gomaild/internal/config"
)

// TestWeb holds that what happens is counted, that health follows the life of
// the daemon, and that profiles are there only if asked for.
func TestWeb(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, err := New(w.config(t, "metrics.address = \"127.0.0.1:0\"\n", listeners), Options{Version: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	url := "http://" + w.WebAddr().String()
	if err := w.submit(t, "counted"); err != nil {
		t.Fatal(err)
	}
	if err := transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, "counted"); err != nil {
		t.Fatal(err)
	}
	code, page := fetch(t, url+"/metrics")
	for _, want := range []string{
		`gomaild_build_info{version="v1"} 1`, `gomaild_connections_total{listener="mx"} 1`, `gomaild_connections_total{listener="submission"} 1`,
		`gomaild_logins_total{protocol="smtp",result="login"} 1`, `gomaild_messages_accepted_total{way="mx"} 1`,
		`gomaild_messages_accepted_total{way="submission"} 1`, `gomaild_recipients_total{result="delivered",way="mx"} 1`,
		`gomaild_accept_seconds_count{way="mx"} 1`, "go_goroutines ", "process_open_fds ", "gomaild_queue_messages 0", "gomaild_queue_running 0",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
	if code != http.StatusOK {
		t.Errorf("metrics: %d", code)
	}
	for path, want := range map[string]int{
		"/healthz/live": http.StatusOK, "/healthz/ready": http.StatusOK, "/debug/pprof/": http.StatusNotFound, "/": http.StatusNotFound,
	} {
		if code, _ := fetch(t, url+path); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
	d.show(control.Stopping)
	if code, text := fetch(t, url+"/healthz/ready"); code != http.StatusServiceUnavailable || text != "not ready\n" {
		t.Errorf("not ready: %d %q", code, text)
	}
	if err := w.Reload(t.Context(), w.config(t, "metrics.address = \"127.0.0.1:1\"\n", listeners)); err == nil || !strings.Contains(err.Error(), "metrics.address") {
		t.Errorf("another address: %v", err)
	}
}

// TestPprof holds that profiles are served where they are asked for, and that an
// address in use is a fault of the configuration.
func TestPprof(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	d, err := New(w.config(t, "metrics.address = \"127.0.0.1:0\"\nmetrics.pprof = true\n", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	if code, text := fetch(t, "http://"+w.WebAddr().String()+"/debug/pprof/goroutine?debug=1"); code != http.StatusOK || !strings.Contains(text, "goroutine profile") {
		t.Errorf("%d %q", code, text)
	}
	second := newWorld(t)
	d, err = New(second.config(t, "metrics.address = \""+w.WebAddr().String()+"\"\n", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(t.Context()); !config.IsFault(err) || !strings.Contains(err.Error(), "metrics.address") {
		t.Errorf("an address in use: %v", err)
	}
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
