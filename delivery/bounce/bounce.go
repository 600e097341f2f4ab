// Package bounce writes delivery status notifications (RFC 3464): what the
// sender of a message is told about its recipients. It sends nothing.
package bounce

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"gomaild/delivery/queue"
	"gomaild/mail"
	"gomaild/message"
)

// ErrNobody means that nobody may be told: the message has the null
// reverse-path (RFC 5321 section 4.5.5), or every recipient was sent with a
// NOTIFY that does not want this (RFC 3461 section 4.1).
var ErrNobody = errors.New("nobody to notify")

// maxReturned is how much of the message is returned, as Postfix's
// bounce_size_limit; above it, or with RET=HDRS, only the header is.
const maxReturned = 50_000

// maxHeader bounds a returned header.
const maxHeader = 64 << 10

// Failed is the notification that recipients were given up, in wire form, to
// be sent to e.From with the null reverse-path. Errors are ErrNobody and faults
// of reading content. Recipients who asked for no such notice are left out.
func Failed(hostname string, now time.Time, e queue.Envelope, content message.Content, failed []queue.Failure) ([]byte, error) {
	if e.From.IsNull() {
		return nil, ErrNobody
	}
	var tell []queue.Failure
	for _, f := range failed {
		if f.Notify == 0 || f.Notify&mail.NotifyFailure != 0 {
			tell = append(tell, f)
		}
	}
	if len(tell) == 0 {
		return nil, ErrNobody
	}
	returned, whole, err := original(e, content)
	if err != nil {
		return nil, fmt.Errorf("return the message: %w", err)
	}
	w := &writer{host: hostname, boundary: rand.Text(), utf8: e.From.UTF8}
	w.header(now, e)
	w.text(tell)
	w.status(e, tell)
	w.original(returned, whole)
	return []byte(w.b.String()), nil
}

// original is what is returned of the message.
func original(e queue.Envelope, c message.Content) (text []byte, whole bool, err error) {
	if e.From.Ret != mail.RetHeaders && c.Size() <= maxReturned {
		text, err = io.ReadAll(io.NewSectionReader(c, 0, c.Size()))
		return text, true, err
	}
	text, err = io.ReadAll(io.NewSectionReader(c, 0, min(c.Size(), maxHeader)))
	if head, _, ok := strings.Cut(string(text), "\r\n\r\n"); ok {
		text = []byte(head + "\r\n")
	}
	return text, false, err
}

type writer struct {
	b        strings.Builder
	host     string
	boundary string
	utf8     bool // the types of RFC 6533
}

// line writes one line; what came from strangers cannot end it.
func (w *writer) line(parts ...string) {
	for _, p := range parts {
		w.b.WriteString(strings.Map(oneLine, p))
	}
	w.b.WriteString("\r\n")
}

func oneLine(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

func (w *writer) header(now time.Time, e queue.Envelope) {
	w.line("From: Mail Delivery System <MAILER-DAEMON@", w.host, ">")
	w.line("To: ", e.From.Address.String())
	w.line("Subject: Undelivered Mail Returned to Sender")
	w.line("Date: ", now.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	w.line("Message-ID: <", rand.Text(), "@", w.host, ">")
	w.line("Auto-Submitted: auto-replied")
	w.line("MIME-Version: 1.0")
	w.line(`Content-Type: multipart/report; report-type=delivery-status; boundary="`, w.boundary, `"`)
	w.line("Content-Transfer-Encoding: 8bit")
	w.line()
}

func (w *writer) part(kind string) {
	w.line("--", w.boundary)
	w.line("Content-Type: ", kind)
	w.line("Content-Transfer-Encoding: 8bit")
	w.line()
}

func (w *writer) text(tell []queue.Failure) {
	w.part("text/plain; charset=utf-8")
	w.line("This is the mail system at host ", w.host, ".")
	w.line()
	w.line("Your message could not be delivered to one or more recipients. It is")
	w.line("attached below. No further attempts will be made.")
	for _, f := range tell {
		w.line()
		w.line("<", f.Address.String(), ">: ", said(f))
	}
	w.line()
}

// said is the last answer, for people.
func said(f queue.Failure) string {
	s := mail.StatusOf(f.Err)
	if s == nil {
		return "given up"
	}
	return fmt.Sprintf("%d %s %s", s.Code, s.Enhanced, s.Text)
}

// status is the machine's part (RFC 3464 section 2).
func (w *writer) status(e queue.Envelope, tell []queue.Failure) {
	if w.utf8 {
		w.part("message/global-delivery-status")
	} else {
		w.part("message/delivery-status")
	}
	if e.From.EnvID != "" {
		w.line("Original-Envelope-Id: ", e.From.EnvID)
	}
	w.line("Reporting-MTA: dns; ", w.host)
	w.line("Arrival-Date: ", e.Arrived.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	for _, f := range tell {
		w.line()
		if f.ORcpt != "" {
			w.line("Original-Recipient: ", f.ORcpt)
		}
		w.line("Final-Recipient: ", kind(f.Address), "; ", f.Address.String())
		w.line("Action: failed")
		w.line("Status: ", final(f))
		if f.RemoteMTA != "" {
			w.line("Remote-MTA: dns; ", f.RemoteMTA)
			w.line("Diagnostic-Code: smtp; ", said(f))
		}
	}
	w.line()
}

// kind is the address type (RFC 6533 section 3).
func kind(a mail.Address) string {
	if a.NeedsUTF8() {
		return "utf-8"
	}
	return "rfc822"
}

// final is the status code: what was temporary until the end is 4.4.7,
// delivery time expired (RFC 3463 section 3.5).
func final(f queue.Failure) string {
	s := mail.StatusOf(f.Err)
	switch {
	case s == nil || s.Temporary():
		return "4.4.7"
	case s.Enhanced == "":
		return "5.0.0"
	}
	return s.Enhanced
}

func (w *writer) original(text []byte, whole bool) {
	switch {
	case whole && w.utf8:
		w.part("message/global")
	case whole:
		w.part("message/rfc822")
	case w.utf8:
		w.part("message/global-headers")
	default:
		w.part("text/rfc822-headers")
	}
	w.b.Write(text)
	if !strings.HasSuffix(string(text), "\r\n") {
		w.line()
	}
	w.line("--", w.boundary, "--")
}
