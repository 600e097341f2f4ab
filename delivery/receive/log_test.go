package receive

import (
	"regexp"
	"strings"
	"testing"

	"gomaild/mail"
	"gomaild/smtp"
)

// TestLog holds the lines of a session, in order: names and fields are a
// promise to those who read them (docs/logging.md).
func TestLog(t *testing.T) {
	t.Parallel()
	full := &mail.Status{Code: 552, Enhanced: "5.2.2", Text: "Mailbox is full"}
	for _, tt := range []struct {
		rule  string
		make  func(Config) smtp.Receiver
		as    smtp.Client
		from  string
		to    []string
		fails bool // bob
		want  []string
	}{
		{"delivered to two", NewMX, client, "s@r.test", []string{"bob@example.org", "carol@example.org"}, false, []string{
			`level=INFO msg=accepted session=S1 way=mx from=s@r.test client=192.0.2.7 id=S1.1 helo=client.test message_id=<m@x> size=50 recipients=2 protocol=ESMTP delay=0s`,
			`level=INFO msg=delivered session=S1 way=mx from=s@r.test client=192.0.2.7 id=S1.1 helo=client.test message_id=<m@x> to=bob@example.org status="250 2.0.0" delay=0s`,
			`level=INFO msg=delivered session=S1 way=mx from=s@r.test client=192.0.2.7 id=S1.1 helo=client.test message_id=<m@x> to=carol@example.org status="250 2.0.0" delay=0s`}},
		{"by a user", NewSubmission, loggedIn("alice@example.org", true), "alice@example.org", []string{"carol@example.org"}, false, []string{
			`level=INFO msg=accepted session=S1 way=submission from=alice@example.org client=192.0.2.7 id=S1.1 helo=client.test account=alice@example.org message_id=<m@x> size=50 recipients=1 protocol=ESMTPSA delay=0s`,
			`level=INFO msg=delivered session=S1 way=submission from=alice@example.org client=192.0.2.7 id=S1.1 helo=client.test account=alice@example.org message_id=<m@x> to=carol@example.org status="250 2.0.0" delay=0s`}},
		{"refused at RCPT", NewMX, client, "s@r.test", []string{"nobody@example.org"}, false, []string{
			`level=INFO msg=rejected session=S1 way=mx from=s@r.test client=192.0.2.7 id=S1.1 helo=client.test stage=rcpt status="550 5.1.1" reply="<nobody@example.org>: User unknown" to=nobody@example.org`}},
		{"refused at MAIL", NewSubmission, loggedIn("alice@example.org", true), "bob@example.org", nil, false, []string{
			`level=INFO msg=rejected session=S1 way=submission from=bob@example.org client=192.0.2.7 id=S1.1 helo=client.test account=alice@example.org stage=mail status="553 5.7.1" reply="<bob@example.org>: Sender address rejected: not owned by user alice@example.org"`}},
		{"not taken, since one cannot have it", NewMX, client, "s@r.test", []string{"bob@example.org", "carol@example.org"}, true, []string{
			`level=INFO msg=rejected session=S1 way=mx from=s@r.test client=192.0.2.7 id=S1.1 helo=client.test message_id=<m@x> stage=data status="552 5.2.2" reply="Mailbox is full" to=bob@example.org`,
			`level=INFO msg=delivered session=S1 way=mx from=s@r.test client=192.0.2.7 id=S1.1 helo=client.test message_id=<m@x> to=carol@example.org status="250 2.0.0" delay=0s`}},
		{"taken for one by LMTP", NewLMTP, client, "s@r.test", []string{"bob@example.org", "carol@example.org"}, true, []string{
			`level=INFO msg=accepted session=S1 way=lmtp from=s@r.test client=192.0.2.7 id=S1.1 helo=client.test message_id=<m@x> size=50 recipients=2 protocol=ESMTP delay=0s`,
			`level=INFO msg=rejected session=S1 way=lmtp from=s@r.test client=192.0.2.7 id=S1.1 helo=client.test message_id=<m@x> stage=data status="552 5.2.2" reply="Mailbox is full" to=bob@example.org`,
			`level=INFO msg=delivered session=S1 way=lmtp from=s@r.test client=192.0.2.7 id=S1.1 helo=client.test message_id=<m@x> to=carol@example.org status="250 2.0.0" delay=0s`}},
	} {
		b := newBench()
		if tt.fails {
			b.fails["bob@example.org"] = full
		}
		session(t, tt.make(b.config), tt.as, tt.from, tt.to, hello)
		got := regexp.MustCompile(`(?m)^time=\S+ `).ReplaceAllString(b.log.String(), "")
		if want := strings.Join(tt.want, "\n") + "\n"; got != want {
			t.Errorf("%s: got\n%swant\n%s", tt.rule, got, want)
		}
	}
}
