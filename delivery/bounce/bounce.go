// Package bounce writes delivery status notifications (RFC 3464): what the
// sender of a message is told about its recipients. It sends nothing.
package bounce

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
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
// bounce_size_limit; above it, with RET=HDRS, or with REQUIRETLS (RFC 8689 section
// 5), only the header is.
const maxReturned = 50_000

// maxHeader bounds a returned header.
const maxHeader = 64 << 10

// Report is what a notification is made from.
type Report struct {
	Notice    queue.Notice
	Facts     Facts
	Now       time.Time
	Envelope  queue.Envelope
	Content   message.Content
	To        []queue.Outcome
	Templates *Templates // nil: the built-in words
}

// Write is the notification in wire form, to be sent to the sender with the null
// reverse-path. Errors are ErrNobody and faults of reading the content.
// Recipients who asked for no such notice are left out.
func Write(r Report) ([]byte, error) {
	if r.Envelope.From.IsNull() {
		return nil, ErrNobody
	}
	var tell []queue.Outcome
	for _, o := range r.To {
		if wants(o.Notify, r.Notice) {
			tell = append(tell, o)
		}
	}
	if len(tell) == 0 {
		return nil, ErrNobody
	}
	if r.Templates == nil {
		t, err := ParseTemplates("")
		if err != nil {
			return nil, err
		}
		r.Templates = t
	}
	returned, whole, err := original(r)
	if err != nil {
		return nil, fmt.Errorf("return the message: %w", err)
	}
	words := r.Templates.texts[r.Notice]
	text, err := expand(words.body, r.Facts)
	if err != nil {
		return nil, err
	}
	w := &writer{Report: r, host: r.Facts.Hostname, boundary: rand.Text(), utf8: r.Envelope.From.UTF8}
	w.header(words)
	w.text(text, tell)
	w.status(tell)
	w.original(returned, whole)
	return []byte(w.b.String()), nil
}

// wants reports whether the sender wants to hear of it (RFC 3461 section 4.1).
// Without NOTIFY that is of failures, and of delays.
func wants(n mail.Notify, notice queue.Notice) bool {
	switch notice {
	case queue.NoticeFailed:
		return n == 0 || n&mail.NotifyFailure != 0
	case queue.NoticeDelayed:
		return n == 0 || n&mail.NotifyDelay != 0
	}
	return n&mail.NotifySuccess != 0
}

// original is what is returned of the message: of one that is not lost the
// header (RFC 3461 section 6.2: RET is about failures).
func original(r Report) (text []byte, whole bool, err error) {
	c := r.Content
	if r.Notice == queue.NoticeFailed && r.Envelope.From.Ret != mail.RetHeaders && !r.Envelope.RequireTLS && c.Size() <= maxReturned {
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
	Report
	b        strings.Builder
	host     string
	boundary string
	utf8     bool // the types of RFC 6533
	inASCII  bool // what is written now may hold nothing else
}

// line writes one line; what came from strangers cannot end it.
func (w *writer) line(parts ...string) {
	for _, p := range parts {
		w.b.WriteString(strings.Map(w.oneLine, p))
	}
	w.b.WriteString("\r\n")
}

func (w *writer) oneLine(r rune) rune {
	switch {
	case r < ' ' || r == 0x7f:
		return ' '
	case w.inASCII && r > 0x7f:
		return '?'
	}
	return r
}

func (w *writer) header(words template) {
	w.line("From: ", words.sender(w.host))
	w.line("To: ", w.Envelope.From.Address.String())
	w.line("Subject: ", mime.QEncoding.Encode("utf-8", words.subject))
	w.line("Date: ", w.Now.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	w.line("Message-ID: <", rand.Text(), "@", w.host, ">")
	w.line("Auto-Submitted: auto-replied")
	w.line("MIME-Version: 1.0")
	w.line(`Content-Type: multipart/report; report-type=delivery-status; boundary="`, w.boundary, `"`)
	w.line("Content-Transfer-Encoding: 8bit")
	w.line()
}

func (w *writer) part(kind string) {
	encoding := "8bit"
	if w.inASCII {
		encoding = "7bit"
	}
	w.line("--", w.boundary)
	w.line("Content-Type: ", kind)
	w.line("Content-Transfer-Encoding: ", encoding)
	w.line()
}

func (w *writer) text(words string, tell []queue.Outcome) {
	w.part("text/plain; charset=utf-8")
	for line := range strings.Lines(words) {
		w.line(strings.TrimRight(line, "\n"))
	}
	for _, o := range tell {
		w.line()
		w.line("<", o.Address.String(), ">: ", w.said(o))
	}
	w.line()
}

// said is the last answer, for people.
func (w *writer) said(o queue.Outcome) string {
	s := mail.StatusOf(o.Err)
	switch {
	case s != nil:
		return fmt.Sprintf("%d %s %s", s.Code, s.Enhanced, s.Text)
	case w.Notice == queue.NoticeDelivered:
		return "delivered to the mailbox"
	case w.Notice == queue.NoticeExpanded:
		return "sent on to each of the addresses that it stands for"
	case w.Notice == queue.NoticeRelayed:
		return "taken by " + cmp.Or(o.RemoteMTA, o.Destination.Host) + ", which sends no notices"
	}
	return "given up"
}

// status is the machine's part (RFC 3464 section 2), in ASCII unless the sender's
// own message was internationalized.
func (w *writer) status(tell []queue.Outcome) {
	w.inASCII = !w.utf8
	defer func() { w.inASCII = false }()
	if w.utf8 {
		w.part("message/global-delivery-status")
	} else {
		w.part("message/delivery-status")
	}
	if w.Envelope.From.EnvID != "" {
		w.line("Original-Envelope-Id: ", w.Envelope.From.EnvID)
	}
	w.line("Reporting-MTA: dns; ", w.host)
	w.line("Arrival-Date: ", w.Envelope.Arrived.Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	for _, o := range tell {
		w.line()
		if o.ORcpt != "" {
			w.line("Original-Recipient: ", o.ORcpt)
		}
		kind, address := o.Address.DSNForm()
		if w.utf8 {
			address = o.Address.String()
		}
		w.line("Final-Recipient: ", kind, "; ", address)
		w.line("Action: ", string(w.Notice))
		w.line("Status: ", w.code(o))
		if o.RemoteMTA != "" {
			w.line("Remote-MTA: dns; ", o.RemoteMTA)
		}
		if o.RemoteMTA != "" && o.Err != nil {
			w.line("Diagnostic-Code: smtp; ", w.said(o))
		}
		if w.Notice == queue.NoticeDelayed && w.Facts.Lifetime > 0 {
			w.line("Will-Retry-Until: ", w.Envelope.Arrived.Add(w.Facts.Lifetime).Format("Mon, 02 Jan 2006 15:04:05 -0700"))
		}
	}
	w.line()
}

// code is the status code: what was temporary until the end is 4.4.7, delivery
// time expired (RFC 3463 section 3.5).
func (w *writer) code(o queue.Outcome) string {
	s := mail.StatusOf(o.Err)
	switch {
	case s == nil && w.Notice == queue.NoticeFailed:
		return "4.4.7"
	case s == nil:
		return "2.0.0"
	case s.Temporary() && w.Notice == queue.NoticeFailed:
		return "4.4.7"
	case s.Enhanced == "" && s.Temporary():
		return "4.0.0"
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
