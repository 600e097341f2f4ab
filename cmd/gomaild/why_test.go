package main

import (
	"compress/gzip"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gomaild/internal/maillog"
	"gomaild/mail"
)

// writeMail writes the log of some messages.
func writeMail(log *slog.Logger) {
	mx := func(from, id string) *slog.Logger {
		return log.With("session", id[:2], "way", "mx", "from", from, "client", "192.0.2.7", "id", id, "helo", "r.test")
	}
	one, two := mx("s@r.test", "S1.1"), mx("S@R.test", "S2.1")
	one.Info(mail.EventAccepted, "message_id", "<one@r.test>", "size", 50, "recipients", 2)
	two.Info(mail.EventAccepted, "message_id", "<two@r.test>", "size", 60, "recipients", 1)
	one.Info(mail.EventDelivered, "to", "alice@x.test", "status", "250 2.0.0")
	log.Info("something else", "id", "S9.9", "to", "nobody@x.test")
	two.Info(mail.EventRejected, "to", "bob@x.test", "stage", "rcpt", "status", "550 5.1.1", "reply", "User unknown", "check", "x", "error", "hidden")
	one.Info(mail.EventDelivered, "to", "bob@x.test", "status", "250 2.0.0")
	two.Info(mail.EventQueued, "queue_id", "Q1", "to", "far@y.test", "status", "250 2.0.0")
	log.Info(mail.EventBounced, "queue_id", "Q1", "to", "far@y.test", "remote", "mx.y.test", "attempt", 3, "status", "550 5.1.1", "reply", "No")
	log.Info(mail.EventQueued, "queue_id", "Q2", "about", "Q1", "from", "", "to", "s@r.test", "status", "250 2.0.0")
	log.Info(mail.EventFiltered, "account", "s@r.test", "id", "Q2", "to", "s@r.test", "actions", "store into \"Bounces\"")
	log.Info(mail.EventDeferred, "queue_id", "Q1", "to", "late@y.test", "attempt", 1, "status", "450 4.2.1", "reply", "Later")
}

// TestWhy holds which lines a question finds, in each form of the log.
func TestWhy(t *testing.T) {
	t.Parallel()
	for form, handler := range map[string]func(w io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"json": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		"postfix": func(w io.Writer) slog.Handler {
			return maillog.NewPostfix(maillog.Prefixed{Host: "mail", W: w}, slog.LevelInfo)
		},
	} {
		var b strings.Builder
		writeMail(slog.New(handler(&b)))
		file := write(t, "log", b.String()+"no entry\n{\n")
		for _, tt := range []struct {
			query        string
			lines        int // of text and JSON
			postfixLines int
			has          string
		}{
			{"one@r.test", 3, 5, "one@r.test"},
			{"<ONE@r.test>", 3, 5, "bob@x.test"},
			{"s@r.test", 10, 14, "two@r.test"},
			{"alice@x.test", 3, 5, "alice@x.test"},
			{"S1.1", 3, 5, "alice@x.test"},
			{"Q1", 7, 8, "late@y.test"},
		} {
			want := tt.lines
			if form == "postfix" {
				want = tt.postfixLines
			}
			code, out, stderr := gomaild(t, "", "why", "--log", file, tt.query)
			if got := strings.Count(out, "\n"); got != want || want > 0 && !strings.Contains(out, tt.has) || (code == exitOK) != (want > 0) {
				t.Errorf("%s, %s: exit %d, %d lines, want %d: %s\n%s", form, tt.query, code, got, want, stderr, out)
			}
		}
		if code, _, stderr := gomaild(t, "", "why", "--log", file, "unknown@x.test"); code != exitFault || !strings.Contains(stderr, "nothing about") {
			t.Errorf("%s: exit %d: %s", form, code, stderr)
		}
	}
}

func create(t *testing.T, name string) *os.File {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

// TestWhyWords holds the sentences, and that the log is found by the
// configuration, with the file before it.
func TestWhyWords(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	file := filepath.Join(dir, "log")
	var b strings.Builder
	writeMail(slog.New(slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.String("time", "T")
		}
		return a
	}})))
	first, second, _ := strings.Cut(b.String(), "time=T level=INFO msg=\"something else\"")
	third, first, _ := strings.Cut(first, "\n") // lines of the oldest, the one before, and now
	gz := gzip.NewWriter(create(t, file+".2.gz"))
	if _, err := gz.Write([]byte(third + "\n")); err != nil || gz.Close() != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file+".2.gz", time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{file + ".old": "time=T level=INFO msg=queued from=two@r.test\n", file + ".1": first, file: "time=T level=INFO msg=\"something else\"" + second} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := save(t, dir, "log.destination = \""+file+"\"\n"+text)
	_, out, stderr := gomaild(t, "", "why", "-c", path, "<two@r.test>")
	const want = `T  S2.1  accepted from <S@R.test> at 192.0.2.7, Message-ID <two@r.test>, 60 octets, recipients: 1
T  S2.1  rejected from <S@R.test> at 192.0.2.7, to <bob@x.test>, at RCPT: 550 5.1.1 User unknown [x] (hidden)
T  S2.1  queued for <far@y.test> as Q1
T  Q1  given up for <far@y.test> by mx.y.test, attempt 3: 550 5.1.1 No
T  Q2  queued from <> for <s@r.test>, because of Q1
T  Q2  filtered for <s@r.test>: store into "Bounces"
T  Q1  deferred for <late@y.test>, attempt 1: 450 4.2.1 Later
`
	if out != want {
		t.Errorf("%s got\n%swant\n%s", stderr, out, want)
	}
	_, out, _ = gomaild(t, "", "why", "--json", "-c", path, "late@y.test")
	if line, _, _ := strings.Cut(out, "\n"); !strings.HasPrefix(line, `{`) || !strings.Contains(out, `"to":"late@y.test"`) {
		t.Errorf("json: %s", out)
	}
	if code, _, stderr := gomaild(t, "", "why", "-c", save(t, dir, text), "x"); code != exitFault || !strings.Contains(stderr, "--log") {
		t.Errorf("a log that is no file: %d %s", code, stderr)
	}
	if code, _, stderr := gomaild(t, "", "why", "--log", dir+"/missing", "x"); code != exitFault || !strings.Contains(stderr, "no such file") {
		t.Errorf("a file that is missing: %d %s", code, stderr)
	}
}
