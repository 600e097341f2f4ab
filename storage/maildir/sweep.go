package maildir

import (
	"path"
	"time"
)

// tempLives is how long a file in tmp/ is left alone: nobody takes so long to
// write a message (the Maildir specification says 36 hours).
const tempLives = 36 * time.Hour

// sweepTemp removes from tmp/ what crashes and other programs left there. It
// goes by the time of the last change of the inode, because the date of a file
// is the message's. It is a courtesy: errors wait for the next time.
func (m *mailbox) sweepTemp() {
	names, err := m.store.fs.ReadDirNames(m.path("tmp"))
	if err != nil {
		return
	}
	for _, name := range names {
		if m.store.names.made(name) {
			continue // perhaps being written right now
		}
		file := m.path(path.Join("tmp", name))
		info, err := m.store.fs.Lstat(file)
		if err != nil || info.IsDir() || m.store.now().Sub(changeTime(info)) < tempLives {
			continue
		}
		if err := m.store.remove(file); err != nil {
			m.store.log.Warn("old file in tmp stays", "file", file, "error", err)
		}
	}
}
