package imap

import (
	"context"
	"errors"

	"gomaild/storage"
)

// access is what a command needs of mailboxes, in letters, "" for nothing (RFC
// 4314 section 4). The table is for the reader and for the selected mailbox,
// which it is held against before a command is run; for the mailboxes that a
// command names storage/acl asks by itself (TestAccess tries every row).
type access struct {
	selected string // of the selected mailbox: all of these
	some     string // of the selected mailbox: at least one of these too
	named    string // of the mailbox that it names: all of these
	into     string // of the mailbox where messages go, or the one above a new name
}

// commandAccess has a row for each command of the table in command.go.
var commandAccess = map[string]access{
	"APPEND":         {into: "i"}, // flags by w, s and t; without r no APPENDUID
	"AUTHENTICATE":   {},
	"CANCELUPDATE":   {},
	"CAPABILITY":     {},
	"CHECK":          {},
	"CLOSE":          {}, // without e it expunges nothing
	"COMPRESS":       {},
	"COPY":           {selected: "r", into: "i"},
	"CREATE":         {into: "k"},
	"DELETE":         {named: "x"},
	"DELETEACL":      {named: "a"},
	"ENABLE":         {},
	"EXAMINE":        {named: "r"},
	"EXPUNGE":        {selected: "re"},
	"FETCH":          {selected: "r"}, // \Seen by s
	"GETACL":         {named: "a"},
	"GETMETADATA":    {named: "lr"}, // or another of s, w, i, p beside l, RFC 5464 section 3.3
	"GETQUOTA":       {},
	"GETQUOTAROOT":   {named: "r"},
	"ID":             {},
	"IDLE":           {},
	"LIST":           {named: "l"}, // those without are not shown
	"LISTRIGHTS":     {named: "a"},
	"LOGIN":          {},
	"LOGOUT":         {},
	"LSUB":           {}, // the names are the user's own
	"MOVE":           {selected: "rte", into: "i"},
	"MYRIGHTS":       {named: "l"}, // or another but p
	"NAMESPACE":      {},
	"NOOP":           {},
	"NOTIFY":         {}, // a mailbox without l is not there, one without r \NoAccess
	"RENAME":         {named: "x", into: "k"},
	"REPLACE":        {selected: "rte", into: "i"},
	"SEARCH":         {selected: "r"},
	"SELECT":         {named: "r"},
	"SETACL":         {named: "a"},
	"SETMETADATA":    {named: "lr"}, // as GETMETADATA
	"SETQUOTA":       {},
	"SORT":           {selected: "r"},
	"STARTTLS":       {},
	"STATUS":         {named: "r"},
	"STORE":          {selected: "r", some: "wst"}, // each flag by its own
	"SUBSCRIBE":      {named: "l"},                 // or r or i
	"THREAD":         {selected: "r"},
	"UID COPY":       {selected: "r", into: "i"},
	"UID EXPUNGE":    {selected: "re"},
	"UID FETCH":      {selected: "r"},
	"UID MOVE":       {selected: "rte", into: "i"},
	"UID REPLACE":    {selected: "rte", into: "i"},
	"UID SEARCH":     {selected: "r"},
	"UID SORT":       {selected: "r"},
	"UID STORE":      {selected: "r", some: "wst"},
	"UID THREAD":     {selected: "r"},
	"UNAUTHENTICATE": {},
	"UNSELECT":       {},
	"UNSUBSCRIBE":    {},
}

// errNoPermission is the refusal of a command on the selected mailbox.
var errNoPermission = no("NOPERM", "You lack a right that this needs")

// guarded is the account with its access control lists, false where there are
// none.
func (s *session) guarded() (storage.Guarded, bool) {
	g, ok := s.account.(storage.Guarded)
	return g, ok
}

// rightsOf are the login's rights to a mailbox, all of them without lists.
func (s *session) rightsOf(ctx context.Context, mailbox string) (storage.Rights, error) {
	if g, ok := s.guarded(); ok {
		return g.Rights(ctx, mailbox)
	}
	return storage.AllRights, nil
}

// allow holds a command against its row: the rights to the selected mailbox are
// asked for anew each time, as its list may have changed.
func (s *session) allow(ctx context.Context, cmd *command) error {
	if _, guarded := s.guarded(); !guarded || s.box == nil || cmd.states != selectedState {
		return nil
	}
	r, err := s.rightsOf(ctx, s.box.mailbox.Name())
	if err != nil && !errors.Is(err, storage.ErrNoMailbox) {
		return err
	}
	s.setRights(r)
	row := commandAccess[cmd.name]
	all, _ := storage.ParseRights(row.selected)
	some, _ := storage.ParseRights(row.some)
	// Without r the mailbox is left for what changes nothing.
	if !r.Has(all) || some != 0 && r&some == 0 && !s.box.readOnly {
		return errNoPermission
	}
	return nil
}

// changing are the rights with one of which a mailbox is not read-only (RFC 4314
// section 5.2).
const changing = storage.RightInsert | storage.RightExpunge | storage.RightWrite | storage.RightSeen | storage.RightDeleted

// setRights notes what the login may do to the selected mailbox, and tells the
// client which flags it can change if these are others than before.
func (s *session) setRights(r storage.Rights) {
	box := s.box
	const flags = storage.RightWrite | storage.RightSeen | storage.RightDeleted
	wasReadOnly, were := box.readOnly, box.rights&flags
	box.rights = r
	box.readOnly = box.examined || r&changing == 0
	if box.known != nil && (box.readOnly != wasReadOnly || !box.readOnly && were != r&flags) {
		s.printPermanentFlags(box.known)
	}
}

// permanent reports whether the flag can be changed in the selected mailbox.
func (b *selected) permanent(flag storage.SystemFlag) bool {
	switch flag {
	case storage.Seen:
		return b.rights.Has(storage.RightSeen)
	case storage.Deleted:
		return b.rights.Has(storage.RightDeleted)
	}
	return b.rights.Has(storage.RightWrite)
}

// isUnread reports an error that says that a mailbox may not be read, which is
// no fault: what would be told of it is not (RFC 4315 section 3).
func isUnread(err error) bool {
	return errors.Is(err, storage.ErrPermission) || errors.Is(err, storage.ErrNoMailbox)
}
