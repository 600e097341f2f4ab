package ocf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gomaild/cluster/control"
	"gomaild/internal/peertest"
)

// TestMain lets the test binary be a server that does not want to end: called as
// "gomaild serve -c CONFIG [FILE]" it holds FILE open.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		signal.Ignore(syscall.SIGTERM)
		if len(os.Args) > 4 {
			f, err := os.Open(os.Args[4])
			if err != nil {
				os.Exit(1)
			}
			defer f.Close()
		}
		fmt.Println("up")
		for {
			_ = syscall.Pause() // a select without cases would be a deadlock
		}
	}
	os.Exit(m.Run())
}

// world is a node: a configuration file, and what the agent says.
type world struct {
	dir string
	env map[string]string
	err bytes.Buffer
	out bytes.Buffer
	bad error // that Load returns
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: t.TempDir(), env: map[string]string{"OCF_RESKEY_CRM_meta_timeout": "20000"}}
	w.env["OCF_RESKEY_config"] = w.path("gomaild.toml")
	w.env["OCF_RESKEY_log"] = w.path("log")
	if err := os.Mkdir(w.path("mail"), 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) run(t *testing.T, action string) Code {
	t.Helper()
	w.err.Reset()
	return Run(t.Context(), Config{
		Env:    func(name string) string { return w.env[name] },
		Load:   func(string) (Server, error) { return Server{w.path("control"), w.path("mail"), w.dir}, w.bad },
		Binary: "/bin/false",
		Log:    func(path string) (*os.File, error) { return os.Create(path) },
		Out:    &w.out, Err: &w.err,
	}, action)
}

// serve is a process that looks like the server of our configuration and ignores
// SIGTERM.
func (w *world) serve(t *testing.T, binary, config string, more ...string) process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary)
	cmd.Args = append([]string{"gomaild", "serve", "-c", w.path(config)}, more...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	return process{cmd.Process.Pid}
}

func TestCodes(t *testing.T) {
	t.Parallel()
	broken := errors.New("gomaild.toml:3: mx: no such key\ngomaild.toml:4: my: no such key")
	missing := &fs.PathError{Op: "open", Path: "gomaild.toml", Err: fs.ErrNotExist}
	for _, tt := range []struct {
		rule, action string
		env          string // NAME=value
		bad          error
		want         Code
		says         string
	}{
		{"nothing wrong", "validate-all", "", nil, Success, ""},
		{"no configuration", "validate-all", "", missing, ErrInstalled, "not exist"},
		{"a broken one", "validate-all", "", broken, ErrArgs, "mx: no such key; gomaild.toml:4: my"},
		{"no such user", "validate-all", "OCF_RESKEY_user=nobody-here", nil, ErrInstalled, "nobody-here"},
		{"a level that is none", "monitor", "OCF_CHECK_LEVEL=deep", nil, ErrConfigured, "OCF_CHECK_LEVEL"},
		{"a level below all", "monitor", "OCF_CHECK_LEVEL=-1", nil, ErrConfigured, "OCF_CHECK_LEVEL"},
		{"a timeout that is none", "stop", "OCF_RESKEY_CRM_meta_timeout=soon", nil, ErrConfigured, "CRM_meta_timeout"},
		{"a timeout beyond all", "stop", "OCF_RESKEY_CRM_meta_timeout=999999999999", nil, ErrConfigured, "CRM_meta_timeout"},
		{"an account without its password", "monitor", "OCF_RESKEY_probe_account=a@b", nil, ErrConfigured, "go together"},
		{"an action that is none", "promote", "", nil, ErrUnimplemented, "promote"},
		{"no action", "", "", nil, ErrUnimplemented, ""},
		{"notify", "notify", "", nil, Success, ""},
		{"monitor of what never started", "monitor", "", nil, NotRunning, ""},
		{"monitor without a configuration", "monitor", "", missing, NotRunning, ""},
		{"status of what never started", "status", "", nil, NotRunning, ""},
		{"stop of what never started", "stop", "", nil, Success, ""},
		{"stop without a configuration", "stop", "", missing, Success, ""},
		{"reload of what never started", "reload", "", nil, NotRunning, ""},
		{"start without a configuration", "start", "", missing, ErrInstalled, "not exist"},
		{"a server that ends at once", "start", "", nil, ErrGeneric, "ended while it started"},
	} {
		w := newWorld(t)
		if name, value, ok := strings.Cut(tt.env, "="); ok {
			w.env[name] = value
		}
		w.bad = tt.bad
		got := w.run(t, tt.action)
		said := w.err.String()
		if got != tt.want || !strings.Contains(said, tt.says) {
			t.Errorf("%s: code %d, want %d: %s", tt.rule, got, tt.want, said)
		}
		if (tt.says != "") != strings.HasPrefix(said, "ocf-exit-reason:") && tt.want != ErrUnimplemented || strings.Count(said, "\n") > 1 {
			t.Errorf("%s: says %q", tt.rule, said)
		}
	}
}

// TestStopKills holds that a server which does not end is killed within the
// timeout, and then whoever of gomaild holds the mail root.
func TestStopKills(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.env["OCF_RESKEY_CRM_meta_timeout"] = "5000"
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"gomaild": self, "mail/f": nil} {
		peertest.WriteProgram(t, w.path(name), data)
	}
	servers := []process{w.serve(t, "/proc/self/exe", "gomaild.toml"), w.serve(t, "/proc/self/exe", "gomaild.toml")}
	ours := w.serve(t, w.path("gomaild"), "other.toml", w.path("mail/f"))
	foreign := w.serve(t, "/proc/self/exe", "other.toml", w.path("mail/f"))
	if err := servers[0].signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if code := w.run(t, "stop"); code != Success {
		t.Errorf("code %d: %s", code, w.err.String())
	}
	if took := time.Since(begun); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	for _, p := range append(servers, ours) {
		if p.lives() {
			t.Errorf("process %d lives", p.pid)
		}
	}
	if want := fmt.Sprintf("process %d (%s) has %s open\n", foreign.pid, comm(foreign), w.path("mail/f")); !foreign.lives() || !strings.Contains(w.err.String(), want) {
		t.Errorf("of the foreign one it says %s", w.err.String())
	}
}

func comm(p process) string {
	name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.pid))
	return strings.TrimSpace(string(name))
}

// TestHolders holds that who has the mail root open is found, and nobody else.
func TestHolders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := os.WriteFile(w.path("mail/f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.path("mailbox"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.serve(t, "/proc/self/exe", "gomaild.toml", w.path("mailbox"))
	if found := holders(w.path("mail")); len(found) > 0 {
		t.Errorf("found %v", found)
	}
	p := w.serve(t, "/proc/self/exe", "gomaild.toml", w.path("mail/f"))
	if found := holders(w.path("mail")); len(found) != 1 || found[0].pid != p.pid || found[0].what != w.path("mail/f") {
		t.Errorf("found %v, want %d", found, p.pid)
	}
}

// TestMonitorWhileStarting: a monitor that comes while the server starts waits for
// it, as long as the operation has time, and is not told of a failure.
func TestMonitorWhileStarting(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule     string
		starting int32 // answers that say so
		want     Code
		says     string
	}{
		{"it serves in time", 3, Success, ""},
		{"it does not", 1 << 30, ErrGeneric, "ocf-exit-reason:"},
	} {
		w := newWorld(t)
		w.env["OCF_RESKEY_CRM_meta_timeout"] = "2000"
		l, err := net.Listen("unix", w.path("control"))
		if err != nil {
			t.Fatal(err)
		}
		var asked atomic.Int32
		server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			s := control.Status{PID: os.Getpid(), Phase: control.Serving, Ready: true}
			if asked.Add(1) <= tt.starting {
				s = control.Status{PID: os.Getpid(), Phase: control.Starting, Problems: []string{"the server is starting"}}
			}
			_ = json.NewEncoder(rw).Encode(s)
		})}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(l) })
		if code := w.run(t, "monitor"); code != tt.want || !strings.Contains(w.err.String(), tt.says) || asked.Load() <= min(tt.starting, 3) {
			t.Errorf("%s: code %d after %d questions, want %d: %s", tt.rule, code, asked.Load(), tt.want, w.err.String())
		}
		server.Close()
		serving.Wait()
	}
}

// TestMonitorWithoutDatabase: a database that does not answer is a failure only
// where no copy of the accounts answers in its place.
func TestMonitorWithoutDatabase(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		copy *control.Snapshot
		want Code
	}{
		{"no copy is kept", nil, ErrGeneric},
		{"none is there yet, or it is too old", &control.Snapshot{Age: -1}, ErrGeneric},
		{"a good one", &control.Snapshot{Age: 60, Usable: true}, Success},
	} {
		w := newWorld(t)
		w.env["OCF_CHECK_LEVEL"] = "20"
		l, err := net.Listen("unix", w.path("control"))
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case control.PathProbeDatabase:
				http.Error(rw, "connection refused", http.StatusServiceUnavailable)
			case control.PathStatus:
				_ = json.NewEncoder(rw).Encode(control.Status{PID: os.Getpid(), Phase: control.Serving, Ready: true, Snapshot: tt.copy})
			}
		})}
		var serving sync.WaitGroup
		serving.Go(func() { _ = server.Serve(l) })
		if code := w.run(t, "monitor"); code != tt.want || !strings.Contains(w.err.String(), "connection refused") {
			t.Errorf("%s: code %d, want %d: %s", tt.rule, code, tt.want, w.err.String())
		}
		server.Close()
		serving.Wait()
	}
}

// TestMonitorOfHungServer: a server that hangs is noticed long before the
// operation's timeout, wherever it hangs, and the reason says where.
func TestMonitorOfHungServer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule  string
		hangs string // the path of the control socket, or "mx"
		level string
		delay float64 // of the banner, by the configuration
		least time.Duration
		says  string
	}{
		{"its control socket", control.PathStatus, "0", 0, patience, "gomaild does not answer"},
		{"a listener", "mx", "10", 0, patience, "mx at "},
		{"a listener that waits with its banner", "mx", "10", 1, patience + time.Second, "mx at "},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.env["OCF_RESKEY_CRM_meta_timeout"], w.env["OCF_CHECK_LEVEL"] = "60000", tt.level
			mx, err := net.Listen("unix", w.path("mx"))
			if err != nil {
				t.Fatal(err)
			}
			defer mx.Close()
			status := control.Status{PID: os.Getpid(), Phase: control.Serving, Ready: true}
			if tt.hangs == "mx" {
				status.Listeners = []control.Listener{{Type: "mx", Network: "unix", Address: w.path("mx"), GreetDelay: tt.delay}}
			}
			l, err := net.Listen("unix", w.path("control"))
			if err != nil {
				t.Fatal(err)
			}
			server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path == tt.hangs {
					<-r.Context().Done()
					return
				}
				_ = json.NewEncoder(rw).Encode(status)
			})}
			var serving sync.WaitGroup
			serving.Go(func() { _ = server.Serve(l) })
			begun := time.Now()
			code := w.run(t, "monitor")
			took := time.Since(begun)
			if code != ErrGeneric || !strings.Contains(w.err.String(), tt.says) || strings.Count(w.err.String(), "\n") != 1 || took < tt.least || took > 40*time.Second {
				t.Errorf("code %d after %v: %s", code, took, w.err.String())
			}
			server.Close()
			serving.Wait()
		})
	}
}

func TestDrainTime(t *testing.T) {
	t.Parallel()
	for timeout, want := range map[time.Duration]time.Duration{
		40 * time.Second: 28 * time.Second, 20 * time.Second: 14 * time.Second,
		5 * time.Second: 2 * time.Second, time.Second: 250 * time.Millisecond, 0: 0,
	} {
		a := &agent{params: params{timeout: timeout}}
		if got := a.drainTime(); got != want || got > a.budget() || a.budget() > timeout {
			t.Errorf("of %v: %v of %v, want %v", timeout, got, a.budget(), want)
		}
	}
}

func TestUntil(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if until(ctx, func() bool { return false }) {
		t.Error("what is not so is waited for without end")
	}
}
