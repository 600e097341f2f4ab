package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin"
	"gomaild/auth"
	"gomaild/daemon"
	"gomaild/internal/certs"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/mail"
)

// What the demo makes.
const (
	demoDomain = "example.test"
	demoHost   = "127.0.0.1"

	demoConfig    = "gomaild.toml"
	demoDB        = "accounts.sqlite"
	demoPasswords = "passwords.txt" // one line an account: address, TAB, password
)

// demoUsers are the mailboxes, and demoPorts the ports at the default base.
func demoUsers() []mail.Address {
	return []mail.Address{{Local: "alice", Domain: demoDomain}, {Local: "bob", Domain: demoDomain}}
}

// demoListeners are the listeners with their ports above the base.
func demoListeners() []demoListener {
	return []demoListener{
		{config.MX, config.StartTLS, 525},
		{config.Submission, config.StartTLS, 587},
		{config.Submission, config.Implicit, 465},
		{config.LMTP, config.NoTLS, 424},
		{config.IMAP, config.StartTLS, 143},
		{config.IMAP, config.Implicit, 993},
	}
}

const demoPortBase = 2000

type demoListener struct {
	kind config.ListenerType
	tls  config.TLSMode
	port int // above the base
}

// demo is one run of the demonstration.
type demo struct {
	*app
	dir       string // absolute
	base      int    // of the ports
	verbose   bool
	passwords map[mail.Address]string
}

func (a *app) demoCommand() *cobra.Command {
	d := &demo{app: a}
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run a mail server with two mailboxes, without any setup",
		Long: `demo makes a directory with an SQLite database, a certificate and the mailboxes
alice@example.test and bob@example.test, opens every listener on loopback, sends
itself a first message, and prints commands with which to try the rest.

Ctrl-C stops it. What it made is kept, and used again at the next run; remove the
directory to begin anew. The configuration in it is a normal one:

    gomaild serve -c gomaild-demo/gomaild.toml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return d.run(c.Context()) },
	}
	c.Flags().StringVar(&d.dir, "dir", "./gomaild-demo", "the `DIRECTORY` for all that it makes")
	c.Flags().IntVar(&d.base, "port-base", demoPortBase, "add this `NUMBER` to the ports 525, 587, 465, 424, 143 and 993; 0 lets the system choose free ones")
	c.Flags().BoolVarP(&d.verbose, "verbose", "v", false, "print the server's log")
	_ = c.MarkFlagDirname("dir") // completion only
	return c
}

func (d *demo) run(ctx context.Context) error {
	cfg, err := d.setUp(ctx)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(d.err, &slog.HandlerOptions{Level: d.logLevel()}))
	server, err := daemon.New(cfg, daemon.Options{Logger: log})
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return d.explain(err)
	}
	err = d.show(ctx, server)
	if err == nil {
		<-ctx.Done()
		fmt.Fprintf(d.out, "\nStopping. What was made stays in %s.\n", d.dir)
	}
	if errors.Is(err, context.Canceled) {
		err = nil // Ctrl-C in the middle of the first message
	}
	return errors.Join(err, server.Stop(context.WithoutCancel(ctx)))
}

func (d *demo) logLevel() slog.Level {
	if d.verbose {
		return slog.LevelInfo
	}
	return slog.LevelError
}

// explain says what to do when a port is taken.
func (d *demo) explain(err error) error {
	fault, ok := errors.AsType[*config.Error](err)
	if ok && strings.HasPrefix(fault.Key, "listener") {
		return fmt.Errorf("%w\nIs another demo running? Move this one to other ports: gomaild demo --port-base 12000", fault.Cause)
	}
	return err
}

// show sends the first message, reads it back and prints what to try.
func (d *demo) show(ctx context.Context, server *daemon.Daemon) error {
	p, err := d.ports(server)
	if err != nil {
		return err
	}
	if err := d.firstMessage(ctx, p); err != nil {
		return fmt.Errorf("first message: %w", err)
	}
	return d.printHelp(p)
}

// setUp makes what is missing in the directory and returns the configuration.
func (d *demo) setUp(ctx context.Context) (cfg *config.Config, err error) {
	if d.base != 0 && (d.base < 0 || d.base > 65535-993) {
		return nil, fmt.Errorf("--port-base %d leaves no room for the ports; write a number from 1 to %d, or 0", d.base, 65535-993)
	}
	if d.dir, err = filepath.Abs(d.dir); err != nil {
		return nil, err
	}
	if err := daemon.MakeDir(filepath.Join(d.dir, "mail"), 0o700); err != nil {
		return nil, err
	}
	root, err := durable.OpenRoot(d.dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	if err := certs.SelfSigned(root, "mail."+demoDomain, demoDomain, "localhost", demoHost); err != nil {
		return nil, err
	}
	if err := durable.WriteFile(root, demoConfig, []byte(d.configText()), 0o600); err != nil {
		return nil, err
	}
	if err := d.makeAccounts(ctx, root); err != nil {
		return nil, err
	}
	return config.Load(filepath.Join(d.dir, demoConfig))
}

// configText is the configuration; its paths are relative to its directory, so
// that the directory may be moved.
func (d *demo) configText() string {
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by gomaild demo at each run. Copy it before you change it.
hostname = "mail.%[1]s"
run_dir = "run"
grace = "5s"

[storage]
root = "mail"
[remote]
enabled = false # the demo sends nothing to anybody

[accounts]
path = %[2]q

[routing]
postmaster = "alice@%[1]s"

[[tls.certificate]]
cert = %[3]q
key = %[4]q
`, demoDomain, demoDB, certs.CertFile, certs.KeyFile)
	for _, l := range demoListeners() {
		port := l.port + d.base
		if d.base == 0 {
			port = 0
		}
		fmt.Fprintf(&b, "\n[[listener]]\ntype = %q\naddress = \"%s:%d\"\ntls = %q\n", l.kind, demoHost, port, l.tls)
	}
	b.WriteString("\n[[listener]]\ntype = \"lda\"\n")
	return b.String()
}

// makeAccounts makes the database and the mailboxes, and finds or makes their
// passwords.
func (d *demo) makeAccounts(ctx context.Context, root durable.FS) (err error) {
	path := filepath.Join(d.dir, demoDB)
	if err := needFile(path, true); err != nil {
		return err
	}
	db, err := postfixadmin.Open(ctx, postfixadmin.Config{Driver: postfixadmin.SQLite, Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.CreateSchema(ctx); err != nil && !errors.Is(err, postfixadmin.ErrExists) {
		return err
	}
	if err := db.AddDomain(ctx, demoDomain); err != nil && !errors.Is(err, postfixadmin.ErrExists) {
		return err
	}
	if d.passwords, err = readPasswords(root); err != nil {
		return err
	}
	for _, user := range demoUsers() {
		if err := d.makeMailbox(ctx, db, root, user); err != nil {
			return err
		}
	}
	return nil
}

// makeMailbox makes a mailbox whose password is known. The password is on disk
// before the mailbox has it, so an interrupted run leaves no mailbox that
// nobody can open.
func (d *demo) makeMailbox(ctx context.Context, db *postfixadmin.DB, root durable.FS, user mail.Address) error {
	_, err := db.Mailbox(ctx, user)
	exists := err == nil
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return err
	}
	_, known := d.passwords[user]
	if exists && known {
		return nil
	}
	if !known {
		d.passwords[user] = newPassword()
		if err := writePasswords(root, d.passwords); err != nil {
			return err
		}
	}
	hash, err := auth.Hash("", d.passwords[user])
	if err != nil {
		return err
	}
	if exists {
		return db.SetPassword(ctx, user, hash)
	}
	return db.AddMailbox(ctx, user, hash, strings.ToUpper(user.Local[:1])+user.Local[1:], 0, "")
}

func readPasswords(root durable.FS) (map[mail.Address]string, error) {
	passwords := map[mail.Address]string{}
	text, err := durable.ReadFile(root, demoPasswords)
	if errors.Is(err, fs.ErrNotExist) {
		return passwords, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		name, password, ok := strings.Cut(strings.TrimSpace(line), "\t")
		a, err := mail.ParseAddress(name)
		if !ok || err != nil {
			return nil, fmt.Errorf("%s: %q is not ADDRESS, TAB, PASSWORD; mend or remove the file", demoPasswords, line)
		}
		passwords[a] = password
	}
	return passwords, nil
}

func writePasswords(root durable.FS, passwords map[mail.Address]string) error {
	var b strings.Builder
	for _, user := range demoUsers() {
		if p, known := passwords[user]; known {
			fmt.Fprintf(&b, "%s\t%s\n", user, p)
		}
	}
	return durable.WriteFile(root, demoPasswords, []byte(b.String()), os.FileMode(0o600))
}
