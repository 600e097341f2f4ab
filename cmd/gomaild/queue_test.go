package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/delivery/queue"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/message"
)

// nobodyThere is an agent that reaches no host.
type nobodyThere struct{}

func (nobodyThere) Deliver(_ context.Context, job queue.Job) []queue.Result {
	return make([]queue.Result, len(job.To))
}

type text struct{ *strings.Reader }

func (c text) Size() int64 { return c.Reader.Size() }

// fillQueue puts a message for each recipient into a mail root.
func fillQueue(t *testing.T, root string, to ...string) (ids []string) {
	t.Helper()
	fs, err := durable.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer fs.Close()
	if err := durable.MkdirAll(fs, ".gomaild/queue", 0o700); err != nil {
		t.Fatal(err)
	}
	dir, err := fs.Sub(".gomaild/queue")
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	stopped, stop := context.WithCancel(t.Context())
	stop() // nothing is attempted
	q, err := queue.Open(stopped, queue.Config{FS: dir, Agent: nobodyThere{}, Tell: func(context.Context, queue.Notice, queue.Envelope, message.Content, []queue.Outcome) error {
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	q.Close()
	for _, r := range to {
		a, err := mail.ParseAddress(r)
		if err != nil {
			t.Fatal(err)
		}
		id, err := q.Add(queue.Envelope{
			From:    mail.ReversePath{Address: mail.Address{Local: "alice", Domain: "example.test"}},
			Account: mail.Address{Local: "alice", Domain: "example.test"},
			To:      []queue.Recipient{{Recipient: mail.Recipient{Address: a}, Destination: queue.Destination{Transport: "smtp", Host: a.Domain}}},
		}, text{strings.NewReader("Subject: to " + r + "\r\n\r\nHi.\r\n")})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

// TestQueue looks into a queue and changes it, without a server and with one.
func TestQueue(t *testing.T) {
	t.Parallel()
	dir, conf := goodWorld(t)
	path := save(t, dir, "remote.relay_host = \"[127.0.0.1]:1\"\ndns.servers = [\"127.0.0.1:1\"]\n"+conf)
	does := func(wantCode int, want string, args ...string) string {
		t.Helper()
		code, stdout, stderr := gomaild(t, "", append(append([]string{"queue"}, args...), "-c", path)...)
		if code != wantCode || !strings.Contains(stdout+stderr, want) {
			t.Errorf("%q: exit %d, %s%s; want %d, %q", args, code, stdout, stderr, wantCode, want)
		}
		return stdout
	}
	does(exitOK, "", "list")
	does(exitFault, "no such message", "show", "0-x")
	ids := fillQueue(t, filepath.Join(dir, "mail"), "x@far.test", "y@far.test", "z@other.test")
	does(exitOK, "3 messages, 95 octets\n", "list")
	does(exitOK, "1 messages", "list", "--to", "@other.test")
	does(exitOK, "to <x@far.test> by smtp:far.test\n\nSubject: to x@far.test\r\n\r\nHi.\r\n", "show", ids[0])
	does(exitOK, `{"action":"hold","messages":3}`, "hold", "--all", "--json")
	does(exitUsage, "say which", "delete")
	does(exitOK, "delete: 1 messages", "delete", ids[1])
	does(exitOK, "0 messages", "release", "--older", "1h")

	s := serve(t, path)
	s.waitFor("msg=ready")
	does(exitOK, "flush: 2 messages", "flush")
	does(exitOK, "release: 1 messages", "release", "--destination", "far.test")
	s.waitFor("msg=deferred")
	var e queued
	out := does(exitOK, "", "list", ids[0], "--json")
	if err := json.Unmarshal([]byte(out), &e); err != nil || e.Held || e.Recipients[0].Address != "x@far.test" {
		t.Errorf("%v: %s", err, out)
	}
	does(exitOK, "  on hold\n", "list", ids[2])
	does(exitOK, "hold: 2 messages", "hold", "--all") // and no attempt is under way
	// With a mail root of its own that does not exist, a command has only the
	// socket to ask.
	asked := filepath.Join(dir, "asked.toml")
	if err := os.WriteFile(asked, []byte(strings.Replace(conf, `"mail"`, `"nowhere"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	looks := [][]string{{"list"}, {"list", "--json"}, {"list", "--to", "@far.test"}, {"show", ids[0]}, {"show", ids[0], "--json"}, {"show", "0-x"}}
	var served []string
	for _, look := range looks {
		_, stdout, stderr := gomaild(t, "", append(append([]string{"queue"}, look...), "-c", asked)...)
		served = append(served, stdout+stderr)
	}
	s.stop()
	s.waitFor("msg=stopped")
	<-s.ended
	for i, look := range looks {
		_, stdout, stderr := gomaild(t, "", append(append([]string{"queue"}, look...), "-c", path)...)
		if got := stdout + stderr; got != served[i] || i < 5 && !strings.Contains(got, ids[0]) {
			t.Errorf("%q: the server says\n%s\nand the mail root\n%s", look, served[i], got)
		}
	}
	lifts := func() {
		t.Helper()
		does(exitOK, "alice@example.test was not on hold, 2 messages released", "lift", "alice@example.test")
	}
	lifts()
	does(exitOK, "hold: 2 messages", "hold", "--all")
	s = serve(t, path)
	s.waitFor("msg=ready")
	lifts()
	s.stop()
	s.waitFor("msg=stopped")
	<-s.ended
	does(exitUsage, "", "lift", "nobody")
	does(exitOK, "delete: 2 messages", "delete", "--from", "alice@example.test")
	does(exitOK, "0 messages, 0 octets", "list")
}
