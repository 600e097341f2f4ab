package maillog

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"gomaild/mail"
)

// NewPostfix is a handler that writes events as Postfix 3 writes them, those of
// LMTP, IMAP, POP3 and ManageSieve as Dovecot, and everything else as words and
// pairs.
func NewPostfix(out Output, level slog.Leveler) slog.Handler {
	return postfix{out: out, level: level}
}

type postfix struct {
	out   Output
	level slog.Leveler
	attrs fields
	group string // before the keys that follow, with a dot
}

// field is an attribute as text.
type field struct{ key, value string }

// fields are the attributes of a line, in order.
type fields []field

// get is the value of a key, "" if there is none.
func (f fields) get(key string) string {
	for _, one := range f {
		if one.key == key {
			return one.value
		}
	}
	return ""
}

// Enabled implements slog.Handler.
func (p postfix) Enabled(_ context.Context, l slog.Level) bool { return l >= p.level.Level() }

// WithAttrs implements slog.Handler.
func (p postfix) WithAttrs(attrs []slog.Attr) slog.Handler {
	p.attrs = p.add(p.attrs[:len(p.attrs):len(p.attrs)], attrs...)
	return p
}

// WithGroup implements slog.Handler.
func (p postfix) WithGroup(name string) slog.Handler {
	p.group += name + "."
	return p
}

func (p postfix) add(to fields, attrs ...slog.Attr) fields {
	for _, a := range attrs {
		v := a.Value.Resolve()
		text := v.String()
		if v.Kind() == slog.KindDuration {
			text = seconds(v.Duration())
		}
		to = append(to, field{p.group + a.Key, text})
	}
	return to
}

// seconds is a delay as Postfix writes it.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 2, 64) }

// Handle implements slog.Handler.
func (p postfix) Handle(_ context.Context, r slog.Record) error {
	all := p.attrs[:len(p.attrs):len(p.attrs)]
	r.Attrs(func(a slog.Attr) bool {
		all = p.add(all, a)
		return true
	})
	for _, w := range written(r.Message, r.Level, all) {
		if err := p.out.WriteLine(Line{r.Time, r.Level, w.tag, w.text}); err != nil {
			return err
		}
	}
	return nil
}

// words is the tag and the text of a line.
type words struct{ tag, text string }

// written are the lines of an event.
func written(event string, level slog.Level, f fields) []words {
	isPostfix := f.get("way") == "mx" || f.get("way") == "submission" || f.get("queue_id") != "" || f.get("stage") == "connect"
	switch event {
	case mail.EventAccepted:
		if isPostfix {
			return accepted(f)
		}
	case mail.EventDelivered, mail.EventBounced, mail.EventDeferred, mail.EventRejected:
		switch {
		case isPostfix && f.get("stage") != "":
			return []words{refused(f)}
		case isPostfix:
			return []words{attempt(event, f)}
		case event == mail.EventDelivered:
			return []words{{"dovecot", fmt.Sprintf("%s(%s): msgid=<%s>: saved mail", f.get("way"), bracketed(f.get("to")), bracketed(f.get("message_id")))}}
		}
	case mail.EventLogin, mail.EventLoginRefused:
		return []words{login(event, f)}
	}
	return []words{plain(event, level, f)}
}

// queueID is the id of a message with nothing in it but letters and digits, and
// '_' for the rest: pflogsumm takes no other.
func queueID(f fields) string {
	id := f.get("queue_id")
	if id == "" {
		id = f.get("id")
	}
	return postfixForm(id)
}

func postfixForm(id string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return '_'
	}, id)
}

// client is the peer as Postfix shows one whose name is not known.
func client(f fields) string {
	if c := f.get("client"); c != "" {
		return "unknown[" + printable(c) + "]"
	}
	return "unknown[unknown]"
}

func smtpd(f fields) string {
	if f.get("way") == "submission" {
		return "postfix/submission/smtpd"
	}
	return "postfix/smtpd"
}

// accepted is what smtpd, cleanup and qmgr say of a new message.
func accepted(f fields) []words {
	id := queueID(f)
	from := id + ": client=" + client(f)
	if account := f.get("account"); account != "" {
		from += ", sasl_method=PLAIN, sasl_username=" + printable(account)
	}
	return []words{
		{smtpd(f), from},
		{"postfix/cleanup", id + ": message-id=<" + bracketed(f.get("message_id")) + ">"},
		{"postfix/qmgr", fmt.Sprintf("%s: from=<%s>, size=%s, nrcpt=%s (queue active)", id, bracketed(f.get("from")), f.get("size"), f.get("recipients"))},
	}
}

// attempt is what a delivery agent says of a recipient.
func attempt(event string, f fields) words {
	tag, relay, said := "postfix/virtual", "virtual", "delivered to maildir"
	if f.get("way") == "" {
		tag, relay, said = "postfix/smtp", f.get("remote"), strings.TrimSpace(f.get("status")+" "+f.get("reply"))
		if relay == "" {
			relay = "none"
		}
	}
	status := map[string]string{mail.EventDelivered: "sent"}[event]
	if status == "" {
		status = event
	}
	_, dsn, _ := strings.Cut(f.get("status"), " ")
	delay := f.get("delay")
	return words{tag, fmt.Sprintf("%s: to=<%s>, relay=%s, delay=%s, delays=%s/0/0/0, dsn=%s, status=%s (%s)",
		queueID(f), bracketed(f.get("to")), printable(relay), delay, delay, dsn, status, printable(said))}
}

// refused is what smtpd says of a command that it refused.
func refused(f fields) words {
	where := map[string]string{"connect": "CONNECT", "mail": "MAIL", "rcpt": "RCPT", "data": "END-OF-MESSAGE"}[f.get("stage")]
	text := fmt.Sprintf("NOQUEUE: reject: %s from %s: %s %s;", where, client(f), f.get("status"), printable(f.get("reply")))
	if f.get("stage") != "connect" {
		text += " from=<" + bracketed(f.get("from")) + ">"
	}
	if to := f.get("to"); to != "" {
		text += " to=<" + bracketed(to) + ">"
	}
	text += " proto=ESMTP"
	if helo := f.get("helo"); helo != "" {
		text += " helo=<" + bracketed(helo) + ">"
	}
	return words{smtpd(f), text}
}

// login is what smtpd, or a login process of Dovecot, says.
func login(event string, f fields) words {
	method, who := f.get("mechanism"), f.get("account")
	isRefused := event == mail.EventLoginRefused
	if f.get("protocol") == "smtp" {
		if !isRefused {
			return plain(event, slog.LevelInfo, f)
		}
		return words{"postfix/submission/smtpd", fmt.Sprintf("warning: %s: SASL %s authentication failed: %s, sasl_username=%s",
			client(f), printable(method), f.get("reason"), printable(who))}
	}
	what := "Login"
	if isRefused {
		what = "Disconnected (auth failed, 1 attempts in 0 secs)"
	}
	text := fmt.Sprintf("%s-login: %s: user=<%s>, method=%s, rip=%s", f.get("protocol"), what, bracketed(who), printable(method), f.get("client"))
	if f.get("tls") == "true" {
		text += ", TLS"
	}
	return words{"dovecot", text + ", session=<" + bracketed(f.get("session")) + ">"}
}

// plain is an event that no other program has.
func plain(event string, level slog.Level, f fields) words {
	var b strings.Builder
	if level >= slog.LevelWarn {
		b.WriteString(strings.ToLower(level.String()) + ": ")
	}
	b.WriteString(printable(event))
	for _, one := range f {
		b.WriteString(" " + one.key + "=")
		if v := one.value; v == "" || strings.ContainsAny(v, " =\"\\") || printable(v) != v {
			b.WriteString(strconv.Quote(v))
		} else {
			b.WriteString(v)
		}
	}
	return words{programTag, b.String()}
}
