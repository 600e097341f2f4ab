package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/internal/peertest"
)

// runDemo runs the demo in dir, calls during while it serves, and ends it as
// Ctrl-C does. It returns the exit status and what was printed.
func runDemo(t *testing.T, dir string, during func(printed string), args ...string) (code int, printed, stderr string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var errs bytes.Buffer
	out := &watched{text: "Ctrl-C stops the server.", do: func(printed string) {
		defer stop()
		if during != nil {
			during(printed)
		}
	}}
	code = run(ctx, append([]string{"demo", "--dir", dir}, args...), streams{strings.NewReader(""), out, &errs})
	return code, out.printed.String(), errs.String()
}

// watched is an output that does something once it has been given a text.
type watched struct {
	printed bytes.Buffer
	text    string
	do      func(printed string)
}

func (w *watched) Write(p []byte) (int, error) {
	n, err := w.printed.Write(p)
	if strings.Contains(string(p), w.text) {
		w.do(w.printed.String())
	}
	return n, err
}

const arrived = "The first message arrived: sent by SMTP to "

// TestDemo holds that the demo works without anything, that it keeps what it
// made, and that it ends cleanly.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "demo")
	var kept []string
	for run := range 2 {
		code, printed, stderr := runDemo(t, dir, nil, "--port-base", "0")
		if code != exitOK || stderr != "" || !strings.Contains(printed, arrived) || !strings.Contains(printed, "Stopping.") {
			t.Fatalf("run %d: exit %d\n%s%s", run, code, printed, stderr)
		}
		now := demoFiles(t, dir)
		if run > 0 && strings.Join(now, "") != strings.Join(kept, "") {
			t.Error("the second run made passwords or the certificate anew")
		}
		kept = now
	}
	messages, err := filepath.Glob(filepath.Join(dir, "mail/example.test/alice@example.test/*/*,S=*"))
	if err != nil || len(messages) != 2 {
		t.Errorf("two runs left %d messages (%v)", len(messages), err)
	}
	if open := openBelow(t, dir); len(open) > 0 {
		t.Errorf("open files: %v", open)
	}
}

// demoFiles are the files that must stay the same.
func demoFiles(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	for name, mode := range map[string]os.FileMode{demoPasswords: 0o600, "key.pem": 0o600, demoDB: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v %v, want %v", name, info.Mode(), err, mode)
		}
	}
	for _, name := range []string{demoPasswords, "cert.pem", "key.pem"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(text))
	}
	return all
}

// TestDemoCommands runs each command that the demo prints, as it is printed.
func TestDemoCommands(t *testing.T) {
	t.Parallel()
	for program, debian := range map[string]string{"swaks": "swaks", "curl": "curl", "mbsync": "isync"} {
		peertest.Need(t, program, debian)
	}
	dir := filepath.Join(t.TempDir(), "demo")
	code, printed, stderr := runDemo(t, dir, func(printed string) {
		commands := 0
		for line := range strings.Lines(printed) {
			command := strings.TrimSpace(line)
			program, _, _ := strings.Cut(command, " ")
			if program != "swaks" && program != "curl" && program != "mbsync" && !strings.Contains(command, "| curl") {
				continue // the words, mutt, and what would run this test binary
			}
			commands++
			if out, errOut, err := peertest.Try(t, "", "sh", "-c", command); err != nil {
				t.Errorf("%s: %v\n%s%s", command, err, out, errOut)
			}
		}
		if commands < 6 {
			t.Errorf("only %d commands were found in\n%s", commands, printed)
		}
	}, "--port-base", "0")
	if code != exitOK {
		t.Fatalf("exit %d\n%s%s", code, printed, stderr)
	}
	pulled, err := filepath.Glob(filepath.Join(dir, "pulled/INBOX/*/*"))
	if err != nil || len(pulled) < 4 {
		t.Errorf("mbsync pulled %d messages (%v)", len(pulled), err)
	}
}

// TestDemoPortTaken holds what is said when a port is in use.
func TestDemoPortTaken(t *testing.T) {
	t.Parallel()
	base, release := takenBase(t)
	defer release()
	code, printed, stderr := runDemo(t, t.TempDir(), nil, "--port-base", fmt.Sprint(base))
	want := fmt.Sprintf("listen tcp 127.0.0.1:%d: bind: address already in use\nIs another demo running? Move this one to other ports: gomaild demo --port-base", base+525)
	if code != exitFault || !strings.Contains(stderr, want) {
		t.Errorf("exit %d\n%s%s", code, printed, stderr)
	}
}

// takenBase is a port base whose first port is in use.
func takenBase(t *testing.T) (base int, release func()) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln.Addr().(*net.TCPAddr).Port - 525, func() { ln.Close() }
}

func TestDemoPortBase(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"-1", "65000"} {
		code, _, stderr := runDemo(t, t.TempDir(), nil, "--port-base="+base)
		if code != exitFault || !strings.Contains(stderr, "leaves no room") {
			t.Errorf("--port-base %s: exit %d, %s", base, code, stderr)
		}
	}
}

// TestDemoPasswordsSpoiled holds that a file that a person edited is not
// overwritten.
func TestDemoPasswordsSpoiled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, dir, demoPasswords, "alice = secret\n")
	code, _, stderr := runDemo(t, dir, nil, "--port-base", "0")
	if code != exitFault || !strings.Contains(stderr, "mend or remove the file") {
		t.Errorf("exit %d, %s", code, stderr)
	}
}
