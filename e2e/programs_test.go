package e2e

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"gomaild/internal/peertest"
)

// TestSwaks: a real SMTP client delivers from outside, submits with TLS and a
// password, hands over by LMTP, and is refused where it must be.
func TestSwaks(t *testing.T) {
	t.Parallel()
	swaks := peertest.Need(t, "swaks", "swaks")
	w := newWorld(t, "")
	w.start(t)
	port := func(p int) string { return fmt.Sprint(p) }
	for _, tt := range []struct {
		rule  string
		args  []string
		want  string // in what swaks prints
		fails bool
	}{
		{"a stranger delivers to us", []string{"--port", port(w.mx), "--from", "stranger@remote.invalid", "--to", "bob@example.test"}, "250 2.0.0", false},
		{"over STARTTLS too", []string{"--port", port(w.mx), "--tls", "--from", "stranger@remote.invalid", "--to", "bob@example.test"}, "250 2.0.0", false},
		{"the null reverse-path", []string{"--port", port(w.mx), "--from", "<>", "--to", "bob@example.test"}, "250 2.0.0", false},
		{"a detail", []string{"--port", port(w.mx), "--from", "stranger@remote.invalid", "--to", "bob+lists@example.test"}, "250 2.0.0", false},
		{"an unknown recipient", []string{"--port", port(w.mx), "--from", "stranger@remote.invalid", "--to", "nobody@example.test"}, "550 5.1.1", true},
		{"no open relay", []string{"--port", port(w.mx), "--from", "alice@example.test", "--to", "someone@remote.invalid"}, "554 5.7.1", true},
		{"no open relay by percent", []string{"--port", port(w.mx), "--from", "a@remote.invalid", "--to", "someone%remote.invalid@example.test"}, "5", true},
		{"no AUTH for strangers on the MX", []string{"--port", port(w.mx), "--auth", "PLAIN", "--auth-user", "alice@example.test", "--auth-password", password, "--from", "alice@example.test", "--to", "bob@example.test"}, "Host did not advertise authentication", true},
		{"submission over STARTTLS", []string{"--port", port(w.msa), "--tls", "--auth", "PLAIN", "--auth-user", "alice@example.test", "--auth-password", password, "--from", "alice@example.test", "--to", "bob@example.test"}, "250 2.0.0", false},
		{"submission over implicit TLS with LOGIN", []string{"--port", port(w.msas), "--tls-on-connect", "--auth", "LOGIN", "--auth-user", "alice@example.test", "--auth-password", password, "--from", "alice@example.test", "--to", "bob@example.test"}, "250 2.0.0", false},
		{"a wrong password", []string{"--port", port(w.msas), "--tls-on-connect", "--auth", "PLAIN", "--auth-user", "alice@example.test", "--auth-password", "wrong", "--from", "alice@example.test", "--to", "bob@example.test"}, "535 5.7.8", true},
		{"somebody else's address", []string{"--port", port(w.msas), "--tls-on-connect", "--auth", "PLAIN", "--auth-user", "alice@example.test", "--auth-password", password, "--from", "bob@example.test", "--to", "bob@example.test"}, "553 5.7.1", true},
		{"LMTP", []string{"--protocol", "LMTP", "--port", port(w.lmtp), "--from", "stranger@remote.invalid", "--to", "bob@example.test"}, "250 2", false},
	} {
		args := append([]string{"--server", host, "--helo", "client.test", "--timeout", "20"}, tt.args...)
		out, errOut, err := peertest.Try(t, "", swaks, args...)
		if (err != nil) != tt.fails || !strings.Contains(out+errOut, tt.want) {
			t.Errorf("%s: %v; want %q in\n%s%s", tt.rule, err, tt.want, out, errOut)
		}
	}
	if got := len(w.stored(t, "bob@example.test")); got != 7 {
		t.Errorf("bob has %d messages, want 7", got)
	}
	for _, name := range w.stored(t, "bob@example.test") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(string(text), "Return-Path: <") || !strings.Contains(string(text), "\nDelivered-To: bob") || !strings.Contains(string(text), "\nReceived: from client.test ([127.0.0.1]") && !strings.Contains(string(text), "\nReceived: by mail.example.test with ESMTPSA") {
			t.Errorf("%s lacks its trace fields:\n%s", name, text)
		}
	}
}

// TestPython runs sessions of Python's smtplib and imaplib.
func TestPython(t *testing.T) {
	t.Parallel()
	python := peertest.Need(t, "python3", "python3")
	w := newWorld(t, "")
	w.start(t)
	out := peertest.Run(t, "", python, "testdata/smtp_session.py", host,
		fmt.Sprint(w.mx), fmt.Sprint(w.msa), fmt.Sprint(w.msas), fmt.Sprint(w.lmtp), "alice@example.test", password)
	if out != "ok\n" {
		t.Errorf("smtp_session.py: %s", out)
	}
	out = peertest.Run(t, "", python, "testdata/imap_session.py", host,
		fmt.Sprint(w.imap), fmt.Sprint(w.imaps), "bob@example.test", password, "4")
	if out != "ok\n" {
		t.Errorf("imap_session.py: %s", out)
	}
}

// TestMbsync pulls a mailbox twice: the first pull brings the bytes that were
// sent, the second transfers nothing.
func TestMbsync(t *testing.T) {
	t.Parallel()
	mbsync := peertest.Need(t, "mbsync", "isync")
	w := newWorld(t, "")
	w.start(t)
	s, err := dialSMTP(t.Context(), w.addr(w.mx))
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]bool{}
	for i := range 20 {
		body := content(200 << (i % 10))
		body = append([]byte(fmt.Sprintf("X-Number: %d\r\n", i)), body...)
		if err := s.send("bob@example.test", body); err != nil {
			t.Fatal(err)
		}
		sent[hash(strings.ReplaceAll(string(body), "\r\n", "\n"))] = true
	}
	s.close()

	local := filepath.Join(w.dir, "pulled")
	rc := filepath.Join(w.dir, "mbsyncrc")
	writeFile(t, rc, fmt.Sprintf(`IMAPAccount gomaild
Host %s
Port %d
User bob@example.test
Pass %s
SSLType IMAPS
SystemCertificates no
CertificateFile %s

IMAPStore remote
Account gomaild

MaildirStore local
Path %s/
Inbox %s/INBOX
SubFolders Verbatim

Channel all
Far :remote:
Near :local:
Patterns *
Create Near
Sync Pull
CopyArrivalDate yes
SyncState *
`, "localhost", w.imaps, password, w.certificate(), local, local))
	if err := os.MkdirAll(local, 0o700); err != nil {
		t.Fatal(err)
	}
	peertest.Run(t, "", mbsync, "-c", rc, "all")
	first := pulled(t, local)
	if len(first) != len(sent) {
		t.Fatalf("mbsync pulled %d messages, want %d", len(first), len(sent))
	}
	for name, text := range first {
		_, original, ok := strings.Cut(text, "\nX-Number: ")
		if !ok || !sent[hash("X-Number: "+original)] {
			t.Errorf("%s is not what was sent:\n%.300s", name, text)
		}
	}
	out, errOut, err := peertest.Try(t, "", mbsync, "-c", rc, "-V", "all")
	if err != nil {
		t.Fatalf("second pull: %v\n%s%s", err, out, errOut)
	}
	second := pulled(t, local)
	if fmt.Sprint(keys(first)) != fmt.Sprint(keys(second)) {
		t.Errorf("the second pull changed the local side:\n%v\n%v", keys(first), keys(second))
	}
}

// pulled reads every message below a Maildir tree that mbsync wrote, without
// the header field that mbsync adds.
func pulled(t *testing.T, root string) map[string]string {
	t.Helper()
	messages := map[string]string{}
	for _, pattern := range []string{"*/new/*", "*/cur/*"} {
		names, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			messages[name] = withoutField(string(text), "X-TUID: ")
		}
	}
	return messages
}

func withoutField(text, field string) string {
	i := strings.Index(text, "\n"+field)
	if i < 0 {
		return text
	}
	end := strings.IndexByte(text[i+1:], '\n')
	return text[:i+1] + text[i+1+end+1:]
}

func keys(m map[string]string) []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func hash(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }

func writeFile(tb testing.TB, name, text string) {
	tb.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
