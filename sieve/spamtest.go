package sieve

import (
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
func (m *machine) scan(s Scanner, most int, percent bool) (int, error) {
	status, ok, err := m.scanned(s.StatusHeader)
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
		if highest, _, err = m.scanned(s.MaxHeader); err != nil {
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

// scanned is what a setting finds in the message.
func (m *machine) scanned(setting string) (string, bool, error) {
	name, expr, hasExpr := strings.Cut(setting, ":")
	if name == "" {
		return "", false, nil
	}
	fields, err := m.msg.named(strings.TrimSpace(name))
	if err != nil {
		return "", false, m.fault(m.at, err)
	}
	if len(fields) == 0 {
		return "", false, nil
	}
	if !hasExpr {
		return fields[0].text, true, nil
	}
	translated, err := translate(strings.TrimSpace(expr))
	if err != nil {
		return "", false, m.failAt(m.at, "scanner setting: %v", err)
	}
	re, err := regexp.Compile(translated)
	if err != nil {
		return "", false, m.failAt(m.at, "scanner setting: %v", err)
	}
	groups := re.FindStringSubmatch(fields[0].text)
	if len(groups) < 2 {
		return "", false, nil
	}
	return groups[1], true, nil
}
