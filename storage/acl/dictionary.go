package acl

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gomaild/storage"
)

// Dictionary is the file that says who shares something with whom, in the format
// of Dovecot's file dictionary: a line with a key and a line with a value. A key
// is shared/shared-boxes/user/READER/OWNER, .../group/GROUP/OWNER or
// .../anyone/OWNER, the value is 1.
type Dictionary interface {
	// Read returns the content, "" if there is no file.
	Read(ctx context.Context) (string, error)
	// Edit puts what change returns in the place of the content, durably; nil
	// changes nothing.
	Edit(ctx context.Context, change func(old string) ([]byte, error)) error
}

const sharedBoxes = "shared/shared-boxes/"

// maxOwners is how many owners' mailboxes one LIST looks at.
const maxOwners = 1000

// entry is a pair of lines.
type entry struct{ key, value string }

// parseDictionary reads a file; a last key without a value is passed over.
func parseDictionary(text string) []entry {
	var all []entry
	lines := strings.Split(text, "\n")
	for i := 0; i+2 < len(lines); i += 2 {
		all = append(all, entry{lines[i], lines[i+1]})
	}
	return all
}

func formatDictionary(all []entry) []byte {
	b := []byte{}
	for _, e := range all {
		b = append(append(append(append(b, e.key...), '\n'), e.value...), '\n')
	}
	return b
}

// owners are those who share something with the user, sorted.
func owners(text string, u user) []string {
	var found []string
	for _, e := range parseDictionary(text) {
		rest, ok := strings.CutPrefix(e.key, sharedBoxes)
		if !ok {
			continue
		}
		kind, rest, _ := strings.Cut(rest, "/")
		reader, owner, named := strings.Cut(rest, "/")
		switch {
		case kind == "anyone" && !named:
			owner = reader
		case kind == "user" && named && reader == u.name:
		case kind == "group" && named && slices.Contains(u.groups, reader):
		default:
			continue
		}
		if owner != "" && owner != u.name && !slices.Contains(found, owner) && len(found) < maxOwners {
			found = append(found, owner)
		}
	}
	slices.Sort(found)
	return found
}

// dictionaryKey is where an entry of a list that gives l is noted, "" for those
// of the owner, and for names that the format has no place for.
func dictionaryKey(g storage.Grant, owner string) string {
	if g.Negative || !g.Rights.Has(storage.RightLookup) || strings.ContainsAny(g.Name+owner, "/\\\x00\x01\t\r\n") {
		return ""
	}
	switch g.Kind {
	case storage.GrantAnyone, storage.GrantAuthenticated:
		return sharedBoxes + "anyone/" + owner
	case storage.GrantGroup, storage.GrantGroupOverride:
		return sharedBoxes + "group/" + g.Name + "/" + owner
	case storage.GrantUser:
		if g.Name != owner {
			return sharedBoxes + "user/" + g.Name + "/" + owner
		}
	case storage.GrantOwner:
	}
	return ""
}

// note brings the dictionary up to date with the lists of an account.
func (s *Store) note(ctx context.Context, a storage.Sharer, owner string) error {
	infos, err := a.Mailboxes(ctx)
	if err != nil {
		return err
	}
	var keys []string
	for _, info := range infos {
		if info.NoSelect || info.NonExist {
			continue
		}
		list, err := a.ACL(ctx, info.Name)
		if err != nil {
			s.cfg.Logger.WarnContext(ctx, "access control list", "account", owner, "mailbox", info.Name, "error", err)
			continue
		}
		global, err := s.cfg.Global.For(info.Name)
		if err != nil {
			return err
		}
		for _, g := range append(slices.Clip(list), global...) {
			if key := dictionaryKey(g, owner); key != "" && !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	err = s.cfg.Dictionary.Edit(ctx, func(old string) ([]byte, error) {
		all := parseDictionary(old)
		kept := slices.DeleteFunc(slices.Clone(all), func(e entry) bool {
			return strings.HasPrefix(e.key, sharedBoxes) && strings.HasSuffix(e.key, "/"+owner) && !slices.Contains(keys, e.key)
		})
		for _, key := range keys {
			if !slices.ContainsFunc(kept, func(e entry) bool { return e.key == key }) {
				kept = append(kept, entry{key, "1"})
			}
		}
		if slices.Equal(kept, all) {
			return nil, nil
		}
		return formatDictionary(kept), nil
	})
	if err != nil {
		return fmt.Errorf("dictionary of shared mailboxes: %w", err)
	}
	return nil
}
