package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomaild/internal/peertest"
)

// TestSieve: sieve-connect puts a script over ManageSieve and makes it active,
// swaks delivers, and the message is in the folder that the script names.
func TestSieve(t *testing.T) {
	t.Parallel()
	sieveConnect := peertest.Need(t, "sieve-connect", "sieve-connect")
	swaks := peertest.Need(t, "swaks", "swaks")
	w := newWorld(t, "")
	w.start(t)
	connect := func(args ...string) (string, error) {
		secret, err := os.CreateTemp(t.TempDir(), "secret")
		if err != nil {
			t.Fatal(err)
		}
		defer secret.Close()
		if err := os.WriteFile(secret.Name(), []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), sieveConnect, append([]string{
			"--server", host, "--port", fmt.Sprint(w.sieve), "--user", "bob@example.test", "--passwordfd", "3", "--notlsverify",
		}, args...)...)
		cmd.ExtraFiles = []*os.File{secret}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	script := func(name, text string) string {
		file := filepath.Join(w.dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	good := script("work.sieve", "require [\"fileinto\", \"mailbox\"];\nif header :contains \"Subject\" \"project\" { fileinto :create \"Work\"; }\n")
	bad := script("bad.sieve", "fileinto \"x\"\n")
	for _, step := range []struct {
		rule  string
		args  []string
		fails bool
		want  string
	}{
		{"put", []string{"--upload", "--localsieve", good, "--remotesieve", "work"}, false, ""},
		{"a script with an error", []string{"--upload", "--localsieve", bad, "--remotesieve", "bad"}, true, ""},
		{"activate", []string{"--activate", "--remotesieve", "work"}, false, ""},
		{"list", []string{"--list"}, false, `"work" ACTIVE`},
	} {
		out, err := connect(step.args...)
		if (err != nil) != step.fails || !strings.Contains(out, step.want) {
			t.Fatalf("%s: %v\n%s", step.rule, err, out)
		}
	}
	for _, subject := range []string{"the project", "something else"} {
		peertest.Run(t, "", swaks, "--server", host, "--port", fmt.Sprint(w.mx), "--helo", "client.test",
			"--from", "stranger@remote.invalid", "--to", "bob@example.test", "--header", "Subject: "+subject)
	}
	home := filepath.Join(w.root, "example.test", "bob@example.test")
	for dir, want := range map[string]string{filepath.Join(home, ".Work"): "the project", home: "something else"} {
		files, err := filepath.Glob(filepath.Join(dir, "new", "*"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v, %v", dir, files, err)
		}
		text, err := os.ReadFile(files[0])
		if err != nil || !strings.Contains(string(text), "Subject: "+want) {
			t.Errorf("%s holds %s, %v", dir, text, err)
		}
	}
}

// TestVacation: swaks brings two messages of one sender and one of another to a
// user who is away: each sender gets one answer, also after a restart between
// the two.
func TestVacation(t *testing.T) {
	t.Parallel()
	swaks := peertest.Need(t, "swaks", "swaks")
	w := newWorld(t, "[remote]\nenabled = true\n")
	w.addAccount(t, "carol@example.test")
	w.start(t)
	send := func(from, subject string) {
		t.Helper()
		peertest.Run(t, "", swaks, "--server", host, "--port", fmt.Sprint(w.mx), "--helo", "client.test",
			"--from", from, "--to", "bob@example.test", "--header", "Subject: "+subject)
	}
	send("alice@example.test", "before")
	home := w.maildir("bob@example.test")
	writeFile(t, filepath.Join(home, ".dovecot.sieve"), "require [\"vacation\"];\nvacation :days 3 :subject \"Away\" \"I am away.\";\n")
	send("alice@example.test", "first")
	w.stop(t)
	w.start(t)
	send("alice@example.test", "second")
	send("carol@example.test", "hello")
	answers := func(who string) int {
		n := 0
		for _, name := range w.stored(t, who) {
			text, err := os.ReadFile(name)
			if err == nil && strings.Contains(string(text), "\nSubject: Away\n") && strings.Contains(string(text), "\nAuto-Submitted: auto-replied") {
				n++
			}
		}
		return n
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); <-look.C {
		// What was to be answered was owed before swaks heard 250.
		if waiting, err := filepath.Glob(filepath.Join(w.root, ".gomaild/queue/*.msg")); err == nil && len(waiting) == 0 {
			break
		}
	}
	for _, who := range []string{"alice@example.test", "carol@example.test"} {
		if n := answers(who); n != 1 {
			t.Errorf("%s got %d answers", who, n)
		}
	}
	if n := len(w.stored(t, "bob@example.test")); n != 4 {
		t.Errorf("bob has %d messages", n)
	}
}
