package program_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"gomaild/internal/peertest"
	"gomaild/sieve"
	"gomaild/sieve/program"
)

const pipe = "vnd.dovecot.pipe"

// runner has a directory with the given shell scripts.
func runner(t *testing.T, c program.Config, scripts map[string]string) (*program.Runner, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		peertest.WriteProgram(t, filepath.Join(dir, name), []byte("#!/bin/sh\n"+text))
	}
	c.Dirs = map[string]string{pipe: dir}
	return program.New(c), dir
}

func TestRun(t *testing.T) {
	t.Parallel()
	r, dir := runner(t, program.Config{}, map[string]string{
		"echo":  `echo "$1|$2|$#"; cat`,
		"env":   "/usr/bin/env | /usr/bin/sort",
		"fail":  "cat >/dev/null; echo out; echo why >&2; exit 3",
		"deaf":  "exit 0",
		"where": "pwd",
	})
	if err := os.WriteFile(filepath.Join(dir, "data"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		rule string
		p    sieve.Program
		want string
		err  string
	}{
		{"arguments are no shell's", sieve.Program{Name: "echo", Args: []string{"$(id); `id`", "a b"}, Input: strings.NewReader("in")}, "$(id); `id`|a b|2\nin", ""},
		{"nothing to read", sieve.Program{Name: "echo"}, "||0\n", ""},
		{"the environment is what it is given", sieve.Program{Name: "env", Environ: []string{"A=b c", "SENDER=x"}}, "A=b c\nPWD=/\nSENDER=x\n", ""},
		{"it need not read", sieve.Program{Name: "deaf", Input: strings.NewReader(strings.Repeat("x", 1<<20))}, "", ""},
		{"status", sieve.Program{Name: "fail", Input: strings.NewReader("x")}, "", "exit status 3"},
		{"directory", sieve.Program{Name: "where"}, "/\n", ""},
		{"not there", sieve.Program{Name: "nothing"}, "", sieve.ErrNoProgram.Error()},
		{"not executable", sieve.Program{Name: "data"}, "", sieve.ErrNoProgram.Error()},
		{"a directory", sieve.Program{Name: "dir"}, "", sieve.ErrNoProgram.Error()},
		{"a path", sieve.Program{Name: "../echo"}, "", sieve.ErrNoProgram.Error()},
		{"an absolute path", sieve.Program{Name: "/bin/true"}, "", sieve.ErrNoProgram.Error()},
		{"a path within", sieve.Program{Name: "./echo"}, "", sieve.ErrNoProgram.Error()},
		{"another extension", sieve.Program{Name: "echo", Extension: "vnd.dovecot.filter"}, "", sieve.ErrNoProgram.Error()},
	} {
		if tt.p.Extension == "" {
			tt.p.Extension = pipe
		}
		out, err := r.Run(t.Context(), tt.p)
		if string(out) != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %q, %v; want %q, %s", tt.rule, out, err, tt.want, tt.err)
		}
	}
}

// TestBounds holds that a program which does not end or does not stop writing is
// killed with its children, and that few run at once.
func TestBounds(t *testing.T) {
	t.Parallel()
	r, dir := runner(t, program.Config{Timeout: time.Second, Output: 1000, AtOnce: 2}, map[string]string{
		"sleep": "/bin/sleep 600 & echo $! >>\"$1\"; echo $$ >>\"$1\"; wait",
		"yes":   "exec /usr/bin/yes",
	})
	pids := filepath.Join(dir, "pids")
	for name, want := range map[string]string{"sleep": "longer than", "yes": "wrote too much"} {
		start := time.Now()
		_, err := r.Run(t.Context(), sieve.Program{Extension: pipe, Name: name, Args: []string{pids}, Input: strings.NewReader("x")})
		if err == nil || !strings.Contains(err.Error(), want) || time.Since(start) > 20*time.Second {
			t.Errorf("%s: %v after %v", name, err, time.Since(start))
		}
	}
	written, err := os.ReadFile(pids)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for line := range strings.FieldsSeq(string(written)) {
		pid, err := strconv.Atoi(line)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(20 * time.Second); runs(pid) && time.Now().Before(deadline); {
			<-tick.C
		}
		if runs(pid) {
			t.Errorf("process %d is left", pid)
		}
	}
	done := make(chan error, 8)
	for range cap(done) {
		go func() {
			_, err := r.Run(t.Context(), sieve.Program{Extension: pipe, Name: "sleep", Args: []string{pids}})
			done <- err
		}()
	}
	start := time.Now()
	for range cap(done) {
		if err := <-done; err == nil {
			t.Error("it ended")
		}
	}
	if d := time.Since(start); d < 4*time.Second {
		t.Errorf("eight of a second, two at once, took %v", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Run(ctx, sieve.Program{Extension: pipe, Name: "sleep"}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// runs reports a process that is neither gone nor a zombie.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !slices.Contains(strings.Fields(string(stat)), "Z")
}
