package maildir

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gomaild/storage"
)

// Mailboxes implements storage.Account.
func (h *accountHandle) Mailboxes(ctx context.Context) ([]storage.MailboxInfo, error) {
	if err := errors.Join(h.alive(), ctx.Err()); err != nil {
		return nil, err
	}
	infos, err := h.list()
	if err != nil {
		return nil, fmt.Errorf("list mailboxes of %s: %w", h.dir, err)
	}
	return infos, nil
}

func (a *account) list() ([]storage.MailboxInfo, error) {
	l := listing{account: a, byName: map[string]*storage.MailboxInfo{}}
	folders, err := a.folders()
	if err != nil {
		return nil, err
	}
	for _, folder := range append(folders, ".") {
		if err := l.add(folder); err != nil {
			return nil, err
		}
	}
	for _, s := range a.store.special {
		if l.byName[s.Name] == nil {
			l.byName[s.Name] = &storage.MailboxInfo{Name: s.Name, NonExist: true, Subscribed: true}
		}
		l.byName[s.Name].SpecialUse = s.Use
	}
	if err := l.addGivenUses(); err != nil {
		return nil, err
	}
	l.addParents()
	if err := l.markSubscribed(); err != nil {
		return nil, err
	}
	all := make([]storage.MailboxInfo, 0, len(l.byName))
	for _, info := range l.byName {
		all = append(all, *info)
	}
	slices.SortFunc(all, func(x, y storage.MailboxInfo) int { return strings.Compare(x.Name, y.Name) })
	return all, nil
}

// listing collects the mailboxes of one LIST.
type listing struct {
	*account
	byName map[string]*storage.MailboxInfo
}

// add takes a folder that is really one: no alias, no file.
func (l *listing) add(folder string) error {
	name := inbox
	if folder != "." {
		name, _ = nameOf(folder)
		kind, _, err := l.look(folder)
		if err != nil || kind != isFolder {
			return err
		}
	}
	l.byName[name] = &storage.MailboxInfo{Name: name, NewMail: l.hasNew(folder)}
	return nil
}

func (a *account) hasNew(folder string) bool {
	names, err := a.store.fs.ReadDirNames(a.path(folder + "/new"))
	return err == nil && slices.ContainsFunc(names, func(n string) bool { return !strings.HasPrefix(n, ".") })
}

func (l *listing) addParents() {
	for name := range l.byName {
		for _, parent := range parents(name) {
			if l.byName[parent] == nil {
				l.byName[parent] = &storage.MailboxInfo{Name: parent, NoSelect: true, NonExist: true}
			}
		}
	}
}

func (l *listing) markSubscribed() error {
	s, err := l.subscriptions()
	if err != nil {
		return err
	}
	for _, name := range s.names() {
		if info := l.byName[name]; info != nil {
			info.Subscribed = true
		}
	}
	return nil
}

func (a *account) subscriptions() (subscriptions, error) {
	data, err := a.store.readFile(a.path(subscriptionsFile))
	return parseSubscriptions(data), err
}

// Subscriptions implements storage.Account.
func (h *accountHandle) Subscriptions(ctx context.Context) ([]string, error) {
	if err := errors.Join(h.alive(), ctx.Err()); err != nil {
		return nil, err
	}
	s, err := h.subscriptions()
	if err != nil {
		return nil, fmt.Errorf("subscriptions of %s: %w", h.dir, err)
	}
	names := s.names()
	for _, special := range h.store.special {
		folder, _ := folderOf(special.Name)
		kind, _, err := h.look(folder)
		if err != nil {
			return nil, fmt.Errorf("subscriptions of %s: %w", h.dir, err)
		}
		if kind == isMissing && !slices.Contains(names, special.Name) {
			names = append(names, special.Name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// Subscribe implements storage.Account.
func (h *accountHandle) Subscribe(ctx context.Context, name string, on bool) error {
	if err := h.alive(); err != nil {
		return err
	}
	if err := h.setSubscribed(ctx, canonical(name), on); err != nil {
		return fmt.Errorf("subscribe %q: %w", name, err)
	}
	return nil
}

func (a *account) setSubscribed(ctx context.Context, name string, on bool) error {
	folder, err := folderOf(name)
	if err != nil && on {
		return err
	}
	if err != nil { // somebody once subscribed what cannot be here
		return a.subscribe(ctx, name, false)
	}
	kind, target, err := a.look(folder)
	switch {
	case err != nil:
		return err
	case kind == isAlias:
		name, _ = nameOf(target)
	case kind == isMissing && a.use(name) != "" && !on:
		// A special folder counts as subscribed until it is there.
		if err := a.makeSpecial(ctx, name, folder); err != nil {
			return err
		}
	case kind != isFolder && on && a.use(name) == "":
		return storage.ErrNoMailbox
	}
	return a.subscribe(ctx, name, on)
}
