// Package maillog writes the log in the forms that other programs read: lines
// as Postfix and Dovecot write them, for fail2ban and pflogsumm, and syslog. It
// knows the events by their names (mail.EventAccepted and the others);
// everything else is written as words and pairs.
package maillog

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"
)

// Line is one line of the log, ready but for what stands before it.
type Line struct {
	Time  time.Time
	Level slog.Level
	Tag   string // of the program, "postfix/smtpd"
	Text  string // without line end
}

// Output takes lines. It is called by several goroutines.
type Output interface {
	WriteLine(l Line) error
}

// stamp is the time of traditional syslog files, in local time.
const stamp = time.Stamp

// Prefixed writes lines as syslog files have them: time, host, tag and process.
type Prefixed struct {
	Host string
	W    io.Writer // one Write a line
}

// WriteLine implements Output.
func (p Prefixed) WriteLine(l Line) error {
	_, err := fmt.Fprintf(p.W, "%s %s %s[%d]: %s\n", l.Time.Format(stamp), p.Host, l.Tag, os.Getpid(), l.Text)
	return err
}

// printable is s with what is no visible text as '?': the client chooses it, and
// must not end the line or write another.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == 0x2028 || r == 0x2029 || r >= 0x80 && r < 0xa0 || r == '\uFFFD' {
			return '?'
		}
		return r
	}, s)
}

// bracketed is an address or id as it stands between < and >: nothing in it can
// end the brackets.
func bracketed(s string) string {
	s = strings.TrimSuffix(strings.TrimPrefix(s, "<"), ">")
	return strings.NewReplacer("<", "?", ">", "?").Replace(printable(s))
}
