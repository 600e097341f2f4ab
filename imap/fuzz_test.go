package imap

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomaild/imap/wire"
)

// dialogLines are the client's lines of all dialogs: the seeds.
func dialogLines(f *testing.F) []string {
	files, err := filepath.Glob("../testdata/dialogs/imap/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no dialogs: %v", err)
	}
	var lines []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			verb, arg, _ := strings.Cut(line, " ")
			switch verb {
			case "C:", "C2:":
				lines = append(lines, arg+"\r\n")
			case "Cq:":
				if raw, err := strconv.Unquote(arg); err == nil {
					lines = append(lines, raw)
				}
			}
		}
	}
	return lines
}

// FuzzParse holds that no command, in any state, makes a parser panic or run
// away, and that what parses has read its command to the end.
func FuzzParse(f *testing.F) {
	for _, line := range dialogLines(f) {
		f.Add([]byte(line))
	}
	limits := Limits{}.withDefaults()
	f.Fuzz(func(t *testing.T, input []byte) {
		s := &session{srv: New(Config{AccessLists: true}), limits: limits, state: selectedState}
		s.dec = wire.NewDecoder(strings.NewReader(string(input)), limits.wire(), func() error { return nil })
		if _, err := s.dec.Next(); err != nil {
			return
		}
		cmd, req, err := s.parse()
		if err != nil {
			return
		}
		if req == nil {
			t.Fatalf("%s parsed to nothing", cmd.name)
		}
		_, appends := req.(appendMessages)
		_, replaces := req.(replace)
		if !appends && !replaces && !s.dec.AtEnd() {
			t.Fatalf("%s left a part of the command", cmd.name)
		}
	})
}

// FuzzSession holds that a session survives any input after login: it ends
// when the client does and leaves its mailbox as a client could have made it.
func FuzzSession(f *testing.F) {
	lines := dialogLines(f)
	for i := range lines {
		f.Add([]byte(strings.Join(lines[i:min(i+8, len(lines))], "")))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		w := newWorld(t, func(c *Config) { c.Limits.BadCommands = 1000 })
		for range 3 {
			w.put("INBOX", "Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n", 0)
		}
		client, server := net.Pipe()
		w.serve(server)
		go io.Copy(io.Discard, client) // ends with the connection
		client.SetDeadline(time.Now().Add(10 * time.Second))
		_, err := client.Write([]byte("l LOGIN alice secret\r\ns SELECT INBOX\r\n"))
		if err == nil {
			_, _ = client.Write(input) // the server may say goodbye before the end
		}
		client.Close()
		w.wg.Wait()
		if strings.Contains(w.log.String(), "level=ERROR") {
			t.Errorf("fault in the log: %s", w.log)
		}
	})
}

// FuzzPattern holds that matching ends and agrees with the plain rule.
func FuzzPattern(f *testing.F) {
	f.Add("work/%", "work/a")
	f.Add("*%*x", "a/b/x")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 12 || len(name) > 12 || strings.HasPrefix(strings.ToUpper(name), "INBOX") {
			_ = matches(pattern, name)
			return
		}
		if got, want := matches(pattern, name), matchesPlainly(pattern, name); got != want {
			t.Errorf("pattern %q, name %q: %v, want %v", pattern, name, got, want)
		}
	})
}

// matchesPlainly is the rule without regard for the time it takes.
func matchesPlainly(pattern, name string) bool {
	if pattern == "" {
		return name == ""
	}
	switch c := pattern[0]; {
	case c != '*' && c != '%':
		return name != "" && name[0] == c && matchesPlainly(pattern[1:], name[1:])
	case matchesPlainly(pattern[1:], name):
		return true
	default:
		return name != "" && (c == '*' || name[0] != '/') && matchesPlainly(pattern, name[1:])
	}
}
