package e2e

import (
	"bufio"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"gomaild/internal/peertest"
)

// TestDemo runs the demo as a newcomer does, tries the very commands that it
// prints, stops it with Ctrl-C and finds the same mail and passwords the next
// time.
func TestDemo(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "swaks", "swaks")
	peertest.Need(t, "curl", "curl")
	peertest.Need(t, "mbsync", "isync")
	dir := filepath.Join(t.TempDir(), "demo")
	first := runDemo(t, dir, func(text string) {
		for _, program := range []string{"swaks", "printf", "curl", "mbsync"} {
			for _, command := range commandsOf(text, program) {
				if out, errOut, err := peertest.Try(t, "", "sh", "-c", command); err != nil {
					t.Errorf("%s: %v\n%s%s", command, err, out, errOut)
				}
			}
		}
	})
	second := runDemo(t, dir, func(text string) {
		for _, command := range commandsOf(text, "curl") {
			out, errOut, err := peertest.Try(t, "", "sh", "-c", command)
			if err != nil {
				t.Errorf("%s: %v\n%s%s", command, err, out, errOut)
			}
			if strings.Contains(command, "FETCH") && !strings.Contains(out+errOut, "* 4 FETCH") {
				t.Errorf("the mail of the first run is gone:\n%s%s", out, errOut)
			}
		}
	})
	password := regexp.MustCompile(`example\.test +password \S+`)
	if a, b := password.FindAllString(first, -1), password.FindAllString(second, -1); len(a) != 2 || strings.Join(a, " ") != strings.Join(b, " ") {
		t.Errorf("passwords of two runs: %v and %v", a, b)
	}
}

// runDemo starts the demo on free ports, waits until it has said all, lets try
// run, presses Ctrl-C and returns what was on the screen.
func runDemo(t *testing.T, dir string, try func(text string)) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), gomaild(t), "demo", "--dir", dir, "--port-base", "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "Ctrl-C stops") {
			try(text.String())
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("demo: %v\n%s", err, &text)
	}
	if !strings.Contains(text.String(), "The first message arrived") {
		t.Fatalf("the demo does not say that its message arrived:\n%s", &text)
	}
	return text.String()
}

// commandsOf are the printed command lines that begin with a word.
func commandsOf(text, word string) []string {
	var commands []string
	for line := range strings.Lines(text) {
		if command := strings.TrimSpace(line); strings.HasPrefix(command, word+" ") {
			commands = append(commands, command)
		}
	}
	return commands
}
