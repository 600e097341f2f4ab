package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"gomaild/accounts/postfixadmin"
	"gomaild/auth/scheme"
	"gomaild/cluster"
	"gomaild/delivery/routing"
	"gomaild/internal/certs"
	"gomaild/internal/config"
	"gomaild/internal/listener"
	"gomaild/mail"
)

// Report is what Check found.
type Report struct {
	Faults   config.Errors // what Start or the first message would fail at
	Warnings config.Errors // what works and is worth a look
}

// Check looks at everything that c names, as it is now: directories,
// certificates, the database, the addresses to listen on. It changes nothing.
// While a daemon runs under c its own addresses are taken: set running to leave
// them out.
func Check(ctx context.Context, c *config.Config, running bool) Report {
	k := &checker{c: c}
	name := k.hostname()
	k.storage()
	k.runDir()
	k.log()
	k.certificates(name)
	k.database(ctx, name)
	k.scheme()
	k.policy()
	k.sieve()
	_, err := routingConfig(c, nil, name, slog.New(slog.DiscardHandler))
	k.found(err)
	_, err = readTemplates(c)
	k.found(err)
	_, err = newWays(c, slog.New(slog.DiscardHandler))
	k.found(err)
	_, err = uniqueIDs(c)
	k.found(err)
	if !running {
		k.listeners(ctx)
	}
	return k.Report
}

type checker struct {
	Report
	c *config.Config
}

func (k *checker) fault(path string, cause error, format string, args ...any) {
	k.Faults = append(k.Faults, k.c.At(path, cause, format, args...))
}

func (k *checker) warn(path, format string, args ...any) {
	k.Warnings = append(k.Warnings, k.c.At(path, nil, format, args...))
}

// found adds an error of the daemon's own steps.
func (k *checker) found(err error) {
	if one, ok := errors.AsType[*config.Error](err); ok {
		k.Faults = append(k.Faults, one)
	}
}

func (k *checker) hostname() string {
	name, err := hostname(k.c)
	if err != nil {
		k.found(err)
		return "localhost"
	}
	if !strings.Contains(name, ".") {
		k.warn("hostname", "%q is no full name: other servers will refuse mail from it; write one such as %q", name, "mail.example.org")
	}
	return name
}

func (k *checker) storage() {
	root := k.c.Storage.Root
	if fsys, err := OpenMailRoot(k.c); err == nil {
		k.found(fsys.Close())
	} else if k.c.Storage.Mount && errors.Is(err, cluster.ErrNotMounted) {
		k.warn("storage.root", "%s is not mounted on this node now, and gomaild would not start here", root)
	} else if k.c.Storage.Mount || errors.Is(err, cluster.ErrForeign) {
		k.found(err)
	}
	if err := usableDir(root); err != nil {
		k.fault("storage.root", err, "name a directory that exists and that gomaild may write")
	}
	for path, id := range map[string]struct{ want, own int }{
		"storage.uid": {k.c.Storage.UID, os.Geteuid()},
		"storage.gid": {k.c.Storage.GID, os.Getegid()},
	} {
		if id.want >= 0 && id.want != id.own && os.Geteuid() != 0 {
			k.fault(path, nil, "only root can make files that belong to %d; run gomaild as root or as that one, or write -1", id.want)
		}
	}
}

// usableDir reports why a directory cannot be worked in.
func usableDir(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return &os.PathError{Op: "open", Path: path, Err: unix.ENOTDIR}
	}
	if err := unix.Access(path, unix.R_OK|unix.W_OK|unix.X_OK); err != nil {
		return &os.PathError{Op: "write to", Path: path, Err: err}
	}
	return nil
}

// makeableDir reports why a directory neither can be worked in nor be made.
func makeableDir(path string) error {
	err := usableDir(path)
	for errors.Is(err, os.ErrNotExist) && path != filepath.Dir(path) {
		path = filepath.Dir(path)
		err = usableDir(path)
	}
	return err
}

// runDir matters only where a listener has a socket in it.
func (k *checker) runDir() {
	for _, l := range places(k.c) {
		network, address := l.Endpoint()
		if network != "unix" {
			continue
		}
		if err := makeableDir(filepath.Dir(address)); err != nil {
			k.fault(l.path, err, "name a socket in a directory that exists or can be made, here or as run_dir")
			return
		}
	}
}

func (k *checker) log() {
	d := k.c.Log.Destination
	if !filepath.IsAbs(d) {
		return
	}
	if err := usableDir(filepath.Dir(d)); err != nil {
		k.fault("log.destination", err, "name a file in a directory that exists and that gomaild may write")
	}
}

func (k *checker) certificates(hostname string) {
	if len(k.c.TLS.Certificates) == 0 {
		k.warn("tls.certificate", "none is named, so a self-signed one is used, which clients do not trust; name one in [[tls.certificate]]")
		return
	}
	all, whole := make([]certs.Pair, 0, len(k.c.TLS.Certificates)), true
	for i, one := range k.c.TLS.Certificates {
		pair := certs.Pair{Cert: one.Cert, Key: one.Key}
		if _, err := certs.Load([]certs.Pair{pair}); err != nil {
			k.found(certFault(k.c, i, pair, err))
			whole = false
		}
		all = append(all, pair)
	}
	if !whole {
		return
	}
	set, err := certs.Load(all)
	if err != nil {
		k.fault("tls.certificate", err, "mend the files")
		return
	}
	for i, info := range set.Describe(time.Now(), hostname) {
		for _, w := range info.Warnings {
			k.warn(certPath(i), "%s", w)
		}
	}
}

// database asks whether the database answers and has the tables.
func (k *checker) database(ctx context.Context, hostname string) {
	pc, err := AccountsConfig(k.c, nil)
	if err != nil {
		k.found(err)
		return
	}
	db, err := postfixadmin.Open(ctx, pc)
	if err != nil {
		k.fault("accounts", err, "mend the table [accounts]")
		return
	}
	defer func() { _ = db.Close() }() // nothing was written
	findings, err := db.Check(ctx)
	if err != nil {
		k.found(databaseFault(k.c, err))
		return
	}
	broken := false
	for _, f := range findings {
		if f.Fatal {
			k.fault(databasePath(k.c), nil, "%s; name the database that postfixadmin uses, or make one with gomaild account add", f.Text)
			broken = true
		}
	}
	if broken {
		return
	}
	for _, f := range findings {
		k.warn(databasePath(k.c), "%s", f.Text)
	}
	if _, err := db.Domain(ctx, hostname); err == nil {
		k.warn("hostname", "%q is also a domain of the database: of its addresses only postmaster and abuse get mail, as with Postfix's mydestination; name this host otherwise, such as %q",
			hostname, "mail."+hostname)
	}
	if rc, err := routingConfig(k.c, db, hostname, slog.New(slog.DiscardHandler)); err == nil { // lookupTables has told
		k.postmaster(ctx, routing.New(rc))
	}
}

func databasePath(c *config.Config) string {
	if c.Accounts.Driver == config.SQLite {
		return "accounts.path"
	}
	return "accounts.address"
}

func databaseFault(c *config.Config, err error) error {
	advice := "see that the server runs and lets this user in"
	if c.Accounts.Driver == config.SQLite {
		advice = "name the file of an existing database, or make one: gomaild account add"
		if _, missing := os.Stat(c.Accounts.Path); missing != nil {
			err = missing // SQLite has one number for all that may be wrong with a file
		}
	}
	return c.At(databasePath(c), err, "%s", advice)
}

// databaseFaults are the fatal findings about a database, for a reload.
func databaseFaults(ctx context.Context, c *config.Config, db *postfixadmin.DB) (config.Errors, error) {
	findings, err := db.Check(ctx)
	if err != nil {
		return nil, databaseFault(c, err)
	}
	var faults config.Errors
	for _, f := range findings {
		if f.Fatal {
			faults = append(faults, c.At(databasePath(c), nil, "%s", f.Text))
		}
	}
	return faults, nil
}

// postmaster must lead to somebody: RFC 5321 section 4.5.1.
func (k *checker) postmaster(ctx context.Context, r *routing.Router) {
	const path = "routing.postmaster"
	text := k.c.Routing.Postmaster
	a, err := mail.ParseAddress(text)
	if err != nil {
		k.warn(path, "mail to <postmaster> is refused, which RFC 5321 section 4.5.1 forbids; name an address here")
		return
	}
	to, err := r.Resolve(ctx, a)
	if err != nil {
		k.warn(path, "%s leads to nobody (%v); name an address that exists", text, err)
		return
	}
	for _, one := range to {
		if one.Class == routing.NoUser {
			k.warn(path, "%s leads to %s, who is not here; name an address that exists", text, one.Address)
		}
	}
}

func (k *checker) scheme() {
	name := k.c.Accounts.DefaultScheme
	if _, err := scheme.Parse("x", name); errors.Is(err, scheme.ErrUnknown) {
		k.fault("accounts.default_scheme", err, "name one of docs/passwords.md, such as %q", "MD5-CRYPT")
	}
}

// listeners binds each address for a moment.
func (k *checker) listeners(ctx context.Context) {
	for _, l := range places(k.c) {
		network, address := l.Endpoint()
		if network == "unix" {
			if conn, err := net.Dial(network, address); err == nil {
				_ = conn.Close()
				k.fault(l.path, nil, "somebody listens on %s; stop that one, or give another path (for a running gomaild: check --running)", address)
			}
			continue
		}
		one := listener.New(listener.Config{Name: string(l.Type), Network: network, Address: address, FreeBind: l.FreeBind, Handler: noHandler{}})
		if err := one.Listen(ctx); err != nil {
			k.fault(l.path, err, "%s (for a running gomaild: check --running)", listenAdvice(err))
			continue
		}
		if err := one.Stop(context.Background()); err != nil {
			k.fault(l.path, err, "%s", "see what else uses the address")
		}
	}
}

// noHandler serves nobody: the listener is closed before it accepts.
type noHandler struct{}

func (noHandler) Serve(context.Context, <-chan struct{}, net.Conn) {}
