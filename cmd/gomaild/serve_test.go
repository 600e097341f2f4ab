package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// served is a `gomaild serve` in this process.
type served struct {
	t      *testing.T
	log    <-chan string // its lines
	reload chan os.Signal
	stop   context.CancelFunc
	ended  <-chan error
}

func serve(t *testing.T, path string) *served {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	log, ended := make(chan string, 100), make(chan error, 1)
	s := &served{t: t, log: log, reload: make(chan os.Signal), stop: stop, ended: ended}
	go func() {
		defer close(log)
		for lines := bufio.NewScanner(r); lines.Scan(); {
			log <- lines.Text()
		}
	}()
	go func() {
		a := &app{streams: streams{strings.NewReader(""), io.Discard, w}}
		err := a.serve(ctx, path, s.reload)
		_ = w.Close()
		ended <- err
	}()
	t.Cleanup(func() {
		stop()
		for range log { // until it has ended
		}
	})
	return s
}

// waitFor reads the log up to a line that holds text.
func (s *served) waitFor(text string) string {
	s.t.Helper()
	var seen []string
	for line := range s.log {
		if strings.Contains(line, text) {
			return line
		}
		seen = append(seen, line)
	}
	s.t.Fatalf("no line with %q in the log:\n%s", text, strings.Join(seen, "\n"))
	return ""
}

// TestServe goes through the life of a server: ready, a bad reload, a good one,
// an orderly end.
func TestServe(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	path := save(t, dir, text)
	s := serve(t, path)
	if l := s.waitFor("msg=ready"); !strings.Contains(l, "mx 127.0.0.1:") || !strings.Contains(l, "config="+path) {
		t.Errorf("ready says %s", l)
	}
	save(t, dir, text+"bogus = 1\nadress = \"x\"\n")
	s.reload <- syscall.SIGHUP
	for _, key := range []string{"listener.bogus", "listener.adress"} {
		if l := s.waitFor("reload refused, going on as before"); !strings.Contains(l, key) {
			t.Errorf("the refusal says %s, nothing of %s", l, key)
		}
	}
	save(t, dir, strings.Replace(text, `"mail"`, `"run"`, 1))
	s.reload <- syscall.SIGHUP
	if l := s.waitFor("reload refused"); !strings.Contains(l, "storage.root: cannot change while gomaild runs") {
		t.Errorf("the refusal says %s", l)
	}
	save(t, dir, text+"[[listener]]\ntype = \"lmtp\"\n")
	s.reload <- syscall.SIGHUP
	if l := s.waitFor("msg=reloaded"); !strings.Contains(l, "lmtp "+filepath.Join(dir, "run", "lmtp")) {
		t.Errorf("the reload says %s", l)
	}
	s.stop()
	s.waitFor("msg=stopped")
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// TestServeToFile holds the destination, the format and the level of the log,
// and that a reload follows a file that was renamed.
func TestServeToFile(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	file := filepath.Join(dir, "log")
	head := "log.destination = \"" + file + "\"\nlog.format = \"json\"\n"
	path := save(t, dir, head+text)
	s := serve(t, path)
	s.reload <- syscall.SIGHUP // is taken when the server is ready
	if err := os.Rename(file, file+".1"); err != nil {
		t.Fatal(err)
	}
	s.reload <- syscall.SIGHUP
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{file + ".1": "ready", file: "stopped"} {
		log, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for line := range strings.Lines(string(log)) {
			var event struct{ Msg string }
			if err := json.Unmarshal([]byte(line), &event); err != nil {
				t.Errorf("%s: %v", line, err)
			}
			found = found || event.Msg == want
		}
		if !found {
			t.Errorf("%s has no event %q:\n%s", name, want, log)
		}
	}
	if open := openBelow(t, dir); len(open) > 0 {
		t.Errorf("open files: %v", open)
	}
}

// TestServePostfixLog holds that log.format reaches the log.
func TestServePostfixLog(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	file := filepath.Join(dir, "log")
	s := serve(t, save(t, dir, "log.destination = \""+file+"\"\nlog.format = \"postfix\"\n"+text))
	s.reload <- syscall.SIGHUP // is taken when the server is ready
	s.stop()
	if err := <-s.ended; err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ gomaild\[\d+\]: ready version=`).Match(log) {
		t.Errorf("%s", log)
	}
}

// openBelow lists the open files of this process below dir.
func openBelow(t *testing.T, dir string) []string {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(target, dir) {
			open = append(open, target)
		}
	}
	return open
}

// TestServeTakenOver holds that a server whose mail was taken over ends by
// itself, and that one which is refused says so in a line. The lock file goes
// away as the lock does with its kernel.
func TestServeTakenOver(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	path := save(t, dir, text)
	s := serve(t, path)
	s.waitFor("msg=ready")
	path = save(t, dir, strings.Replace(text, `run_dir = "run"`, `run_dir = "run2"`, 1))
	code, _, stderr := gomaild(t, "", "serve", "-c", path)
	if code != exitFault || !strings.Contains(stderr, "another gomaild has the mail root (epoch 1: ") {
		t.Errorf("a second server: exit %d, %s", code, stderr)
	}
	if err := os.Remove(filepath.Join(dir, "mail", ".gomaild", "lock")); err != nil {
		t.Fatal(err)
	}
	second := serve(t, path)
	second.waitFor("epoch=2")
	if line := s.waitFor("ending at once"); !strings.Contains(line, "the mail root was taken over (epoch 2: ") {
		t.Errorf("the first says %s", line)
	}
	if err := <-s.ended; !errors.Is(err, exitStatus(exitUnavailable)) {
		t.Errorf("the first ends with %v", err)
	}
}

// TestServeFaults holds the exit status of a start that cannot be.
func TestServeFaults(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	for rule, head := range map[string]string{
		"no certificate": "",
		"no log":         "log.destination = \"/nonexistent/log\"\n",
	} {
		broken := head + text
		if head == "" {
			broken = strings.Replace(text, "cert.pem", "c.pem", 1)
		}
		code, _, stderr := gomaild(t, "", "serve", "-c", save(t, dir, broken))
		if code != exitConfig || !strings.Contains(stderr, "gomaild.toml:") {
			t.Errorf("%s: exit %d, %s", rule, code, stderr)
		}
	}
}
