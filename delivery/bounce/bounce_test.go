package bounce

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	netmail "net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/delivery/queue"
	"gomaild/mail"
)

type text struct{ *strings.Reader }

func (c text) Size() int64 { return c.Reader.Size() }

func body(s string) text { return text{strings.NewReader(s)} }

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

func envelope() queue.Envelope {
	return queue.Envelope{From: mail.ReversePath{Address: mail.Address{Local: "s", Domain: "x.test"}, EnvID: "e1"}, Arrived: noon}
}

func failure(local string, err error) queue.Outcome {
	var f queue.Outcome
	f.Address = mail.Address{Local: local, Domain: "far.test"}
	f.Err = err
	return f
}

var nobody = &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "nobody\r\nEvil: field"}

// failed is a report of failure.
func failed(host string, e queue.Envelope, c text, to []queue.Outcome) ([]byte, error) {
	return Write(Report{Notice: queue.NoticeFailed, Facts: Facts{Hostname: host}, Now: noon, Envelope: e, Content: c, To: to})
}

// parts reads a notification with the standard library.
func parts(t *testing.T, data []byte) (kinds, bodies []string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/report" || params["report-type"] != "delivery-status" {
		t.Fatalf("%s %v: %v", kind, params, err)
	}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		p, err := r.NextPart()
		if err == io.EOF {
			return kinds, bodies
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		kinds, bodies = append(kinds, p.Header.Get("Content-Type")), append(bodies, string(b))
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	f := failure("u", nobody)
	f.ORcpt, f.RemoteMTA = "rfc822;list@x.test", "mx.far.test"
	data, err := failed("mx.x.test", envelope(), body("Subject: hi\r\n\r\nwords\r\n"), []queue.Outcome{f, failure("w", errors.New("away"))})
	if err != nil {
		t.Fatal(err)
	}
	kinds, bodies := parts(t, data)
	if want := []string{"text/plain; charset=utf-8", "message/delivery-status", "message/rfc822"}; !slices.Equal(kinds, want) {
		t.Fatalf("parts %q, want %q", kinds, want)
	}
	want := "Original-Envelope-Id: e1\r\nReporting-MTA: dns; mx.x.test\r\nArrival-Date: Fri, 02 Jan 2026 12:00:00 +0000\r\n" +
		"\r\nOriginal-Recipient: rfc822;list@x.test\r\nFinal-Recipient: rfc822; u@far.test\r\nAction: failed\r\nStatus: 5.1.1\r\n" +
		"Remote-MTA: dns; mx.far.test\r\nDiagnostic-Code: smtp; 550 5.1.1 nobody  Evil: field\r\n" +
		"\r\nFinal-Recipient: rfc822; w@far.test\r\nAction: failed\r\nStatus: 4.4.7\r\n"
	if got := strings.TrimSuffix(bodies[1], "\r\n"); got+"\r\n" != want && got != want {
		t.Errorf("status\n%q, want\n%q", bodies[1], want)
	}
	if !strings.Contains(bodies[2], "Subject: hi\r\n\r\nwords") {
		t.Errorf("returned %q", bodies[2])
	}
}

// Only the header goes back when the sender wants that or the message is large.
func TestReturnedHeader(t *testing.T) {
	t.Parallel()
	small, large, secret := envelope(), envelope(), envelope()
	small.From.Ret = mail.RetHeaders
	secret.From.Ret, secret.RequireTLS = mail.RetFull, true // RFC 8689 section 5
	for e, words := range map[*queue.Envelope]string{&small: "words", &secret: "words", &large: strings.Repeat("words", maxReturned)} {
		data, err := failed("mx.x.test", *e, body("Subject: hi\r\n\r\n"+words), []queue.Outcome{failure("u", nobody)})
		if err != nil {
			t.Fatal(err)
		}
		kinds, bodies := parts(t, data)
		if kinds[2] != "text/rfc822-headers" || !strings.HasPrefix(bodies[2], "Subject: hi") || strings.Contains(bodies[2], "words") {
			t.Errorf("returned %s %.80q", kinds[2], bodies[2])
		}
	}
}

func TestNobodyIsTold(t *testing.T) {
	t.Parallel()
	never := failure("u", nobody)
	never.Notify = mail.NotifyNever
	null := envelope()
	null.From.Address = mail.Address{}
	for rule, err := range map[string]error{
		"never a bounce to a bounce": second(failed("h", null, body(""), []queue.Outcome{failure("u", nobody)})),
		"NOTIFY=NEVER":               second(failed("h", envelope(), body(""), []queue.Outcome{never})),
	} {
		if !errors.Is(err, ErrNobody) {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

func second(_ []byte, err error) error { return err }

// RFC 6533: the sender's own message was internationalized.
func TestUTF8(t *testing.T) {
	t.Parallel()
	e := envelope()
	e.From.UTF8 = true
	data, err := failed("h", e, body("A: b\r\n\r\n"), []queue.Outcome{failure("ü", nobody)})
	if err != nil {
		t.Fatal(err)
	}
	kinds, bodies := parts(t, data)
	if kinds[1] != "message/global-delivery-status" || kinds[2] != "message/global" || !strings.Contains(bodies[1], "Final-Recipient: utf-8; ü@far.test") {
		t.Errorf("%q %q", kinds, bodies[1])
	}
}

// TestASCIIStatus: whoever sent without SMTPUTF8 gets a status in ASCII, whatever an
// alias or another host brought into it.
func TestASCIIStatus(t *testing.T) {
	t.Parallel()
	f := failure("ü", &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "unbekannter Empfänger"})
	f.RemoteMTA, f.ORcpt = "mx.far.test", "rfc822;list@x.test"
	data, err := failed("h", envelope(), body("A: b\r\n\r\n"), []queue.Outcome{f})
	if err != nil {
		t.Fatal(err)
	}
	kinds, bodies := parts(t, data)
	if kinds[1] != "message/delivery-status" || !strings.Contains(bodies[1], "Final-Recipient: utf-8; \\x{FC}@far.test\r\n") ||
		!strings.Contains(bodies[1], "Diagnostic-Code: smtp; 550 5.1.1 unbekannter Empf?nger\r\n") || !strings.Contains(bodies[0], "<ü@far.test>: 550 5.1.1 unbekannter Empfänger") {
		t.Errorf("%q %q", kinds, bodies)
	}
	if _, status, _ := strings.Cut(string(data), "message/delivery-status\r\n"); !strings.HasPrefix(status, "Content-Transfer-Encoding: 7bit\r\n") {
		t.Errorf("%.100q", status)
	}
}

// TestOtherNotices: news of a delay and of a success, and whom they are for.
func TestOtherNotices(t *testing.T) {
	t.Parallel()
	late, plain, asked, never := failure("late", errors.New("away")), failure("plain", nil), failure("asked", nil), failure("never", errors.New("away"))
	late.RemoteMTA, asked.RemoteMTA = "mx.far.test", "mx.far.test"
	asked.Notify, never.Notify = mail.NotifySuccess, mail.NotifyNever
	for _, tt := range []struct {
		notice  queue.Notice
		to      []queue.Outcome
		subject string
		want    []string // in the status
		without string
	}{
		{queue.NoticeDelayed, []queue.Outcome{late, never}, "Delayed Mail (still being retried)",
			[]string{"Action: delayed\r\nStatus: 4.3.0\r\nRemote-MTA: dns; mx.far.test\r\n", "Will-Retry-Until: Wed, 07 Jan 2026 12:00:00 +0000"}, "never@"},
		{queue.NoticeRelayed, []queue.Outcome{asked, plain}, "Successful Mail Delivery Report",
			[]string{"Final-Recipient: rfc822; asked@far.test\r\nAction: relayed\r\nStatus: 2.0.0\r\nRemote-MTA: dns; mx.far.test\r\n"}, "plain@"},
		{queue.NoticeDelivered, []queue.Outcome{asked}, "Successful Mail Delivery Report", []string{"Action: delivered\r\nStatus: 2.0.0\r\n"}, "Diagnostic"},
		{queue.NoticeExpanded, []queue.Outcome{asked, plain}, "Successful Mail Delivery Report",
			[]string{"Final-Recipient: rfc822; asked@far.test\r\nAction: expanded\r\nStatus: 2.0.0\r\n"}, "plain@"},
	} {
		data, err := Write(Report{Notice: tt.notice, Facts: Facts{Hostname: "mx.x.test", DelayNotice: 4 * time.Hour, Lifetime: 5 * 24 * time.Hour},
			Now: noon, Envelope: envelope(), Content: body("Subject: hi\r\n\r\nwords\r\n"), To: tt.to})
		if err != nil {
			t.Errorf("%s: %v", tt.notice, err)
			continue
		}
		kinds, bodies := parts(t, data)
		if kinds[2] != "text/rfc822-headers" || strings.Contains(bodies[2], "words") || !strings.Contains(string(data), "Subject: "+tt.subject+"\r\n") {
			t.Errorf("%s: %q\n%s", tt.notice, kinds, data)
		}
		for _, w := range tt.want {
			if !strings.Contains(bodies[1], w) {
				t.Errorf("%s: no %q in %q", tt.notice, w, bodies[1])
			}
		}
		if strings.Contains(bodies[1], tt.without) {
			t.Errorf("%s: %q in %q", tt.notice, tt.without, bodies[1])
		}
		if tt.notice == queue.NoticeDelayed && !strings.Contains(bodies[0], "more than 4\r\nhour(s)") {
			t.Errorf("%q", bodies[0])
		}
	}
	for _, n := range []queue.Notice{queue.NoticeRelayed, queue.NoticeDelivered, queue.NoticeExpanded} {
		if _, err := Write(Report{Notice: n, Envelope: envelope(), Content: body(""), To: []queue.Outcome{plain}}); !errors.Is(err, ErrNobody) {
			t.Errorf("%s that nobody asked for: %v", n, err)
		}
	}
}

// TestTemplates: an administrator's words.
func TestTemplates(t *testing.T) {
	t.Parallel()
	templates, err := ParseTemplates("# ours\nfailure_template = <<END\nCharset: utf-8\nFrom: mail-office (Poststelle, Köln)\nSubject: Unzustellbar: Ihre Post\nPostmaster-Subject: x\n\n" +
		"Hier ist ${myhostname}, $(mydomain); das kostet 5 $$.\n.\nEND\nverify_template = <<E\nFrom: a\nSubject: b\n\nc\nE\n")
	if err != nil {
		t.Fatal(err)
	}
	data, err := Write(Report{Notice: queue.NoticeFailed, Facts: Facts{Hostname: "mx.x.test"}, Now: noon, Envelope: envelope(), Content: body("A: b\r\n\r\n"), To: []queue.Outcome{failure("u", nobody)}, Templates: templates})
	if err != nil {
		t.Fatal(err)
	}
	_, bodies := parts(t, data)
	m, err := netmail.ReadMessage(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	from, err := m.Header.AddressList("From")
	if err != nil || from[0].Name != "Poststelle, Köln" || from[0].Address != "mail-office@mx.x.test" || m.Header.Get("Subject") != "Unzustellbar: Ihre Post" {
		t.Errorf("%v, %v, %v", from, err, m.Header)
	}
	if !strings.HasPrefix(bodies[0], "Hier ist mx.x.test, x.test; das kostet 5 $.\r\n.\r\n\r\n<u@far.test>: 550 5.1.1 nobody") {
		t.Errorf("%q", bodies[0])
	}
	for text, want := range map[string]string{
		"failure_template = x":                                           "line 1: write",
		"\nfailure_template = <<EOF\nFrom: a\n":                          "no line \"EOF\"",
		"delay_template = <<EOF\nFrom: a\n\nx\nEOF":                      "From and Subject must be there",
		"delay_template = <<EOF\nFrom: a\nSubject: b\nEOF":               "there is no text",
		"delay_template = <<EOF\nFrom: a\nSubject: b\n\n$x\nEOF":         "$x is not known",
		"delay_template = <<EOF\nFrom: a\nSubject: b\n\n${x\nEOF":        "not closed",
		"delay_template = <<EOF\nTo: a\nSubject: b\n\nx\nEOF":            "the header field To",
		"delay_template = <<EOF\nCharset: koi8-r\n\nx\nEOF":              "write utf-8",
		"delay_template = <<EOF\nno header\n\nx\nEOF":                    "is no header field",
		"failure_template = <<EOF\n" + strings.Repeat("x", maxTemplates): "octets of templates",
	} {
		if _, err := ParseTemplates(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}

func FuzzParseTemplates(f *testing.F) {
	f.Add(builtIn)
	f.Add("delay_template = <<EOF\nFrom: a (ü\")\nSubject: b\r\nX\n\n$$ ${myhostname}\nEOF")
	f.Fuzz(func(t *testing.T, text string) {
		templates, err := ParseTemplates(text)
		if err != nil {
			return
		}
		for _, n := range []queue.Notice{queue.NoticeFailed, queue.NoticeDelayed, queue.NoticeRelayed} {
			o := failure("u", nobody)
			o.Notify = mail.NotifySuccess | mail.NotifyFailure | mail.NotifyDelay
			data, err := Write(Report{Notice: n, Facts: Facts{Hostname: "h.test"}, Now: noon, Envelope: envelope(), Content: body("A: b\r\n\r\n"), To: []queue.Outcome{o}, Templates: templates})
			if err != nil {
				t.Fatal(err)
			}
			parts(t, data)
		}
	})
}

// FuzzWrite holds that what strangers said and sent cannot add a field, a
// recipient or a part to a notification.
func FuzzWrite(f *testing.F) {
	f.Add("nobody\r\nEvil: field", "rfc822;list@x.test", "e1", "mx.far.test", "Subject: hi\r\n\r\nwords\r\n", false)
	f.Add("\x00\xff\u2028\r\r\n\n\nFinal-Recipient: rfc822; x@y", "\n\n", "\r\n\r\n", "\n", "\n--\n\r\n.\r\n", true)
	f.Fuzz(func(t *testing.T, said, orcpt, envID, remote, content string, utf8 bool) {
		e := envelope()
		e.From.EnvID, e.From.UTF8 = envID, utf8
		o := failure("u", &mail.Status{Code: 550, Enhanced: "5.1.1", Text: said})
		o.ORcpt, o.RemoteMTA = orcpt, remote
		data, err := failed("mx.x.test", e, body(content), []queue.Outcome{o, failure("w", errors.New(said))})
		if err != nil {
			t.Fatal(err)
		}
		kinds, bodies := parts(t, data)
		if len(kinds) != 3 {
			t.Fatalf("parts %q", kinds)
		}
		groups := strings.Split(strings.TrimRight(bodies[1], "\r\n"), "\r\n\r\n")
		if len(groups) != 3 {
			t.Errorf("%d groups of fields for two recipients: %q", len(groups), bodies[1])
		}
		for line := range strings.SplitSeq(strings.TrimRight(bodies[1], "\r\n"), "\r\n") {
			if strings.ContainsAny(line, "\r\n\x00") || line != "" && !strings.Contains(line, ": ") {
				t.Errorf("line %q", line)
			}
		}
		if got := strings.TrimSuffix(bodies[2], "\r\n"); got != strings.TrimSuffix(content, "\r\n") && got != content {
			t.Errorf("returned %q of %q", got, content)
		}
	})
}
