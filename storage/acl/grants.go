package acl

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gomaild/storage"
)

// SharedPrefix implements storage.Guarded.
func (a *account) SharedPrefix() string { return a.store.cfg.Prefix }

// Rights implements storage.Guarded.
func (a *account) Rights(ctx context.Context, mailbox string) (storage.Rights, error) {
	p, err := a.locate(ctx, mailbox)
	if err != nil {
		return storage.NoRights, err
	}
	if err := a.exists(ctx, p); err != nil {
		return storage.NoRights, err
	}
	r, err := a.rights(ctx, p)
	if err == nil && r&^storage.RightPost == 0 {
		err = refusal(p, r, storage.NoRights)
	}
	return r, err
}

// exists is nil for a mailbox of one's own that is there, and for all of others:
// without rights they are not there.
func (a *account) exists(ctx context.Context, p place) error {
	if !p.isOwn {
		return nil
	}
	_, err := a.own.ACL(ctx, p.name)
	if !isAbsent(err) {
		return nil
	}
	box, err := a.own.Open(ctx, p.name) // one that is made when it is first used
	if err != nil {
		return err
	}
	return box.Close()
}

// administered is the place of a mailbox that the login may administer.
func (a *account) administered(ctx context.Context, mailbox string) (place, error) {
	p, err := a.locate(ctx, mailbox)
	if err == nil {
		err = a.exists(ctx, p)
	}
	if err != nil {
		return p, err
	}
	return p, a.need(ctx, p, storage.RightAdminister)
}

// isOwners reports whether an entry is for the owner, by kind or by name.
func (p place) isOwners(g storage.Grant) bool {
	return !g.Global && (g.Kind == storage.GrantOwner || g.Kind == storage.GrantUser && g.Name == p.owner)
}

// Grants implements storage.Guarded. The owner is shown by name, unless there
// are entries for both; his rights are shown to himself also where no entry
// says them.
func (a *account) Grants(ctx context.Context, mailbox string) ([]storage.Grant, error) {
	p, err := a.administered(ctx, mailbox)
	if err != nil {
		return nil, err
	}
	list, err := p.account.ACL(ctx, p.name)
	if err != nil {
		return nil, err
	}
	global, err := a.store.cfg.Global.For(p.seenAs(a))
	if err != nil {
		return nil, err
	}
	list = append(slices.Clone(list), global...)
	slices.SortStableFunc(list, compare)
	isBoth := false
	for _, g := range list {
		named := !g.Global && g.Kind == storage.GrantUser && g.Name == p.owner
		isBoth = isBoth || named && slices.ContainsFunc(list, func(o storage.Grant) bool { return o.Kind == storage.GrantOwner })
	}
	owner := storage.Grant{Kind: storage.GrantUser, Name: p.owner, Rights: storage.AllRights}
	if isBoth {
		owner.Kind, owner.Name = storage.GrantOwner, ""
	}
	for i, g := range list {
		if g.Kind == storage.GrantOwner && !g.Global {
			list[i].Kind, list[i].Name = owner.Kind, owner.Name
		}
	}
	if p.isOwn && !slices.ContainsFunc(list, func(g storage.Grant) bool { return p.isOwners(g) && !g.Negative }) {
		list = append(list, owner)
	}
	return list, nil
}

// Grant implements storage.Guarded. An owner cannot take a from himself: he
// could not give it back.
func (a *account) Grant(ctx context.Context, mailbox string, op storage.FlagOp, g storage.Grant) error {
	p, err := a.administered(ctx, mailbox)
	if err != nil {
		return err
	}
	if err := a.checkIdentifier(g); err != nil {
		return err
	}
	isOwners := p.isOwn && p.isOwners(g) && !g.Negative
	return a.edit(ctx, p, func(list []storage.Grant) []storage.Grant {
		i := slices.IndexFunc(list, g.Same)
		if i < 0 {
			i = len(list)
			list = append(list, storage.Grant{Kind: g.Kind, Name: g.Name, Negative: g.Negative})
			if isOwners && op != storage.ReplaceFlags {
				list[i].Rights = storage.AllRights
			}
		}
		e := &list[i]
		switch op {
		case storage.AddFlags:
			e.Rights |= g.Rights
		case storage.RemoveFlags:
			e.Rights &^= g.Rights
		case storage.ReplaceFlags:
			e.Rights, e.Others = g.Rights, g.Others
		}
		if isOwners {
			e.Rights |= storage.RightAdminister
		}
		return list
	})
}

// checkIdentifier refuses what could not be kept or is not allowed.
func (a *account) checkIdentifier(g storage.Grant) error {
	everybody := g.Kind == storage.GrantAnyone || g.Kind == storage.GrantAuthenticated
	switch {
	case everybody && !g.Negative && !a.store.cfg.Anyone:
		return fmt.Errorf("%w: sharing with everybody is not allowed here", storage.ErrName)
	case len(g.Name) > 255 || !utf8.ValidString(g.Name) || strings.ContainsFunc(g.Name, unicode.IsControl):
		return fmt.Errorf("%w: identifier is not possible", storage.ErrName)
	}
	return nil
}

// Revoke implements storage.Guarded.
func (a *account) Revoke(ctx context.Context, mailbox string, g storage.Grant) error {
	p, err := a.administered(ctx, mailbox)
	if err != nil {
		return err
	}
	return a.edit(ctx, p, func(list []storage.Grant) []storage.Grant {
		return slices.DeleteFunc(list, func(e storage.Grant) bool {
			return e.Same(g) || p.isOwn && p.isOwners(g) && p.isOwners(e) && e.Negative == g.Negative
		})
	})
}

func (a *account) edit(ctx context.Context, p place, change func([]storage.Grant) []storage.Grant) error {
	err := p.account.EditACL(ctx, p.name, func(list []storage.Grant) ([]storage.Grant, error) { return change(list), nil })
	if err != nil {
		return err
	}
	return a.store.note(ctx, p.account, p.owner)
}
