package maildir

import (
	"errors"
	"io"
	"os"
	"path"
	"strings"

	"gomaild/storage"
)

// Special uses that clients gave to mailboxes are annotations by the mailbox's
// GUID, which is in the first line of its uidlist and goes with it wherever
// anybody renames it to. What was read is kept as long as the files look the
// same: a LIST costs one stat, and one for each mailbox where there are any.

// givenUses are those of an account.
type givenUses struct {
	seen   stamp             // of dovecot-attributes
	known  bool              // seen was looked at
	byGUID map[string]string // values of storage.SpecialUseEntry
	guids  map[stamp]string  // by how a uidlist looks; inodes alone come back
}

// maxHeader is read of a uidlist to find the first line.
const maxHeader = 512

// addGivenUses adds the given uses to the mailboxes that are listed.
func (l *listing) addGivenUses() error {
	l.usesMu.Lock()
	defer l.usesMu.Unlock()
	if err := l.readUses(); err != nil || len(l.given.byGUID) == 0 {
		return err
	}
	guids := map[stamp]string{}
	for _, info := range l.byName {
		if info.NonExist {
			continue
		}
		folder, err := folderOf(info.Name)
		if err != nil {
			return err
		}
		guid, err := l.guidOf(folder, guids)
		if err != nil {
			return err
		}
		info.GiveUses(l.given.byGUID[guid])
	}
	l.given.guids = guids
	return nil
}

// readUses reads the annotations if they are others than before.
func (a *account) readUses() error {
	info, err := a.store.fs.Stat(a.path(attributesFile))
	var now stamp
	if err == nil {
		now = stampOf(info)
	} else if err = ignoreMissing(err); err != nil {
		return err
	}
	if a.given.known && now == a.given.seen {
		return nil
	}
	data, err := a.store.readFile(a.path(attributesFile))
	if err != nil {
		return err
	}
	a.given.known, a.given.seen, a.given.byGUID = true, now, map[string]string{}
	for _, one := range parseAttributes(data) {
		rest, private := strings.CutPrefix(one.key, "priv/")
		guid, entry, _ := strings.Cut(rest, "/")
		if private && "/private/"+entry == storage.SpecialUseEntry {
			a.given.byGUID[guid] = one.value
		}
	}
	return nil
}

// guidOf is the GUID of a folder, "" where nobody gave it one.
func (a *account) guidOf(folder string, known map[stamp]string) (string, error) {
	name := a.path(path.Join(folder, uidListFile))
	info, err := a.store.fs.Stat(name)
	if err != nil {
		return "", ignoreMissing(err)
	}
	now := stampOf(info)
	guid, ok := a.given.guids[now]
	if !ok {
		if guid, err = a.readGUID(name); err != nil {
			return "", ignoreMissing(err)
		}
	}
	if guid != "" {
		known[now] = guid
	}
	return guid, nil
}

func (a *account) readGUID(name string) (string, error) {
	f, err := a.store.fs.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return "", err
	}
	header := make([]byte, maxHeader)
	n, err := f.ReadAt(header, 0)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(header[:n]), "\n")
	list, err := parseUIDList(first + "\n")
	if err != nil {
		return "", nil //nolint:nilerr // the next who opens the mailbox mends it
	}
	return list.guid, nil
}
