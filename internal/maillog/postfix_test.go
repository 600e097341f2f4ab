package maillog

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gomaild/internal/peertest"
	"gomaild/mail"
)

// lines collects "tag: text".
type lines struct{ strings.Builder }

func (l *lines) WriteLine(one Line) error {
	l.WriteString(one.Tag + ": " + one.Text + "\n")
	return nil
}

// TestPostfix holds the lines of each event, and that nothing a client chooses
// can make another line or end a field.
func TestPostfix(t *testing.T) {
	t.Parallel()
	mx := []any{"session", "S1", "way", "mx", "from", "s@r.test", "client", "192.0.2.7", "id", "S1.1", "helo", "r.test"}
	lmtp := []any{"session", "S1", "way", "lmtp", "from", "s@r.test", "id", "S1.1"}
	queue := []any{"queue_id", "3-AB", "from", "a@x.test", "to", "b@y.test", "destination", "y.test", "remote", "mx.y.test", "attempt", 1, "delay", 2500 * time.Millisecond}
	for _, tt := range []struct {
		event string
		level slog.Level
		with  []any
		attrs []any
		want  string
	}{
		{mail.EventAccepted, slog.LevelInfo, mx, []any{"message_id", "<m@x>", "size", 50, "recipients", 2, "delay", time.Second},
			"postfix/smtpd: S1_1: client=unknown[192.0.2.7]\npostfix/cleanup: S1_1: message-id=<m@x>\npostfix/qmgr: S1_1: from=<s@r.test>, size=50, nrcpt=2 (queue active)\n"},
		{mail.EventAccepted, slog.LevelInfo, []any{"way", "submission", "from", "", "client", "2001:db8::1", "id", "S2.1", "account", "a@x.test"},
			[]any{"message_id", "", "size", 50, "recipients", 1},
			"postfix/submission/smtpd: S2_1: client=unknown[2001:db8::1], sasl_method=PLAIN, sasl_username=a@x.test\npostfix/cleanup: S2_1: message-id=<>\npostfix/qmgr: S2_1: from=<>, size=50, nrcpt=1 (queue active)\n"},
		{mail.EventAccepted, slog.LevelInfo, lmtp, []any{"size", 50}, "gomaild: accepted session=S1 way=lmtp from=s@r.test id=S1.1 size=50\n"},
		{mail.EventDelivered, slog.LevelInfo, mx, []any{"message_id", "<m@x>", "to", "b@x.test", "status", "250 2.0.0", "delay", 15 * time.Millisecond},
			"postfix/virtual: S1_1: to=<b@x.test>, relay=virtual, delay=0.01, delays=0.01/0/0/0, dsn=2.0.0, status=sent (delivered to maildir)\n"},
		{mail.EventDelivered, slog.LevelInfo, mx, []any{"queue_id", "3-AB", "to", "b@x.test", "status", "250 2.0.0", "delay", time.Second},
			"postfix/virtual: 3_AB: to=<b@x.test>, relay=virtual, delay=1.00, delays=1.00/0/0/0, dsn=2.0.0, status=sent (delivered to maildir)\n"},
		{mail.EventDelivered, slog.LevelInfo, lmtp, []any{"message_id", "<m@x>", "to", "b@x.test"}, "dovecot: lmtp(b@x.test): msgid=<m@x>: saved mail\n"},
		{mail.EventDelivered, slog.LevelInfo, queue, []any{"status", "250 2.0.0"},
			"postfix/smtp: 3_AB: to=<b@y.test>, relay=mx.y.test, delay=2.50, delays=2.50/0/0/0, dsn=2.0.0, status=sent (250 2.0.0)\n"},
		{mail.EventDeferred, slog.LevelInfo, queue, []any{"status", "450 4.2.1", "reply", "Later"},
			"postfix/smtp: 3_AB: to=<b@y.test>, relay=mx.y.test, delay=2.50, delays=2.50/0/0/0, dsn=4.2.1, status=deferred (450 4.2.1 Later)\n"},
		{mail.EventBounced, slog.LevelInfo, queue[:8], []any{"status", "550 5.1.1", "reply", "No\r\nsuch"},
			"postfix/smtp: 3_AB: to=<b@y.test>, relay=none, delay=, delays=/0/0/0, dsn=5.1.1, status=bounced (550 5.1.1 No??such)\n"},
		{mail.EventRejected, slog.LevelInfo, mx, []any{"stage", "rcpt", "status", "550 5.1.1", "reply", "<n@x.test>: User unknown", "to", "n@x.test"},
			"postfix/smtpd: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.1.1 <n@x.test>: User unknown; from=<s@r.test> to=<n@x.test> proto=ESMTP helo=<r.test>\n"},
		{mail.EventRejected, slog.LevelInfo, mx, []any{"stage", "data", "status", "550 5.7.1", "reply", "no", "to", "a> to=<b@x.test>\nOct"},
			"postfix/smtpd: NOQUEUE: reject: END-OF-MESSAGE from unknown[192.0.2.7]: 550 5.7.1 no; from=<s@r.test> to=<a? to=?b@x.test??Oct> proto=ESMTP helo=<r.test>\n"},
		{mail.EventDeferred, slog.LevelWarn, nil, []any{"listener", "mx", "stage", "connect", "client", "192.0.2.9", "status", "421 4.7.1", "reply", "Rate"},
			"postfix/smtpd: NOQUEUE: reject: CONNECT from unknown[192.0.2.9]: 421 4.7.1 Rate; proto=ESMTP\n"},
		{mail.EventLoginRefused, slog.LevelInfo, nil, []any{"protocol", "smtp", "session", "S", "client", "192.0.2.1", "tls", true, "mechanism", "PLAIN", "account", "a@x.test", "reason", "wrong password"},
			"postfix/submission/smtpd: warning: unknown[192.0.2.1]: SASL PLAIN authentication failed: wrong password, sasl_username=a@x.test\n"},
		{mail.EventLoginRefused, slog.LevelInfo, nil, []any{"protocol", "imap", "session", "S", "client", "192.0.2.1", "tls", true, "mechanism", "PLAIN", "account", "a@x.test"},
			"dovecot: imap-login: Disconnected (auth failed, 1 attempts in 0 secs): user=<a@x.test>, method=PLAIN, rip=192.0.2.1, TLS, session=<S>\n"},
		{mail.EventLogin, slog.LevelInfo, nil, []any{"protocol", "pop3", "session", "S", "client", "192.0.2.1", "tls", false, "mechanism", "PLAIN", "account", "a@x.test"},
			"dovecot: pop3-login: Login: user=<a@x.test>, method=PLAIN, rip=192.0.2.1, session=<S>\n"},
		{"disk is full", slog.LevelError, nil, []any{"error", errors.New(`open "x": no`), "empty", "", "nasty", "a\nb"},
			"gomaild: error: disk is full error=\"open \\\"x\\\": no\" empty=\"\" nasty=\"a\\nb\"\n"},
	} {
		var out lines
		slog.New(NewPostfix(&out, slog.LevelInfo)).With(tt.with...).Log(t.Context(), tt.level, tt.event, tt.attrs...)
		if out.String() != tt.want {
			t.Errorf("%s: got\n%swant\n%s", tt.event, &out, tt.want)
		}
	}
}

// TestHandler holds what log/slog asks of a handler: level, groups, and
// attributes that siblings do not share.
func TestHandler(t *testing.T) {
	t.Parallel()
	var out lines
	log := slog.New(NewPostfix(&out, slog.LevelInfo)).With("a", 1)
	log.Debug("not written")
	one, two := log.With("b", 2), log.With("c", 3)
	one.Info("x")
	two.WithGroup("g").Info("y", "d", 4)
	if want := "gomaild: x a=1 b=2\ngomaild: y a=1 c=3 g.d=4\n"; out.String() != want {
		t.Errorf("got\n%swant\n%s", &out, want)
	}
}

// written is a day of mail as a file has it.
func aDay(t *testing.T) string {
	t.Helper()
	var file strings.Builder
	log := slog.New(NewPostfix(Prefixed{Host: "mail", W: &file}, slog.LevelInfo))
	for _, id := range []string{"S1.1", "S2.1"} {
		mx := log.With("session", id[:2], "way", "mx", "from", "s@r.test", "client", "192.0.2.7", "id", id, "helo", "r.test")
		mx.Info(mail.EventAccepted, "message_id", "<m@x>", "size", 1000, "recipients", 2, "delay", time.Second)
		mx.Info(mail.EventDelivered, "to", "a@x.test", "status", "250 2.0.0", "delay", time.Second)
		mx.Info(mail.EventDelivered, "to", "b@x.test", "status", "250 2.0.0", "delay", time.Second)
	}
	log.With("way", "mx", "from", "s@r.test", "client", "192.0.2.8", "id", "S3.1", "helo", "r.test").
		Info(mail.EventRejected, "stage", "rcpt", "status", "550 5.1.1", "reply", "<n@x.test>: Recipient address rejected: User unknown", "to", "n@x.test")
	queue := log.With("queue_id", "Q9", "from", "a@x.test", "to", "c@y.test", "remote", "mx.y.test", "delay", time.Second)
	queue.Info(mail.EventDeferred, "status", "450 4.2.1", "reply", "Later")
	queue.Info(mail.EventBounced, "status", "550 5.1.1", "reply", "Nobody")
	for _, protocol := range []string{"smtp", "imap", "pop3"} {
		log.Info(mail.EventLoginRefused, "protocol", protocol, "session", "S4", "client", "192.0.2.9", "tls", true, "mechanism", "PLAIN", "account", "a@x.test", "reason", "wrong password")
	}
	return file.String()
}

// TestPflogsumm: the report counts what happened.
func TestPflogsumm(t *testing.T) {
	t.Parallel()
	report := peertest.Run(t, aDay(t), peertest.Need(t, "pflogsumm", "pflogsumm"))
	words := strings.Join(strings.Fields(report), " ")
	for _, want := range []string{
		"2 received", "4 delivered", "1 deferred (1 deferrals)", "1 bounced", "1 rejected",
		"2000 bytes received", "4000 bytes delivered", "1 senders", "2 recipients",
	} {
		if !strings.Contains(words, " "+want+" ") {
			t.Errorf("no %q in\n%s", want, report)
		}
	}
}

// TestFail2ban: the filters that come with fail2ban find who to ban.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	tool := peertest.Need(t, "fail2ban-regex", "fail2ban")
	file := t.TempDir() + "/mail.log"
	writeFile(t, file, aDay(t))
	for filter, want := range map[string]string{
		"postfix[mode=extra]": "192.0.2.8\n192.0.2.9",
		"dovecot":             "192.0.2.9\n192.0.2.9",
	} {
		if got := strings.TrimSpace(peertest.Run(t, "", tool, "--out", "ip", file, filter)); got != want {
			t.Errorf("%s finds %q, want %q", filter, got, want)
		}
	}
}
