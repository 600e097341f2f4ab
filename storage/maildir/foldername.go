package maildir

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"gomaild/storage"
)

const (
	inbox     = "INBOX"
	separator = "/"
	maxFile   = 255 // octets of a name on every file system in use
)

// canonical is the one spelling of a mailbox name: INBOX in capitals, without a
// separator at the end (CREATE "a/" makes an ordinary mailbox).
func canonical(name string) string {
	name = strings.TrimSuffix(name, separator)
	if strings.EqualFold(name, inbox) {
		return inbox
	}
	return name
}

// folderOf is the directory of a mailbox below the account: "." for INBOX,
// ".A.B" in modified UTF-7 for A/B. ErrName with the reason.
func folderOf(name string) (string, error) {
	if name == inbox {
		return ".", nil
	}
	if err := checkName(name); err != nil {
		return "", fmt.Errorf("%w: %w", storage.ErrName, err)
	}
	folder := "." + strings.ReplaceAll(encodeUTF7(name), separator, ".")
	if len(folder) > maxFile {
		return "", fmt.Errorf("%w: too long", storage.ErrName)
	}
	return folder, nil
}

func checkName(name string) error {
	switch {
	case !utf8.ValidString(name):
		return errors.New("not UTF-8")
	case strings.HasPrefix(name, "~"):
		return errors.New("'~' at the beginning")
	case strings.Contains(name, "."):
		return errors.New("'.' in it")
	case isPrivate(name):
		return errors.New("used by the server itself")
	}
	for _, r := range name {
		if r < ' ' || '\u0080' <= r && r < '\u00a0' {
			return errors.New("control character in it")
		}
	}
	for level := range strings.SplitSeq(name, separator) {
		if level == "" {
			return errors.New("empty level")
		}
	}
	if level, _, _ := strings.Cut(name, separator); level != inbox && strings.EqualFold(level, inbox) {
		return errors.New("INBOX has one spelling")
	}
	return nil
}

// isPrivate hides directories that lie among the folders because the account's
// home is its mail root: Sieve scripts and Dovecot's state.
func isPrivate(name string) bool {
	top, _, _ := strings.Cut(name, separator)
	return top == "sieve" || top == "dovecot"
}

// nameOf is the mailbox name of a directory below the account, false if it is
// none that a client could name.
func nameOf(folder string) (string, bool) {
	coded, ok := strings.CutPrefix(folder, ".")
	if !ok || coded == "" {
		return "", false
	}
	name, ok := decodeUTF7(strings.ReplaceAll(coded, ".", separator))
	if !ok || strings.Contains(coded, separator) {
		return "", false
	}
	back, err := folderOf(name)
	return name, err == nil && back == folder
}

// parents are the mailboxes above name, the topmost first.
func parents(name string) []string {
	var all []string
	for i := range len(name) {
		if name[i] == separator[0] {
			all = append(all, name[:i])
		}
	}
	return all
}

// isBelow reports whether name is a child of parent at any depth.
func isBelow(name, parent string) bool {
	return strings.HasPrefix(name, parent+separator)
}
