package sieve

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"gomaild/mail"
	"gomaild/message"
)

// Outgoing is a message that an action sends.
type Outgoing struct {
	From    string   // envelope sender, "" for the null path
	To      []string // envelope recipients
	Content []byte   // wire form (CRLF)
	Key     string   // who was told: remember it for Period, and do not send within it
	Period  time.Duration
	FCC     *Action // a copy is filed as this FileInto says (RFC 8580), nil: not
}

// Reply is what a vacation action sends, or nil and why nothing may be sent: no
// answer to lists, bulk, machines, the null path or oneself, nor to mail that
// does not name the recipient (RFC 3834 section 2, RFC 5230 section 4.5 and
// 4.6). The caller looks up Key before it sends.
func (v *Vacation) Reply(env *Env) (*Outgoing, string) {
	c := newContent(env.Message)
	if _, err := c.header(); err != nil {
		return nil, err.Error()
	}
	sender, err := parseMailbox(env.From)
	if err != nil {
		return nil, "the sender is the null path or no address"
	}
	if why := c.isAutomatic(sender); why != "" {
		return nil, why
	}
	own := v.own(env)
	if own[sender.Fold().String()] {
		return nil, "the sender is the recipient"
	}
	named := c.shown(own)
	if !env.Answers.AnyRecipient && named == "" {
		return nil, "the message does not name the recipient"
	}
	from := cmp.Or(v.From, named, pathOf(cmp.Or(env.UserEmail, env.To)))
	sum := sha256.Sum256([]byte("vacation\x00" + v.Handle + "\x00" + sender.Fold().String()))
	to := c.asNamed(sender, env.Answers.ToHeader)
	path := ""
	if env.Answers.FromRecipient {
		path = pathOf(env.To)
	}
	return &Outgoing{
		From:    path,
		To:      []string{sender.String()},
		Content: v.compose(env, c, from, to),
		Key:     hex.EncodeToString(sum[:16]),
		Period:  v.Period,
		FCC:     v.FCC,
	}, ""
}

func pathOf(s string) string {
	local, domain, _ := splitPath(s)
	return mail.Address{Local: local, Domain: domain}.String()
}

// own is the addresses of the recipient.
func (v *Vacation) own(env *Env) map[string]bool {
	own := map[string]bool{}
	list := append([]string{env.To, env.UserEmail}, v.Addresses...)
	if !env.Answers.FinalRecipient {
		list = append(list, env.OrigTo)
	}
	for _, s := range list {
		if a, err := parseMailbox(s); err == nil {
			own[a.Fold().String()] = true
		}
	}
	return own
}

// isAutomatic says why mail is not to be answered, "" if it may be.
func (c *content) isAutomatic(sender mail.Address) string {
	local := strings.ToLower(sender.Local)
	switch {
	case local == "mailer-daemon", local == "listserv", local == "majordomo", local == "noreply", local == "no-reply",
		strings.HasPrefix(local, "owner-"), strings.HasSuffix(local, "-request"), strings.HasSuffix(local, "-owner"),
		strings.Contains(local, "-bounces"):
		return "the sender is no person"
	}
	for _, f := range c.fields {
		name, value := strings.ToLower(f.name), strings.ToLower(f.text)
		switch {
		case strings.HasPrefix(name, "list-"):
			return "the message comes from a list"
		case name == "auto-submitted" && !strings.HasPrefix(value, "no"):
			return "the message was sent automatically"
		case name == "precedence" && (value == "bulk" || value == "junk" || value == "list"):
			return "the message is bulk"
		case name == "x-auto-response-suppress" && (strings.Contains(value, "all") || strings.Contains(value, "oof")):
			return "the sender wants no automatic answers"
		}
	}
	return ""
}

// asNamed is the sender as the message has it: the mailbox of Sender, Resent-From or
// From with that address, name and all, or with any address at all; else the bare
// address.
func (c *content) asNamed(sender mail.Address, whoever bool) string {
	for _, name := range []string{"Sender", "Resent-From", "From"} {
		fields, err := c.named(name)
		if err != nil {
			break
		}
		for _, f := range fields {
			for _, text := range splitMailboxes(f.text) {
				if a, err := parseMailbox(text); err == nil && (whoever || a.Fold() == sender.Fold()) {
					return text
				}
			}
		}
	}
	return "<" + sender.String() + ">"
}

// shown is the first of the addresses that is among the recipients that the
// header shows, "" if none is.
func (c *content) shown(own map[string]bool) string {
	for _, f := range c.fields {
		switch strings.ToLower(f.name) {
		case "to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc":
		default:
			continue
		}
		for _, box := range f.addresses() {
			a := mail.Address{Local: box.Local, Domain: strings.ToLower(box.Domain)}
			if own[a.Fold().String()] {
				return a.String()
			}
		}
	}
	return ""
}

func (c *content) first(name string) string {
	for _, f := range c.fields {
		if strings.EqualFold(f.name, name) {
			return f.text
		}
	}
	return ""
}

// maxSubject is how many characters of a subject an answer repeats.
const maxSubject = 256

// subject is RFC 5230 section 4.4.
func (v *Vacation) subject(a *Answers, c *content) string {
	s, about := v.Subject, message.DecodeHeader(c.first("Subject"))
	switch {
	case s != "":
	case about == "":
		s = cmp.Or(a.Subject, "Automated reply")
	case a.SubjectTemplate != "":
		s = strings.NewReplacer("%$", about, "%{subject}", about).Replace(a.SubjectTemplate)
	default:
		s = "Auto: " + about
	}
	most := cmp.Or(a.MaxSubject, maxSubject)
	if utf8.RuneCountInString(s) > most {
		s = string([]rune(s)[:most-1]) + "…"
	}
	return s
}

// compose writes the answer: RFC 5230 section 5.
func (v *Vacation) compose(env *Env, c *content, from, to string) []byte {
	var b headerWriter
	b.field("From", from)
	b.field("To", to)
	b.field("Subject", v.subject(&env.Answers, c))
	b.field("Date", env.now().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	b.field("Message-ID", messageID(env, from, v.Reason))
	if id := c.first("Message-ID"); id != "" {
		b.field("In-Reply-To", id)
		b.field("References", strings.TrimSpace(c.first("References")+" "+id))
	}
	b.field("Auto-Submitted", "auto-replied (vacation)")
	b.field("Precedence", "bulk")
	b.field("MIME-Version", "1.0")
	if v.MIME {
		b.WriteString(crlf(v.Reason))
		return []byte(b.String())
	}
	b.WriteString("Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n")
	b.WriteString(crlf(v.Reason))
	if !strings.HasSuffix(b.String(), "\r\n") {
		b.WriteString("\r\n")
	}
	return []byte(b.String())
}

// messageID is the same for the same answer to the same message.
func messageID(env *Env, from, text string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%s\x00%d", env.From, env.To, from, text, env.now().UnixNano()))
	_, domain, _ := splitPath(env.To)
	if domain == "" {
		domain = "localhost"
	}
	return "<sieve-" + hex.EncodeToString(sum[:16]) + "@" + domain + ">"
}

// headerWriter writes fields that no value can break out of.
type headerWriter struct {
	strings.Builder
	controls bool // those that RFC 5322 section 4.1 knows are written as they are
}

// unfold is a value of several lines as one.
func unfold(value string) string {
	var b strings.Builder
	for line := range strings.Lines(value) {
		line = strings.TrimRight(line, "\r\n")
		if b.Len() > 0 && !strings.HasPrefix(line, " ") && !strings.HasPrefix(line, "\t") {
			b.WriteByte(' ')
		}
		b.WriteString(line)
	}
	return b.String()
}

// field writes one field; what is not ASCII becomes encoded-words, and long
// ones fold (RFC 5322 section 2.1.1).
func (b *headerWriter) field(name, value string) {
	value = strings.Map(func(r rune) rune {
		if !b.controls && (r < ' ' || r == 0x7f) || r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(value, "\uFFFD"))
	if !isASCII(value) {
		value = encodeWords(value)
	}
	b.WriteString(name + ":")
	column := len(name) + 1
	for word := range strings.FieldsSeq(value) {
		if column > len(name)+1 && column+1+len(word) > 76 {
			b.WriteString("\r\n")
			column = 0
		}
		b.WriteString(" " + word)
		column += 1 + len(word)
	}
	b.WriteString("\r\n")
}

// encodeWords encodes a text, or of an address the display name alone.
func encodeWords(s string) string {
	if i := strings.LastIndexByte(s, '<'); i > 0 && strings.HasSuffix(s, ">") && isASCII(s[i:]) {
		return mime.QEncoding.Encode("utf-8", strings.Trim(strings.TrimSpace(s[:i]), `"`)) + " " + s[i:]
	}
	return mime.QEncoding.Encode("utf-8", s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// crlf ends every line in CRLF.
func crlf(s string) string {
	return strings.ReplaceAll(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x00", "").Replace(s), "\n", "\r\n")
}
