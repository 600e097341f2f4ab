// Package clienttest is a server for tests of whoever sends mail: it does what
// its fields say, good or evil, and remembers what it was told.
package clienttest

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"

	"gomaild/smtp/reply"
)

// Message is one transaction that was answered positively.
type Message struct {
	From    string   // the MAIL command
	To      []string // the RCPT commands
	Content string
	OnTLS   bool
}

// Sink is a server. The zero Sink takes everything and offers nothing.
type Sink struct {
	Name       string
	Extensions []string
	LMTP       bool
	TLS        *tls.Config // for STARTTLS
	// Replies are by verb, or by whole command, in upper case; "GREETING" and
	// "." are the greeting and the end of data ("." of one LMTP recipient:
	// ". <its RCPT command>"). Each is whole lines
	// with CRLF. "" closes the connection; "CLOSE" after text too. "HANG", alone or
	// after text, says no more and waits for the client to go.
	Replies map[string]string

	mu       sync.Mutex
	messages []Message
	commands []string
	sessions int
}

// Messages is what was accepted so far.
func (s *Sink) Messages() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.messages...)
}

// Commands is every command line so far, of all sessions.
func (s *Sink) Commands() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.commands...)
}

// Sessions is how many connections were made.
func (s *Sink) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions
}

// Dial connects to the sink within the process; the session ends with the
// connection.
func (s *Sink) Dial() net.Conn {
	client, server := net.Pipe()
	go s.Serve(server)
	return client
}

// Serve speaks with one client until it goes.
func (s *Sink) Serve(conn net.Conn) {
	defer conn.Close()
	s.mu.Lock()
	s.sessions++
	s.mu.Unlock()
	ss := &session{Sink: s, conn: conn, br: bufio.NewReaderSize(conn, 64*1024)}
	if !ss.say("GREETING", "220 "+s.name()+" ESMTP\r\n") {
		return
	}
	for {
		line, err := ss.br.ReadString('\n')
		if err != nil || !ss.command(strings.TrimRight(line, "\r\n")) {
			return
		}
	}
}

func (s *Sink) name() string {
	if s.Name == "" {
		return "sink.test"
	}
	return s.Name
}

type session struct {
	*Sink
	conn  net.Conn
	br    *bufio.Reader
	onTLS bool
	m     Message
}

func (ss *session) command(line string) bool {
	ss.mu.Lock()
	ss.commands = append(ss.commands, line)
	ss.mu.Unlock()
	verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
	key := verb
	if _, ok := ss.Replies[strings.ToUpper(line)]; ok {
		key = strings.ToUpper(line)
	}
	normal := "250 2.0.0 Ok\r\n"
	switch verb {
	case "EHLO", "LHLO":
		normal = ss.hello()
	case "STARTTLS":
		if _, ok := ss.Replies[key]; !ok {
			return ss.startTLS()
		}
	case "MAIL":
		ss.m = Message{From: line, OnTLS: ss.onTLS}
	case "RCPT":
		if _, ok := ss.Replies[key]; !ok {
			ss.m.To = append(ss.m.To, line)
		}
	case "DATA":
		if r, ok := ss.Replies[key]; !ok || strings.HasPrefix(r, "354") {
			return ss.say(key, "354 Go on\r\n") && ss.data()
		}
	case "AUTH":
		normal = "235 2.7.0 Welcome\r\n"
	case "QUIT":
		ss.say(key, "221 2.0.0 Bye\r\n")
		return false
	}
	return ss.say(key, normal)
}

func (ss *session) hello() string {
	lines := []string{ss.name(), "HELP"}
	for _, e := range ss.Extensions {
		if e != "STARTTLS" || !ss.onTLS {
			lines = append(lines, e)
		}
	}
	return "250-" + strings.Join(lines[:len(lines)-1], "\r\n250-") + "\r\n250 " + lines[len(lines)-1] + "\r\n"
}

func (ss *session) startTLS() bool {
	if !ss.say("STARTTLS", "220 2.0.0 Go\r\n") {
		return false
	}
	t := tls.Server(ss.conn, ss.TLS)
	if ss.TLS == nil || t.Handshake() != nil {
		return false
	}
	ss.conn, ss.br, ss.onTLS = t, bufio.NewReader(t), true
	return true
}

func (ss *session) data() bool {
	content, err := io.ReadAll(reply.NewDotReader(ss.br))
	if err != nil {
		return false
	}
	ss.m.Content = string(content)
	if _, ok := ss.Replies["."]; !ok {
		ss.mu.Lock()
		ss.messages = append(ss.messages, ss.m)
		ss.mu.Unlock()
	}
	if !ss.LMTP {
		return ss.say(".", "250 2.0.0 Queued\r\n")
	}
	for _, to := range ss.m.To {
		key := ". " + strings.ToUpper(to)
		if _, ok := ss.Replies[key]; !ok {
			key = "."
		}
		if !ss.say(key, "250 2.0.0 Delivered\r\n") {
			return false
		}
	}
	return true
}

// say writes the reply for key and reports whether the session goes on.
func (ss *session) say(key, normal string) bool {
	text, ok := ss.Replies[key]
	if !ok {
		text = normal
	}
	text, closes := strings.CutSuffix(text, "CLOSE")
	if said, hangs := strings.CutSuffix(text, "HANG"); hangs {
		if _, err := io.WriteString(ss.conn, said); err == nil {
			_, _ = io.Copy(io.Discard, ss.conn)
		}
		return false
	}
	if text != "" {
		if _, err := io.WriteString(ss.conn, text); err != nil {
			return false
		}
	}
	return text != "" && !closes
}
