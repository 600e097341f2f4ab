package sieve

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"gomaild/message"
)

// maxReported is how much of a message a report holds; of a longer one it has
// the header.
const maxReported = 1 << 20

// Report is an abuse report about the message (RFC 5965).
type Report struct {
	Type        string // "abuse", "fraud", "virus", "not-spam" ...
	Message     string // for people
	Address     string // who gets it
	HeadersOnly bool
}

// report is the command of vnd.dovecot.report.
type report struct {
	pos                  Pos
	kind, message, where text
	headersOnly          bool
}

func buildReport(c *checker, n *call) any {
	r := &report{pos: n.pos, kind: c.string(n.args[0]), message: c.string(n.args[1]), where: c.string(n.args[2]), headersOnly: n.has("headers_only")}
	if s, ok := r.kind.constant(); ok && !isToken(s) {
		c.errorf(r.kind.pos, "specified feedback type '%s' for the report command is invalid", shorten(s))
	}
	if s, ok := r.where.constant(); ok {
		if _, err := parseMailbox(s); err != nil {
			c.errorf(r.where.pos, "specified report address '%s' is invalid: %v", shorten(s), err)
		}
	}
	return r
}

// isToken is a token of RFC 2045 section 5.1, as a feedback type is one.
func isToken(s string) bool {
	return s != "" && len(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`()<>@,;:\"/[]?=`, r)
	})
}

func (r *report) exec(m *machine) error {
	a := &Report{HeadersOnly: r.headersOnly}
	var where string
	var err error
	for _, f := range []struct {
		from text
		to   *string
	}{{r.kind, &a.Type}, {r.message, &a.Message}, {r.where, &where}} {
		if *f.to, err = f.from.value(m); err != nil {
			return err
		}
	}
	to, err := parseMailbox(where)
	if err != nil {
		return m.failAt(r.pos, "specified report address '%s' is invalid: %v", shorten(where), err)
	}
	if !isToken(a.Type) {
		return m.failAt(r.pos, "specified feedback type '%s' for the report action is invalid", shorten(a.Type))
	}
	a.Address = to.String()
	return m.add(Action{Kind: SendReport, Pos: r.pos, Report: a})
}

// Send is the report. c is the message as it was then, nil for env's.
func (r *Report) Send(env *Env, c message.Content) (*Outgoing, error) {
	if c == nil {
		c = env.Message
	}
	original, err := readOriginal(c, r.HeadersOnly)
	if err != nil {
		return nil, err
	}
	report := multipartReport{
		from: pathOf(env.source(env.Answers.ReportFrom, env.postmaster())), to: r.Address, subject: "Report: " + original.subject,
		auto: "auto-generated (report)", kind: "feedback-report", text: r.Message, about: original,
	}
	return &Outgoing{To: []string{r.Address}, Content: report.compose(env, func(b *headerWriter) {
		b.field("Feedback-Type", r.Type)
		b.field("User-Agent", "gomaild")
		b.field("Version", "1")
		b.field("Original-Mail-From", "<"+pathOrNull(env.From)+">")
		b.field("Original-Rcpt-To", "<"+pathOf(cmp.Or(env.OrigTo, env.To))+">")
		b.field("Dovecot-Reporting-User", "<"+pathOf(cmp.Or(env.UserEmail, env.OrigTo, env.To))+">") // as readers of Dovecot's reports know it
	})}, nil
}

// original is the message that a report is about, as the report holds it.
type original struct {
	mediaType, text string
	subject, id     string // id is "" where it has none
}

func readOriginal(c message.Content, headersOnly bool) (original, error) {
	about := newContent(c)
	if _, err := about.header(); err != nil {
		return original{}, err
	}
	o := original{mediaType: "message/rfc822", subject: about.subjectOr("a message"), id: about.first("Message-ID")}
	size := c.Size()
	if headersOnly || size > maxReported {
		size, o.mediaType = min(about.bodyAt, maxReported), "text/rfc822-headers"
	}
	b, err := io.ReadAll(io.NewSectionReader(c, 0, size))
	if err != nil {
		return original{}, fmt.Errorf("read message for a report: %w", err)
	}
	o.text = string(b)
	return o, nil
}

// multipartReport is a multipart/report (RFC 6522) with its three parts: for
// people, for machines, and the message that it is about.
type multipartReport struct {
	from, to, subject string
	auto              string // Auto-Submitted (RFC 3834)
	kind              string // report-type, and the subtype of the second part
	text              string
	about             original
}

func (r *multipartReport) compose(env *Env, machine func(*headerWriter)) []byte {
	var b headerWriter
	id := messageID(env, r.from, r.text)
	sum := sha256.Sum256([]byte(id + r.about.text))
	boundary := "sieve-" + hex.EncodeToString(sum[:12])
	b.field("From", r.from)
	b.field("To", r.to)
	b.field("Subject", r.subject)
	b.field("Date", env.now().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	b.field("Message-ID", id)
	b.field("Auto-Submitted", r.auto)
	b.field("MIME-Version", "1.0")
	b.WriteString("Content-Type: multipart/report; report-type=" + r.kind + ";\r\n boundary=\"" + boundary + "\"\r\n\r\n")
	b.WriteString("--" + boundary + "\r\n" + textHeader + crlf(r.text) + "\r\n")
	b.WriteString("--" + boundary + "\r\nContent-Type: message/" + r.kind + "\r\n\r\n")
	machine(&b)
	b.WriteString("\r\n--" + boundary + "\r\nContent-Type: " + r.about.mediaType + "\r\n\r\n" + crlf(r.about.text) + "\r\n--" + boundary + "--\r\n")
	return []byte(b.String())
}

// pathOrNull is an address without brackets, "" for the null path.
func pathOrNull(s string) string {
	if s == "" {
		return ""
	}
	return pathOf(s)
}

func (c *content) subjectOr(absent string) string {
	if _, err := c.header(); err != nil || c.first("Subject") == "" {
		return absent
	}
	return message.DecodeHeader(c.first("Subject"))
}
