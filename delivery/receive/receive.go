// Package receive holds the four ways in: MX (port 25), Submission (587, 465),
// LMTP, and the LDA's socket. Each is a smtp.Receiver, and all share one
// transaction, which asks routing where a recipient's mail goes, writes the
// trace fields and hands the message to delivery/local before it answers.
//
// Who answers for the mail: nobody here until Commit returns nil, and then the
// message is durable in every mailbox that the recipient leads to. The content
// is read to its end before the first delivery, so a client that goes away in
// the middle leaves nothing behind.
//
// One reply for several recipients (SMTP). RFC 5321 gives end-of-data a single
// reply. The rules, in this order:
//
//  1. A mailbox that fails for now while others have the message is owed it
//     (Config.Owe), and counts as served: the client's next try would bring it
//     to the others once more. One whose Sieve script refuses the message while
//     others have it is owed a bounce in the same way (RFC 5429 section 2.1.1):
//     a 5xx would tell the sender that nobody has it.
//  2. A temporary failure for any recipient is the reply (4xx): the client
//     keeps the message and comes again.
//  3. Otherwise a permanent failure for any recipient is the reply (5xx), and
//     its text names the recipient, so that the bounce says who is missing.
//  4. Only when nobody is missing is the reply 250.
//
// LMTP has a reply for each recipient and needs none of this.
//
// Recipients elsewhere (a submission to another host, an alias that leads
// outside, a relay domain) are owed before the local deliveries are made, and if
// that fails nobody gets the message (DESIGN.md section 5). Where
// Config.Elsewhere is false they are refused at RCPT: an alias that leads outside
// with 451, so that its mail waits with the sender, a submission to another host
// with 550.
package receive

import (
	"context"
	"io"
	"log/slog"
	"time"

	"gomaild/accounts"
	"gomaild/delivery/local"
	"gomaild/delivery/routing"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/policy"
	"gomaild/smtp"
)

// Router is the part of routing.Router that is needed here.
type Router interface {
	Resolve(ctx context.Context, to mail.Address) ([]routing.Destination, error)
	Relay(ctx context.Context, to mail.Address) ([]routing.Destination, error)
	Copies(from mail.Address, to []mail.Address) ([]mail.Address, error)
	MaySendAs(ctx context.Context, login, from mail.Address) (bool, error)
}

// Mailboxes is the part of accounts.Lookup that is needed here.
type Mailboxes interface {
	Mailbox(ctx context.Context, a mail.Address) (accounts.Mailbox, error)
}

// Agent is the local delivery agent: one result for each recipient, in order.
type Agent interface {
	Deliver(ctx context.Context, m local.Message, to []local.Recipient) []error
}

// Content is a message that was read to its end and is held until Close.
type Content interface {
	message.Content
	io.Closer
}

// Config is what a Receiver is made of. Hostname, Router, Local and Spool are
// required.
type Config struct {
	Hostname string // in Received and Message-ID fields
	Router   Router
	Local    Agent

	// Spool reads a message to its end, in memory or on disk. An error of the
	// reader is returned as it is.
	Spool func(r io.Reader) (Content, error)

	// Mailboxes is asked first by LMTP and the LDA, whose recipients the MTA
	// before us has expanded already: alice who forwards and keeps a copy would
	// forward twice. An address that is no mailbox is routed. Required there.
	Mailboxes Mailboxes
	Delimiter byte // begins the detail of alice+lists for Mailboxes; 0 for none

	// Room says whether a mailbox would take a message of at least size octets
	// now; it is asked at RCPT. Default: everything is let in until it is
	// delivered.
	Room func(ctx context.Context, m accounts.Mailbox, size int64) error

	// Trusted lets clients submit without a login, as whoever they say: for a
	// submission listener that only trusted hosts can reach.
	Trusted bool

	// Owe takes responsibility for recipients who get the message later: when it
	// returns nil, it survives a power cut and is sent, delivered or answered for.
	// nil: nobody is put off, and a client that comes again for one recipient
	// brings the message to the others twice.
	Owe func(ctx context.Context, from mail.ReversePath, to []Owed, c message.Content) (queueID string, err error)
	// Hold is Owe for a message that waits for a person: nothing is done with it
	// until it is released.
	Hold func(ctx context.Context, from mail.ReversePath, to []Owed, c message.Content) (queueID string, err error)
	// Delivered tells the sender, who asked for it (NOTIFY=SUCCESS, RFC 3461), of
	// recipients whose mailboxes have the message. nil tells nobody.
	Delivered func(ctx context.Context, from mail.ReversePath, to []mail.Recipient, c message.Content) error
	// Expanded tells of aliases of several addresses, all of which have the message
	// or are owed it; of each of them the sender hears failures only. nil tells
	// nobody.
	Expanded func(ctx context.Context, from mail.ReversePath, to []mail.Recipient, c message.Content) error
	// Elsewhere takes recipients elsewhere; Owe is needed.
	Elsewhere bool

	// Policy judges strangers (MX only); nil lets everybody in.
	Policy *policy.Policy
	// Filters are asked, in order, about messages that policy lets pass.
	Filters []Filter
	// Brakes hold to a rate who has logged in (submission only); nil holds
	// nobody.
	Brakes *policy.Brakes
	// CheckFrom wants the addresses in From to be the login's own (submission).
	CheckFrom bool
	// ShowClient names the client in the Received field (submission).
	ShowClient bool
	// Sign makes the DKIM-Signature fields for a message of our users, none for
	// a domain without a key; nil signs nothing.
	Sign func(c message.Content) ([]byte, error)
	// Seal makes the fields (ARC) to stand above a stranger's message that goes on
	// to somebody elsewhere, c with its trace; nil seals nothing. With an error the
	// message goes without.
	Seal func(c message.Content) ([]byte, error)
	// JunkFolder gets what Policy calls junk; "" for INBOX.
	JunkFolder string

	// Fence is asked when a message is stored and before anybody hears so; with
	// an error every recipient gets 421 instead, for this server may answer for
	// nothing any more. Default: nobody.
	Fence func() error

	MaxReceived int          // Received fields that a message may have; default 50
	Logger      *slog.Logger // default: none
	Now         func() time.Time
}

// Owed is a recipient who gets the message later.
type Owed struct {
	mail.Recipient
	Relay     bool              // of a domain of ours
	Transport routing.Transport // how it goes on; zero where the recipient's domain decides

	Account mail.Address // that submitted the message; zero for one of a stranger

	Here   bool   // a mailbox here, to be brought to by Redeliver
	Folder string // of that mailbox, as in an Order
}

// defaultMaxReceived is what Postfix's hopcount_limit is. RFC 5321 section 6.3
// asks for at least 100 where the count is the only defence against loops;
// Delivered-To is ours besides.
const defaultMaxReceived = 50

// way is what tells one way in from another.
type way struct {
	name         string
	needsLogin   bool // and the sender must be the login's own
	isFinal      bool // the MTA before us has expanded aliases
	strangers    bool // who comes is judged
	relays       bool // recipients elsewhere are taken, where they can be owed
	seals        bool // what goes on to others is sealed
	perRecipient bool // one reply for each recipient
	addsTrace    bool // Return-Path, Delivered-To, Received
	copies       bool // BCC maps count: who brings it is the first of our hosts to have it
	completes    bool // adds Date and Message-ID where they are missing, takes Bcc away
	isAgain      bool // was put off: the trace is there but for Return-Path and Delivered-To
	isLMTP       bool // Received and Delivered-To as Dovecot's LMTP writes them
}

// NewMX takes mail from strangers for recipients of ours.
func NewMX(c Config) smtp.Receiver {
	return newReceiver(c, way{name: "mx", addsTrace: true, copies: true, strangers: true, seals: true})
}

// NewSubmission takes mail from our users (RFC 6409): only after a login (or
// on a trusted listener), only with a sender that the login owns. The null
// reverse-path is allowed, as Postfix allows it: receipts (RFC 8098 section 3)
// are sent with it.
func NewSubmission(c Config) smtp.Receiver {
	return newReceiver(c, way{name: "submission", needsLogin: !c.Trusted, addsTrace: true, copies: true, completes: true, relays: true})
}

// NewLMTP takes mail from an MTA that is responsible for it until each
// recipient has its reply (RFC 2033).
func NewLMTP(c Config) smtp.Receiver {
	return newReceiver(c, way{name: "lmtp", isFinal: true, perRecipient: true, addsTrace: true, isLMTP: true})
}

// NewLDA is LMTP for `gomaild deliver`: Postfix's pipe has written Return-Path
// and Delivered-To, so nothing is added and nothing taken away.
func NewLDA(c Config) smtp.Receiver {
	return newReceiver(c, ldaWay())
}

func ldaWay() way { return way{name: "lda", isFinal: true, perRecipient: true} }

// receiver implements smtp.Receiver.
type receiver struct {
	Config
	way
}

func newReceiver(c Config, w way) *receiver {
	if c.MaxReceived <= 0 {
		c.MaxReceived = defaultMaxReceived
	}
	if c.Fence == nil {
		c.Fence = func() error { return nil }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &receiver{Config: c, way: w}
}

// Begin implements smtp.Receiver. Filters must have heard of the session: see Open.
func (r *receiver) Begin(ctx context.Context, c smtp.Client, from mail.ReversePath) (smtp.Transaction, error) {
	if len(r.Filters) > 0 {
		return nil, errNotOpened
	}
	return r.begin(ctx, c, from, nil)
}

func (r *receiver) begin(ctx context.Context, c smtp.Client, from mail.ReversePath, filters []FilterVisit) (smtp.Transaction, error) {
	t := r.newTransaction(c, from)
	if err := t.admit(ctx, filters); err != nil {
		t.logRefusal(ctx, atMail, "", err)
		return nil, err
	}
	return t, nil
}

// admit decides about MAIL: strangers are judged, users held to their rate.
func (t *transaction) admit(ctx context.Context, filters []FilterVisit) error {
	if t.r.strangers && t.r.Policy != nil {
		judge, err := t.r.Policy.Begin(ctx, policy.Query{
			Client: t.client.Addr, Helo: t.client.Helo, From: t.from,
			Protocol: t.client.Protocol, Instance: t.client.Message, Size: t.from.Size,
			Ahead: t.client.Ahead,
		})
		if err != nil {
			return err
		}
		t.judge = judge
	}
	if who, ok := t.braked(); ok {
		if err := t.r.Brakes.Message(who); err != nil {
			return err
		}
	}
	if err := t.r.admitSender(ctx, t.client, t.from); err != nil {
		return err
	}
	return t.beginFilters(ctx, filters)
}

// braked is who is held to a rate: the login, or a trusted client that submits
// without one, by its address.
func (t *transaction) braked() (who mail.Address, ok bool) {
	switch {
	case t.r.Brakes == nil:
	case t.client.Identity != nil:
		return t.client.Identity.Account, true
	case t.r.completes && t.client.Addr.IsValid():
		return mail.Address{Domain: t.client.Addr.String()}, true
	}
	return mail.Address{}, false
}

func (r *receiver) newTransaction(c smtp.Client, from mail.ReversePath) *transaction {
	log := r.Logger.With("session", c.Session, "way", r.name, "from", from.Address.String())
	if c.Addr.IsValid() {
		log = log.With("client", c.Addr)
	}
	if c.Message != "" {
		log = log.With("id", c.Message)
	}
	if c.Helo != "" {
		log = log.With("helo", sanitiseHelo(c.Helo))
	}
	if c.ForwardedFor.IsValid() {
		log = log.With("forwarded_for", c.ForwardedFor)
	}
	if c.Identity != nil {
		log = log.With("account", c.Identity.Account.String())
	}
	return &transaction{r: r, client: c, from: from, log: log, id: c.Message, begun: r.Now()}
}
