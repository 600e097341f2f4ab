package imap

import (
	"strconv"
	"time"
)

// progress tells a client now and then that a long search goes on, RFC 9585.
type progress struct {
	s     *session
	total int
	next  time.Time // when the client is told next
}

// newProgress is for work on so many messages.
func (s *session) newProgress(total int) *progress {
	return &progress{s: s, total: total, next: time.Now().Add(s.limits.ProgressAfter)}
}

// at says that so many messages are done. Where the client does not read, the
// command ends with the connection's error as any other.
func (p *progress) at(done int) {
	if done%256 != 0 {
		return // asking for the time costs something too
	}
	now := time.Now()
	if now.Before(p.next) {
		return
	}
	p.next = now.Add(p.s.limits.ProgressAfter)
	p.s.enc.Raw("* OK [INPROGRESS (")
	p.s.enc.String(p.s.tag)
	p.s.enc.Raw(" " + strconv.Itoa(done) + " " + strconv.Itoa(p.total) + ")] Still working")
	p.s.enc.CRLF()
	_ = p.s.enc.Flush() // the encoder remembers its error
}
