package sieve

import (
	"cmp"
	"time"
)

// Limits bound a script. Zero fields mean the default.
type Limits struct {
	ScriptSize   int // octets of a script, default 1 MiB
	Nesting      int // blocks inside each other, and tests, default 32 of each
	Errors       int // diagnostics before the compiler gives up, default 30
	Instructions int // steps of one run, all scripts of a delivery together, default 1 million
	Text         int // octets of one string after substitution, default 128 KiB
	Variables    int // of one script, default 255
	VariableSize int // octets of one, longer values are cut, default 4000
	Actions      int // default 32
	Redirects    int // default 4, below 0: none
	Programs     int // that filter and execute run, default 10
	IncludeDepth int // default 10
	Includes     int // scripts included by one, default 255
	PatternSize  int // octets of a regular expression, default 8 KiB
	Headers      int // octets all added header fields may have, default 64 KiB
	Replaced     int // octets that replace and enclose may put into a message, default 1 MiB

	// Between two answers of vacation to the same sender (RFC 5230 section 4.1,
	// RFC 6131 section 2): where a script says nothing, default 7 days; the least
	// that :days may say, default 1 day, with :seconds nothing unless it is set
	// here; the most, default 365 days.
	VacationPeriod, VacationLeast, VacationMost time.Duration
	// How long duplicate remembers (RFC 7352 section 3): where a script says
	// nothing, default 7 days; the most, default 90 days.
	DuplicatePeriod, DuplicateMost time.Duration
}

func (l Limits) withDefaults() Limits {
	set := func(to *int, d int) {
		if *to <= 0 {
			*to = d
		}
	}
	set(&l.ScriptSize, 1<<20)
	set(&l.Nesting, 32)
	set(&l.Errors, 30)
	set(&l.Instructions, 1_000_000)
	set(&l.Text, 128<<10)
	set(&l.Variables, 255)
	set(&l.VariableSize, 4000)
	set(&l.Actions, 32)
	if l.Redirects = cmp.Or(l.Redirects, 4); l.Redirects < 0 {
		l.Redirects = 0
	}
	set(&l.Programs, 10)
	set(&l.IncludeDepth, 10)
	set(&l.Includes, 255)
	set(&l.PatternSize, 8<<10)
	set(&l.Headers, 64<<10)
	set(&l.Replaced, 1<<20)
	const day = 24 * time.Hour
	l.VacationMost = cmp.Or(l.VacationMost, 365*day)
	l.VacationPeriod = min(max(cmp.Or(l.VacationPeriod, 7*day), l.VacationLeast), l.VacationMost)
	l.DuplicateMost = cmp.Or(l.DuplicateMost, 90*day)
	l.DuplicatePeriod = min(cmp.Or(l.DuplicatePeriod, 7*day), l.DuplicateMost)
	return l
}
