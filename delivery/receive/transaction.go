package receive

import (
	"context"
	"errors"
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
	copies []accepted // by the BCC maps: nobody hears of them
	log    *slog.Logger

	begun       time.Time
	filters     []Filtering   // that are asked
	made        []Content     // by filters
	isHeld      bool          // it waits in the queue for a person
	isDiscarded bool          // a filter wants it: answered 250, and nothing kept
	judge       *policy.Judge // of a stranger, else nil
	verdict     policy.Verdict
	folder      string // for an Order, and for junk
	queueID     string // of what is owed, for the log
	id          string // in the log
	messageID   string // after Commit, for the log: the message's or the one given to it
}

// accepted is a recipient whose RCPT was answered 250.
type accepted struct {
	mail.Recipient // as the client wrote it
	leadsTo        []routing.Destination
	waits          bool // after Commit: nothing of it is in a mailbox yet
	isGone         bool // after Commit: all of it was thrown away
}

// errMoved is what everybody hears whom this server may not answer for any more;
// 421 ends the session (RFC 5321 section 3.8).
var errMoved = &mail.Status{Code: 421, Enhanced: "4.3.2", Text: "Service not available here, try again"}

// AddRecipient implements smtp.Transaction.
func (t *transaction) AddRecipient(ctx context.Context, to mail.Recipient) error {
	list, err := t.admitRecipient(ctx, to.Address)
	if err != nil {
		t.tellRefused(ctx, to.Address, err)
	} else {
		err = t.filterRecipient(ctx, to.Address)
	}
	if err != nil {
		t.logRefusal(ctx, atRcpt, to.Address.String(), err)
		return err
	}
	t.to = append(t.to, accepted{Recipient: to, leadsTo: list})
	leaves := slices.ContainsFunc(list, func(d routing.Destination) bool { return d.Class == routing.Remote })
	if leaves && t.r.Brakes != nil && t.client.Identity != nil && t.r.Brakes.Holds(ctx, t.client.Identity.Account, to.Address) {
		t.isHeld = true
	}
	return nil
}

// admitRecipient asks all but the filters about a recipient: where it leads.
func (t *transaction) admitRecipient(ctx context.Context, to mail.Address) ([]routing.Destination, error) {
	list, err := t.r.resolve(ctx, to)
	if err != nil {
		return nil, err
	}
	if t.judge != nil {
		if err := t.judge.Recipient(ctx, to); err != nil {
			return nil, err
		}
	}
	if who, ok := t.braked(); ok {
		if err := t.r.Brakes.Recipient(who); err != nil {
			return nil, err
		}
	}
	return list, t.hasRoom(ctx, list)
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
		switch d.Class {
		case routing.Local:
		case routing.NoUser:
			continue
		default:
			return nil
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
func (t *transaction) Abort() { t.closeFilters() }

// Commit implements smtp.Transaction.
func (t *transaction) Commit(ctx context.Context, content io.Reader) []error {
	defer t.closeFilters()
	asked := len(t.to)
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
	if err == nil && len(t.filters) > 0 {
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
	return results[:asked]
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
	if t.r.Policy != nil && (t.r.strangers || t.r.completes) {
		content = t.r.Policy.Filter(content)
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

// deliver brings the message into every mailbox that the recipients lead to,
// once into each, and returns a result for each recipient.
func (t *transaction) deliver(ctx context.Context, c Content, head message.Trace) []error {
	if err := t.copy(ctx); err != nil {
		return slices.Repeat([]error{err}, len(t.to))
	}
	attempts, of := t.attempts(head)
	if t.isHeld {
		for _, a := range attempts {
			a.isOwed = !a.isGone
		}
	}
	trace, err := t.signed(t.trace(head), c)
	if err != nil {
		return slices.Repeat([]error{err}, len(t.to))
	}
	whole := message.Joined{Head: trace, Tail: c}
	if err := t.owe(ctx, whole, attempts); err != nil {
		return slices.Repeat([]error{err}, len(t.to)) // before anybody has it
	}
	t.run(ctx, local.Message{From: t.from, Trace: trace, Content: c, Client: t.client.Addr, ID: t.id}, attempts)
	replies := [][]*attempt{attempts}
	if t.r.perRecipient {
		replies = of
	}
	t.putOff(ctx, whole, replies)
	t.logCopies(of[len(t.to):])
	t.tellSuccess(ctx, whole, attempts, of)
	results := make([]error, len(t.to))
	for i, list := range of[:len(t.to)] {
		for _, a := range list {
			if isWorse(a.err, results[i]) {
				results[i] = a.err
			}
		}
		t.to[i].waits = !slices.ContainsFunc(list, func(a *attempt) bool { return !a.isOwed })
		t.to[i].isGone = !slices.ContainsFunc(list, func(a *attempt) bool { return !a.isGone })
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

// isWorse reports that the client must hear of err rather than of than:
// temporary before permanent before none.
func isWorse(err, than error) bool {
	switch {
	case err == nil:
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
