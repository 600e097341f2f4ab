package filter

import (
	"context"
	"errors"
	"maps"
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

// IMAP says which scripts run when messages come or change in IMAP (RFC 6785).
type IMAP struct {
	Rules []Rule
	// Users run scripts of their own: those that the annotation
	// /shared/imapsieve/script of a mailbox, or of the account, names.
	Users bool
	// Expunge what scripts discard or file elsewhere; without, it is \Deleted.
	Expunge bool
}

// Rule is one of the administrator: which scripts run in which mailboxes.
type Rule struct {
	// Name and From are patterns as in LIST: the mailbox that a message is in, and
	// the one that it was copied or moved from ("": wherever it is from).
	Name, From string
	Causes     []string // of APPEND, COPY, FLAG; none: all
	// Before and After are scripts below FS, that run before and after the user's.
	Before, After string
}

// scriptEntry is the annotation of RFC 6785 section 2.3.1.
const scriptEntry = "/shared/imapsieve/script"

// Event is what happened in IMAP to messages of a mailbox.
type Event struct {
	Account  storage.Account
	Of       accounts.Mailbox // whose account it is
	User     string           // who did it
	Cause    string           // APPEND, COPY (and MOVE) or FLAG
	Mailbox  storage.Mailbox  // where the messages are
	From     string           // COPY: where they were
	Messages []Changed
}

// Changed is one message of an Event.
type Changed struct {
	UID   storage.UID
	Flags []string // FLAG: those that are set now and were not, or the other way round
}

// Event runs the scripts for it, over one message after the other. What goes
// wrong is logged, and with scripts of the user written where they can read it;
// messages are then as IMAP left them. It ends early with ctx.
func (f *Filter) Event(ctx context.Context, e Event) {
	dir, err := f.Home(storage.Owner{Address: e.Of.Address, Maildir: e.Of.Maildir})
	if err != nil {
		f.Logger.ErrorContext(ctx, "sieve in IMAP", "account", e.Of.Address.String(), "error", err)
		return
	}
	r := &run{Filter: f, dir: dir, log: f.Logger.With("account", e.Of.Address.String(), "mailbox", e.Mailbox.Name(), "cause", e.Cause)}
	r.q = local.Question{Recipient: local.Recipient{Mailbox: e.Of}, From: mail.ReversePath{Address: e.Of.Address}, Account: e.Account}
	scripts := r.imapScripts(ctx, &e)
	if len(scripts) == 0 {
		return
	}
	w := &watching{sweeping: &sweeping{Sweep: Sweep{Account: e.Account, Of: e.Of}, run: r, box: e.Mailbox}, event: e}
	r.q.Store = w.keepCopy
	for _, m := range e.Messages {
		if ctx.Err() != nil {
			r.log.WarnContext(ctx, "sieve in IMAP was ended early", "error", ctx.Err())
			return
		}
		if err := w.message(ctx, m, scripts); err != nil && !errors.Is(err, storage.ErrExpunged) {
			r.log.ErrorContext(ctx, "sieve in IMAP", "uid", m.UID, "error", err)
		}
	}
}

// imapScripts are those to run, in order.
func (r *run) imapScripts(ctx context.Context, e *Event) []*sieve.Script {
	var before, own, after []string
	for _, rule := range r.IMAP.Rules {
		if !rule.matches(e) {
			continue
		}
		if rule.Before != "" {
			before = append(before, rule.Before)
		}
		if rule.After != "" {
			after = append(after, rule.After)
		}
	}
	if r.IMAP.Users && !isOthers(e) {
		if name := r.annotated(ctx, e.Mailbox.Name()); name != "" {
			own = append(own, path.Join(r.dir, r.Dir, name+".sieve"))
		}
	}
	return r.compiled(ctx, r.imap, slices.Concat(before, own, after)...)
}

// isOthers reports a mailbox of another account: what that names is not the
// user's to run.
func isOthers(e *Event) bool {
	g, ok := e.Account.(storage.Guarded)
	return ok && strings.HasPrefix(e.Mailbox.Name(), g.SharedPrefix())
}

func (rule *Rule) matches(e *Event) bool {
	return matchesMailbox(rule.Name, e.Mailbox.Name()) && (rule.From == "" || e.Cause == "COPY" && matchesMailbox(rule.From, e.From)) &&
		(len(rule.Causes) == 0 || slices.ContainsFunc(rule.Causes, func(c string) bool { return strings.EqualFold(c, e.Cause) }))
}

// matchesMailbox is the pattern of LIST: * is anything, % anything but the
// separator of levels (RFC 9051 section 6.3.9). INBOX has no case.
func matchesMailbox(pattern, name string) bool {
	if strings.EqualFold(pattern, "INBOX") {
		return strings.EqualFold(name, pattern)
	}
	i := strings.IndexAny(pattern, "*%")
	if i < 0 {
		return pattern == name
	}
	if !strings.HasPrefix(name, pattern[:i]) {
		return false
	}
	isAll, rest := pattern[i] == '*', pattern[i+1:]
	for name = name[i:]; ; name = name[1:] {
		switch {
		case matchesMailbox(rest, name):
			return true
		case name == "" || !isAll && name[0] == '/':
			return false
		}
	}
}

// annotated is the name of the user's script for a mailbox, "" if there is none
// (RFC 6785 section 2.3.1: an empty entry of the mailbox is one too).
func (r *run) annotated(ctx context.Context, mailbox string) string {
	for _, of := range []string{mailbox, ""} {
		notes, err := r.q.Account.Annotations(ctx, of)
		if err != nil {
			r.log.WarnContext(ctx, "read annotations for sieve", "folder", of, "error", err)
			return ""
		}
		name, has := notes[scriptEntry]
		switch {
		case !has:
			continue
		case !sieve.IsScriptName(name):
			return ""
		}
		return name
	}
	return ""
}

// watching is an Event at work.
type watching struct {
	*sweeping
	event Event
}

// message runs the scripts over one message.
func (w *watching) message(ctx context.Context, m Changed, scripts []*sieve.Script) (err error) {
	content, err := w.box.Content(ctx, m.UID)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	defer w.forget()
	w.q.Content = content
	env := w.env(ctx)
	env.IMAP, env.From = true, ""
	maps.Copy(env.Items, w.imapItems(m))
	if env.Flags, err = w.flagsOf(ctx, m.UID); err != nil {
		return err
	}
	result, err := w.Filter.imap.Run(ctx, env, scripts...)
	if err != nil {
		w.complain(ctx, err.Error())
		return nil
	}
	return w.carry(ctx, m.UID, env, result)
}

// imapItems are those of the environment test (RFC 6785 section 4), and
// Pigeonhole's own.
func (w *watching) imapItems(m Changed) map[string]string {
	items := map[string]string{
		"imap.user": w.event.User, "imap.email": w.event.Of.Address.String(),
		"imap.cause": w.event.Cause, "imap.mailbox": w.box.Name(), "imap.changedflags": strings.Join(m.Flags, " "),
		"vnd.dovecot.mailbox-to": w.box.Name(),
	}
	if w.event.From != "" {
		items["vnd.dovecot.mailbox-from"] = w.event.From
	}
	return items
}

// flagsOf are the flags of a message, as scripts name them.
func (w *watching) flagsOf(ctx context.Context, uid storage.UID) ([]string, error) {
	view, err := w.box.View(ctx)
	if err != nil {
		return nil, err
	}
	i, found := view.Index(uid)
	if !found {
		return nil, storage.ErrExpunged
	}
	m := view.Messages[i]
	var names []string
	for _, f := range systemFlags() {
		if m.Flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return append(names, view.KeywordNames(m.Keywords)...), nil
}

// carry carries out a result: RFC 6785 section 3. The message itself cannot be
// changed, only its flags; if it is not kept it is \Deleted.
func (w *watching) carry(ctx context.Context, uid storage.UID, env *sieve.Env, result *sieve.Result) error {
	if !w.pipe(ctx, env, result) {
		return nil
	}
	keep, flags := result.ImplicitKeep, result.Flags
	var notes []sieve.Action
	for _, a := range result.Actions {
		switch a.Kind {
		case sieve.Keep:
			keep, flags = true, a.Flags
		case sieve.FileInto:
			if err := w.copyInto(ctx, uid, env.Flags, a); err != nil {
				return err
			}
		case sieve.Redirect:
			sent, err := w.redirect(ctx, a)
			if err != nil {
				return err
			}
			keep = keep || !sent
		case sieve.Notify, sieve.SendReport:
			notes = append(notes, a)
		}
	}
	w.done(ctx, env, result.Marks, nil)
	w.notify(ctx, env, notes)
	uids := []storage.UID{uid}
	switch {
	case !keep && w.IMAP.Expunge:
		return w.box.Expunge(ctx, uids)
	case !keep:
		_, err := w.box.SetFlags(ctx, uids, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Deleted}, 0)
		return err
	case !slices.Equal(flags, env.Flags):
		s := store("", flags, nil)
		_, err := w.box.SetFlags(ctx, uids, storage.FlagEdit{Op: storage.ReplaceFlags, Flags: s.Flags, Keywords: s.Keywords}, 0)
		return err
	}
	return nil
}

// copyInto files a copy, which is a message of its own (RFC 6785 section 3.3),
// as the script has changed it. flags are those that the message has.
func (w *watching) copyInto(ctx context.Context, uid storage.UID, flags []string, a sieve.Action) (err error) {
	s := store(w.folder(ctx, a), a.Flags, a.Content)
	if s.Content != nil {
		return w.keepCopy(ctx, s)
	}
	to, err := w.open(ctx, s.Folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	uids, err := w.box.Copy(ctx, []storage.UID{uid}, to)
	if err == nil && !slices.Equal(a.Flags, flags) {
		_, err = to.SetFlags(ctx, uids, storage.FlagEdit{Op: storage.ReplaceFlags, Flags: s.Flags, Keywords: s.Keywords}, 0)
	}
	return err
}

// keepCopy stores a message in a mailbox, made if it is missing.
func (w *watching) keepCopy(ctx context.Context, s local.Store) (err error) {
	to, err := w.open(ctx, s.Folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	d := storage.Draft{Flags: s.Flags, Keywords: s.Keywords, Content: message.NewWireReader(s.Content, message.Span{Len: s.Content.Size()})}
	_, err = to.Append(ctx, d)
	return err
}
