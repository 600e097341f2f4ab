package receive

import (
	"crypto/rand"
	"crypto/tls"
	"strings"

	"gomaild/mail"
	"gomaild/message"
)

// dateForm is the date-time of RFC 5322 section 3.3.
const dateForm = "Mon, 02 Jan 2006 15:04:05 -0700"

// maxHelo is the longest HELO argument shown, in octets.
const maxHelo = mail.MaxDomain

// trace is the fields to put before the message, Return-Path and Delivered-To
// excepted: those are the delivery agent's, as they differ by mailbox.
func (t *transaction) trace(head message.Trace) []byte {
	if !t.r.addsTrace {
		return nil
	}
	fields := string(t.verdict.Field) + t.received()
	if t.r.completes && head.MessageID == "" {
		t.messageID = "<" + rand.Text() + "@" + t.r.Hostname + ">"
		fields += "Message-ID: " + t.messageID + "\r\n"
	}
	if t.r.completes && !head.HasDate {
		fields += "Date: " + t.r.Now().Format(dateForm) + "\r\n"
	}
	return []byte(fields)
}

// received is the Received field (RFC 5321 section 4.4). The client chooses
// the HELO argument and nothing else in it. The recipient is named only when
// there is no other: the copies must not tell of one another.
func (t *transaction) received() string {
	var b strings.Builder
	b.WriteString("Received: " + t.fromClause() + "by " + t.r.Hostname + " with " + t.client.Protocol)
	if t.client.TLS != nil {
		b.WriteString("\r\n\t(" + tlsDetails(t.client.TLS) + ")")
	}
	b.WriteString("\r\n\tid " + t.client.Message)
	if t.r.isLMTP {
		b.WriteString("\r\n\t(envelope-from " + quoteComment(t.from.String()) + ")")
	}
	if len(t.to) == 1 {
		b.WriteString("\r\n\tfor <" + t.to[0].Address.String() + ">")
	}
	b.WriteString(";\r\n\t" + t.r.Now().Format(dateForm) + "\r\n")
	return b.String()
}

// fromClause says who brought the message. Of our users nobody needs to know
// where they were: the log has it, by the id.
func (t *transaction) fromClause() string {
	if t.r.completes && !t.r.ShowClient {
		return ""
	}
	addr := "local socket"
	if t.client.Addr.IsValid() {
		addr = mail.AddrLiteral(t.client.Addr)
	}
	return "from " + sanitiseHelo(t.client.Helo) + " (" + addr + ")\r\n\t"
}

// quoteComment makes of s the text of a comment (RFC 5322 section 3.2.2): the
// local part of a stranger's address may hold what would end it.
func quoteComment(s string) string {
	return strings.NewReplacer(`\`, `\\`, "(", `\(`, ")", `\)`).Replace(s)
}

func tlsDetails(s *tls.ConnectionState) string {
	return "using " + tls.VersionName(s.Version) + " with cipher " + tls.CipherSuiteName(s.CipherSuite)
}

// sanitiseHelo makes of whatever the client said a word that cannot end the
// comment, the line or the field.
func sanitiseHelo(s string) string {
	if s == "" {
		return "unknown"
	}
	b := []byte(s[:min(len(s), maxHelo)])
	for i, c := range b {
		if !isHelo(c) {
			b[i] = '?'
		}
	}
	return string(b)
}

// isHelo is for the octets of domains and address literals.
func isHelo(c byte) bool {
	switch {
	case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		return true
	}
	return strings.IndexByte(".-_:[]", c) >= 0
}
