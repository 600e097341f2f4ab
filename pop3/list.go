package pop3

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// message finds a message by its number. Deleted messages are no more (RFC
// 1939 section 5).
func (s *session) message(number string) (int, *letter, error) {
	n, err := strconv.ParseUint(number, 10, 32)
	if err != nil || n == 0 {
		return 0, nil, fail("Not a message number")
	}
	if n > uint64(len(s.drop.messages)) {
		return 0, nil, fail(fmt.Sprintf("There are only %d messages", len(s.drop.messages)))
	}
	m := &s.drop.messages[n-1]
	if m.deleted {
		return 0, nil, fail("Message is deleted")
	}
	return int(n), m, nil
}

// stat is STAT.
func (s *session) stat(context.Context, string) error {
	n, octets := s.drop.total()
	s.ok(fmt.Sprintf("%d %d", n, octets))
	return nil
}

// list is LIST, with or without a number.
func (s *session) list(_ context.Context, arg string) error {
	return s.scan(arg, func(b []byte, m *letter) []byte { return strconv.AppendInt(b, m.size, 10) })
}

// uidl is UIDL, with or without a number.
func (s *session) uidl(_ context.Context, arg string) error {
	return s.scan(arg, func(b []byte, m *letter) []byte { return append(b, m.uniqueID...) })
}

// scan answers with a line for one message or for each.
func (s *session) scan(arg string, say func([]byte, *letter) []byte) error {
	if arg = strings.TrimSpace(arg); arg != "" {
		n, m, err := s.message(arg)
		if err != nil {
			return err
		}
		s.ok(string(say(fmt.Appendf(nil, "%d ", n), m)))
		return nil
	}
	n, octets := s.drop.total()
	s.ok(fmt.Sprintf("%d messages (%d octets)", n, octets))
	var b []byte
	for i := range s.drop.messages {
		m := &s.drop.messages[i]
		if m.deleted {
			continue
		}
		b = append(strconv.AppendInt(b[:0], int64(i+1), 10), ' ')
		b = append(say(b, m), "\r\n"...)
		if _, err := s.line.Out.Write(b); err != nil {
			return err
		}
	}
	s.end()
	return nil
}
