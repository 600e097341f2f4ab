package imap

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"gomaild/storage"
)

// maxEntries is far more entries than a client names in one command.
const maxEntries = 100

// getMetadata is GETMETADATA, RFC 5464 section 4.2. The mailbox "" is the
// account.
type getMetadata struct {
	mailbox string
	entries []string // in lower case
	maxSize int64
	depth   int // levels below an entry, math.MaxInt for all
}

func parseGetMetadata(g *grammar) request {
	r := getMetadata{maxSize: math.MaxInt64}
	g.SP()
	if g.Peek() == '(' {
		r.parseOptions(g)
		g.SP()
	}
	r.mailbox = g.Mailbox()
	g.SP()
	add := func() {
		if r.entries = append(r.entries, parseEntry(g, true)); len(r.entries) > maxEntries {
			g.Fail("more than %d entries", maxEntries)
		}
	}
	// The RFC's grammar has the options before the mailbox, its examples after.
	if g.Peek() == '(' && (g.PeekFold("(MAXSIZE") || g.PeekFold("(DEPTH")) {
		r.parseOptions(g)
		g.SP()
	}
	if g.Peek() == '(' {
		g.List(add)
	} else {
		add()
		for g.Accept(' ') && !g.AtEnd() {
			add() // so in the examples of section 4.4.1
		}
	}
	g.End()
	return r
}

func (r *getMetadata) parseOptions(g *grammar) {
	g.List(func() {
		option := g.Word()
		g.SP()
		switch option {
		case "MAXSIZE":
			r.maxSize = g.Number()
		case "DEPTH":
			depths := map[string]int{"0": 0, "1": 1, "INFINITY": math.MaxInt}
			depth, known := depths[g.Word()]
			if r.depth = depth; !known {
				g.Fail("DEPTH is 0, 1 or infinity")
			}
		default:
			g.Fail("unknown GETMETADATA option")
		}
	})
}

// parseEntry reads the name of an entry, RFC 5464 section 3.2. The tops of the
// two trees are worth asking for, with DEPTH.
func parseEntry(g *grammar, asking bool) string {
	name := strings.ToLower(g.AString())
	if asking && (name == "/private" || name == "/shared") {
		return name
	}
	entry, err := storage.CheckAnnotation(name, "")
	if err != nil {
		g.Fail("bad entry name")
	}
	return entry
}

func (r getMetadata) run(ctx context.Context, s *session) (reply, error) {
	notes, err := s.account.Annotations(ctx, r.mailbox)
	if err != nil {
		return reply{}, err
	}
	if r.asksForUses() {
		if notes == nil {
			notes = storage.Annotations{}
		}
		if err := s.addUses(ctx, r.mailbox, notes); err != nil {
			return reply{}, err
		}
	}
	longest := int64(0) // of the values that are left out
	mark := s.enc.Mark()
	s.enc.Raw("* METADATA ")
	s.enc.Mailbox(r.mailbox)
	s.enc.Raw(" (")
	first := true
	for _, entry := range r.named(notes) {
		value, exists := notes[entry]
		if int64(len(value)) > r.maxSize {
			longest = max(longest, int64(len(value)))
			continue
		}
		if !first {
			s.enc.Byte(' ')
		}
		first = false
		s.enc.AString(entry)
		s.enc.Byte(' ')
		if exists {
			s.enc.String(value)
		} else {
			s.enc.Raw("NIL")
		}
	}
	s.enc.Byte(')')
	if first {
		s.enc.Rollback(mark)
	} else {
		s.enc.CRLF()
	}
	if longest > 0 {
		return reply{code: "METADATA LONGENTRIES " + strconv.FormatInt(longest, 10)}, nil
	}
	return reply{}, nil
}

// asksForUses reports whether the special use of the mailbox is among what is asked
// for.
func (r getMetadata) asksForUses() bool {
	return r.mailbox != "" && slices.ContainsFunc(r.entries, func(entry string) bool {
		return entry == storage.SpecialUseEntry || r.depth > 0 && strings.HasPrefix(storage.SpecialUseEntry, entry+"/")
	})
}

// named are the entries that were named, and with DEPTH those below them that
// exist.
func (r getMetadata) named(notes storage.Annotations) []string {
	var named []string
	for _, entry := range r.entries {
		if _, exists := notes[entry]; exists || r.depth == 0 {
			named = append(named, entry)
		}
		for _, other := range slices.Sorted(maps.Keys(notes)) {
			below, ok := strings.CutPrefix(other, entry+"/")
			if ok && strings.Count(below, "/") < r.depth {
				named = append(named, other)
			}
		}
	}
	return named
}

// setMetadata is SETMETADATA, RFC 5464 section 4.3.
type setMetadata struct {
	mailbox string
	values  map[string]*string // nil removes
}

func parseSetMetadata(g *grammar) request {
	r := setMetadata{values: map[string]*string{}}
	g.SP()
	r.mailbox = g.Mailbox()
	g.SP()
	g.List(func() {
		entry := parseEntry(g, false)
		g.SP()
		g.Accept('~') // a literal8
		if g.LiteralComes() && g.LiteralSize() > storage.MaxAnnotation {
			g.FailCode(tooLongNote, "Value is too long")
		}
		value, is := g.NString()
		if r.values[entry] = nil; is {
			r.values[entry] = &value
		}
		if len(r.values) > maxEntries {
			g.Fail("more than %d entries", maxEntries)
		}
	})
	if len(r.values) == 0 {
		g.Fail("entries expected")
	}
	g.End()
	return r
}

// copyNotes gives a mailbox the annotations of another: RENAME leaves those of
// INBOX where they are as well (RFC 5464 section 4.1). A special use stays behind.
func (s *session) copyNotes(ctx context.Context, from, to string) error {
	notes, err := s.account.Annotations(ctx, from)
	if err != nil {
		return err
	}
	values := map[string]*string{}
	for entry, value := range notes {
		if entry != storage.SpecialUseEntry {
			values[entry] = &value
		}
	}
	if len(values) == 0 {
		return nil
	}
	return s.account.Annotate(ctx, to, values)
}

// tooLongNote is the response code of section 4.3.
var tooLongNote = "METADATA MAXSIZE " + strconv.Itoa(storage.MaxAnnotation)

// adminEntry of the server is the administrator's (section 3.2.1.1).
const adminEntry = "/shared/admin"

func (r setMetadata) run(ctx context.Context, s *session) (reply, error) {
	if _, is := r.values[adminEntry]; is && r.mailbox == "" {
		return reply{}, no("NOPERM", adminEntry+" is set by the administrator")
	}
	if value := r.values[storage.SpecialUseEntry]; value != nil && r.mailbox != "" {
		uses, err := checkUses(*value)
		if err != nil {
			return reply{}, err
		}
		r.values[storage.SpecialUseEntry] = &uses
	}
	err := s.account.Annotate(ctx, r.mailbox, r.values)
	switch {
	case errors.Is(err, storage.ErrAnnotationSize):
		return reply{}, no(tooLongNote, "Value is too long")
	case errors.Is(err, storage.ErrAnnotationCount):
		return reply{}, no("METADATA TOOMANY", "Too many annotations")
	case err == nil:
		if s.notify != nil { // it knows
			s.warn("look at annotations", s.notify.lookAtNotes(ctx, true, false))
		}
		s.tellOthers(news{mailbox: r.mailbox, entries: slices.Sorted(maps.Keys(r.values))})
	}
	return reply{}, err
}
