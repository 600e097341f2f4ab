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

func failure(local string, err error) queue.Failure {
	var f queue.Failure
	f.Address = mail.Address{Local: local, Domain: "far.test"}
	f.Err = err
	return f
}

var nobody = &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "nobody\r\nEvil: field"}

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
	data, err := Failed("mx.x.test", noon, envelope(), body("Subject: hi\r\n\r\nwords\r\n"), []queue.Failure{f, failure("w", errors.New("away"))})
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
	small, large := envelope(), envelope()
	small.From.Ret = mail.RetHeaders
	for e, words := range map[*queue.Envelope]string{&small: "words", &large: strings.Repeat("words", maxReturned)} {
		data, err := Failed("mx.x.test", noon, *e, body("Subject: hi\r\n\r\n"+words), []queue.Failure{failure("u", nobody)})
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
		"never a bounce to a bounce": second(Failed("h", noon, null, body(""), []queue.Failure{failure("u", nobody)})),
		"NOTIFY=NEVER":               second(Failed("h", noon, envelope(), body(""), []queue.Failure{never})),
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
	data, err := Failed("h", noon, e, body("A: b\r\n\r\n"), []queue.Failure{failure("ü", nobody)})
	if err != nil {
		t.Fatal(err)
	}
	kinds, bodies := parts(t, data)
	if kinds[1] != "message/global-delivery-status" || kinds[2] != "message/global" || !strings.Contains(bodies[1], "Final-Recipient: utf-8; ü@far.test") {
		t.Errorf("%q %q", kinds, bodies[1])
	}
}
