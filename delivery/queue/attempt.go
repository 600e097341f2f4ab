package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gomaild/mail"
	"gomaild/message"
)

// attempt makes one attempt and plans the next, if there is to be one.
func (q *Queue) attempt(ctx context.Context, l leg) {
	next, answered, err := q.try(ctx, l)
	if err != nil && ctx.Err() == nil {
		q.log.Error("attempt", "queue_id", l.msg.id, "error", err)
	}
	q.mu.Lock()
	line := q.lines[l.to]
	line.running--
	q.running--
	if answered {
		line.limit = min(line.limit+1, q.cfg.PerHost)
	} else {
		line.limit = max(line.limit/2, 1)
	}
	if line.running == 0 && len(line.ready) == 0 {
		delete(q.lines, l.to)
	}
	if !next.IsZero() {
		l.next = next
		q.push(l)
	} else if l.msg.legs--; l.msg.legs == 0 {
		delete(q.entries, l.msg.id)
	}
	q.mu.Unlock()
	q.poke()
}

// retryFault is when to come back after a fault of our own disk.
const retryFault = 5 * time.Minute

// try makes one attempt. next is zero when the leg is done; answered says that
// the destination took or refused the message for good.
func (q *Queue) try(ctx context.Context, l leg) (next time.Time, answered bool, err error) {
	later := time.Now().Add(retryFault)
	e, c, err := q.open(l.msg)
	switch {
	case errors.Is(err, errGone):
		return time.Time{}, true, nil
	case err != nil:
		return later, false, err
	}
	defer c.Close()
	job := Job{ID: e.ID, From: e.From, Destination: l.to, Content: c, Arrived: e.Arrived, RequireTLS: e.RequireTLS}
	for _, r := range e.To {
		if r.Destination == l.to {
			job.To = append(job.To, r.Recipient)
			job.Attempt = r.Attempts + 1
		}
	}
	results := q.cfg.Agent.Deliver(ctx, job)
	if len(results) != len(job.To) {
		return later, false, fmt.Errorf("attempt of %s: %d results for %d recipients", e.ID, len(results), len(job.To))
	}
	return q.settle(ctx, l, c, results)
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

// settle writes down what an attempt has brought.
func (q *Queue) settle(ctx context.Context, l leg, c message.Content, results []Result) (next time.Time, answered bool, err error) {
	l.msg.mu.Lock()
	defer l.msg.mu.Unlock()
	now := time.Now()
	e, err := q.spool.owed(l.msg.id)
	switch {
	case errors.Is(err, errGone):
		return time.Time{}, true, nil
	case err != nil:
		return now.Add(retryFault), false, err
	}
	var owed []Recipient
	var failed []Failure
	for _, r := range e.To {
		if r.Destination != l.to {
			owed = append(owed, r)
			continue
		}
		result := results[0]
		results = results[1:]
		if result.Err != nil && ctx.Err() != nil { // it was cut short: as if it had not begun
			owed = append(owed, r)
			next = now
			continue
		}
		r.Attempts++
		r.Next = now.Add(q.cfg.Schedule[min(r.Attempts, len(q.cfg.Schedule))-1])
		event := mail.EventDeferred
		switch s := mail.StatusOf(result.Err); {
		case result.Err == nil:
			answered, event = true, mail.EventDelivered
		case !s.Temporary() || now.Sub(e.Arrived) >= q.cfg.Lifetime:
			answered = answered || !s.Temporary()
			failed = append(failed, Failure{r, result})
			event = mail.EventBounced
		default:
			r.Last = s.Error()
			next = r.Next
			owed = append(owed, r)
		}
		q.logResult(ctx, event, e, r, result)
	}
	if len(failed) > 0 {
		if err := q.cfg.GiveUp(ctx, *e, c, failed); err != nil {
			for _, f := range failed {
				owed = append(owed, f.Recipient)
			}
			next = now.Add(retryFault)
			q.log.Error("sender not told, recipients kept", "queue_id", e.ID, "error", err)
		}
	}
	e.To = owed
	if len(owed) == 0 {
		err = q.spool.remove(e.ID)
	} else {
		err = q.spool.write(e)
	}
	return next, answered, err
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
