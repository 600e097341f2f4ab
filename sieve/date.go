package sieve

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"gomaild/message"
)

// dateTest is date and currentdate: RFC 5260 sections 4 and 5.
type dateTest struct {
	header   *text // nil: now
	part     text
	match    match
	which    selection
	zone     *text
	original bool
}

func buildDate(c *checker, n *call) any {
	d := &dateTest{zone: c.optional(n, "zone"), original: n.has("originalzone"), which: c.selection(n)}
	args := n.args
	if len(args) == 3 {
		h := c.string(args[0])
		d.header = &h
		args = args[1:]
	}
	d.part = c.string(args[0])
	d.match = c.match(n, args[1])
	if s, ok := d.part.constant(); ok {
		if _, known := datePart(time.Unix(0, 0), s); !known {
			c.warnf(d.part.pos, "specified date part '%s' is not known", shorten(s))
		}
	}
	if d.zone != nil {
		if s, ok := d.zone.constant(); ok && !isZone(s) {
			c.errorf(d.zone.pos, "specified :zone argument '%s' is not a valid timezone", shorten(s))
		}
	}
	return d
}

func isZone(s string) bool {
	_, ok := zone(s)
	return ok
}

// zone reads +hhmm.
func zone(s string) (*time.Location, bool) {
	if len(s) != 5 || s[0] != '+' && s[0] != '-' || !isNumber(s[1:]) {
		return nil, false
	}
	h, _ := strconv.Atoi(s[1:3])
	min, _ := strconv.Atoi(s[3:])
	offset := (h*60 + min) * 60
	if s[0] == '-' {
		offset = -offset
	}
	return time.FixedZone("", offset), h < 24 && min < 60
}

func (t *dateTest) eval(m *machine) (bool, error) {
	part, err := t.part.value(m)
	if err != nil {
		return false, err
	}
	zoneName, err := m.optional(t.zone)
	if err != nil {
		return false, err
	}
	return t.match.over(m, func(yield func(string) bool) error {
		return t.times(m, func(at time.Time) bool {
			switch loc, ok := zone(zoneName); {
			case ok:
				at = at.In(loc)
			case !t.original:
				at = at.In(m.env.location())
			}
			v, known := datePart(at, part)
			return !known || yield(v)
		})
	})
}

// times is the date of the chosen field, by default the first, if it holds one.
func (t *dateTest) times(m *machine, yield func(time.Time) bool) error {
	if t.header == nil {
		yield(m.env.now())
		return nil
	}
	which := t.which
	which.index = max(which.index, 1)
	fields, err := m.fieldsOf(t.header, nil, nil)
	for _, f := range choose(which, fields) {
		if err := m.spend(t.match.pos, 1+len(f.text)/64); err != nil {
			return err
		}
		if at, ok := fieldDate(f.text); ok {
			yield(at)
		}
	}
	return err
}

// fieldDate reads the date of a field; of one like Received it is behind the
// last semicolon (RFC 5260 section 4).
func fieldDate(s string) (time.Time, bool) {
	if i := strings.LastIndexByte(s, ';'); i >= 0 {
		s = s[i+1:]
	}
	at, err := message.ParseDate(strings.TrimSpace(s))
	return at, err == nil
}

// datePart is RFC 5260 section 4.2.
func datePart(t time.Time, part string) (string, bool) {
	switch strings.ToLower(part) {
	case "year":
		return t.Format("2006"), true
	case "month":
		return t.Format("01"), true
	case "day":
		return t.Format("02"), true
	case "date":
		return t.Format("2006-01-02"), true
	case "julian":
		return strconv.Itoa(julian(t)), true
	case "hour":
		return t.Format("15"), true
	case "minute":
		return t.Format("04"), true
	case "second":
		return t.Format("05"), true
	case "time":
		return t.Format("15:04:05"), true
	case "iso8601":
		return t.Format("2006-01-02T15:04:05Z07:00"), true
	case "std11":
		return t.Format("Mon, 02 Jan 2006 15:04:05 -0700"), true
	case "zone":
		return t.Format("-0700"), true
	case "weekday":
		return fmt.Sprint(int(t.Weekday())), true
	}
	return "", false
}

// julian is the modified Julian day of the date as it reads in its zone.
func julian(t time.Time) int {
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
	return int(day.Unix()/86400) + 40587
}
