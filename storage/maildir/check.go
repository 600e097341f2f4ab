package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strings"

	"gomaild/internal/durable"
)

// Check looks through all mailboxes below dir, while nobody works in them, and
// reports everything that a store never leaves behind: locks, files in tmp/,
// a uidlist that Dovecot would call broken, two files with one base name,
// sizes in names that are not those of the file, and a maildirsize that does not
// say what is there. It changes nothing.
func Check(fsys durable.FS, dir string) error {
	names, err := fsys.ReadDirNames(dir)
	if err != nil {
		return err
	}
	c := checker{fs: fsys, dir: dir}
	var errs []error
	for _, name := range names {
		if strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, ".tmp") {
			errs = append(errs, fmt.Errorf("%s: left behind", path.Join(dir, name)))
		}
		info, err := fsys.Lstat(path.Join(dir, name))
		switch {
		case err != nil:
			errs = append(errs, err)
		case name == usageFile:
			errs = append(errs, c.usage())
		case info.IsDir() && name == "cur":
			errs = append(errs, c.mailbox())
		case info.IsDir() && name == "tmp":
			errs = append(errs, c.temp())
		case info.IsDir() && name != "new":
			errs = append(errs, Check(fsys, path.Join(dir, name)))
		}
	}
	return errors.Join(errs...)
}

// checker looks at one mailbox.
type checker struct {
	fs  durable.FS
	dir string
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
		err = fmt.Errorf("%s/%s: says %+v, there is %+v", c.dir, usageFile, said.sum, there)
	}
	return err
}

func (c checker) temp() error {
	names, err := c.fs.ReadDirNames(path.Join(c.dir, "tmp"))
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("%s/tmp: %q left behind", c.dir, names)
	}
	return err
}

func (c checker) mailbox() error {
	errs := []error{c.list()}
	seen := map[string]string{}
	for _, sub := range []string{"cur", "new"} {
		names, err := c.fs.ReadDirNames(path.Join(c.dir, sub))
		if err != nil {
			return err
		}
		for _, name := range names {
			file := path.Join(c.dir, sub, name)
			base, _ := splitName(name)
			if other, twice := seen[base]; twice {
				errs = append(errs, fmt.Errorf("%s and %s have one base name", other, file))
			}
			seen[base] = file
			errs = append(errs, c.sizes(file, base))
		}
	}
	return errors.Join(errs...)
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
	case l.mustRewrite:
		return fmt.Errorf("%s: damaged: %q", name, data)
	case len(l.guid) != 32:
		return fmt.Errorf("%s: GUID %q", name, l.guid)
	}
	return nil
}

func (c checker) sizes(file, base string) error {
	named := nameSizes(base)
	if !named.known() {
		return nil
	}
	data, err := durable.ReadFile(c.fs, file)
	if err != nil {
		return err
	}
	counted, err := measure(bytes.NewReader(data), make([]byte, bufferSize))
	if err == nil && counted != named {
		err = fmt.Errorf("%s: holds %d octets, %d on the wire", file, counted.stored, counted.wire)
	}
	return err
}
