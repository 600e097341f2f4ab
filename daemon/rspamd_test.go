package daemon

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gomaild/internal/config"
)

// TestRspamd: a server of rspamd's protocol sends mail to the junk folder and
// refuses it, and one that is gone puts it off.
func TestRspamd(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		answer := `{"action":"add header","milter":{"add_headers":{"X-Score":{"value":"9"}}}}`
		if strings.Contains(string(body), "Subject: virus") {
			answer = `{"action":"reject"}`
		}
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	w := newWorld(t)
	d, err := New(w.config(t, "milter.rspamd = [\""+strings.TrimPrefix(server.URL, "http://")+"\"]\n", listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	send := func(subject string) error {
		return transmit(t, dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)), false, subject)
	}
	if err := send("junk"); err != nil {
		t.Fatal(err)
	}
	if got := w.awaitFile(t, "alice", ".Junk", "Subject: junk"); !strings.Contains(got, "X-Score: 9") {
		t.Errorf("alice has\n%s", got)
	}
	if err := send("virus"); err == nil || !strings.Contains(err.Error(), "554") {
		t.Errorf("refused: %v", err)
	}
	server.Close()
	if err := send("nobody there"); err == nil || !strings.Contains(err.Error(), "451") {
		t.Errorf("put off: %v", err)
	}
}
