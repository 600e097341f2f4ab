package journal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"gomaild/internal/durable"
)

// The replay after a crash. It may itself be cut off at any point: until begin
// has said that all is done the next start does it again, and finds what is in
// its place already.

// living is a delivery whose record is not dead.
type living struct {
	record
	file      durable.File // the journal's
	forgotten bool
}

// replay puts every living message in its place, durably.
func (j *Journal) replay() error {
	byDir, err := j.readFiles()
	if err != nil || len(byDir) == 0 {
		return err
	}
	messages, restored := 0, 0
	for dir, list := range byDir {
		n, err := j.restoreDir(dir, list)
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		messages += len(list)
		restored += n
	}
	if err := j.fs.Barrier(); err != nil {
		return err
	}
	j.log.Info("journal replayed", "deliveries", messages, "restored", restored)
	return nil
}

// readFiles finds what lives, by directory.
func (j *Journal) readFiles() (map[string][]*living, error) {
	var all []*living
	forgotten := map[key]bool{}
	dead := uint64(0) // the last generation that is
	for _, s := range []*segment{j.active, j.other} {
		in := scanner{file: s.file}
		for {
			r, err := in.next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			s.generation = r.generation
			switch r.kind {
			case done:
				dead = max(dead, r.upTo)
			case forget:
				forgotten[r.entry.key()] = true
			case delivery:
				r.entry.Content = nil // it is the scanner's
				all = append(all, &living{record: *r, file: s.file})
			}
		}
	}
	byDir := map[string][]*living{}
	for _, l := range all {
		if l.generation > dead {
			l.forgotten = forgotten[l.entry.key()]
			byDir[l.entry.Dir] = append(byDir[l.entry.Dir], l)
		}
	}
	return byDir, nil
}

// restoreDir looks after the messages of one folder and returns how many had to
// be written again.
func (j *Journal) restoreDir(dir string, list []*living) (restored int, err error) {
	wanted := map[string]bool{}
	for _, l := range list {
		wanted[baseOf(l.entry.Name)] = true
	}
	found, err := j.find(dir, wanted)
	if err != nil {
		return 0, err
	}
	for _, l := range list {
		wrote, err := j.restore(l, found[baseOf(l.entry.Name)])
		if err != nil {
			return restored, err
		}
		if wrote {
			restored++
		}
	}
	return restored, nil
}

// find lists the files with the wanted bases, those in cur/ first.
func (j *Journal) find(dir string, wanted map[string]bool) (map[string][]string, error) {
	found := map[string][]string{}
	for _, sub := range []string{"cur", "new"} {
		names, err := j.fs.ReadDirNames(path.Join(dir, sub))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		slices.Sort(names)
		for _, name := range names {
			if base := strings.TrimSuffix(baseOf(name), replayed); wanted[base] {
				found[base] = append(found[base], path.Join(dir, sub, name))
			}
		}
	}
	return found, nil
}

// replayed is the end of the name of a message that was put back beside a foreign
// file with its name.
const replayed = ".replayed"

// restore makes sure that a message is there, whole, under one of the names
// that it has, or in new/. Of one that was forgotten half-written files go. A file
// that is not what a power cut leaves of it is somebody's, and stays.
func (j *Journal) restore(l *living, names []string) (wrote bool, err error) {
	content := make([]byte, l.size)
	if err := (&scanner{file: l.file}).readAt(content, l.content); err != nil {
		return false, err
	}
	var torn []string
	whole, taken := l.forgotten, false
	for _, name := range names {
		state, err := j.look(name, content)
		if err != nil {
			return false, err
		}
		switch state {
		case sound:
			whole = true
		case half:
			torn = append(torn, name)
		case foreign:
			taken = true
			j.log.Warn("a foreign file has the name of a message", "file", name)
		}
	}
	if !whole {
		name := path.Join(l.entry.Dir, "new", l.entry.Name)
		if taken {
			name = path.Join(l.entry.Dir, "new", baseOf(l.entry.Name)+replayed)
		}
		if len(torn) > 0 {
			name, torn = torn[0], torn[1:]
		}
		if err := j.writeAgain(&l.entry, name, content); err != nil {
			return false, err
		}
	}
	for _, name := range torn {
		if err := j.fs.Remove(name); err != nil {
			return false, err
		}
	}
	return !whole, nil
}

// state is what a file is to a message.
type state int

const (
	sound   state = iota // the message
	half                 // what a power cut can have left of it
	foreign              // something else
)

// look compares a file with the content of a message: after a power cut a right size
// says nothing.
func (j *Journal) look(name string, content []byte) (state, error) {
	info, err := j.fs.Lstat(name)
	if err != nil {
		return foreign, err
	}
	if !info.Mode().IsRegular() || info.Size() > int64(len(content)) {
		return foreign, nil
	}
	data, err := durable.ReadFile(j.fs, name)
	switch {
	case err != nil:
		return foreign, err
	case bytes.Equal(data, content):
		return sound, nil
	case isHalf(data, content):
		return half, nil
	}
	return foreign, nil
}

// isHalf reports whether each octet is that of content, or zero where nothing was
// written.
func isHalf(data, content []byte) bool {
	if len(data) > len(content) {
		return false
	}
	for i, b := range data {
		if b != 0 && b != content[i] {
			return false
		}
	}
	return true
}

// writeAgain puts a message under name, through tmp/ as a delivery does; the
// pass at the end of the replay makes it durable.
func (j *Journal) writeAgain(e *Entry, name string, content []byte) error {
	for _, sub := range []string{"cur", "new", "tmp"} {
		if err := j.makeDir(e, path.Join(e.Dir, sub)); err != nil {
			return err
		}
	}
	temp := path.Join(e.Dir, "tmp", baseOf(e.Name)+".replay")
	f, err := j.fs.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := j.fs.Chtimes(temp, time.Time{}, e.ModTime); err != nil {
		return err
	}
	if err := j.own(e, temp); err != nil {
		return err
	}
	return j.fs.Rename(temp, name)
}

// makeDir makes a directory that is missing, which only somebody else can have
// removed: mail that was acknowledged is not dropped for that.
func (j *Journal) makeDir(e *Entry, dir string) error {
	if _, err := j.fs.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if parent := path.Dir(dir); parent != "." {
		if err := j.makeDir(e, parent); err != nil {
			return err
		}
	}
	if err := j.fs.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return j.own(e, dir)
}

func (j *Journal) own(e *Entry, name string) error {
	if e.UID < 0 && e.GID < 0 {
		return nil
	}
	return j.fs.Chown(name, e.UID, e.GID)
}
