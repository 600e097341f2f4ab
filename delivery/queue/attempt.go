package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gomaild/mail"
	"gomaild/message"
)

// verdict is what an attempt says about its destination.
type verdict struct {
	answered bool  // it is alive
	silence  error // it is not, as far as one can tell
}

// attempt makes one attempt and plans the next, if there is to be one. suspended,
// where it is not nil, is the outcome for all, and no attempt is made.
func (q *Queue) attempt(ctx context.Context, l leg, suspended error) {
	next, v, err := q.try(ctx, l, suspended)
	if err != nil && ctx.Err() == nil {
		q.log.Error("attempt", "queue_id", l.msg.id, "error", err)
	}
	q.mu.Lock()
	q.sched.done(l.to, v, q.set.Load())
	if !next.IsZero() {
		l.next = next
		q.push(l)
	} else if l.msg.legs--; l.msg.legs == 0 {
		q.forget(l.msg)
	}
	q.mu.Unlock()
	q.poke()
}

// forget drops a message that is owed to nobody. q.mu is held.
func (q *Queue) forget(m *entry) {
	if q.entries[m.id] != m {
		return
	}
	delete(q.entries, m.id)
	if m.held {
		q.held--
	}
}

// retryFault is when to come back after a fault of our own disk.
const retryFault = 5 * time.Minute

// try makes one attempt. next is zero when the leg is done.
func (q *Queue) try(ctx context.Context, l leg, suspended error) (next time.Time, v verdict, err error) {
	later := time.Now().Add(retryFault)
	e, c, err := q.open(l.msg)
	switch {
	case errors.Is(err, errGone):
		return time.Time{}, verdict{}, nil
	case err != nil:
		return later, verdict{}, err
	}
	defer c.Close()
	job := Job{ID: e.ID, From: e.From, Destination: l.to, Content: c, Arrived: e.Arrived, RequireTLS: e.RequireTLS}
	for _, r := range e.To {
		if r.Destination == l.to {
			job.To = append(job.To, r.Recipient)
			job.Attempt = r.Attempts + 1
		}
	}
	if suspended != nil {
		results := make([]Result, len(job.To))
		for i := range results {
			results[i].Err = &mail.Status{Code: 451, Enhanced: "4.4.1", Text: "Delivery suspended: " + mail.StatusOf(suspended).Text, Cause: suspended}
		}
		next, err = q.settle(ctx, l, c, results)
		return next, verdict{}, err
	}
	results := q.cfg.Agent.Deliver(ctx, job)
	if len(results) != len(job.To) {
		return later, verdict{}, fmt.Errorf("attempt of %s: %d results for %d recipients", e.ID, len(results), len(job.To))
	}
	if ctx.Err() == nil {
		v = heard(results)
	}
	next, err = q.settle(ctx, l, c, results)
	return next, v, err
}

// heard is what results say about the destination: one that took or refused a
// message for good, or answered otherwise, is alive.
func heard(results []Result) (v verdict) {
	for _, r := range results {
		s := mail.StatusOf(r.Err)
		if r.Alive || s == nil || !s.Temporary() {
			return verdict{answered: true}
		}
		v.silence = r.Err
	}
	return v
}

// errGone means that the envelope is gone, and with it what we owed.
var errGone = errors.New("not in the queue any more")

func (q *Queue) open(m *entry) (*Envelope, content, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, err := q.spool.owed(m.id)
	if err != nil {
		return nil, content{}, err
	}
	c, err := q.spool.open(e)
	return e, c, err
}

// settlement is what an attempt has brought, while it is written down.
type settlement struct {
	now  time.Time
	set  *Settings
	e    *Envelope
	owed []Recipient
	told map[Notice][]Outcome
	next time.Time
}

// settle writes down what an attempt has brought.
func (q *Queue) settle(ctx context.Context, l leg, c message.Content, results []Result) (next time.Time, err error) {
	l.msg.mu.Lock()
	defer l.msg.mu.Unlock()
	s := &settlement{now: time.Now(), set: q.set.Load(), told: map[Notice][]Outcome{}}
	s.e, err = q.spool.owed(l.msg.id)
	switch {
	case errors.Is(err, errGone):
		return time.Time{}, nil
	case err != nil:
		return s.now.Add(retryFault), err
	}
	for _, r := range s.e.To {
		if r.Destination != l.to {
			s.owed = append(s.owed, r)
			continue
		}
		result := results[0]
		results = results[1:]
		if result.Err != nil && ctx.Err() != nil { // it was cut short: as if it had not begun
			s.owed = append(s.owed, r)
			s.next = s.now
			continue
		}
		event := s.judge(&r, result)
		q.logResult(ctx, event, s.e, r, result)
	}
	q.tell(ctx, s, c)
	s.e.To = s.owed
	if len(s.owed) == 0 {
		err = q.spool.remove(s.e.ID)
	} else {
		err = q.spool.write(s.e)
	}
	return s.next, err
}

// judge decides about one recipient, and names the event.
func (s *settlement) judge(r *Recipient, result Result) (event string) {
	r.Attempts++
	r.Next = s.now.Add(s.set.Schedule[min(r.Attempts, len(s.set.Schedule))-1])
	status := mail.StatusOf(result.Err)
	note := func(n Notice) { s.told[n] = append(s.told[n], Outcome{*r, result}) }
	switch {
	case status == nil:
		if r.Notify&mail.NotifySuccess != 0 && !result.TookDSN {
			if result.Delivered {
				note(NoticeDelivered)
			} else {
				note(NoticeRelayed)
			}
		}
		return mail.EventDelivered
	case !status.Temporary() || s.now.Sub(s.e.Arrived) >= s.set.Lifetime:
		note(NoticeFailed)
		return mail.EventBounced
	}
	r.Last = status.Error()
	if d := s.set.DelayNotice; d > 0 && !r.Warned && s.now.Sub(s.e.Arrived) >= d {
		r.Warned = true
		if r.Notify == 0 || r.Notify&mail.NotifyDelay != 0 {
			note(NoticeDelayed)
		}
	}
	s.next = r.Next
	s.owed = append(s.owed, *r)
	return mail.EventDeferred
}

// tell tells the sender. Those who failed are kept where that cannot be done;
// news of a delay or of a success is lost then, since the next host may have the
// message already.
func (q *Queue) tell(ctx context.Context, s *settlement, c message.Content) {
	for _, n := range []Notice{NoticeFailed, NoticeDelayed, NoticeRelayed, NoticeDelivered} {
		to := s.told[n]
		if len(to) == 0 || n != NoticeFailed && s.e.From.IsNull() {
			continue
		}
		err := q.cfg.Tell(ctx, n, *s.e, c, to)
		if err == nil {
			continue
		}
		q.log.ErrorContext(ctx, "sender not told", "queue_id", s.e.ID, "notice", string(n), "error", err)
		if n == NoticeFailed {
			for _, o := range to {
				s.owed = append(s.owed, o.Recipient)
			}
			s.next = s.now.Add(retryFault)
		}
	}
}

// logResult is the one line of an attempt for one recipient; delay is since the
// message was accepted.
func (q *Queue) logResult(ctx context.Context, event string, e *Envelope, r Recipient, result Result) {
	log := q.log.With("queue_id", e.ID, "from", e.From.Address.String(), "to", r.Address.String(),
		"destination", r.Destination.Host, "remote", result.RemoteMTA, "attempt", r.Attempts,
		"delay", time.Since(e.Arrived).Round(time.Millisecond))
	s := mail.StatusOf(result.Err)
	if s == nil {
		log.InfoContext(ctx, event, "status", "250 2.0.0")
		return
	}
	log.InfoContext(ctx, event, "status", fmt.Sprintf("%d %s", s.Code, s.Enhanced), "reply", s.Text, "error", result.Err)
}
