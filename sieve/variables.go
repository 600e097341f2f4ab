package sieve

import "strconv"

// reference is how a run reads ${ref}: RFC 5229 section 3.
func (c *checker) reference(pos Pos, ref string) func(*machine) string {
	if n, err := strconv.Atoi(ref); err == nil {
		return c.matchValue(pos, n)
	}
	c.errorf(pos, "unknown variable '%s'", ref)
	return nil
}

// matchValue is ${n}: RFC 5229 section 3.2.
func (c *checker) matchValue(pos Pos, n int) func(*machine) string {
	if n >= maxMatchValues {
		c.errorf(pos, "match value index %d out of range (max: %d)", n, maxMatchValues-1)
		return nil
	}
	return func(m *machine) string {
		if n < len(m.matches) {
			return m.matches[n]
		}
		return ""
	}
}
