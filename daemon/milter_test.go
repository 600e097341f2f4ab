package daemon

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomaild/internal/peertest"
)

// TestMilter: a real milter signs what users send, and a milter that is down puts
// mail off or not, as configured.
func TestMilter(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	socket := w.path("milter")
	reload := func(failure string) {
		t.Helper()
		head := "milter.submission = [\"unix:" + socket + "\"]\nmilter.failure = \"" + failure + "\"\n"
		if err := w.Reload(t.Context(), w.config(t, head, listeners)); err != nil {
			t.Fatal(err)
		}
	}
	reload("defer")
	if err := w.submit(t, "put off"); err == nil || !strings.Contains(err.Error(), "451") {
		t.Errorf("a milter that is down: %v", err)
	}
	reload("reject")
	if err := w.submit(t, "refused"); err == nil || !strings.Contains(err.Error(), "550") {
		t.Errorf("a milter that is down and must not be: %v", err)
	}
	reload("accept")
	if err := w.submit(t, "passes"); err != nil {
		t.Error(err)
	}
	reload("defer")
	startOpenDKIM(t, w.path("opendkim"), socket)
	if err := w.submit(t, "signed"); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(w.path("mail/example.test/alice@example.test/new/*"))
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	signed := 0
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "DKIM-Signature: v=1; a=rsa-sha256;") && strings.Contains(string(text), "Subject: signed") {
			signed++
		}
	}
	if signed != 1 {
		t.Errorf("%d messages are signed", signed)
	}
}

// startOpenDKIM runs the milter until the end of the test, and returns when it
// listens.
func startOpenDKIM(t *testing.T, dir, socket string) {
	t.Helper()
	program := peertest.Need(t, "opendkim", "opendkim")
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	private := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	conf := "Domain example.test\nSelector sel\nKeyFile " + dir + "/key\nSocket local:" + socket + "\nMode s\nRequireSafeKeys no\n"
	for name, text := range map[string]string{"key": string(private), "conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), program, "-f", "-x", dir+"/conf")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed with the test's context
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		if _, err := os.Stat(socket); err == nil {
			return
		}
		<-tick.C
	}
	t.Fatal("opendkim does not listen")
}
