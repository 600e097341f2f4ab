package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"gomaild/e2e/drill"
	"gomaild/internal/peertest"
)

// TestDrill: the drill holds on a server that is killed and stopped in its
// tracks under its own load, and sees a message that somebody takes away.
func TestDrill(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.supervise(t)
	pid := filepath.Join(w.dir, "pid")
	r, err := w.drill(t,
		"kill=kill -9 $(cat "+pid+")",
		"hang=kill -STOP $(cat "+pid+"); sleep 1.5; kill -CONT $(cat "+pid+")")
	if err != nil || !r.Passed() || len(r.Outcomes) != 3 {
		t.Fatalf("kill and hang: %v, %+v", err, r)
	}
	for _, o := range r.Outcomes {
		t.Logf("%+v", o)
		if o.Acknowledged == 0 || o.Duplicated+o.Lost+o.Unexpected != 0 {
			t.Errorf("%+v: want acknowledged messages, each there once", o)
		}
	}
	if hang := r.Outcomes[2]; hang.SMTPGap < 1e9 || hang.IMAPGap < 1e9 {
		t.Errorf("a hang of 1.5 s was seen as %+v", hang)
	}
	bob := filepath.Join(w.root, "example.test", "bob@example.test")
	r, err = w.drill(t, "theft=find "+bob+" -path '*/[nc][eu][wr]/*' -type f -newer "+w.drillLedger(1)+" | head -n 1 | xargs rm -v")
	if err == nil || r.Passed() || len(r.LostIDs) != 1 {
		t.Errorf("a stolen message: %v, %+v; want one lost and an exit status", err, r)
	}
}

// supervise restarts the server whenever it ends, until the test ends, and
// keeps its process id in the file pid.
func (w *world) supervise(t *testing.T) {
	t.Helper()
	c := exec.Command("sh", "-c", `trap 'kill $p; wait $p; exit 0' TERM
		while :; do "$0" serve -c "$1" 2>>"$2/supervised.log" & p=$!; echo $p >"$2/pid"; wait $p; done`, gomaild(t), w.config, w.dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Wait()
	})
}

func (w *world) drillLedger(n int) string { return filepath.Join(w.dir, fmt.Sprintf("ledger%d", n)) }

// drill runs `gomaild drill --json` against bob's mailbox.
func (w *world) drill(t *testing.T, faults ...string) (drill.Report, error) {
	t.Helper()
	n := 1
	for ; ; n++ {
		if _, err := os.Stat(w.drillLedger(n)); err != nil {
			break
		}
	}
	args := []string{"drill", "--smtp", w.addr(w.mx), "--imaps", w.addr(w.imaps), "--address", "bob@example.test",
		"--ledger", w.drillLedger(n), "--settle", "1s", "--patience", "20s", "--insecure", "--json"}
	for _, f := range faults {
		args = append(args, "--fault", f)
	}
	out, errOut, err := peertest.Try(t, password+"\n", gomaild(t), args...)
	var r drill.Report
	if jsonErr := json.Unmarshal([]byte(out), &r); jsonErr != nil {
		t.Fatalf("drill printed %q, %q: %v, %v", out, errOut, err, jsonErr)
	}
	return r, err
}
