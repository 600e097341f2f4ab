package maillog

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
)

// SyslogSocket is where the system's syslog listens.
const SyslogSocket = "/dev/log"

// facilityMail is RFC 5424's number for the mail system.
const facilityMail = 2

// maxDatagram bounds a line, in octets: what rsyslog takes by default.
const maxDatagram = 8192

// Syslog sends lines to the syslog of this host (RFC 3164's form, which all of
// them read). It connects again when the syslog was restarted.
type Syslog struct {
	path string

	mu   sync.Mutex
	conn net.Conn // guarded by mu, nil when the last line could not be sent
}

// DialSyslog connects to a socket, SyslogSocket as a rule.
func DialSyslog(path string) (*Syslog, error) {
	s := &Syslog{path: path}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s, s.dial()
}

func (s *Syslog) dial() error {
	conn, err := net.Dial("unixgram", s.path)
	if err != nil {
		return fmt.Errorf("connect to syslog: %w", err)
	}
	s.conn = conn
	return nil
}

// WriteLine implements Output. A line that cannot be sent is an error and gone.
func (s *Syslog) WriteLine(l Line) error {
	line := fmt.Appendf(nil, "<%d>%s %s[%d]: %s", facilityMail<<3|severity(l.Level), l.Time.Format(stamp), l.Tag, os.Getpid(), l.Text)
	line = line[:min(len(line), maxDatagram)]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		if _, err := s.conn.Write(line); err == nil {
			return nil
		}
		s.drop()
	}
	if err := s.dial(); err != nil {
		return err
	}
	if _, err := s.conn.Write(line); err != nil {
		s.drop()
		return fmt.Errorf("write to syslog: %w", err)
	}
	return nil
}

func (s *Syslog) drop() {
	_ = s.conn.Close() // it is of no more use
	s.conn = nil
}

// Close ends the connection.
func (s *Syslog) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}

// severity is RFC 5424's number.
func severity(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	default:
		return 7
	}
}
