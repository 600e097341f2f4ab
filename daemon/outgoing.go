package daemon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"gomaild/delivery/bounce"
	"gomaild/delivery/queue"
	"gomaild/delivery/receive"
	"gomaild/delivery/remote"
	"gomaild/delivery/routing"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/message"
)

// queueDir is where the mail lies that we owe somebody, below the mail root.
const queueDir = ownDir + "/queue"

// The transports of a queue.Destination.
const (
	transportSMTP    = "smtp"
	transportLMTP    = "lmtp"
	transportLocal   = "local"   // to be routed here
	transportMailbox = "mailbox" // a mailbox here that was put off
	transportError   = "error"   // refused or put off: Host is the status
)

// outgoing is mail that waits and mail for others. It lives as long as the mail
// root is open, whatever configurations come and go.
type outgoing struct {
	d       *Daemon
	queue   *queue.Queue
	dir     durable.FS    // the queue's
	serving chan struct{} // closed when there is a configuration to route by

	change sync.Mutex
	sender *sender        // guarded by change; nil: nothing is sent to other hosts
	old    sync.WaitGroup // senders that a reload has replaced, until their attempts have ended

	mu     sync.RWMutex // read-held while a person changes the queue, or looks into it
	closed bool
}

// openOutgoing opens the queue, whose attempts begin at once.
func (d *Daemon) openOutgoing() error {
	c := d.cfg
	if err := durable.MkdirAll(d.mail.fs, queueDir, 0o700); err != nil {
		return c.At("storage.root", err, "name a directory that gomaild may write")
	}
	fs, err := d.mail.fs.Sub(queueDir)
	if err != nil {
		return c.At("storage.root", err, "name a directory that gomaild may write")
	}
	o := &outgoing{d: d, dir: fs, serving: make(chan struct{})}
	agent, err := d.newRemote(c)
	if err != nil {
		return errors.Join(err, fs.Close())
	}
	o.send(agent)
	qc := queue.Config{FS: fs, Agent: o, Tell: o.tell, Epoch: d.mail.hold.Record().Epoch, Settings: queueSettings(c), Logger: d.log}
	if o.queue, err = queue.Open(d.base, qc); err != nil {
		o.send(nil)
		o.old.Wait()
		return c.At("storage.root", errors.Join(err, fs.Close()), "look after the disk: mail that was acknowledged lies in %s", queueDir)
	}
	d.outgoing.Store(o)
	d.undo.push("close the queue", func(context.Context) error {
		d.outgoing.Store(nil)
		o.mu.Lock()
		defer o.mu.Unlock()
		o.closed = true
		o.queue.Close()
		o.send(nil)
		o.old.Wait()
		return fs.Close()
	})
	return nil
}

// beginOutgoing lets mail be routed, until the sessions end: what they still add
// to the queue waits for the next start.
func (d *Daemon) beginOutgoing() {
	o := d.outgoing.Load()
	close(o.serving)
	d.undo.push("end the attempts", func(context.Context) error { o.queue.Close(); return nil })
}

// sends reports that mail for other hosts is taken.
func (d *Daemon) sends(c *config.Config) bool { return d.outgoing.Load() != nil && c.Remote.Enabled }

// queueSettings is what c says about the queue.
func queueSettings(c *config.Config) queue.Settings {
	q := &c.Queue
	s := queue.Settings{Lifetime: time.Duration(q.Lifetime), DelayNotice: time.Duration(q.DelayNotice), Concurrency: q.Concurrency, PerHost: q.PerDestination}
	for _, wait := range q.Schedule {
		s.Schedule = append(s.Schedule, time.Duration(wait))
	}
	return s
}

// sender is an agent with those who use it.
type sender struct {
	*remote.Agent
	using sync.WaitGroup
}

// send puts an agent in the place of the one before, which is closed when its
// attempts have ended; nil sends nothing.
func (o *outgoing) send(a *remote.Agent) {
	var next *sender
	if a != nil {
		next = &sender{Agent: a}
	}
	o.change.Lock()
	last := o.sender
	o.sender = next
	o.change.Unlock()
	if last != nil {
		o.old.Go(func() {
			last.using.Wait()
			last.Close()
		})
	}
}

// take is the agent of the moment until done is called, nil if there is none.
func (o *outgoing) take() (a *remote.Agent, done func()) {
	o.change.Lock()
	defer o.change.Unlock()
	s := o.sender
	if s == nil {
		return nil, func() {}
	}
	s.using.Add(1)
	return s.Agent, s.using.Done
}

// Deliver implements queue.Agent: it leaves each transport to its own. Who was
// taken over from sends nothing: the queue is the other's, who sends it.
func (o *outgoing) Deliver(ctx context.Context, job queue.Job) []queue.Result {
	if err := o.d.mail.fence(); err != nil {
		return failed(job, err)
	}
	switch {
	case job.Destination.Transport == transportLocal:
		return o.deliverHere(ctx, job, receive.DeliverOwn)
	case job.Destination.Transport == transportMailbox:
		return o.deliverHere(ctx, job, receive.Redeliver)
	case job.Destination.Transport == transportError:
		return failed(job, failing(job.Destination.Host))
	}
	agent, done := o.take()
	defer done()
	if agent == nil {
		return failed(job, &mail.Status{Code: 451, Enhanced: "4.3.5", Text: "Sending to other hosts is switched off (remote.enabled)"})
	}
	return agent.Deliver(ctx, job)
}

func failed(job queue.Job, err error) []queue.Result {
	results := make([]queue.Result, len(job.To))
	for i := range results {
		results[i] = queue.Result{Err: err, Alive: true} // it is we who say so
	}
	return results
}

// deliverHere delivers a message as the configuration of the moment says.
func (o *outgoing) deliverHere(ctx context.Context, job queue.Job, deliver func(context.Context, receive.Config, receive.Order) error) []queue.Result {
	select {
	case <-o.serving:
	case <-ctx.Done():
		return failed(job, ctx.Err())
	}
	g := o.d.current.Load()
	results := make([]queue.Result, len(job.To))
	for i, to := range job.To {
		results[i] = queue.Result{Alive: true, Delivered: job.Destination.Transport == transportMailbox}
		results[i].Err = deliver(ctx, g.own, receive.Order{
			Session: job.ID, ID: job.ID, From: job.From, To: to.Address, Folder: job.Destination.Folder, Content: io.NewSectionReader(job.Content, 0, job.Content.Size()),
		})
	}
	return results
}

// owe takes responsibility for recipients who get the message later, or, if it is
// held, when somebody releases it.
func (o *outgoing) owe(from mail.ReversePath, to []receive.Owed, c message.Content, held bool) (queueID string, err error) {
	e := queue.Envelope{From: from, Held: held, RequireTLS: from.RequireTLS}
	for _, r := range to {
		e.Account = r.Account
		to := queue.Destination{Transport: transportMailbox, Folder: r.Folder}
		if !r.Here {
			to = destination(r.Address, r.Transport)
		}
		e.To = append(e.To, queue.Recipient{Recipient: r.Recipient, Destination: to})
	}
	id, err := o.queue.Add(e, c)
	if err != nil {
		return "", fmt.Errorf("queue a message: %w", err)
	}
	return id, nil
}

// destination is where mail for an address goes: by the mail exchangers of its
// domain, or as its transport says.
func destination(a mail.Address, t routing.Transport) queue.Destination {
	d := queue.Destination{Transport: transportSMTP, Host: strings.ToLower(a.Domain), Direct: t.Kind == routing.BySMTP}
	switch {
	case t.Kind == routing.Failing:
		return queue.Destination{Transport: transportError, Host: t.Status.Error()}
	case t.Socket != "":
		return queue.Destination{Transport: transportLMTP, Host: t.Socket}
	case t.Hop.Host != "":
		d.Host, d.NoMX, d.Port, d.Direct = t.Hop.Host, t.Hop.NoMX, t.Hop.Port, true
	}
	if t.Kind == routing.ByLMTP {
		d.Transport, d.Direct = transportLMTP, false
	}
	return d
}

// failing is the status of the transport error.
func failing(text string) error {
	code, rest, _ := strings.Cut(text, " ")
	enhanced, said, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(code)
	if err != nil || n < 400 || n > 599 {
		return fmt.Errorf("the transport error says %q", text)
	}
	return &mail.Status{Code: n, Enhanced: enhanced, Text: said}
}

// submit queues a message of this server itself, to be routed when its turn
// comes: soon, and not within the delivery that it comes from. about is the id in
// the log of the message that is the reason, "" for none.
func (o *outgoing) submit(ctx context.Context, about string, from mail.ReversePath, to []mail.Address, c message.Content) error {
	e := queue.Envelope{From: from, RequireTLS: from.RequireTLS}
	e.From.UTF8 = from.UTF8 || from.Address.NeedsUTF8()
	for _, a := range to {
		e.From.UTF8 = e.From.UTF8 || a.NeedsUTF8()
		e.To = append(e.To, queue.Recipient{Recipient: mail.Recipient{Address: a}, Destination: queue.Destination{Transport: transportLocal}})
	}
	id, err := o.queue.Add(e, c)
	if err != nil {
		return err
	}
	log := o.d.log.With("queue_id", id)
	if about != "" {
		log = log.With("about", about)
	}
	for _, a := range to {
		log.InfoContext(ctx, mail.EventQueued, "from", from.Address.String(), "to", a.String(), "status", "250 2.0.0")
	}
	return nil
}

// tell tells the sender what became of recipients, in the words of the
// configuration of the moment. A notification about a message that came with
// SMTPUTF8 needs it too (RFC 6533 section 3), and so with REQUIRETLS (RFC 8689
// section 5).
func (o *outgoing) tell(ctx context.Context, n queue.Notice, e queue.Envelope, c message.Content, to []queue.Outcome) error {
	r := bounce.Report{Notice: n, Facts: bounce.Facts{Hostname: o.d.hostname}, Now: time.Now(), Envelope: e, Content: c, To: to}
	if g := o.d.current.Load(); g != nil {
		r.Templates = g.templates
		r.Facts.DelayNotice, r.Facts.Lifetime = time.Duration(g.cfg.Queue.DelayNotice), time.Duration(g.cfg.Queue.Lifetime)
	}
	text, err := bounce.Write(r)
	if errors.Is(err, bounce.ErrNobody) {
		if n == queue.NoticeFailed {
			o.d.log.WarnContext(ctx, "given up and nobody to tell", "queue_id", e.ID, "from", e.From.String(), "recipients", len(to))
		}
		return nil
	}
	if err != nil {
		return err
	}
	return o.submit(ctx, e.ID, mail.ReversePath{UTF8: e.From.UTF8, RequireTLS: e.RequireTLS}, []mail.Address{e.From.Address}, bytes.NewReader(text))
}

// delivered tells the sender, who asked for it, of mailboxes that have a message.
func (o *outgoing) delivered(ctx context.Context, from mail.ReversePath, to []mail.Recipient, c message.Content) error {
	return o.succeeded(ctx, queue.NoticeDelivered, from, to, c)
}

// expanded tells the sender, who asked for it, of aliases of several addresses.
func (o *outgoing) expanded(ctx context.Context, from mail.ReversePath, to []mail.Recipient, c message.Content) error {
	return o.succeeded(ctx, queue.NoticeExpanded, from, to, c)
}

func (o *outgoing) succeeded(ctx context.Context, n queue.Notice, from mail.ReversePath, to []mail.Recipient, c message.Content) error {
	e := queue.Envelope{From: from, Arrived: time.Now(), RequireTLS: from.RequireTLS}
	var list []queue.Outcome
	for _, r := range to {
		list = append(list, queue.Outcome{Recipient: queue.Recipient{Recipient: r}})
	}
	return o.tell(ctx, n, e, c, list)
}

// readTemplates reads the words of notifications.
func readTemplates(c *config.Config) (*bounce.Templates, error) {
	var text []byte
	if file := c.Queue.BounceTemplates; file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, c.At("queue.bounce_templates", err, "name a file that gomaild may read, or none")
		}
	}
	t, err := bounce.ParseTemplates(string(text))
	if err != nil {
		return nil, c.At("queue.bounce_templates", err, "mend the template")
	}
	return t, nil
}
