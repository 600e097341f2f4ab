package maildir

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode/utf8"

	"gomaild/mail"
	"gomaild/storage"
)

// errPath is for an account whose directory would be none of its own. What
// fills the template comes from the database and is not trusted.
var errPath = errors.New("unusable maildir path")

// Home is the directory of an account below the root: what Config.Path makes of
// an owner. An error means that the account can have none.
func Home(template string, o storage.Owner) (string, error) {
	if template == "" {
		template = DefaultPath
	}
	return expand(template, o)
}

// expand fills the template. Only {maildir} may bring separators.
func expand(template string, o storage.Owner) (string, error) {
	values := []struct{ key, value string }{
		{"{domain}", o.Address.Domain},
		{"{local}", o.Address.Local},
		{"{address}", rawAddress(o.Address)},
		{"{maildir}", strings.TrimRight(o.Maildir, "/")},
	}
	var pairs []string
	for _, v := range values {
		if !strings.Contains(template, v.key) {
			continue
		}
		if v.key != "{maildir}" && strings.Contains(v.value, "/") {
			return "", fmt.Errorf("%w: %s is %q", errPath, v.key, v.value)
		}
		if v.value == "" {
			return "", fmt.Errorf("%w: %s is empty", errPath, v.key)
		}
		pairs = append(pairs, v.key, v.value)
	}
	dir := strings.NewReplacer(pairs...).Replace(template)
	if err := checkPlace(dir); err != nil {
		return "", fmt.Errorf("%w: %q: %w", errPath, dir, err)
	}
	return dir, nil
}

// rawAddress is the address as directories have always been named: without the
// quotes that its printed form may need.
func rawAddress(a mail.Address) string {
	if a.Local == "" || a.Domain == "" {
		return ""
	}
	return a.Local + "@" + a.Domain
}

// checkPlace takes a clean relative path. No part may start with a dot: it
// would lead out of the root or be a folder of another account.
func checkPlace(dir string) error {
	if dir == "" || path.Clean(dir) != dir || path.IsAbs(dir) {
		return errors.New("not a clean relative path")
	}
	for part := range strings.SplitSeq(dir, "/") {
		switch {
		case strings.HasPrefix(part, "."):
			return errors.New("a part begins with a dot")
		case len(part) > maxFile:
			return errors.New("a part is too long")
		}
	}
	for _, r := range dir {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return errors.New("forbidden octet")
		}
	}
	return nil
}
