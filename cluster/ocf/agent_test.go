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
// "gomaild serve -c CONFIG [FILE]" it holds FILE open; or one in the state that
// the environment names.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if state := os.Getenv(stateVariable); state != "" {
			be(state)
			return
		}
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

	state string // of what serve starts: see be
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
	cmd.Dir = w.dir
	if w.state != "" {
		cmd.Env = append(os.Environ(), stateVariable+"="+w.state)
	}
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
		{"no configuration", "validate-all", "", missing, ErrInstalled, "not exist; put the configuration there on this node"},
		{"no configuration, but only parameters are asked for", "validate-all", "OCF_CHECK_LEVEL=0", missing, Success, ""},
		{"no directory for the log", "start", "OCF_RESKEY_log=/nowhere/log", nil, ErrInstalled, "make its directory"},
		{"a broken one", "validate-all", "", broken, ErrArgs, "mx: no such key; gomaild.toml:4: my"},
		{"no such user", "validate-all", "OCF_RESKEY_user=nobody-here", nil, ErrInstalled, "nobody-here; make the user on this node, or name another"},
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

// TestParameters holds that a parameter which makes no sense is refused by every action
// with one line that says what to write, except by stop: to fail there is to be fenced.
func TestParameters(t *testing.T) {
	t.Parallel()
	for env, says := range map[string]string{
		"OCF_CHECK_LEVEL=deep":                       `OCF_CHECK_LEVEL: "deep" is no number from 0 to 1000; write 0, 10 or 20`,
		"OCF_CHECK_LEVEL=-1":                         `OCF_CHECK_LEVEL: "-1" is no number`,
		"OCF_RESKEY_CRM_meta_timeout=soon":           `CRM_meta_timeout: "soon" is no number from 0 to 3600000, in milliseconds`,
		"OCF_RESKEY_CRM_meta_timeout=999999999999":   `CRM_meta_timeout: "999999999999" is no number`,
		"OCF_RESKEY_config=gomaild.toml":             `config: "gomaild.toml" is no absolute path; name the configuration file by one`,
		"OCF_RESKEY_log=log":                         `log: "log" is no absolute path; name a file`,
		"OCF_RESKEY_probe_account=a@b":               `probe_account and probe_password_file go together; set both or none`,
		"OCF_RESKEY_probe_password_file=/p":          `probe_account and probe_password_file go together; set both or none`,
		"OCF_RESKEY_probe_password_file=../password": `probe_password_file: "../password" is no absolute path; name the file by one`,
	} {
		for _, action := range []string{"start", "monitor", "status", "reload", "reload-agent", "validate-all", "stop", "meta-data", "notify"} {
			w := newWorld(t)
			name, value, _ := strings.Cut(env, "=")
			w.env[name] = value
			want, line := ErrConfigured, "ocf-exit-reason:"+says
			if action == "stop" || action == "meta-data" || action == "notify" {
				want, line = Success, ""
			}
			code := w.run(t, action)
			if said := w.err.String(); code != want || !strings.HasPrefix(said, line) || line == "" && said != "" || strings.Count(said, "\n") > 1 {
				t.Errorf("%s with %s: code %d, want %d: %s", action, env, code, want, said)
			}
		}
	}
}

// What be can be.
const (
	stateVariable = "GOMAILD_TEST_STATE"
	mute          = "mute" // without a control socket
)

// be is a server in a state, in the working directory, that takes signals as the
// real one does.
func be(state string) {
	signal.Ignore(syscall.SIGHUP)
	if state == mute {
		fmt.Println("up")
		select {
		case <-make(chan int):
		case <-time.After(time.Hour):
		}
	}
	l, err := net.Listen("unix", "control")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("up")
	s := control.Status{PID: os.Getpid(), Phase: control.Phase(state), Ready: state == string(control.Serving)}
	if !s.Ready {
		s.Problems = []string{"it is not well"}
	}
	if state == "sick" {
		s.Phase = control.Serving
	}
	_ = http.Serve(l, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == control.PathStatus:
			_ = json.NewEncoder(rw).Encode(s)
		case !s.Ready:
			http.Error(rw, s.Problems[0], http.StatusServiceUnavailable)
		}
	}))
}

// TestStates holds the code of every action in every state of the server.
func TestStates(t *testing.T) {
	t.Parallel()
	actions := []string{"validate-all", "meta-data", "notify", "promote", "reload", "reload-agent", "monitor", "status", "start", "stop", "monitor", "stop"}
	for _, tt := range []struct {
		rule, state string
		codes       []Code // of the actions, in their order
		reasons     int    // how many of them say why
	}{
		{"never started", "", []Code{0, 0, 0, 3, 7, 7, 7, 7, 1, 0, 7, 0}, 2},
		{"its socket was left behind", "left", []Code{0, 0, 0, 3, 7, 7, 7, 7, 1, 0, 7, 0}, 2},
		{"it starts", string(control.Starting), []Code{0, 0, 0, 3, 0, 0, 1, 1, 1, 0, 7, 0}, 4},
		{"it serves", string(control.Serving), []Code{0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 7, 0}, 1},
		{"it is not well", "sick", []Code{0, 0, 0, 3, 0, 0, 1, 1, 1, 0, 7, 0}, 4},
		{"it stops", string(control.Stopping), []Code{0, 0, 0, 3, 0, 0, 1, 1, 1, 0, 7, 0}, 4},
		{"it lives without its socket", mute, []Code{0, 0, 0, 3, 0, 0, 1, 1, 1, 0, 7, 0}, 4},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			switch w.state = tt.state; tt.state {
			case "":
			case "left":
				l, err := net.ListenUnix("unix", &net.UnixAddr{Name: w.path("control"), Net: "unix"})
				if err != nil {
					t.Fatal(err)
				}
				l.SetUnlinkOnClose(false)
				l.Close()
			default:
				w.serve(t, "/proc/self/exe", "gomaild.toml")
			}
			reasons := 0
			for i, action := range actions {
				w.env["OCF_RESKEY_CRM_meta_timeout"] = "20000"
				if tt.codes[i] == ErrGeneric {
					w.env["OCF_RESKEY_CRM_meta_timeout"] = "2000" // most of them wait for better
				}
				code := w.run(t, action)
				said := w.err.String()
				if strings.HasPrefix(said, "ocf-exit-reason:") {
					reasons++
				}
				if code != tt.codes[i] || strings.Count(said, "\n") > 1 {
					t.Errorf("%d, %s: code %d, want %d: %s", i, action, code, tt.codes[i], said)
				}
			}
			if reasons != tt.reasons {
				t.Errorf("%d reasons, want %d", reasons, tt.reasons)
			}
		})
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
