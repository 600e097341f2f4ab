package sieve

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What test_config_set may name is Pigeonhole's settings, as release 0.5 spells
// them and, where they differ, 2.4. A name that is none of these is taken and
// changes nothing, as there; so does a value that cannot be read.

// reload puts the settings in force.
func (s *suite) reload(m *machine) {
	m.engine = s.engine()
	m.limits = m.engine.limits
	m.env.UserEmail = strings.Trim(s.settings["sieve_user_email"], "<>")
	m.env.Answers = Answers{
		AnyRecipient:    isYes(s.settings["sieve_vacation_dont_check_recipient"]),
		FinalRecipient:  !isYes(s.settings["sieve_vacation_use_original_recipient"]),
		FromRecipient:   isYes(s.settings["sieve_vacation_send_from_recipient"]),
		ToHeader:        isYes(s.settings["sieve_vacation_to_header_ignore_envelope"]),
		Subject:         s.settings["sieve_vacation_default_subject"],
		SubjectTemplate: s.settings["sieve_vacation_default_subject_template"],
		MaxSubject:      octets(s.settings["sieve_vacation_max_subject_codepoints"], 0),
		NotifyFrom:      s.settings["sieve_notify_mailto_envelope_from"],
		ReportFrom:      s.settings["sieve_report_from"],
	}
	m.env.Config = map[string]string{}
	for name, value := range s.settings {
		if key, ok := strings.CutPrefix(name, "sieve_env_"); ok {
			m.env.Config[key] = value
		}
	}
}

func isYes(s string) bool { return s == "yes" || s == "y" || s == "1" || s == "true" }

// engine is an Engine with the settings of the tests.
func (s *suite) engine() *Engine {
	c := s.config.Config
	if d, ok := s.settings["recipient_delimiter"]; ok {
		c.Delimiter = d
	}
	c.Spam, c.Virus = s.scanner("sieve_spamtest_"), s.scanner("sieve_virustest_")
	for name, to := range map[string]*int{
		"sieve_variables_max_variable_size": &c.Limits.VariableSize,
		"sieve_variables_max_scope_size":    &c.Limits.Variables,
		"sieve_variables_max_scope_count":   &c.Limits.Variables,
		"sieve_include_max_includes":        &c.Limits.Includes,
		"sieve_include_max_nesting_depth":   &c.Limits.IncludeDepth,
		"sieve_max_redirects":               &c.Limits.Redirects,
		"sieve_max_actions":                 &c.Limits.Actions,
		"sieve_max_script_size":             &c.Limits.ScriptSize,
		"sieve_editheader_max_header_size":  &c.Limits.Headers,
	} {
		if value, ok := s.settings[name]; ok {
			*to = octets(value, *to)
		}
	}
	s.time = 0
	if s.settings["sieve_max_redirects"] == "0" {
		c.Limits.Redirects = -1
	}
	for name, to := range map[string]*time.Duration{
		"sieve_vacation_min_period":      &c.Limits.VacationLeast,
		"sieve_vacation_max_period":      &c.Limits.VacationMost,
		"sieve_vacation_default_period":  &c.Limits.VacationPeriod,
		"sieve_duplicate_default_period": &c.Limits.DuplicatePeriod,
		"sieve_duplicate_max_period":     &c.Limits.DuplicateMost,
		"sieve_max_cpu_time":             &s.time,
	} {
		if d, ok := period(s.settings[name]); ok {
			*to = d
		}
	}
	s.extensions(&c)
	s.fields(&c)
	return New(c)
}

// octets is a number, or a size with a unit behind it.
func octets(s string, absent int) int {
	number := strings.TrimRight(s, "kKmMbBiI")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 1<<20 {
		return absent
	}
	switch unit := strings.ToLower(s[len(number):]); {
	case strings.HasPrefix(unit, "k"):
		return n << 10
	case strings.HasPrefix(unit, "m"):
		return n << 20
	}
	return n
}

// period is a number of seconds, or with m, h or d behind it of more.
func period(value string) (time.Duration, bool) {
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}
	number := strings.TrimRight(value, "smhd")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > 1<<30 {
		return 0, false
	}
	return time.Duration(n) * cmp.Or(units[value[len(number):]], time.Second), true
}

func (s *suite) scanner(prefix string) Scanner {
	sc := Scanner{
		Type: s.settings[prefix+"status_type"], StatusHeader: s.settings[prefix+"status_header"],
		MaxHeader: cmp.Or(s.settings[prefix+"max_header"], s.settings[prefix+"score_max_header"]),
		MaxValue:  cmp.Or(s.settings[prefix+"max_value"], s.settings[prefix+"score_max_value"]), Texts: map[int]string{},
	}
	for v := range 11 {
		for _, name := range []string{"text_value", "text_value/"} {
			if t, ok := s.settings[prefix+name+strconv.Itoa(v)]; ok {
				sc.Texts[v] = t
			}
		}
	}
	return sc
}

// extensions is which there are (sieve_extensions: a list, or what is to be
// added to all and taken away), which only global scripts may require, and
// which need no require.
func (s *suite) extensions(c *Config) {
	words := strings.Fields(s.settings["sieve_extensions"])
	isList := false
	for _, w := range words {
		if off, ok := strings.CutPrefix(w, "-"); ok {
			c.Off = append(c.Off, off)
		}
		isList = isList || w[0] != '-' && w[0] != '+'
	}
	if isList {
		for _, x := range extensions {
			if !slices.Contains(words, x) && !slices.Contains(words, "+"+x) && !strings.HasPrefix(x, "comparator-") {
				c.Off = append(c.Off, x)
			}
		}
	}
	for name, to := range map[string]*[]string{"sieve_global_extensions": &c.Reserved, "sieve_implicit_extensions": &c.Implicit} {
		for w := range strings.FieldsSeq(s.settings[name]) {
			*to = append(*to, strings.TrimPrefix(w, "+"))
		}
	}
}

// fields are those that editheader may not touch: lists, or with 2.4 a name at a
// time.
func (s *suite) fields(c *Config) {
	both := strings.Fields(s.settings["sieve_editheader_protected"])
	c.NoAdd = append(strings.Fields(s.settings["sieve_editheader_forbid_add"]), both...)
	c.NoDelete = append(strings.Fields(s.settings["sieve_editheader_forbid_delete"]), both...)
	for name := range strings.FieldsSeq(s.settings["sieve_editheader_header"]) {
		at := "sieve_editheader_header/" + name + "/"
		if isYes(s.settings[at+"forbid_add"]) {
			c.NoAdd = append(c.NoAdd, name)
		}
		if isYes(s.settings[at+"forbid_delete"]) {
			c.NoDelete = append(c.NoDelete, name)
		}
	}
}
