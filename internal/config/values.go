package config

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The types of values that TOML does not have. Each reads itself from a string
// and says in its error what would be right.

// Duration is a time span, "90s" or "1h30m".
type Duration time.Duration

// UnmarshalText reads what time.ParseDuration reads, without a sign.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf(`%q is not a time span; write a number with its unit (ms, s, m, h), such as "90s" or "1h30m"`, text)
	}
	*d = Duration(v)
	return nil
}

// String is the shortest spelling, "5m" and not "5m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// Size is a number of octets, "50MB".
type Size int64

var sizeUnits = []struct {
	name   string
	octets int64
}{
	{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10},
	{"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// UnmarshalText reads a whole number and a unit. MB is a million octets, MiB
// 1024 times 1024; the case of the letters does not matter.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range sizeUnits {
		digits, ok := cutSuffixFold(string(text), u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/u.octets {
			break
		}
		*s = Size(n * u.octets)
		return nil
	}
	return fmt.Errorf(`%q is not a size; write a whole number with its unit (B, kB, MB, GB, KiB, MiB, GiB), such as "50MB"`, text)
}

// String uses the largest unit that leaves a whole number.
func (s Size) String() string {
	for _, decimal := range []bool{true, false} {
		for _, u := range sizeUnits {
			if decimal != strings.Contains(u.name, "i") && u.octets > 1 && s > 0 && int64(s)%u.octets == 0 {
				return strconv.FormatInt(int64(s)/u.octets, 10) + u.name
			}
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

func cutSuffixFold(s, suffix string) (before string, ok bool) {
	i := len(s) - len(suffix)
	if i < 0 || !strings.EqualFold(s[i:], suffix) {
		return s, false
	}
	return s[:i], true
}

// Rate is a number of events in a time, "100/1h".
type Rate struct {
	N   int // at least 1
	Per time.Duration
}

// maxRate bounds the number of a Rate.
const maxRate = 1_000_000

// UnmarshalText reads a whole number, a slash and a time span from a second to
// a month.
func (r *Rate) UnmarshalText(text []byte) error {
	number, span, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(number)
	per, perErr := time.ParseDuration(span)
	if err != nil || perErr != nil || n < 1 || n > maxRate || per < time.Second || per > 31*24*time.Hour {
		return fmt.Errorf(`%q is not a rate; write a number and a time from 1s to 744h, such as "100/1h"`, text)
	}
	*r = Rate{n, per}
	return nil
}

// String is the number and the time.
func (r Rate) String() string { return strconv.Itoa(r.N) + "/" + Duration(r.Per).String() }

// FileMode is the permissions of a file, "0660".
type FileMode fs.FileMode

// UnmarshalText reads up to four octal digits.
func (m *FileMode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || v > 0o777 {
		return fmt.Errorf(`%q is not a file mode; write three octal digits after a 0, such as "0660"`, text)
	}
	*m = FileMode(v)
	return nil
}

// String is four octal digits.
func (m FileMode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// choice is a value out of a fixed set; choices lists it for documentation
// and for the error.
type choice interface{ choices() []string }

// setChoice stores text in v if it is one of the choices.
func setChoice[T ~string](v *T, text []byte, choices []string) error {
	if !slices.Contains(choices, string(text)) {
		return errors.New(notAChoice(string(text), choices))
	}
	*v = T(text)
	return nil
}

func notAChoice(text string, choices []string) string {
	msg := fmt.Sprintf("%q is not one of the values; use %s", text, quotedList(choices))
	if near := nearest(text, choices); near != "" {
		msg += fmt.Sprintf(" (did you mean %q?)", near)
	}
	return msg
}

// quotedList is `"a", "b" or "c"`.
func quotedList(words []string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(w))
	}
	return b.String()
}

// Driver is a kind of database.
type Driver string

// The databases.
const (
	SQLite Driver = "sqlite"
	MySQL  Driver = "mysql"
)

func (Driver) choices() []string { return []string{string(SQLite), string(MySQL)} }

// UnmarshalText takes one of the databases.
func (d *Driver) UnmarshalText(text []byte) error { return setChoice(d, text, d.choices()) }

// DetailFolder says what a +detail does.
type DetailFolder string

// What a +detail does.
const (
	DetailInbox    DetailFolder = "inbox"
	DetailExisting DetailFolder = "existing"
	DetailCreate   DetailFolder = "create"
)

func (DetailFolder) choices() []string {
	return []string{string(DetailInbox), string(DetailExisting), string(DetailCreate)}
}

// UnmarshalText takes one of the constants.
func (d *DetailFolder) UnmarshalText(text []byte) error { return setChoice(d, text, d.choices()) }

// TLSVersion is "1.2" or "1.3".
type TLSVersion string

// The versions of TLS that are safe to speak.
const (
	TLS12 TLSVersion = "1.2"
	TLS13 TLSVersion = "1.3"
)

func (TLSVersion) choices() []string { return []string{string(TLS12), string(TLS13)} }

// UnmarshalText takes one of the versions.
func (v *TLSVersion) UnmarshalText(text []byte) error { return setChoice(v, text, v.choices()) }

// TLSMode says when TLS begins on a listener.
type TLSMode string

// When TLS begins.
const (
	Implicit TLSMode = "implicit"
	StartTLS TLSMode = "starttls"
	NoTLS    TLSMode = "none"
)

func (TLSMode) choices() []string { return []string{string(Implicit), string(StartTLS), string(NoTLS)} }

// UnmarshalText takes one of the modes.
func (m *TLSMode) UnmarshalText(text []byte) error { return setChoice(m, text, m.choices()) }

// ListenerType is what a listener speaks.
type ListenerType string

// What a listener speaks.
const (
	MX          ListenerType = "mx"
	Submission  ListenerType = "submission"
	LMTP        ListenerType = "lmtp"
	LDA         ListenerType = "lda"
	IMAP        ListenerType = "imap"
	POP3        ListenerType = "pop3"
	ManageSieve ListenerType = "managesieve"
)

func (ListenerType) choices() []string {
	return []string{string(MX), string(Submission), string(LMTP), string(LDA), string(IMAP), string(POP3), string(ManageSieve)}
}

// ListenerTypes are the words for all types.
func ListenerTypes() []string { return ListenerType("").choices() }

// UnmarshalText takes one of the types.
func (l *ListenerType) UnmarshalText(text []byte) error { return setChoice(l, text, l.choices()) }

// Failure says what becomes of mail about which a filter or a policy server says
// nothing.
type Failure string

// What happens without an answer.
const (
	DeferOnFailure  Failure = "defer"
	AcceptOnFailure Failure = "accept"
	RejectOnFailure Failure = "reject"
)

func (Failure) choices() []string {
	return []string{string(DeferOnFailure), string(AcceptOnFailure), string(RejectOnFailure)}
}

// UnmarshalText takes one of the constants.
func (f *Failure) UnmarshalText(text []byte) error { return setChoice(f, text, f.choices()) }

// RemoteTLS is what TLS must be towards other hosts.
type RemoteTLS string

// The levels of TLS towards other hosts.
const (
	RemoteNone     RemoteTLS = "none"
	RemoteMay      RemoteTLS = "may"
	RemoteEncrypt  RemoteTLS = "encrypt"
	RemoteDANE     RemoteTLS = "dane"
	RemoteDANEOnly RemoteTLS = "dane-only"
	RemoteVerify   RemoteTLS = "verify"
	RemoteSecure   RemoteTLS = "secure"
)

func (RemoteTLS) choices() []string {
	return []string{string(RemoteNone), string(RemoteMay), string(RemoteEncrypt), string(RemoteDANE), string(RemoteDANEOnly), string(RemoteVerify), string(RemoteSecure)}
}

// UnmarshalText takes one of the levels.
func (l *RemoteTLS) UnmarshalText(text []byte) error { return setChoice(l, text, l.choices()) }

// LogFormat is "text", "json" or "postfix".
type LogFormat string

// The formats of the log.
const (
	TextLog LogFormat = "text"
	JSONLog LogFormat = "json"
	// PostfixLog is what fail2ban and pflogsumm read.
	PostfixLog LogFormat = "postfix"
)

func (LogFormat) choices() []string {
	return []string{string(TextLog), string(JSONLog), string(PostfixLog)}
}

// UnmarshalText takes one of the formats.
func (f *LogFormat) UnmarshalText(text []byte) error { return setChoice(f, text, f.choices()) }

// LogLevel is the least severe level that is logged.
type LogLevel string

// The levels: error, a person must act; warn, something is degraded; info,
// mail moved or somebody logged in; debug, the protocol.
const (
	LogError LogLevel = "error"
	LogWarn  LogLevel = "warn"
	LogInfo  LogLevel = "info"
	LogDebug LogLevel = "debug"
)

func (LogLevel) choices() []string {
	return []string{string(LogError), string(LogWarn), string(LogInfo), string(LogDebug)}
}

// UnmarshalText takes one of the levels.
func (l *LogLevel) UnmarshalText(text []byte) error { return setChoice(l, text, l.choices()) }

// Slog is the level of log/slog.
func (l LogLevel) Slog() slog.Level {
	switch l {
	case LogError:
		return slog.LevelError
	case LogWarn:
		return slog.LevelWarn
	case LogDebug:
		return slog.LevelDebug
	default:
		return slog.LevelInfo
	}
}
