package acl

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"gomaild/mail"
	"gomaild/storage"
)

// account is a storage.Guarded.
type account struct {
	store *Store
	own   storage.Sharer
	who   user

	mu     sync.Mutex
	others map[string]storage.Sharer // accounts of others that were looked at, by login name
}

var _ storage.Guarded = (*account)(nil)

// place is where a mailbox is.
type place struct {
	account storage.Sharer
	owner   string // login name
	name    string // in that account
	isOwn   bool
}

// seenAs is what the login knows a mailbox by.
func (p place) seenAs(a *account) string {
	if p.isOwn {
		return p.name
	}
	return a.shown(p.owner, p.name)
}

// locate finds the account that a name belongs to. Without an account of that
// name it is ErrNoMailbox, as with one that shares nothing.
func (a *account) locate(ctx context.Context, name string) (place, error) {
	prefix := a.store.cfg.Prefix
	if name == strings.TrimSuffix(prefix, "/") {
		return place{}, fmt.Errorf("%q: %w", name, storage.ErrNoSelect)
	}
	rest, isOther := strings.CutPrefix(name, prefix)
	if !isOther {
		return place{a.own, a.who.name, name, true}, nil
	}
	owner, inner, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	if inner == "" {
		inner = "INBOX"
	}
	other, err := a.other(ctx, owner)
	if err != nil {
		return place{}, fmt.Errorf("%q: %w", name, err)
	}
	return place{other, owner, inner, false}, nil
}

// other opens somebody else's account, once.
func (a *account) other(ctx context.Context, owner string) (storage.Sharer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if other := a.others[owner]; other != nil {
		return other, nil
	}
	local, domain, ok := cutAddress(owner)
	if !ok || owner == a.who.name {
		return nil, storage.ErrNoMailbox
	}
	o, err := a.store.cfg.Owner(ctx, mail.Address{Local: local, Domain: domain})
	if err != nil {
		return nil, err
	}
	if loginName(o.Address) != owner { // in other letters, it would be opened twice
		return nil, storage.ErrNoMailbox
	}
	other, err := a.store.open(ctx, o)
	if err != nil {
		return nil, err
	}
	a.others[owner] = other
	return other, nil
}

func cutAddress(name string) (local, domain string, ok bool) {
	at := strings.LastIndexByte(name, '@')
	if at <= 0 || at == len(name)-1 {
		return "", "", false
	}
	return name[:at], name[at+1:], true
}

// rights are those that the login has at a place. Where there is no mailbox
// others have none, and the owner all: what he does will find out.
func (a *account) rights(ctx context.Context, p place) (storage.Rights, error) {
	list, err := p.account.ACL(ctx, p.name)
	if err == nil || isAbsent(err) && p.isOwn {
		var global []storage.Grant
		global, err = a.store.cfg.Global.For(p.seenAs(a))
		list = append(slices.Clip(list), global...)
	}
	switch {
	case errors.Is(err, storage.ErrACL):
		a.store.cfg.Logger.WarnContext(ctx, "access control list gives nobody anything", "account", p.owner, "mailbox", p.name, "error", err)
		return storage.NoRights, nil
	case isAbsent(err):
		return storage.NoRights, nil
	case err != nil:
		return storage.NoRights, err
	}
	who := a.who
	who.isOwner = p.isOwn
	return effective(list, who), nil
}

func isAbsent(err error) bool {
	return errors.Is(err, storage.ErrNoMailbox) || errors.Is(err, storage.ErrName) || errors.Is(err, storage.ErrNoSelect)
}

// need is nil if the login has all of these rights.
func (a *account) need(ctx context.Context, p place, all storage.Rights) error {
	return a.needThat(ctx, p, func(r storage.Rights) bool { return r.Has(all) })
}

func (a *account) needThat(ctx context.Context, p place, allowed func(storage.Rights) bool) error {
	r, err := a.rights(ctx, p)
	if err != nil || allowed(r) {
		return err
	}
	return refusal(p, r, storage.RightLookup)
}

// refusal is what somebody hears who has the rights r and needs others: that
// there is such a mailbox only with one of those that tell him so.
func refusal(p place, r, telling storage.Rights) error {
	if r&telling != 0 {
		return fmt.Errorf("mailbox %q of %s: %w", p.name, p.owner, storage.ErrPermission)
	}
	return fmt.Errorf("mailbox %q of %s: %w", p.name, p.owner, storage.ErrNoMailbox)
}

// shown is the name of a mailbox of another account.
func (a *account) shown(owner, name string) string {
	if name == "INBOX" {
		return a.store.cfg.Prefix + owner
	}
	return a.store.cfg.Prefix + owner + "/" + name
}

// Mailboxes implements storage.Account.
func (a *account) Mailboxes(ctx context.Context) ([]storage.MailboxInfo, error) {
	all := map[string]storage.MailboxInfo{}
	infos, err := a.own.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	visible, err := a.visible(ctx, place{account: a.own, owner: a.who.name, isOwn: true}, infos)
	if err != nil {
		return nil, err
	}
	for _, info := range visible {
		all[info.Name] = info
	}
	if err := a.addShared(ctx, all); err != nil {
		return nil, err
	}
	addParents(all, infos)
	return slices.SortedFunc(maps.Values(all), func(x, y storage.MailboxInfo) int { return strings.Compare(x.Name, y.Name) }), nil
}

// addShared adds the mailboxes of owners whom the dictionary names.
func (a *account) addShared(ctx context.Context, all map[string]storage.MailboxInfo) error {
	text, err := a.store.cfg.Dictionary.Read(ctx)
	if err != nil {
		return err
	}
	from := owners(text, a.who)
	if len(from) == 0 {
		return nil
	}
	subscribed, err := a.own.Subscriptions(ctx)
	if err != nil {
		return err
	}
	for _, owner := range from {
		other, err := a.other(ctx, owner)
		if isAbsent(err) {
			continue // he is no more
		}
		if err != nil {
			return err
		}
		infos, err := other.Mailboxes(ctx)
		if err != nil {
			return err
		}
		visible, err := a.visible(ctx, place{account: other, owner: owner}, infos)
		if err != nil {
			return err
		}
		for _, info := range visible {
			info.Name = a.shown(owner, info.Name)
			info.SpecialUse = "" // it is the owner's
			info.Subscribed = slices.Contains(subscribed, info.Name)
			all[info.Name] = info
		}
	}
	return nil
}

// visible are the mailboxes with l; parents that are none come back later.
func (a *account) visible(ctx context.Context, at place, infos []storage.MailboxInfo) ([]storage.MailboxInfo, error) {
	var visible []storage.MailboxInfo
	for _, info := range infos {
		if info.NoSelect || info.NonExist && !at.isOwn {
			continue
		}
		at.name = info.Name
		r, err := a.rights(ctx, at)
		if err != nil {
			return nil, err
		}
		if r.Has(storage.RightLookup) {
			visible = append(visible, info)
		}
	}
	return visible, nil
}

// addParents adds what is only above mailboxes that are shown; in own stands
// what is known of some.
func addParents(all map[string]storage.MailboxInfo, own []storage.MailboxInfo) {
	for _, name := range slices.Collect(maps.Keys(all)) {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			if _, known := all[name[:i]]; !known {
				all[name[:i]] = storage.MailboxInfo{Name: name[:i], NoSelect: true, NonExist: true}
			}
		}
	}
	for _, info := range own {
		if shown, known := all[info.Name]; known && shown.NoSelect {
			shown.Subscribed = info.Subscribed
			all[info.Name] = shown
		}
	}
}

// Open implements storage.Account. A mailbox can be opened for reading (r),
// storing (i) or delivering (p); what is done with it says which it must be.
func (a *account) Open(ctx context.Context, name string) (storage.Mailbox, error) {
	p, err := a.locate(ctx, name)
	if err != nil {
		return nil, err
	}
	err = a.needThat(ctx, p, func(r storage.Rights) bool {
		return r&(storage.RightRead|storage.RightInsert|storage.RightPost) != 0
	})
	if err != nil {
		return nil, err
	}
	inner, err := p.account.Open(ctx, p.name)
	if err != nil {
		return nil, err
	}
	shown := inner.Name()
	if !p.isOwn {
		shown = a.shown(p.owner, inner.Name())
	}
	return &mailbox{Mailbox: inner, account: a, at: p, shown: shown}, nil
}

// parent is the place above p; there is none above the top level.
func (p place) parent() (place, bool) {
	i := strings.LastIndexByte(p.name, '/')
	if i < 0 {
		return p, false
	}
	p.name = p.name[:i]
	return p, true
}

// mayMake is nil where a mailbox may be made: below one with k, and in one's own
// account at the top.
func (a *account) mayMake(ctx context.Context, p place) error {
	parent, nested := p.parent()
	if !nested && p.isOwn {
		return nil
	}
	var r storage.Rights
	if nested {
		var err error
		if r, err = a.rights(ctx, parent); err != nil {
			return err
		}
	}
	if r.Has(storage.RightCreate) {
		return nil
	}
	return fmt.Errorf("make %q of %s: %w", p.name, p.owner, storage.ErrPermission)
}

// locateNew is locate for a mailbox that is to be made: that there is no such
// account is nobody's business.
func (a *account) locateNew(ctx context.Context, name string) (place, error) {
	p, err := a.locate(ctx, strings.TrimSuffix(name, "/"))
	if errors.Is(err, storage.ErrNoMailbox) {
		err = fmt.Errorf("make %q: %w", name, storage.ErrPermission)
	}
	return p, err
}

// Create implements storage.Account.
func (a *account) Create(ctx context.Context, name string) error {
	p, err := a.locateNew(ctx, name)
	if err != nil {
		return err
	}
	if err := a.mayMake(ctx, p); err != nil {
		return err
	}
	if err := p.account.Create(ctx, p.name); err != nil {
		return err
	}
	return a.inherit(ctx, p)
}

// inherit gives a new mailbox the list of the one above it.
func (a *account) inherit(ctx context.Context, p place) error {
	parent, nested := p.parent()
	if !nested {
		return nil
	}
	list, err := p.account.ACL(ctx, parent.name)
	if isAbsent(err) || err == nil && len(list) == 0 {
		return nil
	}
	if err == nil {
		err = p.account.EditACL(ctx, p.name, func([]storage.Grant) ([]storage.Grant, error) { return list, nil })
	}
	return err
}

// Delete implements storage.Account.
func (a *account) Delete(ctx context.Context, name string) error {
	p, err := a.locate(ctx, name)
	if err != nil {
		return err
	}
	if err := a.need(ctx, p, storage.RightDelete); err != nil {
		return err
	}
	if err := p.account.Delete(ctx, p.name); err != nil {
		return err
	}
	a.changed(ctx, p)
	return nil
}

// changed notes that mailboxes came or went. They have, so a fault of the
// dictionary is for the log; the next change mends it.
func (a *account) changed(ctx context.Context, p place) {
	err := errors.Join(p.account.ACLsChanged(ctx), a.store.note(ctx, p.account, p.owner))
	if err != nil {
		a.store.cfg.Logger.WarnContext(ctx, "note who shares with whom", "account", p.owner, "error", err)
	}
}

// Rename implements storage.Account: within an account. It needs x for the old
// name and k above the new one.
func (a *account) Rename(ctx context.Context, from, to string) error {
	p, err := a.locate(ctx, from)
	if err != nil {
		return err
	}
	if err := a.need(ctx, p, storage.RightDelete); err != nil {
		return err
	}
	q, err := a.locateNew(ctx, to)
	if err != nil {
		return err
	}
	if err := a.mayMake(ctx, q); err != nil {
		return err
	}
	if p.account != q.account || !p.isOwn && p.name == "INBOX" {
		return fmt.Errorf("rename %q to %q: %w", from, to, storage.ErrName)
	}
	if err := p.account.Rename(ctx, p.name, q.name); err != nil {
		return err
	}
	a.changed(ctx, p)
	return nil
}

// Subscribe implements storage.Account. As in Dovecot whoever may read or fill a
// mailbox may subscribe to it, with l or without (RFC 4314 asks for l).
func (a *account) Subscribe(ctx context.Context, name string, on bool) error {
	isOther := strings.HasPrefix(name, a.store.cfg.Prefix)
	switch {
	case !on && isOther:
		return a.own.SubscribeOther(ctx, strings.TrimSuffix(name, "/"), false)
	case !on:
		return a.own.Subscribe(ctx, name, false)
	}
	p, err := a.locate(ctx, name)
	if err != nil {
		return err
	}
	err = a.needThat(ctx, p, func(r storage.Rights) bool {
		return r&(storage.RightLookup|storage.RightRead|storage.RightInsert) != 0
	})
	if err != nil {
		return err
	}
	if p.isOwn {
		return a.own.Subscribe(ctx, name, true)
	}
	return a.own.SubscribeOther(ctx, a.shown(p.owner, p.name), true)
}

// Subscriptions implements storage.Account.
func (a *account) Subscriptions(ctx context.Context) ([]string, error) {
	return a.own.Subscriptions(ctx)
}

// mayAnnotate: RFC 5464 section 3.3.
func mayAnnotate(r storage.Rights) bool {
	const some = storage.RightRead | storage.RightSeen | storage.RightWrite | storage.RightInsert | storage.RightPost
	return r.Has(storage.RightLookup) && r&some != 0
}

// annotated is the place of a mailbox whose annotations the login may see.
func (a *account) annotated(ctx context.Context, mailbox string) (place, error) {
	p, err := a.locate(ctx, mailbox)
	if err != nil {
		return p, err
	}
	return p, a.needThat(ctx, p, mayAnnotate)
}

// Annotations implements storage.Account.
func (a *account) Annotations(ctx context.Context, mailbox string) (storage.Annotations, error) {
	if mailbox == "" {
		return a.own.Annotations(ctx, "")
	}
	p, err := a.annotated(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	notes, err := p.account.Annotations(ctx, p.name)
	if err != nil || p.isOwn {
		return notes, err
	}
	id, err := p.id(ctx)
	if err != nil {
		return nil, err
	}
	own, err := a.own.AnnotationsOfOther(ctx, id)
	if err != nil {
		return nil, err
	}
	notes = maps.Clone(notes)
	maps.DeleteFunc(notes, func(entry, _ string) bool { return isPrivate(entry) })
	for entry, value := range own {
		if isPrivate(entry) {
			notes[entry] = value
		}
	}
	return notes, nil
}

// AnnotationsVersion implements storage.Account, for the login's own account:
// what changes in others' is not noticed.
func (a *account) AnnotationsVersion(ctx context.Context) (string, error) {
	return a.own.AnnotationsVersion(ctx)
}

// id is the MailboxID of a mailbox.
func (p place) id(ctx context.Context) (string, error) {
	m, err := p.account.Open(ctx, p.name)
	if err != nil {
		return "", err
	}
	v, err := m.View(ctx)
	if err = errors.Join(err, m.Close()); err != nil {
		return "", err
	}
	return v.MailboxID, nil
}

func isPrivate(entry string) bool { return strings.HasPrefix(strings.ToLower(entry), "/private") }

// Annotate implements storage.Account. What is private of another's mailbox is kept
// in the login's own account; a fault between the two halves leaves the shared one
// done.
func (a *account) Annotate(ctx context.Context, mailbox string, set map[string]*string) error {
	if mailbox == "" {
		return a.own.Annotate(ctx, "", set)
	}
	p, err := a.annotated(ctx, mailbox)
	if err != nil {
		return err
	}
	if p.isOwn {
		return p.account.Annotate(ctx, p.name, set)
	}
	private, shared := map[string]*string{}, map[string]*string{}
	for entry, value := range set {
		var text string
		if value != nil {
			text = *value
		}
		if _, err := storage.CheckAnnotation(entry, text); err != nil {
			return err
		}
		if isPrivate(entry) {
			private[entry] = value
		} else {
			shared[entry] = value
		}
	}
	if len(shared) > 0 {
		if err := p.account.Annotate(ctx, p.name, shared); err != nil {
			return err
		}
	}
	if len(private) == 0 {
		return nil
	}
	id, err := p.id(ctx)
	if err != nil {
		return err
	}
	return a.own.AnnotateOther(ctx, id, private)
}

// Quota implements storage.Account: it is that of the login's own account.
func (a *account) Quota(ctx context.Context) (storage.Quota, error) { return a.own.Quota(ctx) }

// Admits implements storage.Account.
func (a *account) Admits(ctx context.Context, size int64) error { return a.own.Admits(ctx, size) }

// Check implements storage.Account.
func (a *account) Check(ctx context.Context) ([]string, error) { return a.own.Check(ctx) }

// Repair implements storage.Account.
func (a *account) Repair(ctx context.Context) error { return a.own.Repair(ctx) }

// Close implements storage.Account.
func (a *account) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	errs := []error{a.own.Close()}
	for _, other := range a.others {
		errs = append(errs, other.Close())
	}
	clear(a.others)
	return errors.Join(errs...)
}
