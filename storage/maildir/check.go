package maildir

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"gomaild/internal/durable"
	"gomaild/storage"
)

// Check looks through all mailboxes below dir, while nobody works in them, and
// reports everything that a store never leaves behind: locks, files in tmp/,
// a uidlist that Dovecot would call broken, two files with one base name,
// sizes in names that are not those of the file, keyword letters without a name,
// and a maildirsize that does not say what is there. It changes nothing.
func Check(fsys durable.FS, dir string) error {
	names, err := fsys.ReadDirNames(dir)
	if err != nil {
		return err
	}
	c := checker{fs: fsys, dir: dir}
	var errs []error
	for _, name := range names {
		info, err := fsys.Lstat(path.Join(dir, name))
		switch {
		case err != nil:
			errs = append(errs, err)
		case info.IsDir() && name == "cur":
			errs = append(errs, c.mailbox())
		case info.IsDir() && name == "tmp":
			errs = append(errs, c.temp())
		case info.IsDir() && name != "new":
			errs = append(errs, Check(fsys, path.Join(dir, name)))
		default:
			errs = append(errs, c.entry(name, info))
		}
	}
	return errors.Join(errs...)
}

// checker looks at one mailbox. With a clock it passes over what work in
// progress leaves for a while.
type checker struct {
	fs  durable.FS
	dir string
	now func() time.Time // nil: nobody is at work
}

// isYoung reports that what was last changed then may be work in progress.
func (c checker) isYoung(info fs.FileInfo, lives time.Duration) bool {
	return c.now != nil && c.now().Sub(changeTime(info)) < lives
}

// entry looks at a file beside the messages.
func (c checker) entry(name string, info fs.FileInfo) error {
	left := strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, ".tmp")
	switch {
	case (left || name == appendFile) && !c.isYoung(info, staleAfter):
		return fmt.Errorf("%s: left behind", path.Join(c.dir, name))
	case name == usageFile:
		return c.usage()
	}
	return nil
}

func (c checker) usage() error {
	data, err := durable.ReadFile(c.fs, path.Join(c.dir, usageFile))
	if err != nil {
		return err
	}
	said, err := parseUsage(string(data))
	if err != nil {
		return fmt.Errorf("%s: %w", c.dir, err)
	}
	there, err := (&Store{fs: c.fs}).countAccount(c.dir)
	if err == nil && there != said.sum {
		err = fmt.Errorf("%s/%s: says %d octets in %d messages, there are %d in %d", c.dir, usageFile,
			said.sum.Bytes, said.sum.Messages, there.Bytes, there.Messages)
	}
	return err
}

func (c checker) temp() error {
	names, err := c.fs.ReadDirNames(path.Join(c.dir, "tmp"))
	if err != nil {
		return ignoreMissing(err)
	}
	var left []string
	for _, name := range names {
		info, err := c.fs.Lstat(path.Join(c.dir, "tmp", name))
		if err == nil && !c.isYoung(info, tempLives) {
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		err = fmt.Errorf("%s/tmp: %q left behind", c.dir, left)
	}
	return err
}

func (c checker) mailbox() error {
	errs := []error{c.list()}
	seen := map[string]string{}
	var letters storage.KeywordSet
	for _, sub := range []string{"cur", "new"} {
		names, err := c.fs.ReadDirNames(path.Join(c.dir, sub))
		if err != nil {
			return err
		}
		for _, name := range names {
			file := path.Join(c.dir, sub, name)
			base, suffix := splitName(name)
			if !isBaseName(base) {
				continue
			}
			if other, twice := seen[base]; twice && c.bothThere(other, file) {
				errs = append(errs, fmt.Errorf("%s and %s have one base name", other, file))
			}
			seen[base] = file
			letters = letters.Union(parseSuffix(suffix).keywords)
			errs = append(errs, c.sizes(file, base))
		}
	}
	return errors.Join(append(errs, c.keywords(letters), c.moreKeywords())...)
}

// bothThere reports that two names were not one that was being renamed.
func (c checker) bothThere(a, b string) bool {
	_, err := c.fs.Lstat(a)
	_, err2 := c.fs.Lstat(b)
	return err == nil && err2 == nil
}

func (c checker) keywords(used storage.KeywordSet) error {
	data, err := durable.ReadFile(c.fs, path.Join(c.dir, keywordsFile))
	if ignoreMissing(err) != nil {
		return err
	}
	if k := parseKeywords(string(data)); k.nameUnknown(used) {
		return fmt.Errorf("%s/%s: keyword letters are used that have no name there", c.dir, keywordsFile)
	}
	return nil
}

func (c checker) list() error {
	name := path.Join(c.dir, uidListFile)
	data, err := durable.ReadFile(c.fs, name)
	if err != nil {
		return ignoreMissing(err) // nobody opened the mailbox yet
	}
	l, err := parseUIDList(string(data))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", name, err)
	case l.mustRewrite && c.now == nil:
		return fmt.Errorf("%s: damaged: %q", name, data)
	case l.mustRewrite:
		return fmt.Errorf("%s: damaged, or of version 1", name)
	case len(l.guid) != 32:
		return fmt.Errorf("%s: GUID %q", name, l.guid)
	}
	return nil
}

// sizes reads the whole file.
func (c checker) sizes(file, base string) error {
	named := nameSizes(base)
	if !named.known() {
		return nil
	}
	f, err := c.fs.OpenFile(file, 0, 0)
	if err != nil {
		return ignoreMissing(err)
	}
	counted, err := measure(f, make([]byte, bufferSize))
	err = errors.Join(err, f.Close())
	if err == nil && counted != named {
		err = fmt.Errorf("%s: holds %d octets, %d on the wire", file, counted.stored, counted.wire)
	}
	return err
}
