package message

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrDate is what ParseDate returns for text that holds no date.
var ErrDate = errors.New("no date")

// ParseDate reads a date-time of RFC 5322 section 3.3 with the obsolete forms
// of section 4.3: two-digit years, named zones, comments, no weekday, no
// seconds. A missing or unknown zone is UTC. Anything else is ErrDate.
func ParseDate(s string) (time.Time, error) {
	words := dateWords(s)
	if len(words) > 0 && !isDigit(words[0][0]) { // the weekday
		words = words[1:]
	}
	if len(words) < 4 {
		return time.Time{}, fmt.Errorf("%w in %.60q", ErrDate, s)
	}
	day, err := strconv.Atoi(words[0])
	month := monthNumber(words[1])
	year, yearErr := parseYear(words[2])
	clock, ok := parseClock(words[3])
	if err != nil || yearErr != nil || month == 0 || !ok || day < 1 || day > 31 {
		return time.Time{}, fmt.Errorf("%w in %.60q", ErrDate, s)
	}
	zone := time.UTC
	if len(words) > 4 {
		zone = parseZone(words[4])
	}
	midnight := time.Date(year, month, day, 0, 0, 0, 0, zone)
	if midnight.Day() != day { // as 31 February
		return time.Time{}, fmt.Errorf("%w in %.60q", ErrDate, s)
	}
	return midnight.Add(clock), nil
}

// dateWords are the words without commas and comments; "1-Jan-2020" gives three.
func dateWords(s string) []string {
	var words []string
	l := lexer{s: s}
	for !l.done() && len(words) < 10 {
		w := l.until(" \t\r\n,(")
		if w == "" {
			l.i++
			continue
		}
		if strings.Count(w, "-") == 2 && isDigit(w[0]) {
			words = append(words, strings.FieldsFunc(w, func(r rune) bool { return r == '-' })...)
			continue
		}
		words = append(words, w)
	}
	return words
}

func monthNumber(s string) time.Month {
	if len(s) < 3 {
		return 0
	}
	const names = "janfebmaraprmayjunjulaugsepoctnovdec"
	i := strings.Index(names, strings.ToLower(s[:3]))
	if i < 0 || i%3 != 0 {
		return 0
	}
	return time.Month(i/3 + 1)
}

// parseYear follows RFC 5322 section 4.3: 00 to 49 are after 2000, other years
// of two or three digits count from 1900.
func parseYear(s string) (int, error) {
	y, err := strconv.Atoi(s)
	switch {
	case err != nil || y < 0 || y > 9999:
		return 0, ErrDate
	case len(s) <= 2 && y < 50:
		y += 2000
	case len(s) <= 3:
		y += 1900
	}
	return y, nil
}

// parseClock reads hh:mm or hh:mm:ss; a leap second is second 60.
func parseClock(s string) (time.Duration, bool) {
	f := strings.Split(s, ":")
	if len(f) < 2 || len(f) > 3 {
		return 0, false
	}
	limits := [3]int{23, 59, 60}
	var n [3]int
	for i, part := range f {
		v, err := strconv.Atoi(part)
		if err != nil || v < 0 || v > limits[i] {
			return 0, false
		}
		n[i] = v
	}
	return time.Duration(n[0])*time.Hour + time.Duration(n[1])*time.Minute + time.Duration(n[2])*time.Second, true
}

// parseZone reads "+hhmm" or a name of RFC 5322 section 4.3.
func parseZone(s string) *time.Location {
	if len(s) == 5 && (s[0] == '+' || s[0] == '-') {
		v, err := strconv.Atoi(s[1:])
		if err != nil || v < 0 {
			return time.UTC
		}
		seconds := (v/100*60 + v%100) * 60
		if s[0] == '-' {
			seconds = -seconds
		}
		return time.FixedZone("", seconds)
	}
	hours := map[string]int{"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}
	if h, ok := hours[strings.ToUpper(s)]; ok {
		return time.FixedZone("", h*3600)
	}
	return time.UTC
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }
