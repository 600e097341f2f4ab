package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// TestReject: a script that refuses answers 550 at the end of the data with its
// reason, over LMTP for its user alone. Over SMTP, which has one reply for all,
// the message is taken where another recipient keeps it, and the sender is told
// of the refusal (RFC 5429 section 2.1.1).
func TestReject(t *testing.T) {
	t.Parallel()
	swaks := peertest.Need(t, "swaks", "swaks")
	w := newWorld(t, "")
	for _, name := range []string{"carol", "dora"} {
		w.addAccount(t, name+"@example.test")
	}
	for name, script := range map[string]string{
		"bob@example.test":  `require "reject"; if header :contains "subject" "offer" { reject "No offers, please."; }`,
		"dora@example.test": `require ["ereject", "envelope"]; if envelope :domain "from" "remote.invalid" { ereject text:` + "\nGo\naway: \u00fc.\n.\n; }",
	} {
		if err := os.MkdirAll(w.maildir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(w.maildir(name), ".dovecot.sieve"), script)
	}
	w.start(t)
	for _, tt := range []struct {
		rule  string
		lmtp  bool
		from  string
		to    string
		want  []string
		fails bool
	}{
		{"reject", false, "stranger@remote.invalid", "bob@example.test", []string{"<** 550 5.7.1 No offers, please."}, true},
		{"ereject, the reason line by line in ASCII", false, "stranger@remote.invalid", "dora@example.test", []string{"550-5.7.1 Go\n", "550 5.7.1 away: ?."}, true},
		{"a script that does not hit", false, "carol@example.test", "dora@example.test", []string{"<-  250 2.0.0"}, false},
		{"all of two", false, "stranger@remote.invalid", "bob@example.test,dora@example.test", []string{"<** 550 5.7.1 <"}, true},
		{"one of two over LMTP", true, "stranger@remote.invalid", "alice@example.test,bob@example.test", []string{"250 2", "550 5.7.1 No offers, please."}, false},
		{"one of two over SMTP", false, "carol@example.test", "alice@example.test,bob@example.test", []string{"<-  250 2.0.0"}, false},
	} {
		port, protocol := w.mx, "ESMTP"
		if tt.lmtp {
			port, protocol = w.lmtp, "LMTP"
		}
		out, errOut, err := peertest.Try(t, "", swaks, "--server", host, "--port", fmt.Sprint(port), "--protocol", protocol, "--helo", "client.test",
			"--timeout", "20", "--from", tt.from, "--to", tt.to, "--header", "Subject: an offer")
		for _, want := range tt.want {
			if !strings.Contains(out+errOut, want) {
				t.Errorf("%s: want %q in\n%s%s", tt.rule, want, out, errOut)
			}
		}
		if (err != nil) != tt.fails {
			t.Errorf("%s: %v\n%s%s", tt.rule, err, out, errOut)
		}
	}
	for name, want := range map[string]int{"alice@example.test": 2, "bob@example.test": 0, "dora@example.test": 1} {
		if got := len(w.stored(t, name)); got != want {
			t.Errorf("%s has %d messages, want %d", name, got, want)
		}
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(60 * time.Second); len(w.stored(t, "carol@example.test")) == 0 && time.Now().Before(deadline); <-look.C {
	}
	told := w.stored(t, "carol@example.test")
	if len(told) != 1 {
		t.Fatalf("carol was told %d times", len(told))
	}
	text, err := os.ReadFile(told[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nFinal-Recipient: rfc822; bob@example.test\n", "\nAction: failed\n", "\nStatus: 5.7.1\n", "No offers, please."} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the bounce lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "Final-Recipient: rfc822; alice") {
		t.Errorf("the bounce names alice, who has it:\n%s", text)
	}
}

// TestProgramCapabilities: what the unit gives to the server for low ports is
// not handed on to the programs that scripts run.
func TestProgramCapabilities(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root has a capability to give")
	}
	given := &syscall.SysProcAttr{AmbientCaps: []uintptr{unix.CAP_NET_BIND_SERVICE}}
	const shows = "#!/bin/sh\ngrep CapAmb /proc/self/status\n"
	ambient := func(text string) string {
		_, caps, found := strings.Cut(text, "CapAmb:")
		if !found {
			t.Fatalf("no CapAmb in %q", text)
		}
		return strings.Fields(caps)[0]
	}
	w := newWorld(t, "")
	programs := filepath.Join(w.dir, "programs")
	if err := os.Mkdir(programs, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(programs, "shows")
	peertest.WriteProgram(t, program, []byte(shows))
	child := exec.Command(program)
	child.SysProcAttr = given
	out, err := child.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := ambient(string(out)); got == "0000000000000000" {
		t.Fatalf("the test gives nothing: %s", got)
	}
	conf, err := os.ReadFile(w.config)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, w.config, string(conf)+fmt.Sprintf("[sieve.programs]\nexecute = %q\nusers = true\n", programs))
	if err := os.MkdirAll(w.maildir("bob@example.test"), 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(w.maildir("bob@example.test"), ".dovecot.sieve"),
		`require ["vnd.dovecot.execute","variables","editheader"]; execute :output "out" "shows"; addheader "X-Shows" "${out}";`)
	w.sys = given
	w.start(t)
	if out, exit := w.deliver(t, piped, "-f", "odd@remote.invalid", "-d", "bob@example.test"); exit != 0 {
		t.Fatalf("deliver: %d %s", exit, out)
	}
	stored := w.stored(t, "bob@example.test")
	if len(stored) != 1 {
		t.Fatalf("stored %q", stored)
	}
	text, err := os.ReadFile(stored[0])
	if err != nil {
		t.Fatal(err)
	}
	if got := ambient(string(text)); got != "0000000000000000" {
		t.Errorf("a program of a script has the capabilities %s", got)
	}
}

// TestIMAPSieveDovecot: the same script at the same events of IMAP, COPY, APPEND
// and changes of flags, in gomaild and in Dovecot with Pigeonhole's imap_sieve:
// the mailboxes are the same afterwards, but for what is discarded.
func TestIMAPSieveDovecot(t *testing.T) {
	t.Parallel()
	const rule = `require ["imapsieve","environment","imap4flags","fileinto","copy"];
if environment "imap.cause" "COPY" {
	addflag "$copied";
	fileinto :copy "Filed";
} elsif environment "imap.cause" "APPEND" {
	addflag ["\\Flagged", "$appended"];
} elsif environment :contains "imap.changedflags" "Draft" {
	discard;
} elsif environment :contains "imap.changedflags" "Seen" {
	addflag "$seen";
	if environment "imap.mailbox" "Work" { removeflag "$copied"; }
}
`
	peertest.Need(t, "sieve-test", "dovecot-sieve")
	d := newDovecot(t)
	conf := filepath.Join(d.dir, "dovecot.conf")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, conf, string(text)+"mail_plugins = imap_sieve\nplugin {\n sieve_plugins = sieve_imapsieve\n imapsieve_mailbox1_name = Work\n imapsieve_mailbox1_causes = COPY APPEND FLAG\n imapsieve_mailbox1_before = file:"+
		filepath.Join(d.dir, "rule.sieve")+"\n}\n")
	writeFile(t, filepath.Join(d.dir, "rule.sieve"), rule)
	w := newWorldWith(t, "", "trusted_networks = [\"127.0.0.0/8\"]\n")
	if text, err = os.ReadFile(w.config); err != nil {
		t.Fatal(err)
	}
	writeFile(t, w.config, string(text)+"[[sieve.imap.rule]]\nname = \"Work\"\nbefore = \"rule.sieve\"\n")
	writeFile(t, filepath.Join(w.root, "rule.sieve"), rule)
	w.start(t)
	for range 3 {
		if out, exit := w.deliver(t, piped, "-f", "odd@remote.invalid", "-d", "bob@example.test"); exit != 0 {
			t.Fatalf("deliver: %d %s", exit, out)
		}
	}
	folders := []string{"INBOX", "Work", "Filed"}
	w.imapSession(t, "1 CREATE Work\n2 CREATE Filed\n3 SELECT Work\n4 SELECT Filed\n5 SELECT INBOX\n6 STORE 1 +FLAGS (\\Answered mine)\n7 LOGOUT\n")
	w.stop(t)
	d.take(t, w.maildir("bob@example.test"))
	w.start(t)
	const letter = "From: a@example.org||x|"
	events := "1 SELECT INBOX\n2 COPY 1:3 Work\n" +
		fmt.Sprintf("3 APPEND Work (\\Draft) \"01-Mar-2026 10:00:00 +0000\" {%d+}|%s\n", len(letter)+strings.Count(letter, "|"), letter) +
		"4 SELECT Work\n5 STORE 1 +FLAGS (\\Seen)\n6 STORE 2 +FLAGS (\\Draft)\n7 STORE 3 +FLAGS (\\Answered)\n8 STORE 4 +FLAGS (\\Seen other)\n9 LOGOUT\n"
	w.imapSession(t, events)
	d.session(t, events)
	theirs, ours := d.folders(t, folders), w.folders(t, folders)
	if m := ours["Work"].messages; len(m) > 1 {
		// RFC 6785 section 3: what is not kept is marked \Deleted. Pigeonhole 0.5.19 leaves it
		// as it is.
		if !strings.Contains(m[1], ` \Deleted `) {
			t.Errorf("a discarded message is not marked: %s", m[1])
		}
		m[1] = strings.Replace(m[1], ` \Deleted`, "", 1)
	}
	compare(t, "after events of IMAP gomaild", theirs, ours)
	for name, want := range map[string]int{"INBOX": 3, "Work": 4, "Filed": 3} {
		if got := len(theirs[name].messages); got != want {
			t.Errorf("%s of Dovecot holds %d messages, want %d: its scripts do not run", name, got, want)
		}
	}
	for i, want := range []string{"$seen", "$copied", "$copied", "$appended"} {
		if m := theirs["Work"].messages; i < len(m) && !strings.Contains(m[i], want) {
			t.Errorf("Dovecot's message %d has no %s: its scripts do not run: %s", i+1, want, m[i])
		}
	}
}
