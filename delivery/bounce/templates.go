package bounce

import (
	"errors"
	"fmt"
	"mime"
	"strings"
	"time"

	"gomaild/delivery/queue"
)

// Templates are the words of notifications, which an administrator may change,
// in the format of Postfix's bounce_template_file (bounce(5)): assignments
//
//	failure_template = <<EOF
//	Charset: utf-8
//	From: MAILER-DAEMON (Mail Delivery System)
//	Subject: Undelivered Mail Returned to Sender
//
//	This is the mail system at host $myhostname.
//	EOF
//
// of failure_template, delay_template and success_template; others are passed
// over. In the text, but not in the header, $name, ${name} and $(name) stand for
// myhostname, mydomain, delay_warning_time_UNIT and maximal_queue_lifetime_UNIT
// with UNIT one of seconds, minutes, hours, days, weeks; $$ is a dollar sign.
type Templates struct {
	texts map[queue.Notice]template
}

type template struct {
	from, subject string
	body          string // lines end in \n
}

// Facts are what templates may name.
type Facts struct {
	Hostname    string
	DelayNotice time.Duration
	Lifetime    time.Duration
}

// builtIn are the words without a file.
const builtIn = `failure_template = <<EOF
From: MAILER-DAEMON (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender

This is the mail system at host $myhostname.

Your message could not be delivered to one or more recipients. It is
attached below. No further attempts will be made.
EOF
delay_template = <<EOF
From: MAILER-DAEMON (Mail Delivery System)
Subject: Delayed Mail (still being retried)

This is the mail system at host $myhostname.

Your message could not be delivered for more than $delay_warning_time_hours
hour(s). You do not need to send it again: attempts go on until it is
$maximal_queue_lifetime_days day(s) old.
EOF
success_template = <<EOF
From: MAILER-DAEMON (Mail Delivery System)
Subject: Successful Mail Delivery Report

This is the mail system at host $myhostname.

Your message was delivered to the destinations listed below. If it was
delivered to a mailbox you will get no more notices; otherwise other mail
systems may still send some.
EOF
`

// Bounds of a file of templates.
const (
	maxTemplates = 64 << 10 // octets
	maxSubject   = 200
)

var noticeOf = map[string][]queue.Notice{
	"failure_template": {queue.NoticeFailed},
	"delay_template":   {queue.NoticeDelayed},
	"success_template": {queue.NoticeRelayed, queue.NoticeDelivered, queue.NoticeExpanded},
}

// ParseTemplates reads a file of templates; those that are not in it are the
// built-in ones. Errors name the line or the template.
func ParseTemplates(text string) (*Templates, error) {
	t := &Templates{texts: map[queue.Notice]template{}}
	if err := t.add(builtIn); err != nil {
		return nil, err
	}
	if len(text) > maxTemplates {
		return nil, fmt.Errorf("more than %d octets of templates", maxTemplates)
	}
	return t, t.add(text)
}

// add reads the assignments of a file.
func (t *Templates) add(text string) error {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		mark, isHere := strings.CutPrefix(strings.TrimSpace(value), "<<")
		if mark = strings.TrimSpace(mark); !ok || !isHere || mark == "" {
			return fmt.Errorf("line %d: write %q, the template, and a line with the mark alone", i+1, "failure_template = <<EOF")
		}
		begin := i + 1
		for i++; i < len(lines) && strings.TrimRight(lines[i], " \t") != mark; i++ {
		}
		if i >= len(lines) {
			return fmt.Errorf("line %d: no line %q ends the template", begin, mark)
		}
		name = strings.TrimSpace(name)
		one, err := parseTemplate(lines[begin:i])
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", begin, name, err)
		}
		for _, n := range noticeOf[name] {
			t.texts[n] = one
		}
	}
	return nil
}

func parseTemplate(lines []string) (t template, err error) {
	i := 0
	for ; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
		name, value, ok := strings.Cut(lines[i], ":")
		if value = strings.TrimSpace(value); !ok || strings.ContainsAny(name, " \t") {
			return t, fmt.Errorf("%.40q is no header field; the text begins behind an empty line", lines[i])
		}
		switch strings.ToLower(name) {
		case "charset":
			if c := strings.ToLower(value); c != "us-ascii" && c != "utf-8" {
				return t, fmt.Errorf("the charset %q; write utf-8", value)
			}
		case "from":
			t.from = value
		case "subject":
			t.subject = value
		case "postmaster-subject":
		default:
			return t, fmt.Errorf("the header field %s; there are Charset, From and Subject", name)
		}
	}
	if t.from == "" || t.subject == "" || len(t.from) > maxSubject || len(t.subject) > maxSubject {
		return t, fmt.Errorf("From and Subject must be there, of at most %d octets", maxSubject)
	}
	t.body = strings.TrimRight(strings.Join(lines[min(i+1, len(lines)):], "\n"), "\n \t") + "\n"
	if strings.TrimSpace(t.body) == "" {
		return t, errors.New("there is no text")
	}
	_, err = expand(t.body, Facts{})
	return t, err
}

// expand fills in what a text names.
func expand(text string, f Facts) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		if strings.HasPrefix(rest, "$") {
			b.WriteByte('$')
			text = rest[1:]
			continue
		}
		name, after, err := cutName(rest)
		if err != nil {
			return "", err
		}
		value, err := f.value(name)
		if err != nil {
			return "", err
		}
		b.WriteString(value)
		text = after
	}
}

// cutName reads a name, perhaps in braces, behind the dollar sign.
func cutName(s string) (name, rest string, err error) {
	for open, end := range map[string]string{"{": "}", "(": ")"} {
		if inner, ok := strings.CutPrefix(s, open); ok {
			if name, rest, ok = strings.Cut(inner, end); !ok {
				return "", "", errors.New("a name behind $ is not closed")
			}
			return name, rest, nil
		}
	}
	i := strings.IndexFunc(s, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:], nil
}

func (f Facts) value(name string) (string, error) {
	switch name {
	case "myhostname":
		return f.Hostname, nil
	case "mydomain":
		_, domain, _ := strings.Cut(f.Hostname, ".")
		return domain, nil
	}
	for prefix, d := range map[string]time.Duration{"delay_warning_time_": f.DelayNotice, "maximal_queue_lifetime_": f.Lifetime} {
		if unit, ok := strings.CutPrefix(name, prefix); ok {
			for word, u := range map[string]time.Duration{"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour} {
				if word == unit {
					return fmt.Sprint(int64(d / u)), nil
				}
			}
		}
	}
	return "", fmt.Errorf("$%s is not known; write $$ for a dollar sign", name)
}

// sender is the template's From as a field: the address before the comment, at
// the host.
func (t template) sender(host string) string {
	local, comment, _ := strings.Cut(t.from, "(")
	local = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`<>@"(),;:\[]`, r) {
			return -1
		}
		return r
	}, local)
	if local == "" {
		local = "MAILER-DAEMON"
	}
	words := strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(comment), ")"))
	if words == "" {
		return "<" + local + "@" + host + ">"
	}
	return phrase(words) + " <" + local + "@" + host + ">"
}

// phrase is words as a display name.
func phrase(words string) string {
	quoted := false
	for _, r := range words {
		if r >= 0x7f {
			return mime.BEncoding.Encode("utf-8", words) // Q leaves what ends a phrase
		}
		quoted = quoted || r != ' ' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-'
	}
	if quoted {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(words) + `"`
	}
	return words
}
