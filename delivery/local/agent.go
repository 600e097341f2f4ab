package local

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"

	"gomaild/accounts"
	"gomaild/message"
	"gomaild/storage"
)

// DetailFolder says what the +detail of a recipient does.
type DetailFolder int

// The choices for Config.Detail.
const (
	DetailInbox    DetailFolder = iota // nothing: mail goes to INBOX
	DetailExisting                     // names a folder, if there is one
	DetailCreate                       // names a folder, made and subscribed when it is missing
)

const (
	inbox = "INBOX"

	defaultConcurrency = 8
)

// Config is what an Agent is made of. Store is required.
type Config struct {
	Store  storage.Store
	Detail DetailFolder // default DetailInbox
	// Owner says whose account a mailbox is and what it may hold. Default: no
	// limits.
	Owner func(accounts.Mailbox) storage.Owner
	// FullDefers answers for an account that is over its quota with 452, so that
	// the sender tries again, instead of 552.
	FullDefers  bool
	Filter      Filter       // default none: everything is kept
	Concurrency int          // recipients of one message at once, default 8
	Logger      *slog.Logger // default: none
}

// Agent delivers. It is safe for concurrent use.
type Agent struct {
	store       storage.Store
	detail      DetailFolder
	filter      Filter
	owner       func(accounts.Mailbox) storage.Owner
	fullDefers  bool
	concurrency int
	log         *slog.Logger
}

// New makes an Agent.
func New(c Config) *Agent {
	if c.Concurrency <= 0 {
		c.Concurrency = defaultConcurrency
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Owner == nil {
		c.Owner = func(m accounts.Mailbox) storage.Owner {
			return storage.Owner{Address: m.Address, Maildir: m.Maildir}
		}
	}
	return &Agent{
		store: c.Store, detail: c.Detail, filter: c.Filter, owner: c.Owner, fullDefers: c.FullDefers,
		concurrency: c.Concurrency, log: c.Logger,
	}
}

// Admit says whether a message of at least size octets would be stored for m
// now. Errors are as those of Deliver: a *mail.Status for an account that is
// full, else a fault for now.
func (a *Agent) Admit(ctx context.Context, m accounts.Mailbox, size int64) error {
	o := a.owner(m)
	if !o.Limits.Counted {
		return nil
	}
	account, err := a.store.Account(ctx, o)
	if err != nil {
		return a.classify(err)
	}
	defer closeLogged(ctx, a.log, account)
	return a.classify(account.Admits(ctx, size))
}

// Deliver writes m into the mailbox of each recipient and returns one result
// for each, in order. nil means that the message survives a power cut. Other
// results are mail.Statuses or faults to be taken as temporary; they are the
// caller's to log.
func (a *Agent) Deliver(ctx context.Context, m Message, to []Recipient) []error {
	results := make([]error, len(to))
	if len(to) == 1 {
		results[0] = a.deliverOne(ctx, m, to[0])
		return results
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, a.concurrency)
	for i, r := range to {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			results[i] = a.deliverOne(ctx, m, r)
		})
	}
	wg.Wait()
	return results
}

func (a *Agent) deliverOne(ctx context.Context, m Message, r Recipient) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.classify(a.write(ctx, m, r))
}

// write opens what the message goes to and writes it.
func (a *Agent) write(ctx context.Context, m Message, r Recipient) error {
	log := a.log.With("account", r.Mailbox.Address.String())
	account, err := a.store.Account(ctx, a.owner(r.Mailbox))
	if err != nil {
		return err
	}
	defer closeLogged(ctx, log, account)
	if a.filter != nil {
		return a.filtered(ctx, log, account, m, r)
	}
	return a.store1(ctx, log, account, r, Store{Content: content(m, r)})
}

// closeLogged closes what was used. By then the message is durable or the
// client has heard of the fault, so an error here changes neither.
func closeLogged(ctx context.Context, log *slog.Logger, c io.Closer) {
	if err := c.Close(); err != nil {
		log.WarnContext(ctx, "close after delivery", "error", err)
	}
}

// content is the message as it is stored for one recipient.
func content(m Message, r Recipient) message.Content {
	var head strings.Builder
	if r.ReturnPath {
		head.WriteString("Return-Path: " + m.From.String() + "\r\n")
	}
	if !r.DeliveredTo.IsZero() {
		head.WriteString("Delivered-To: " + r.DeliveredTo.String() + "\r\n")
	}
	head.Write(m.Trace)
	return message.Joined{Head: []byte(head.String()), Tail: m.Content}
}

func reader(c message.Content) io.Reader { return io.NewSectionReader(c, 0, c.Size()) }

// open opens the mailbox that r means, INBOX if that is not possible.
func (a *Agent) open(ctx context.Context, log *slog.Logger, account storage.Account, r Recipient) (storage.Mailbox, error) {
	name, mayCreate := a.folder(r)
	if name == inbox {
		return account.Open(ctx, inbox)
	}
	box, err := account.Open(ctx, name)
	if errors.Is(err, storage.ErrNoMailbox) && mayCreate {
		box, err = create(ctx, log, account, name)
	}
	if isNoName(err) {
		log.InfoContext(ctx, "folder is not possible, delivering to INBOX", "folder", name, "error", err)
		return account.Open(ctx, inbox)
	}
	return box, err
}

// folder is the name of the mailbox for r, and whether it may be made.
func (a *Agent) folder(r Recipient) (name string, mayCreate bool) {
	switch {
	case r.Folder != "":
		name, mayCreate = r.Folder, true
	case r.Detail != "" && a.detail != DetailInbox:
		name, mayCreate = r.Detail, a.detail == DetailCreate
	}
	if name == "" || strings.EqualFold(name, inbox) { // RFC 9051 section 5.1: INBOX in any case
		return inbox, false
	}
	return name, mayCreate
}

// create makes a folder and subscribes it, as users expect of mail that is
// filed for them. Another delivery may do the same at the same time.
func create(ctx context.Context, log *slog.Logger, account storage.Account, name string) (storage.Mailbox, error) {
	if err := account.Create(ctx, name); err != nil && !errors.Is(err, storage.ErrExists) {
		return nil, err
	}
	if err := account.Subscribe(ctx, name, true); err != nil {
		log.WarnContext(ctx, "subscribe", "folder", name, "error", err)
	}
	return account.Open(ctx, name)
}

// isNoName reports that no mailbox of that name can be delivered to, today or
// tomorrow, while nothing is wrong with the store.
func isNoName(err error) bool {
	return errors.Is(err, storage.ErrName) || errors.Is(err, storage.ErrNoSelect) || errors.Is(err, storage.ErrNoMailbox) || errors.Is(err, storage.ErrPermission)
}
