package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gomaild/cluster"
	"gomaild/delivery/receive"
	"gomaild/internal/certs"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/internal/durable/journal"
	"gomaild/internal/spool"
	"gomaild/internal/tables"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/acl"
	"gomaild/storage/maildir"
)

// mailStore is all that is open below the mail root.
type mailStore struct {
	root     string // its path, for people
	fs       durable.FS
	mount    *cluster.Mount // nil where the root needs to be none
	patience time.Duration  // with a disk that does not answer
	hold     *cluster.Hold  // nil beside another program
	ending   chan error     // why nothing may be done any more
	journal  *journal.Journal
	store    storage.Store
	spool    *spool.Spool
	ledger   ledger
	sharing  sharing
}

// ownDir is where gomaild keeps what is its own, below the mail root.
const ownDir = ".gomaild"

const journalDir = ownDir + "/journal"

// KeysDir is where the keys lie that sign mail, below the mail root.
const KeysDir = ownDir + "/dkim"

// openRecovered opens the mail root as the program that owns it and lets no
// second one in: what a crash left in the journal is put back first, and the
// journal is used if c wants one.
func openRecovered(ctx context.Context, c *config.Config, hostname string, log *slog.Logger) (*mailStore, error) {
	return openMailWith(ctx, c, hostname, log, (*mailStore).own)
}

// openMail opens the mail root beside others who may have it open: lock, epoch
// and journal are theirs and not touched.
func openMail(ctx context.Context, c *config.Config, hostname string, log *slog.Logger) (*mailStore, error) {
	return openMailWith(ctx, c, hostname, log, func(*mailStore, *config.Config, *slog.Logger) error { return nil })
}

type owner func(*mailStore, *config.Config, *slog.Logger) error

func (m *mailStore) openJournal(c *config.Config, log *slog.Logger) (err error) {
	jc := journal.Config{FS: m.fs, Dir: journalDir, Size: int64(c.Storage.Journal), Fence: m.hold.Fence, Logger: log}
	if c.Storage.Journal == 0 {
		err = journal.Recover(jc)
	} else {
		m.journal, err = journal.Open(jc)
	}
	if err != nil {
		return journalFault(c, err)
	}
	return nil
}

func journalFault(c *config.Config, err error) error {
	return c.At("storage.root", err, "look after the disk: the journal could not be replayed, and acknowledged mail may be in it")
}

func openMailWith(ctx context.Context, c *config.Config, hostname string, log *slog.Logger, own owner) (*mailStore, error) {
	root, mount, err := openRoot(c)
	if err != nil {
		return nil, err
	}
	m := &mailStore{root: c.Storage.Root, fs: root, mount: mount, patience: time.Duration(c.Storage.DiskTimeout), ending: make(chan error, 1)}
	err = own(m, c, log)
	if err == nil {
		err = m.open(ctx, c, hostname, log)
	}
	if err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// warmMessages is how many messages of mailboxes that nobody has open are
// remembered for a minute: at most about 100 MB.
const warmMessages = 300_000

func (m *mailStore) open(ctx context.Context, c *config.Config, hostname string, log *slog.Logger) error {
	s := &c.Storage
	dir := filepath.ToSlash(filepath.Clean(s.Spool))
	if err := durable.MkdirAll(m.fs, dir, 0o700); err != nil {
		return c.At("storage.spool", err, "name a directory below storage.root that gomaild may write")
	}
	var err error
	if m.spool, err = spool.New(spool.Config{FS: m.fs, Dir: dir, Memory: int64(s.SpoolMemory)}); err != nil {
		return c.At("storage.spool", err, "name a directory below storage.root that gomaild may write")
	}
	mc := maildir.Config{
		FS: m.fs, Journal: m.journal, Path: s.Path, UID: s.UID, GID: s.GID, Special: specialFolders(&s.Special), Hostname: hostname, Logger: log,
		UsageChanged: m.ledger.changed, Shared: m.ledger.shared, Beside: m.hold == nil && cluster.Runs(holdConfig(c, m.fs)),
	}
	if !mc.Beside {
		mc.Warm = warmMessages
	}
	if m.hold != nil {
		mc.Notify = m.root
		mc.Epoch, mc.Alone = m.hold.Record().Epoch, m.hold.TookOver()
	}
	boxes, err := maildir.New(mc)
	if err != nil {
		return c.At("storage", err, "mend the table [storage]")
	}
	m.store = boxes
	if c.ACL.Enabled {
		return m.guard(c, boxes, log)
	}
	return nil
}

// guard holds users to access control lists.
func (m *mailStore) guard(c *config.Config, boxes *maildir.Store, log *slog.Logger) error {
	ac := acl.Config{
		Store: boxes, Owner: m.sharing.owner, Dictionary: boxes.SharedFile(c.ACL.Dictionary),
		Prefix: c.ACL.Prefix, Anyone: c.ACL.Anyone, Logger: log,
	}
	if c.ACL.Global != "" {
		ac.Global = acl.NewGlobal(os.DirFS(filepath.Dir(c.ACL.Global)), filepath.Base(c.ACL.Global))
	}
	if len(c.ACL.GroupMaps) > 0 {
		l, err := openTables(c, "acl.group_maps", c.ACL.GroupMaps, nil, log)
		if err != nil {
			return err
		}
		ac.Groups = groupsIn(l)
	}
	m.store = acl.New(ac)
	return nil
}

// groupsIn finds the groups of an address in tables: under the address, or under
// its domain.
func groupsIn(l *tables.List) func(mail.Address) []string {
	return func(a mail.Address) []string {
		value, _ := l.Find(a.Local+"@"+a.Domain, "@"+a.Domain)
		return strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ' ' })
	}
}

// close closes what is open; the root comes last.
func (m *mailStore) close() error {
	var errs []error
	if m.store != nil {
		errs = append(errs, m.store.Close())
	}
	if m.spool != nil {
		errs = append(errs, m.spool.Close())
	}
	errs = append(errs, m.journal.Close())
	if m.hold != nil {
		errs = append(errs, m.hold.Release())
	}
	return errors.Join(append(errs, m.fs.Close())...)
}

// specialFolders are the folders that have a name, with their use (RFC 6154).
func specialFolders(s *config.Special) []maildir.SpecialFolder {
	folders := []maildir.SpecialFolder{} // not nil, which would be the store's own default
	for _, one := range []maildir.SpecialFolder{
		{Name: s.Sent, Use: `\Sent`},
		{Name: s.Drafts, Use: `\Drafts`},
		{Name: s.Trash, Use: `\Trash`},
		{Name: s.Junk, Use: `\Junk`},
		{Name: s.Archive, Use: `\Archive`},
	} {
		if one.Name != "" {
			folders = append(folders, one)
		}
	}
	return folders
}

// loadCerts loads the certificates that c names. Where it names none, a
// self-signed one is made and kept below the mail root, so that it stays the
// same over a failover.
func loadCerts(c *config.Config, root durable.FS, hostname string) (*certs.Set, error) {
	if len(c.TLS.Certificates) > 0 {
		return loadNamedCerts(c)
	}
	const dir = ownDir + "/tls"
	if err := durable.MkdirAll(root, dir, 0o700); err != nil {
		return nil, c.At("storage.root", err, "name a directory that gomaild may write")
	}
	sub, err := root.Sub(dir)
	if err != nil {
		return nil, c.At("storage.root", err, "name a directory that gomaild may write")
	}
	if err := errors.Join(certs.SelfSigned(sub, hostname), sub.Close()); err != nil {
		return nil, c.At("tls.certificate", err, "name a certificate")
	}
	at := filepath.Join(c.Storage.Root, dir)
	return certs.Load([]certs.Pair{{Cert: filepath.Join(at, certs.CertFile), Key: filepath.Join(at, certs.KeyFile)}})
}

func loadNamedCerts(c *config.Config) (*certs.Set, error) {
	pairs := make([]certs.Pair, 0, len(c.TLS.Certificates))
	for i, one := range c.TLS.Certificates {
		pair := certs.Pair{Cert: one.Cert, Key: one.Key}
		if _, err := certs.Load([]certs.Pair{pair}); err != nil {
			return nil, certFault(c, i, pair, err)
		}
		pairs = append(pairs, pair)
	}
	return certs.Load(pairs)
}

// certFault says which of the two files is at fault where that is known.
func certFault(c *config.Config, i int, pair certs.Pair, err error) error {
	path, what := "cert", "name the PEM file with the certificate and its chain, and its own key"
	if p, ok := errors.AsType[*fs.PathError](err); ok && p.Path == pair.Key && pair.Key != pair.Cert {
		path, what = "key", "name the PEM file with the private key, which gomaild may read"
	} else if ok {
		what = "name the PEM file with the certificate and its chain, which gomaild may read"
	}
	return c.At(certPath(i)+"."+path, err, "%s", what)
}

func certPath(i int) string { return fmt.Sprintf("tls.certificate[%d]", i) }

// read takes a message in to its end.
func (m *mailStore) read(r io.Reader) (receive.Content, error) {
	c, err := m.spool.Read(r)
	if err != nil {
		return nil, err // not c, which is a pointer and would be a Content
	}
	return c, nil
}
