package receive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"time"

	"gomaild/delivery/local"
	"gomaild/delivery/routing"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/policy"
	"gomaild/smtp"
)

// transaction implements smtp.Transaction.
type transaction struct {
	r      *receiver
	client smtp.Client
	from   mail.ReversePath
	to     []accepted
	log    *slog.Logger

	begun       time.Time
	made        []Content     // by filters
	isDiscarded bool          // a filter wants it: answered 250, and nothing kept
	judge       *policy.Judge // of a stranger, else nil
	verdict     policy.Verdict
	folder      string // for an Order, and for junk
	queueID     string // of what is owed, for the log
	messageID   string // after Commit, for the log: the message's or the one given to it
}

// accepted is a recipient whose RCPT was answered 250.
type accepted struct {
	mail.Recipient // as the client wrote it
	leadsTo        []routing.Destination
}

// errMoved is what everybody hears whom this server may not answer for any more;
// 421 ends the session (RFC 5321 section 3.8).
var errMoved = &mail.Status{Code: 421, Enhanced: "4.3.2", Text: "Service not available here, try again"}

// AddRecipient implements smtp.Transaction.
func (t *transaction) AddRecipient(ctx context.Context, to mail.Recipient) error {
	list, err := t.r.resolve(ctx, to.Address)
	if err != nil {
		t.logRefusal(ctx, atRcpt, to.Address.String(), err)
		return err
	}
	if t.judge != nil {
		if err := t.judge.Recipient(ctx, to.Address); err != nil {
			t.logRefusal(ctx, atRcpt, to.Address.String(), err)
			return err
		}
	}
	if t.r.Brakes != nil && t.client.Identity != nil {
		if err := t.r.Brakes.Recipient(t.client.Identity.Account); err != nil {
			t.logRefusal(ctx, atRcpt, to.Address.String(), err)
			return err
		}
	}
	if err := t.hasRoom(ctx, list); err != nil {
		t.logRefusal(ctx, atRcpt, to.Address.String(), err)
		return err
	}
	t.to = append(t.to, accepted{to, list})
	return nil
}

// hasRoom refuses a recipient when none of its mailboxes would take the message
// and it leads nowhere else.
// SIZE (RFC 1870) counts CRLF for a line end that is stored as LF, so half of it
// is the least that will be stored: nothing is refused here that would be taken
// at the end of data.
func (t *transaction) hasRoom(ctx context.Context, list []routing.Destination) error {
	if t.r.Room == nil {
		return nil
	}
	var full error
	for _, d := range list {
		if d.Class == routing.Remote || d.Class == routing.Relay {
			return nil
		}
		if d.Class != routing.Local {
			continue
		}
		err := t.r.Room(ctx, d.Mailbox, t.from.Size/2)
		if err == nil {
			return nil
		}
		if isWorse(err, full) {
			full = err
		}
	}
	return full
}

// Abort implements smtp.Transaction. Nothing is held before Commit.
func (t *transaction) Abort() {}

// Commit implements smtp.Transaction.
func (t *transaction) Commit(ctx context.Context, content io.Reader) []error {
	var head message.Trace
	c, err := t.spool(content)
	if err == nil {
		defer c.Close()
		head, err = t.inspect(c)
		t.messageID = head.MessageID
	}
	if err == nil && t.judge != nil {
		err = t.judgeContent(ctx, c)
	}
	if err == nil && t.r.CheckFrom && t.r.completes && t.client.Identity != nil {
		err = t.admitAuthors(ctx, c)
	}
	if err == nil && len(t.r.Filters) > 0 {
		defer t.closeMade()
		c, head, err = t.filter(ctx, c, head)
	}
	var results []error
	switch {
	case err != nil:
		results = slices.Repeat([]error{err}, len(t.to))
	case t.isDiscarded:
		results = make([]error, len(t.to))
	default:
		results = t.deliver(ctx, c, head)
	}
	if err := t.r.Fence(); err != nil {
		results = slices.Repeat([]error{errMoved.WithCause(err)}, len(t.to))
	}
	t.logResults(ctx, c, results)
	if !t.r.perRecipient {
		results = t.oneReply(results)
	}
	return results
}

// spool reads the content to its end. A Return-Path that the sender wrote goes
// (RFC 5321 section 4.4): ours is the only one. From a submission the blind
// copies go too (RFC 5322 section 3.6.3): some clients leave that to us.
func (t *transaction) spool(content io.Reader) (Content, error) {
	switch {
	case t.r.completes:
		content = message.EditHeader(content, nil, "Return-Path", "Bcc", "Resent-Bcc")
	case t.r.addsTrace:
		content = message.EditHeader(content, nil, "Return-Path")
	}
	if t.judge != nil {
		content = t.judge.Filter(content)
	}
	return t.keep(content)
}

func (t *transaction) keep(content io.Reader) (Content, error) {
	c, err := t.r.Spool(content)
	switch {
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return nil, &mail.Status{Code: 452, Enhanced: "4.3.1", Text: "Insufficient system storage", Cause: err}
	case err != nil:
		return nil, err // whatever c is, a nil pointer perhaps
	}
	return c, nil
}

// judgeContent is the last word about a stranger's message, read to its end.
func (t *transaction) judgeContent(ctx context.Context, c Content) error {
	verdict, err := t.judge.Content(ctx, c)
	if err != nil {
		return err
	}
	t.verdict = verdict
	if verdict.Junk {
		t.folder = t.r.JunkFolder
	}
	return nil
}

// inspect reads the header and refuses a message that has been through too
// many hands (RFC 5321 section 6.3).
func (t *transaction) inspect(c Content) (message.Trace, error) {
	head, err := message.ReadTrace(c)
	if err != nil {
		return head, err
	}
	if head.Received > t.r.MaxReceived {
		return head, &mail.Status{Code: 554, Enhanced: "5.4.6", Text: "Too many hops: this message is going round in a circle"}
	}
	return head, nil
}

// attempt is one mailbox to deliver to, or one address elsewhere to owe, for one
// or more recipients.
type attempt struct {
	place
	to   local.Recipient
	owed *Owed // nil for a mailbox
	err  error
}

// place names a mailbox, or an address elsewhere, within one transaction.
type place struct {
	address   mail.Address
	detail    string
	elsewhere bool
}

// deliver brings the message into every mailbox that the recipients lead to,
// once into each, and returns a result for each recipient.
func (t *transaction) deliver(ctx context.Context, c Content, head message.Trace) []error {
	attempts, of := t.attempts(head)
	var digest [digestSize]byte
	if !t.r.perRecipient && !t.r.notes.isEmpty() {
		d, err := contentDigest(c)
		if err != nil {
			return slices.Repeat([]error{err}, len(t.to))
		}
		digest = d
		t.passOverNoted(attempts, digest)
	}
	trace, err := t.signed(t.trace(head), c)
	if err != nil {
		return slices.Repeat([]error{err}, len(t.to))
	}
	t.owe(ctx, message.Joined{Head: trace, Tail: c}, attempts)
	t.run(ctx, local.Message{From: t.from, Trace: trace, Content: c, Client: t.client.Addr}, attempts)
	results := make([]error, len(t.to))
	for i, list := range of {
		for _, a := range list {
			if isWorse(a.err, results[i]) {
				results[i] = a.err
			}
		}
	}
	if !t.r.perRecipient {
		t.note(c, digest, attempts)
	}
	return results
}

// signed is the trace with the signatures of a user's message above it. They are
// about the message as it goes out, Date and Message-ID with it.
func (t *transaction) signed(trace []byte, c Content) ([]byte, error) {
	if !t.r.completes || t.r.Sign == nil {
		return trace, nil
	}
	fields, err := t.r.Sign(message.Joined{Head: trace, Tail: c})
	if err != nil {
		return nil, err
	}
	return append(fields, trace...), nil
}

// attempts are the distinct places, and for each recipient those it leads to.
func (t *transaction) attempts(head message.Trace) (all []*attempt, of [][]*attempt) {
	met := make(map[place]*attempt)
	of = make([][]*attempt, len(t.to))
	for i, rcpt := range t.to {
		for _, d := range rcpt.leadsTo {
			p := placeOf(d)
			a := met[p]
			if a == nil {
				a = t.attempt(p, rcpt, d)
				if t.isLoop(d, head) {
					a.err = loopStatus(d.Address)
				}
				met[p] = a
				all = append(all, a)
			}
			of[i] = append(of[i], a)
		}
	}
	return all, of
}

func placeOf(d routing.Destination) place {
	if d.Class == routing.Local {
		return place{address: d.Mailbox.Address.Fold(), detail: d.Detail}
	}
	return place{address: d.Address, elsewhere: true} // whose case is its host's business
}

// attempt prepares what is to be done for a place. What the client asked to be
// told (RFC 3461) goes along to where an alias leads (section 5.2.7.3).
func (t *transaction) attempt(p place, rcpt accepted, d routing.Destination) *attempt {
	if !p.elsewhere {
		return &attempt{place: p, to: t.recipient(rcpt, d)}
	}
	to := rcpt.Recipient
	if to.ORcpt == "" && to.Address != d.Address {
		to.ORcpt = "rfc822;" + to.Address.String()
	}
	to.Address = d.Address
	return &attempt{place: p, owed: &Owed{Recipient: to, Transport: d.Transport}}
}

// recipient is the order to the delivery agent. Delivered-To is the final
// address, as Postfix writes it; over LMTP it is the address of RCPT, and only
// when there is no other recipient, as Dovecot does it: one must not learn of
// another.
func (t *transaction) recipient(rcpt accepted, d routing.Destination) local.Recipient {
	to := local.Recipient{Mailbox: d.Mailbox, Detail: d.Detail, Folder: t.folder, ReturnPath: t.r.addsTrace}
	switch {
	case t.r.isLMTP && len(t.to) == 1:
		to.DeliveredTo = rcpt.Address
	case t.r.addsTrace && !t.r.isLMTP:
		to.DeliveredTo = d.Address
	}
	return to
}

// isLoop reports that the message has been delivered to this very address
// before: it was forwarded and came back.
func (t *transaction) isLoop(d routing.Destination, head message.Trace) bool {
	if !t.r.addsTrace || t.r.isLMTP {
		return false
	}
	return slices.ContainsFunc(head.DeliveredTo, func(v string) bool {
		return strings.EqualFold(strings.Trim(v, "<> \t"), d.Address.String())
	})
}

func loopStatus(a mail.Address) error {
	return &mail.Status{Code: 554, Enhanced: "5.4.6", Text: "mail forwarding loop for <" + a.String() + ">"}
}

// owe makes the message durable for those elsewhere, all of them at once.
func (t *transaction) owe(ctx context.Context, c message.Content, attempts []*attempt) {
	var open []*attempt
	var to []Owed
	for _, a := range attempts {
		if a.err == nil && a.owed != nil {
			open = append(open, a)
			to = append(to, *a.owed)
		}
	}
	if len(open) == 0 {
		return
	}
	id, err := t.r.Owe(ctx, t.from, to, c)
	t.queueID = id
	for _, a := range open {
		a.err = err
	}
}

// run makes the local attempts that are not settled.
func (t *transaction) run(ctx context.Context, m local.Message, attempts []*attempt) {
	var open []*attempt
	var to []local.Recipient
	for _, a := range attempts {
		if a.err == nil && a.owed == nil {
			open = append(open, a)
			to = append(to, a.to)
		}
	}
	if len(open) == 0 {
		return
	}
	results := t.r.Local.Deliver(ctx, m, to)
	for i, a := range open {
		a.err = fmt.Errorf("delivery to %s: no result", a.to.Mailbox.Address)
		if i < len(results) {
			a.err = results[i]
		}
	}
}

// isWorse reports that the client must hear of err rather than of than:
// temporary before permanent before none.
func isWorse(err, than error) bool {
	switch {
	case err == nil || errors.Is(err, errNoted):
		return false
	case than == nil:
		return true
	}
	return mail.StatusOf(err).Temporary() && !mail.StatusOf(than).Temporary()
}

// oneReply makes the results one, by the rules of the package comment.
func (t *transaction) oneReply(results []error) []error {
	var worst error
	var who string
	for i, err := range results {
		if isWorse(err, worst) {
			worst, who = err, t.to[i].Address.String()
		}
	}
	if worst == nil || len(results) == 1 {
		return results
	}
	s := *mail.StatusOf(worst)
	if !strings.Contains(s.Text, who) {
		s.Text = "<" + who + ">: " + s.Text
	}
	s.Cause = worst
	return slices.Repeat([]error{&s}, len(results))
}
