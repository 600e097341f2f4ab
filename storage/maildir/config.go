package maildir

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/journal"
	"gomaild/mail"
	"gomaild/storage"
)

// Config says where mail lies and how. The zero value of every field but FS
// works.
type Config struct {
	// FS is the mail root. The store does not close it.
	FS durable.FS
	// Journal makes deliveries durable together. The store does not close it.
	// Default: each delivery waits for the disk by itself.
	Journal *journal.Journal
	// Path is an account's directory below the root, with {domain}, {local},
	// {address} and {maildir} (the column) filled in. Default
	// "{domain}/{address}".
	Path string
	// UID and GID own new files and directories; 0 and -1 leave them to the
	// user of the process.
	UID, GID int
	// Special are mailboxes that are listed and subscribed before they exist,
	// and made when first used. nil: Sent, Drafts, Trash and Junk; an empty
	// slice: none.
	Special []SpecialFolder
	// Epoch is the count of starts on this mail root, part of file names. 0:
	// nobody counts.
	Epoch uint64
	// Hostname is put in file names. Default: that of the system.
	Hostname string
	// UsageChanged hears in order of each change of what an account holds that is
	// counted, and once when it becomes known. It must return at once.
	UsageChanged func(storage.UsageChange)
	// Shared keeps room for add back, where accounts have a limit in common:
	// storage.ErrQuota if others leave none. giveBack is called when the messages
	// are there (after UsageChanged) or do not come. Default: they have none.
	Shared func(ctx context.Context, owner mail.Address, l storage.Limits, add storage.Usage, delivery bool) (giveBack func(), err error)
	// Logger hears of repairs (Warn). Default: nobody.
	Logger *slog.Logger
	// Clock is the time for names and dates. Default time.Now.
	Clock func() time.Time
	// LockWait is how long a lock of another program is waited for. Default
	// 130 s, a little more than it takes until a dead lock is removed.
	LockWait time.Duration
	// Warm is how many messages there may be in mailboxes that nobody has open and
	// that are kept in memory for a minute, for the next who opens them: about 300
	// octets for each. A mailbox counts as a hundred more. Default: none are kept.
	Warm int
	// Alone says that no other program has the mail root open when New is
	// called, as after a failover: every lock that is older is what a crash left,
	// and is removed at once instead of after two minutes.
	Alone bool
	// Beside says that a daemon of ours may have the mail root open. Its journal
	// may hold the messages of the last minute, so they keep their names, and the
	// indexes are left to it.
	Beside bool
	// Notify is the mail root as the kernel calls it, for inotify(7): what other
	// programs do in mailboxes that somebody waits for is noticed at once. Default:
	// they are polled.
	Notify string
	// PollInterval is how often mailboxes that somebody waits for are looked at
	// for changes of other programs, where nothing watches them. Default 1 s.
	PollInterval time.Duration
}

// SpecialFolder is a mailbox with a use of RFC 6154.
type SpecialFolder struct {
	Name string // "Sent"
	Use  string // `\Sent`
}

// DefaultSpecial are the special folders where Config names none.
func DefaultSpecial() []SpecialFolder {
	return []SpecialFolder{
		{"Sent", `\Sent`},
		{"Drafts", `\Drafts`},
		{"Trash", `\Trash`},
		{"Junk", `\Junk`},
	}
}

// DefaultPath is Config.Path where it is empty.
const DefaultPath = "{domain}/{address}"

// withDefaults fills in what is not set and refuses what cannot work.
func (c Config) withDefaults() (Config, error) {
	if c.FS == nil {
		return c, errors.New("maildir: no file system")
	}
	if c.Path == "" {
		c.Path = DefaultPath
	}
	if err := checkTemplate(c.Path); err != nil {
		return c, err
	}
	if c.UID == 0 {
		c.UID = -1
	}
	if c.GID == 0 {
		c.GID = -1
	}
	if c.Special == nil {
		c.Special = DefaultSpecial()
	}
	for _, s := range c.Special {
		if _, err := folderOf(s.Name); err != nil || s.Name == inbox {
			return c, fmt.Errorf("maildir: special folder %q cannot be", s.Name)
		}
	}
	if c.Hostname == "" {
		host, err := os.Hostname()
		if err != nil {
			return c, fmt.Errorf("maildir: %w", err)
		}
		c.Hostname = host
	}
	if c.UsageChanged == nil {
		c.UsageChanged = func(storage.UsageChange) {}
	}
	if c.Shared == nil {
		c.Shared = func(context.Context, mail.Address, storage.Limits, storage.Usage, bool) (func(), error) {
			return func() {}, nil
		}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.LockWait <= 0 {
		c.LockWait = staleAfter + 10*time.Second
	}
	if c.PollInterval <= 0 {
		c.PollInterval = time.Second
	}
	return c, nil
}

// checkTemplate holds that different accounts get different directories.
func checkTemplate(path string) error {
	one := strings.Contains(path, "{address}") || strings.Contains(path, "{maildir}") ||
		strings.Contains(path, "{domain}") && strings.Contains(path, "{local}")
	if !one {
		return fmt.Errorf("maildir: path %q does not tell accounts apart: use {address}, {maildir}, or {domain} and {local}", path)
	}
	rest := strings.NewReplacer("{address}", "a", "{maildir}", "m", "{domain}", "d", "{local}", "l").Replace(path)
	if strings.ContainsAny(rest, "{}") {
		return fmt.Errorf("maildir: path %q: only {domain}, {local}, {address} and {maildir} are filled in", path)
	}
	if err := checkPlace(rest); err != nil {
		return fmt.Errorf("maildir: path %q: %w", path, err)
	}
	return nil
}
