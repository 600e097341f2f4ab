package sieve

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Scanner says where a spam or virus scanner leaves its verdict, in the terms
// of Pigeonhole's settings. The zero value is none: the tests then read "0",
// which is "not tested" (RFC 5235 section 2).
type Scanner struct {
	Type         string // "score" (default), "strlen" or "text"
	StatusHeader string // field name, or "name: REGEX" with one group
	MaxHeader    string // the same, for the highest score
	MaxValue     string // a number, where no field tells
	Texts        map[int]string
}

// scanner is a Scanner made ready.
type scanner struct {
	Scanner
	status, max source
}

// source is a place in the header where a scanner writes.
type source struct {
	field string // "": nowhere
	re    *regexp.Regexp
	err   error // of the expression
}

func newScanner(s Scanner) scanner {
	return scanner{Scanner: s, status: newSource(s.StatusHeader), max: newSource(s.MaxHeader)}
}

func newSource(setting string) source {
	name, expr, hasExpr := strings.Cut(setting, ":")
	s := source{field: strings.TrimSpace(name)}
	if !hasExpr {
		return s
	}
	translated, err := translate(strings.TrimSpace(expr))
	if err == nil {
		s.re, err = regexp.Compile(translated)
	}
	if err == nil && s.re.NumSubexp() == 0 {
		err = errors.New("the expression has no group")
	}
	s.err = err
	return s
}

// spamtest is spamtest and virustest: RFC 5235.
type spamtest struct {
	virus   bool
	percent bool
	match   match
}

func buildSpamtest(c *checker, n *call) any {
	return &spamtest{virus: strings.EqualFold(n.name, "virustest"), percent: n.has("percent"), match: c.match(n, n.args[0])}
}

func (t *spamtest) eval(m *machine) (bool, error) {
	return t.match.over(m, func(yield func(string) bool) error {
		s, most := m.engine.spam, 10
		if t.virus {
			s, most = m.engine.virus, 5
		}
		v, err := m.scan(s, most, t.percent)
		if err == nil {
			yield(strconv.Itoa(v))
		}
		return err
	})
}

// scan is the verdict from 1 to most, or percent; 0 is none.
func (m *machine) scan(s scanner, most int, percent bool) (int, error) {
	status, ok, err := m.scanned(s.status)
	if err != nil || !ok {
		return 0, err
	}
	if s.Type == "text" {
		for v, text := range s.Texts {
			if strings.EqualFold(text, status) {
				return v, nil
			}
		}
		return 0, nil
	}
	highest := s.MaxValue
	if s.MaxHeader != "" {
		if highest, _, err = m.scanned(s.max); err != nil {
			return 0, err
		}
	}
	limit, err1 := strconv.ParseFloat(strings.TrimSpace(highest), 64)
	score, err2 := strconv.ParseFloat(strings.TrimSpace(status), 64)
	if s.Type == "strlen" {
		score, err2 = float64(len(status)), nil
	}
	if err1 != nil || err2 != nil || !(limit > 0) || score != score {
		return 0, nil
	}
	ratio := min(1, max(0, score/limit))
	if percent {
		return int(ratio*100 + 0.5), nil
	}
	return int(ratio*float64(most-1)+1e-9) + 1, nil
}

// scanned is what the scanner wrote into the message.
func (m *machine) scanned(from source) (string, bool, error) {
	if from.field == "" {
		return "", false, nil
	}
	if from.err != nil {
		return "", false, m.failAt(m.at, "scanner setting: %v", from.err)
	}
	fields, err := m.msg.named(from.field)
	if err != nil {
		return "", false, m.fault(m.at, err)
	}
	if len(fields) == 0 {
		return "", false, nil
	}
	if from.re == nil {
		return fields[0].text, true, nil
	}
	groups := from.re.FindStringSubmatch(fields[0].text)
	if groups == nil {
		return "", false, nil
	}
	return groups[1], true, nil
}
