package sieve

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// Vacation is the answer of a Vacation action. Reply says whether and what to
// send.
type Vacation struct {
	Reason    string // text, or a MIME entity with its header
	MIME      bool
	Subject   string // "" for the default
	From      string // "" for the recipient's address
	Addresses []string
	Handle    string // who was told what is kept by this
	Period    time.Duration
	FCC       *Action // where a copy of the answer goes, nil: nowhere
}

// vacation is RFC 5230.
type vacation struct {
	pos       Pos
	reason    text
	mime      bool
	subject   *text
	from      *text
	handle    *text
	addresses texts
	period    time.Duration
	fcc       *fileinto
}

func buildVacation(c *checker, n *call) any {
	v := &vacation{
		pos: n.pos, reason: c.string(n.args[0]), mime: n.has("mime"), subject: c.optional(n, "subject"),
		from: c.optional(n, "from"), handle: c.optional(n, "handle"), period: c.engine.limits.VacationPeriod, fcc: c.fcc(n),
	}
	if a, ok := n.tags["addresses"]; ok {
		v.addresses = c.texts(a)
	}
	if v.from != nil {
		if s, ok := v.from.constant(); ok {
			if _, err := parseMailbox(s); err != nil {
				c.errorf(v.from.pos, "specified :from address '%s' is invalid for vacation action: %v", shorten(s), err)
			}
		}
	}
	if a, ok := n.tags["days"]; ok {
		v.period = c.engine.limits.vacation(a.num, 24*time.Hour)
	}
	if a, ok := n.tags["seconds"]; ok {
		v.period = c.engine.limits.vacation(a.num, time.Second)
	}
	return v
}

// vacation is n units within the limits.
func (l *Limits) vacation(n uint64, unit time.Duration) time.Duration {
	least := l.VacationLeast
	if least == 0 && unit > time.Second {
		least = unit
	}
	return max(least, time.Duration(min(n, uint64(l.VacationMost/unit)))*unit)
}

func (v *vacation) exec(m *machine) error {
	reply := &Vacation{MIME: v.mime, Period: v.period}
	var err error
	for _, f := range []struct {
		from *text
		to   *string
	}{{&v.reason, &reply.Reason}, {v.subject, &reply.Subject}, {v.from, &reply.From}, {v.handle, &reply.Handle}} {
		if *f.to, err = m.optional(f.from); err != nil {
			return err
		}
	}
	if reply.Addresses, err = v.addresses.values(m); err != nil {
		return err
	}
	if reply.FCC, err = m.fcc(v.fcc); err != nil {
		return err
	}
	if reply.Handle == "" {
		reply.Handle = reply.defaultHandle()
	}
	return m.add(Action{Kind: VacationReply, Pos: v.pos, Vacation: reply})
}

// defaultHandle tells one vacation command from another by what it says: RFC
// 5230 section 4.2.
func (v *Vacation) defaultHandle() string {
	sum := sha256.Sum256([]byte(v.Subject + "\x00" + v.From + "\x00" + v.Reason))
	return hex.EncodeToString(sum[:16])
}
