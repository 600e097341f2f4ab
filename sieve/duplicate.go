package sieve

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Mark is what duplicate remembers, once delivery has succeeded.
type Mark struct {
	ID     string
	Period time.Duration
}

// duplicate is RFC 7352.
type duplicate struct {
	pos     Pos
	header  *text
	unique  *text
	handle  *text
	period  time.Duration
	refresh bool // :last: hits renew
}

func buildDuplicate(c *checker, n *call) any {
	d := &duplicate{
		pos: n.pos, header: c.optional(n, "header"), unique: c.optional(n, "uniqueid"), handle: c.optional(n, "handle"),
		period: c.engine.limits.DuplicatePeriod, refresh: n.has("last"),
	}
	if a, ok := n.tags["seconds"]; ok {
		d.period = time.Duration(min(a.num, uint64(c.engine.limits.DuplicateMost/time.Second))) * time.Second
	}
	return d
}

func (d *duplicate) eval(m *machine) (bool, error) {
	id, err := d.id(m)
	if err != nil || id == "" || d.period == 0 {
		return false, err
	}
	seen := false
	if m.env.Duplicate != nil {
		if seen, err = m.env.Duplicate(id); err != nil {
			return false, m.fault(d.pos, err)
		}
	}
	for _, mark := range m.result.Marks {
		if mark.ID == id {
			return seen, nil // asked before in this run: the same answer
		}
	}
	if (!seen || d.refresh) && len(m.result.Marks) < m.limits.Actions {
		m.result.Marks = append(m.result.Marks, Mark{id, d.period})
	}
	return seen, nil
}

// id is what makes two messages the same, "" if this one has nothing to compare.
func (d *duplicate) id(m *machine) (string, error) {
	handle, err := m.optional(d.handle)
	if err != nil {
		return "", err
	}
	value, err := d.value(m)
	if err != nil || value == "" {
		return "", err
	}
	sum := sha256.Sum256([]byte("duplicate\x00" + handle + "\x00" + value))
	return hex.EncodeToString(sum[:16]), nil
}

func (d *duplicate) value(m *machine) (string, error) {
	if d.unique != nil {
		return d.unique.value(m)
	}
	name := "Message-ID"
	if d.header != nil {
		var err error
		if name, err = d.header.value(m); err != nil {
			return "", err
		}
	}
	fields, err := m.msg.named(name)
	if err != nil {
		return "", m.fault(d.pos, err)
	}
	if len(fields) == 0 {
		return "", nil
	}
	return strings.TrimSpace(fields[0].value()), nil
}
