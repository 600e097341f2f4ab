package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomaild/internal/peertest"
)

// rules is a script of n rules of the kinds that people have, then one for the
// rest.
func rules(n int) string {
	var b strings.Builder
	b.WriteString("require [\"fileinto\"];\n")
	for i := range n - 1 {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "if header :contains \"subject\" \"[project-%d]\" { fileinto \"p%d\"; stop; }\n", i, i)
		case 1:
			fmt.Fprintf(&b, "if address :is :domain \"from\" \"host%d.example\" { fileinto \"h%d\"; stop; }\n", i, i)
		case 2:
			fmt.Fprintf(&b, "if header :matches [\"to\", \"cc\"] \"*team-%d@*\" { fileinto \"t%d\"; stop; }\n", i, i)
		}
	}
	b.WriteString("if not exists \"from\" { fileinto \"rest\"; }\n")
	return b.String()
}

// sorted is a message that one of a hundred rules hits, each as often as the
// others.
func sorted(i int) string {
	subject, from, to := "hello again", "ann@example.org", "bob@example.net"
	switch k := i % 100; k % 3 {
	case 0:
		subject = fmt.Sprintf("[project-%d] news", k)
	case 1:
		from = fmt.Sprintf("ann@host%d.example", k)
	case 2:
		to = fmt.Sprintf("team-%d@example.net", k)
	}
	return "Received: from a.example by b.example; Mon, 02 Mar 2026 13:00:00 +0100\nFrom: Ann <" + from + ">\nTo: Bob <" + to +
		">, cd@example.com\nCc: ef@example.com\nSubject: " + subject + " =?utf-8?q?Gr=C3=BC=C3=9Fe?=\nMessage-ID: <" + strconv.Itoa(i) +
		"@example.org>\nDate: Mon, 02 Mar 2026 13:00:00 +0100\nMIME-Version: 1.0\nContent-Type: text/plain\n\n" + strings.Repeat("All the words of a letter.\n", 100)
}

// BenchmarkSieveFilter runs a script of a hundred rules over the same Maildir of
// 10 000 messages with `gomaild sieve filter` and with Debian's sieve-filter,
// each in its own copy, looked at once before. Neither changes anything; both
// find the messages, open each, and say what the script does. Target: twice the
// messages a second of processor time.
func BenchmarkSieveFilter(b *testing.B) {
	const messages = 10_000
	program := peertest.Need(b, "sieve-filter", "dovecot-sieve")
	w := newWorld(b, "")
	script := filepath.Join(w.dir, "rules.sieve")
	writeFile(b, script, rules(100))
	theirs := filepath.Join(w.dir, "theirs")
	for _, dir := range []string{w.maildir("alice@example.test"), filepath.Join(theirs, "mail")} {
		for _, d := range []string{"cur", "new", "tmp"} {
			if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
				b.Fatal(err)
			}
		}
		for i := range messages {
			text := sorted(i)
			name := fmt.Sprintf("%d.M%dP1.host,S=%d,W=%d:2,S", 1700000000+i, i, len(text), len(text)+strings.Count(text, "\n"))
			if err := os.WriteFile(filepath.Join(dir, "cur", name), []byte(text), 0o600); err != nil {
				b.Fatal(err)
			}
		}
	}
	conf := filepath.Join(theirs, "dovecot.conf")
	writeFile(b, conf, fmt.Sprintf("mail_location = maildir:%s/mail\nmail_uid = %[2]d\nmail_gid = %[2]d\nfirst_valid_uid = 1\nlog_path = /dev/null\n", theirs, nobody))
	theirScript := filepath.Join(theirs, "rules.sieve")
	writeFile(b, theirScript, rules(100))
	letIn(b, theirs)
	ours := func() time.Duration {
		return cpuOf(b, messages, gomaild(b), "sieve", "filter", "-c", w.config, "alice@example.test", script)
	}
	other := func() time.Duration { return cpuOf(b, 0, program, "-c", conf, theirScript, "INBOX") }
	ours()
	other()
	var our, their time.Duration
	turns := 0
	for b.Loop() {
		for range 3 {
			our += ours()
			their += other()
			turns++
		}
	}
	perMessage := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(turns*messages) }
	b.ReportMetric(perMessage(our), "cpu-us/message")
	b.ReportMetric(perMessage(their), "pigeonhole-cpu-us/message")
	b.ReportMetric(their.Seconds()/our.Seconds(), "ratio")
}

// letIn gives a directory to whom Dovecot works as, and lets it pass to there.
func letIn(b *testing.B, dir string) {
	if os.Getuid() != 0 {
		return
	}
	if out, err := exec.Command("chown", "-R", fmt.Sprintf("%d:%d", nobody, nobody), dir).CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for d := filepath.Dir(dir); d != filepath.Dir(os.TempDir()) && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
}

// cpuOf is the processor time of a command, which must print about as many lines
// as messages that a rule hits.
func cpuOf(b *testing.B, lines int, name string, args ...string) time.Duration {
	b.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.Output()
	if err != nil {
		b.Fatalf("%s: %v: %s", name, err, out)
	}
	if got := strings.Count(string(out), "\n"); lines > 0 && (got < lines*98/100 || got > lines) {
		b.Fatalf("%s printed %d lines", name, got)
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// BenchmarkSieveDelivery is what a script adds to a delivery: to two mailboxes of
// one server in turns, one without a script and one with ten rules of which none
// hits, then one with a hundred. Target: at most 10 % more.
func BenchmarkSieveDelivery(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("%drules", n), func(b *testing.B) {
			w := newWorld(b, "")
			w.start(b)
			with, without := []string{"alice@example.test"}, []string{"bob@example.test"}
			data := content(4 << 10)
			w.inbound(b, append(with, without...), 2, 20, data) // makes the Maildirs
			writeFile(b, filepath.Join(w.maildir(with[0]), ".dovecot.sieve"), rules(n))
			server := &benchServer{master: w.cmd.Process.Pid}
			const conns, messages, turns = 1, 900, 6
			var cpu [2]time.Duration
			var spent [2]float64
			for b.Loop() {
				for turn := range 2 * turns {
					k := (turn + turn/2) % 2 // each comes first as often as the other
					unix.Sync()
					before := server.cpu(b)
					spent[k] += messages / w.inbound(b, [][]string{without, with}[k], conns, messages, data)
					cpu[k] += server.cpu(b) - before
				}
			}
			per := float64(b.N * turns * messages)
			b.ReportMetric(float64(cpu[0].Microseconds())/per, "plain-cpu-us/msg")
			b.ReportMetric(float64(cpu[1].Microseconds())/per, "sieve-cpu-us/msg")
			b.ReportMetric(100*(cpu[1].Seconds()/cpu[0].Seconds()-1), "cpu-%more")
			b.ReportMetric(100*(spent[1]/spent[0]-1), "time-%more")
		})
	}
}
