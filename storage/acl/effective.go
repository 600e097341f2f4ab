package acl

import (
	"cmp"
	"slices"

	"gomaild/mail"
	"gomaild/storage"
)

// user is somebody who wants to do something.
type user struct {
	name    string // as identifiers have it: the address
	groups  []string
	isOwner bool // of the mailbox in question
}

// loginName is the name of an account in identifiers and in names of mailboxes:
// the address without the quotes that its printed form may need.
func loginName(a mail.Address) string { return a.Local + "@" + a.Domain }

// matches reports whether an entry is for the user.
func (u user) matches(g storage.Grant) bool {
	switch g.Kind {
	case storage.GrantAnyone, storage.GrantAuthenticated: // everybody here has logged in
		return true
	case storage.GrantGroup, storage.GrantGroupOverride:
		return slices.Contains(u.groups, g.Name)
	case storage.GrantOwner:
		return u.isOwner
	case storage.GrantUser:
		return g.Name == u.name
	}
	return false
}

// identifier is all that a list says of one identifier.
type identifier struct {
	storage.Grant        // Global, Kind and Name
	given, taken  rights // by positive and by negative entries
}

// rights are those of one sign; said is false where no entry has that sign.
type rights struct {
	storage.Rights
	said bool
}

// identifiers gathers a list by identifier, in the order in which they count. Where an
// identifier has several entries Dovecot takes both signs as said, and so do we.
func identifiers(list []storage.Grant) []identifier {
	var all []identifier
	for _, g := range list {
		i := slices.IndexFunc(all, func(o identifier) bool { return o.Global == g.Global && o.Kind == g.Kind && o.Name == g.Name })
		again := i >= 0
		if !again {
			i = len(all)
			all = append(all, identifier{Grant: storage.Grant{Global: g.Global, Kind: g.Kind, Name: g.Name}})
		}
		at := &all[i]
		sign := &at.given
		if g.Negative {
			sign = &at.taken
		}
		sign.Rights |= g.Rights
		sign.said = true
		at.given.said, at.taken.said = at.given.said || again, at.taken.said || again
	}
	slices.SortStableFunc(all, func(a, b identifier) int { return compare(a.Grant, b.Grant) })
	return all
}

// compare is the order in which entries count, later ones more.
func compare(a, b storage.Grant) int {
	switch {
	case a.Global && !b.Global:
		return 1
	case b.Global && !a.Global:
		return -1
	}
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
}

// effective are the rights that a list gives a user. See the package comment.
func effective(list []storage.Grant, u user) storage.Rights {
	var given, taken storage.Rights
	if u.isOwner {
		given = storage.AllRights
	}
	var last *identifier
	isFirst := true // of the global ones
	for _, id := range identifiers(list) {
		if u.isOwner && id.Kind < storage.GrantOwner && !id.Global || !u.matches(id.Grant) {
			continue
		}
		if id.Global && isFirst {
			isFirst, taken = false, storage.NoRights // what the mailbox's own list takes it does not take from these
		}
		if last == nil || id.Kind != last.Kind || id.Global != last.Global {
			given, taken = id.given.or(given), id.taken.or(taken)
		} else {
			given, taken = given|id.given.Rights, taken|id.taken.Rights
		}
		last = &id
	}
	return given &^ taken
}

// or is r, or where nothing is said of it what was before.
func (r rights) or(before storage.Rights) storage.Rights {
	if r.said {
		return r.Rights
	}
	return before
}
