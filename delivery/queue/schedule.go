package queue

import "time"

// startLimit is attempts at once for a destination we know nothing about.
const startLimit = 5

// maxSilent bounds the destinations that are remembered because they did not
// answer.
const maxSilent = 10_000

// suspension is how long a silent destination is left alone: what comes up for
// it meanwhile is put off by what the last attempt met.
const suspension = time.Minute

// scheduler says which leg is attempted next. Destinations take turns, a leg
// each, and within a destination senders do, so that who sends much to one place
// holds nobody else's mail up. A destination that does not answer falls to one
// attempt at once, and all of those together have at most half of the attempts:
// however many are dead, the others are served. What else is due for such a
// destination does not wait for a turn of its own at its timeouts.
type scheduler struct {
	lines   map[Destination]*line
	turn    []*line // lines that may have a next leg, each once
	running int     // attempts, of all lines
	silent  int     // of them, those of lines that did not answer
	kept    int     // lines with nothing to do that are remembered as silent
}

// line is a destination: what is due for it, and how much of it at once.
type line struct {
	to       Destination
	bySender map[uint64][]leg
	senders  []uint64 // those with a leg, in turn
	running  int
	limit    int
	isSilent bool      // the last attempts were not answered
	until    time.Time // before which no attempt is made
	why      error     // what the last one met
	inTurn   bool
}

func (l *line) isEmpty() bool { return len(l.senders) == 0 }

// ready lets a leg wait for its turn.
func (s *scheduler) ready(one leg) {
	l := s.lines[one.to]
	if l == nil {
		l = &line{to: one.to, bySender: make(map[uint64][]leg, 1), limit: startLimit}
		s.lines[one.to] = l
	}
	if l.isSilent && l.running == 0 && l.isEmpty() {
		s.kept--
	}
	if len(l.bySender[one.msg.sender]) == 0 {
		l.senders = append(l.senders, one.msg.sender)
	}
	l.bySender[one.msg.sender] = append(l.bySender[one.msg.sender], one)
	s.enter(l)
}

func (s *scheduler) enter(l *line) {
	if !l.inTurn && !l.isEmpty() {
		l.inTurn = true
		s.turn = append(s.turn, l)
	}
}

// next is the next leg to attempt; it counts as running until done or unused. A
// line that may not have one now leaves the turn, and enters again when that
// changes. suspended, where it is not nil, is the outcome without an attempt.
func (s *scheduler) next(set *Settings, now time.Time) (one leg, suspended error, ok bool) {
	for looked := len(s.turn); looked > 0 && s.running < set.Concurrency; looked-- {
		l := s.turn[0]
		s.turn = s.turn[1:]
		l.inTurn = false
		if l.isEmpty() || l.running >= min(l.limit, set.PerHost) {
			continue
		}
		if l.isSilent && s.silent >= max(set.Concurrency/2, 1) {
			s.enter(l) // it waits for another silent one
			continue
		}
		one = l.take()
		l.running++
		s.running++
		if l.isSilent {
			s.silent++
		}
		if s.enter(l); now.Before(l.until) {
			suspended = l.why
		}
		return one, suspended, true
	}
	return leg{}, nil, false
}

// take is the first leg of the sender whose turn it is.
func (l *line) take() leg {
	sender := l.senders[0]
	list := l.bySender[sender]
	one := list[0]
	l.senders = l.senders[1:]
	if len(list) == 1 {
		delete(l.bySender, sender)
	} else {
		list[0] = leg{}
		l.bySender[sender] = list[1:]
		l.senders = append(l.senders, sender)
	}
	return one
}

// unused takes back what next has counted.
func (s *scheduler) unused(to Destination) {
	l := s.lines[to]
	s.stopped(l)
	s.leave(l)
}

func (s *scheduler) stopped(l *line) {
	l.running--
	s.running--
	if l.isSilent {
		s.silent--
	}
}

// done ends an attempt. The limit of a destination grows with each answer, by
// one, and is halved when there is none; at one the destination is silent.
func (s *scheduler) done(to Destination, v verdict, set *Settings) {
	l := s.lines[to]
	s.stopped(l)
	switch {
	case v.answered:
		if l.isSilent {
			l.isSilent = false
			s.silent -= l.running
		}
		l.until = time.Time{}
		l.limit = min(l.limit+1, set.PerHost)
	case v.silence != nil:
		if l.limit = max(l.limit/2, 1); l.limit == 1 {
			if !l.isSilent {
				l.isSilent = true
				s.silent += l.running
			}
			l.until, l.why = time.Now().Add(suspension), v.silence
		}
	}
	s.leave(l)
}

// resume lets attempts be made at all destinations.
func (s *scheduler) resume() {
	for _, l := range s.lines {
		l.until = time.Time{}
	}
}

// leave forgets a line with nothing to do, but for one that is silent.
func (s *scheduler) leave(l *line) {
	switch {
	case !l.isEmpty():
		s.enter(l)
	case l.running > 0:
	case !l.isSilent:
		delete(s.lines, l.to)
	default:
		if s.kept++; s.kept > maxSilent {
			s.forget()
		}
	}
}

// forget forgets all silent lines with nothing to do.
func (s *scheduler) forget() {
	for to, l := range s.lines {
		if l.isEmpty() && l.running == 0 {
			delete(s.lines, to)
		}
	}
	s.kept = 0
}
