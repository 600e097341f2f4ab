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
	var b strings.Builder
	for rest := template; rest != ""; {
		before, value, after, err := cutKey(rest, o)
		if err != nil {
			return "", err
		}
		b.WriteString(before)
		b.WriteString(value)
		rest = after
	}
	dir := b.String()
	if err := checkPlace(dir); err != nil {
		return "", fmt.Errorf("%w: %q: %w", errPath, dir, err)
	}
	return dir, nil
}

// cutKey is the template up to its first key, what stands for that key, and the
// rest.
func cutKey(template string, o storage.Owner) (before, value, after string, err error) {
	at := strings.IndexByte(template, '{')
	if at < 0 {
		return template, "", "", nil
	}
	key, after, found := strings.Cut(template[at:], "}")
	if !found {
		return template, "", "", nil
	}
	switch key {
	case "{domain":
		value = o.Address.Domain
	case "{local":
		value = o.Address.Local
	case "{address":
		value = rawAddress(o.Address)
	case "{maildir":
		value = strings.TrimRight(o.Maildir, "/")
	default:
		return template[:at+1], "", template[at+1:], nil
	}
	if key != "{maildir" && strings.Contains(value, "/") {
		return "", "", "", fmt.Errorf("%w: %s} is %q", errPath, key, value)
	}
	if value == "" {
		return "", "", "", fmt.Errorf("%w: %s} is empty", errPath, key)
	}
	return template[:at], value, after, nil
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
