package filter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"gomaild/accounts"
	"gomaild/delivery/local"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/sieve"
	"gomaild/storage"
)

// Sweep is a script to run over messages that are stored already. Stores and
// flags are carried out; what sends or refuses is not: the message came long ago.
type Sweep struct {
	Account storage.Account
	Of      accounts.Mailbox
	Mailbox string // default INBOX
	Name    string // of the script, in errors
	Script  []byte
	Apply   bool // carry out; without, it is only told
	Expunge bool // what the script discards is expunged; without, it stays
	// Tell hears of each message for which the script says anything but keep.
	Tell func(Swept)
}

// Swept is what the script says of one message.
type Swept struct {
	UID   storage.UID
	Lines []string // an action each, with the line of the script that decided
	Err   error    // of the script, or of the store; the message stays as it was
}

// Sweep runs a script over the messages of a mailbox. Its error is a
// sieve.CompileError or a fault of the store before any message; of a message,
// Tell hears. It may be interrupted and run again, but for copies.
func (f *Filter) Sweep(ctx context.Context, s Sweep) (err error) {
	if s.Mailbox == "" {
		s.Mailbox = "INBOX"
	}
	dir, err := f.Home(storage.Owner{Address: s.Of.Address, Maildir: s.Of.Maildir})
	if err != nil {
		return err
	}
	r := &run{Filter: f, dir: dir, log: f.Logger.With("account", s.Of.Address.String())}
	r.q = local.Question{Recipient: local.Recipient{Mailbox: s.Of}, Account: s.Account}
	script, err := f.engine.CompileTrusted(s.Name, s.Script, r.includes(func(name string) ([]byte, error) {
		data, _, err := r.read(name)
		return data, err
	}))
	if err != nil {
		return err
	}
	defer r.forget()
	box, err := s.Account.Open(ctx, s.Mailbox)
	if err != nil {
		return fmt.Errorf("open %s: %w", s.Mailbox, err)
	}
	defer func() { err = errors.Join(err, box.Close()) }()
	view, err := box.View(ctx)
	if err != nil {
		return err
	}
	w := &sweeping{Sweep: s, run: r, box: box, script: script}
	for _, m := range view.Messages {
		told := w.message(ctx, m.UID)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if len(told.Lines) > 0 || told.Err != nil {
			s.Tell(told)
		}
	}
	return nil
}

// includes finds the scripts that one includes.
func (r *run) includes(read func(name string) ([]byte, error)) sieve.Loader {
	return func(personal bool, script string) ([]byte, error) {
		dir := r.Global
		if personal {
			dir = path.Join(r.dir, r.Dir)
		}
		if dir == "" {
			return nil, fs.ErrNotExist
		}
		return read(path.Join(dir, script+".sieve"))
	}
}

// sweeping is a Sweep at work.
type sweeping struct {
	Sweep
	*run
	box    storage.Mailbox
	script *sieve.Script
}

// message runs the script over one message.
func (w *sweeping) message(ctx context.Context, uid storage.UID) Swept {
	told := Swept{UID: uid}
	content, err := w.box.Content(ctx, uid)
	if errors.Is(err, storage.ErrExpunged) {
		return told
	}
	if err != nil {
		told.Err = err
		return told
	}
	defer func() { told.Err = errors.Join(told.Err, content.Close()) }()
	w.q.Content = content
	w.q.From = returnPath(content)
	env := w.env(ctx)
	if !w.Apply {
		env.Program = nil // who knows what one does
	}
	result, err := w.engine.Run(ctx, env, w.script)
	if err != nil {
		told.Err = err
		return told
	}
	p := w.plan(ctx, result)
	told.Lines = p.lines
	if w.Apply {
		told.Err = w.carryOut(ctx, uid, p)
	}
	return told
}

// returnPath is the envelope sender, as delivery wrote it down.
func returnPath(c message.Content) mail.ReversePath {
	for f, err := range message.Fields(c, message.Span{Len: c.Size()}) {
		if err != nil {
			break
		}
		if f.Is("Return-Path") {
			a, err := mail.ParseAddress(strings.Trim(f.Text(), "<> \t"))
			if err != nil {
				break
			}
			return mail.ReversePath{Address: a}
		}
	}
	return mail.ReversePath{}
}

// plan is what is to be done with one message.
type plan struct {
	lines []string
	stays *local.Store // nil: it does not stay in this mailbox
	to    []destination
}

// destination is a store elsewhere.
type destination struct {
	local.Store
	action sieve.Action
}

func (w *sweeping) plan(ctx context.Context, result *sieve.Result) plan {
	var p plan
	for _, a := range result.Actions {
		line := a.String()
		switch a.Kind {
		case sieve.Keep:
			s := store("", a.Flags, a.Content)
			p.stays = &s
			if !a.HasFlags && a.Content == nil {
				continue
			}
		case sieve.FileInto:
			d := destination{store(w.folder(ctx, a), a.Flags, a.Content), a}
			if d.Folder == w.Mailbox {
				p.stays = &d.Store
				continue
			}
			p.to = append(p.to, d)
		case sieve.Discard:
			if !w.Expunge {
				line += " (it stays: discarded messages are not expunged)"
			}
		default:
			line += " (not done: the message came long ago)"
		}
		p.lines = append(p.lines, line)
	}
	if result.ImplicitKeep && p.stays == nil {
		s := store("", result.Flags, result.Content)
		p.stays = &s
		if len(result.Flags) > 0 {
			p.lines = append(p.lines, "keep (implicit) with flags ("+strings.Join(result.Flags, " ")+")")
		}
	}
	if p.stays == nil && len(p.to) == 0 && !w.onlyDiscards(result) {
		p.stays = &local.Store{} // a redirect that is not done leaves the message
	}
	return p
}

// onlyDiscards reports that nothing but discard took the keep away, and that
// the message is to go.
func (w *sweeping) onlyDiscards(result *sieve.Result) bool {
	return w.Expunge && !slices.ContainsFunc(result.Actions, func(a sieve.Action) bool { return a.Kind != sieve.Discard })
}

// carryOut copies first and takes away last: a fault between leaves one too
// many, never one too few.
func (w *sweeping) carryOut(ctx context.Context, uid storage.UID, p plan) error {
	uids := []storage.UID{uid}
	for i, d := range p.to {
		isLast := i == len(p.to)-1
		if err := w.file(ctx, uid, d, p.stays == nil && isLast); err != nil {
			return err
		}
	}
	switch {
	case p.stays != nil && p.stays.Content != nil:
		if err := w.rewrite(ctx, uid, w.box, *p.stays); err != nil {
			return err
		}
	case p.stays != nil && (p.stays.Flags != 0 || len(p.stays.Keywords) > 0):
		_, err := w.box.SetFlags(ctx, uids, storage.FlagEdit{Op: storage.AddFlags, Flags: p.stays.Flags, Keywords: p.stays.Keywords}, 0)
		return err
	case p.stays == nil && len(p.to) == 0:
	default:
		return nil
	}
	return w.box.Expunge(ctx, uids)
}

// open opens a mailbox, made as delivery makes it; "" is INBOX.
func (w *sweeping) open(ctx context.Context, name string) (storage.Mailbox, error) {
	if name == "" {
		name = "INBOX"
	}
	to, err := w.Account.Open(ctx, name)
	if errors.Is(err, storage.ErrNoMailbox) {
		if err = w.Account.Create(ctx, name); err == nil {
			err = w.Account.Subscribe(ctx, name, true)
		}
		if err == nil {
			to, err = w.Account.Open(ctx, name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("file into %s: %w", name, err)
	}
	return to, nil
}

// file brings the message into another mailbox.
func (w *sweeping) file(ctx context.Context, uid storage.UID, d destination, move bool) (err error) {
	to, err := w.open(ctx, d.Folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	uids := []storage.UID{uid}
	switch {
	case d.Content != nil:
		if err = w.rewrite(ctx, uid, to, d.Store); err == nil && move {
			err = w.box.Expunge(ctx, uids)
		}
		return err
	case move:
		uids, err = w.box.Move(ctx, uids, to)
	default:
		uids, err = w.box.Copy(ctx, uids, to)
	}
	if err == nil && (d.Flags != 0 || len(d.Keywords) > 0) {
		_, err = to.SetFlags(ctx, uids, storage.FlagEdit{Op: storage.AddFlags, Flags: d.Flags, Keywords: d.Keywords}, 0)
	}
	return err
}

// rewrite stores the message as a script changed it, with its flags and date.
func (w *sweeping) rewrite(ctx context.Context, uid storage.UID, to storage.Mailbox, s local.Store) error {
	info, err := w.box.Info(ctx, uid)
	if err != nil {
		return err
	}
	view, err := w.box.View(ctx)
	if err != nil {
		return err
	}
	d := storage.Draft{Flags: s.Flags, Keywords: s.Keywords, InternalDate: info.InternalDate}
	if i, found := view.Index(uid); found {
		m := view.Messages[i]
		d.Flags |= m.Flags
		d.Keywords = append(slices.Clone(d.Keywords), view.KeywordNames(m.Keywords)...)
	}
	d.Content = message.NewWireReader(s.Content, message.Span{Len: s.Content.Size()})
	_, err = to.Append(ctx, d)
	return err
}
