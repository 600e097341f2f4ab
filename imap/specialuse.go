package imap

import (
	"context"
	"encoding/hex"
	"slices"
	"strings"

	"gomaild/storage"
)

// usesPrefix is where the special uses that clients gave to mailboxes lie
// (RFC 6154 section 3): an annotation of the account for each mailbox, named
// by the name of the mailbox in hexadecimal, with the attributes as its value.
// Lying apart, two sessions cannot undo each other's.
const usesPrefix = "/private/vendor/gomaild/special-use/"

// givenUses are the attributes that a mailbox can be given. \All and \Flagged
// are for collections that a server makes up.
var givenUses = map[string]string{
	`\ARCHIVE`: `\Archive`, `\DRAFTS`: `\Drafts`, `\JUNK`: `\Junk`, `\SENT`: `\Sent`, `\TRASH`: `\Trash`,
}

// parseUses reads the parameters of CREATE after the name.
func parseUses(g *grammar) []string {
	var uses []string
	g.List(func() {
		if g.Word() != "USE" {
			g.Fail("unknown CREATE parameter")
		}
		g.SP()
		g.List(func() {
			use, known := givenUses[strings.ToUpper(g.Flag())]
			if !known {
				g.FailCode("USEATTR", "special use is not possible here")
			}
			if !slices.Contains(uses, use) {
				uses = append(uses, use)
			}
		})
	})
	return uses
}

func usesEntry(name string) string { return usesPrefix + hex.EncodeToString([]byte(name)) }

// setUses gives a mailbox these uses and no others of an earlier mailbox of
// its name.
func (s *session) setUses(ctx context.Context, name string, uses []string) error {
	entry := usesEntry(name)
	notes, err := s.account.Annotations(ctx, "")
	if err != nil {
		return err
	}
	value := strings.Join(uses, " ")
	switch {
	case notes[entry] == value:
		return nil
	case value == "":
		return s.account.Annotate(ctx, "", map[string]*string{entry: nil})
	}
	return s.account.Annotate(ctx, "", map[string]*string{entry: &value})
}

// renameUses takes the uses of a mailbox and its children along.
func (s *session) renameUses(ctx context.Context, from, to string) error {
	notes, err := s.account.Annotations(ctx, "")
	if err != nil {
		return err
	}
	moved := map[string]*string{}
	for name, value := range usesIn(notes) {
		if name == from || strings.HasPrefix(name, from+"/") {
			moved[usesEntry(name)] = nil
			moved[usesEntry(to+name[len(from):])] = &value
		}
	}
	if len(moved) == 0 {
		return nil
	}
	return s.account.Annotate(ctx, "", moved)
}

// usesIn finds the given uses by mailbox.
func usesIn(notes storage.Annotations) map[string]string {
	uses := map[string]string{}
	for entry, value := range notes {
		code, ok := strings.CutPrefix(entry, usesPrefix)
		if !ok {
			continue
		}
		if name, err := hex.DecodeString(code); err == nil {
			uses[string(name)] = value
		}
	}
	return uses
}

// addUses adds the given uses to those that mailboxes have by their names.
func (s *session) addUses(ctx context.Context, infos []storage.MailboxInfo) error {
	notes, err := s.account.Annotations(ctx, "")
	if err != nil {
		return err
	}
	given := usesIn(notes)
	for i := range infos {
		info := &infos[i]
		for use := range strings.FieldsSeq(given[info.Name]) {
			if use == givenUses[strings.ToUpper(use)] && use != info.SpecialUse {
				info.SpecialUse = strings.TrimPrefix(info.SpecialUse+" "+use, " ")
			}
		}
	}
	return nil
}
