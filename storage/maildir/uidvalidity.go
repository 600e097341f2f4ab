package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path"
	"strconv"
	"strings"
)

// The last UIDVALIDITY of an account stands as 8 hex digits in
// dovecot-uidvalidity and in the name of an empty file beside it. Renaming
// that marker is the step that makes a new value ours; who loses the race
// tries again. So a mailbox that is deleted and made again never gets a value
// that it had.
const uidValidityFile = "dovecot-uidvalidity"

// errUIDValidity means that other programs kept taking values before us.
var errUIDValidity = errors.New("no new UIDVALIDITY to be had")

// nextUIDValidity gives out a value above all before, and above least.
func (a *account) nextUIDValidity(least uint32) (uint32, error) {
	for range 100 {
		last, marker, err := a.lastUIDValidity()
		if err != nil {
			return 0, err
		}
		next := max(last, least)
		if next == math.MaxUint32 {
			return 0, errUIDValidity
		}
		next++
		taken, err := a.moveMarker(marker, next)
		if err != nil || taken {
			return next, err
		}
	}
	return 0, errUIDValidity
}

// lastUIDValidity is the value given out last and its marker file, "" if there
// is none. Without either file it is the time, or the highest value in use.
func (a *account) lastUIDValidity() (last uint32, marker string, err error) {
	content, err := a.store.readFile(a.path(uidValidityFile))
	if err != nil {
		return 0, "", err
	}
	names, err := a.store.fs.ReadDirNames(a.dir)
	if err != nil {
		return 0, "", err
	}
	for _, name := range names {
		if v, ok := markerValue(name); ok && v > last {
			last, marker = v, name
		}
	}
	if v, err := strconv.ParseUint(content, 16, 32); err == nil {
		last = max(last, uint32(v))
	}
	if marker == "" {
		last = max(last, uint32(a.store.now().Unix()), a.highestUIDValidity(names))
	}
	return last, marker, nil
}

func markerValue(name string) (uint32, bool) {
	digits, ok := strings.CutPrefix(name, uidValidityFile+".")
	if !ok || len(digits) != 8 {
		return 0, false
	}
	v, err := strconv.ParseUint(digits, 16, 32)
	return uint32(v), err == nil
}

// highestUIDValidity looks into all folders.
func (a *account) highestUIDValidity(names []string) uint32 {
	var highest uint32
	for _, name := range append(names, ".") {
		if !strings.HasPrefix(name, ".") {
			continue
		}
		data, err := a.store.readFile(a.path(path.Join(name, uidListFile)))
		if err != nil {
			continue
		}
		if l, err := parseUIDList(data); err == nil {
			highest = max(highest, l.validity)
		}
	}
	return highest
}

// moveMarker takes the value; false if somebody else was faster.
func (a *account) moveMarker(marker string, value uint32) (bool, error) {
	digits := fmt.Sprintf("%08x", value)
	next := a.path(uidValidityFile + "." + digits)
	var err error
	if marker == "" {
		err = a.store.makeEmpty(next)
	} else {
		err = a.store.fs.Rename(a.path(marker), next)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := a.writeUIDValidity(digits); err != nil {
		return false, err
	}
	return true, a.store.fs.SyncDir(a.dir)
}

// writeUIDValidity writes in place, as Dovecot does: several mailboxes may get
// their values at the same time, and when the content is torn or of another
// than the last of them, the marker counts.
func (a *account) writeUIDValidity(digits string) error {
	name := a.path(uidValidityFile)
	f, err := a.store.fs.OpenFile(name, os.O_WRONLY|os.O_CREATE, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write([]byte(digits))
	return errors.Join(err, f.Sync(), f.Close(), a.store.own(name))
}

// raiseUIDValidity makes sure that values up to used are not given out again.
func (a *account) raiseUIDValidity(used uint32) error {
	last, marker, err := a.lastUIDValidity()
	if err != nil || marker != "" && last >= used {
		return err
	}
	_, err = a.nextUIDValidity(used)
	return err
}
