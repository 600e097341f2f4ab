package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin"
	"gomaild/auth"
	"gomaild/daemon"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/mail"
)

// accountFlags say which database, and where a password comes from.
type accountFlags struct {
	config, db string

	createDomain  bool
	passwordStdin bool
	generate      bool
	name          string
	quota         string
}

func (a *app) accountCommand() *cobra.Command {
	f := &accountFlags{}
	c := &cobra.Command{
		Use:   "account",
		Short: "Manage the mailboxes of the postfixadmin tables, and look after their mail",
		Long: `account adds, lists and removes mailboxes in the database that the configuration
names, or in the SQLite file of --db. It writes the rows that postfixadmin
writes, so both may be used on one database. A running server sees each change
at once.`,
		Args: cobra.NoArgs,
	}
	c.PersistentFlags().StringVarP(&f.config, "config", "c", config.DefaultPath, "the configuration `FILE` that names the database")
	c.PersistentFlags().StringVar(&f.db, "db", "", "an SQLite `FILE`, instead of the configuration's database")
	c.MarkFlagsMutuallyExclusive("config", "db")
	c.AddCommand(a.addCommand(f), a.passwdCommand(f), a.listCommand(f), a.delCommand(f), a.checkMailCommand(f), a.repairMailCommand(f))
	return c
}

func (a *app) addCommand(f *accountFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "add ADDRESS",
		Short: "Make a mailbox",
		Long: `add makes a mailbox and its alias row. The password is asked for, or read as the
first line of standard input where that is no terminal. An SQLite file that does
not exist yet is made, with postfixadmin's tables in it.`,
		Example: `  gomaild account add --db accounts.sqlite --create-domain alice@example.org
  gomaild account add -c gomaild.toml --generate bob@example.org`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.accountAdd(c.Context(), f, args[0]) },
	}
	a.passwordFlags(c, f)
	c.Flags().BoolVar(&f.createDomain, "create-domain", false, "make the domain if it is missing")
	c.Flags().StringVar(&f.name, "name", "", "the person's `NAME`")
	c.Flags().StringVar(&f.quota, "quota", "", "most that the mailbox may hold, a `SIZE` such as 2GB; default no limit")
	return c
}

func (a *app) passwdCommand(f *accountFlags) *cobra.Command {
	c := &cobra.Command{
		Use:   "passwd ADDRESS",
		Short: "Give a mailbox a new password",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return a.accountPasswd(c.Context(), f, args[0]) },
	}
	a.passwordFlags(c, f)
	return c
}

func (a *app) listCommand(f *accountFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list [DOMAIN]",
		Short: "List the mailboxes, of one domain or of all",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.accountList(c.Context(), f, strings.Join(args, ""))
		},
	}
}

func (a *app) delCommand(f *accountFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "del ADDRESS",
		Short: "Remove a mailbox from the database; its mail stays on the disk",
		Args:  cobra.ExactArgs(1),
		RunE:  func(c *cobra.Command, args []string) error { return a.accountDel(c.Context(), f, args[0]) },
	}
}

func (a *app) passwordFlags(c *cobra.Command, f *accountFlags) {
	c.Flags().BoolVar(&f.passwordStdin, "password-stdin", false, "read the password as the first line of standard input")
	c.Flags().BoolVar(&f.generate, "generate", false, "make a password and print it")
	c.MarkFlagsMutuallyExclusive("password-stdin", "generate")
}

func (a *app) accountAdd(ctx context.Context, f *accountFlags, address string) error {
	at, err := mail.ParseAddress(address)
	if err != nil {
		return err
	}
	var quota config.Size
	if f.quota != "" {
		if err := quota.UnmarshalText([]byte(f.quota)); err != nil {
			return fmt.Errorf("--quota: %w", err)
		}
	}
	return a.withDB(ctx, f, true, func(db *postfixadmin.DB) error {
		hash, generated, err := a.password(f)
		if err != nil {
			return err
		}
		if f.createDomain {
			if err := db.AddDomain(ctx, at.Domain); err != nil && !errors.Is(err, postfixadmin.ErrExists) {
				return err
			}
		}
		err = db.AddMailbox(ctx, at, hash, f.name, int64(quota), "")
		if errors.Is(err, accounts.ErrNotFound) {
			return fmt.Errorf("the domain %s is not here; add --create-domain to make it", at.Domain)
		}
		if err != nil {
			return err
		}
		a.sayPassword(at, generated)
		return nil
	})
}

func (a *app) accountPasswd(ctx context.Context, f *accountFlags, address string) error {
	at, err := mail.ParseAddress(address)
	if err != nil {
		return err
	}
	return a.withDB(ctx, f, false, func(db *postfixadmin.DB) error {
		hash, generated, err := a.password(f)
		if err != nil {
			return err
		}
		if err := db.SetPassword(ctx, at, hash); err != nil {
			return noMailbox(at, err)
		}
		a.sayPassword(at, generated)
		return nil
	})
}

func (a *app) accountList(ctx context.Context, f *accountFlags, domain string) error {
	return a.withDB(ctx, f, false, func(db *postfixadmin.DB) error {
		rows, err := db.Mailboxes(ctx, domain)
		if err != nil {
			return err
		}
		for _, r := range rows {
			line := r.Address.String()
			if r.Name != "" {
				line += "\t" + r.Name
			}
			if r.QuotaBytes > 0 {
				line += "\tquota " + config.Size(r.QuotaBytes).String()
			}
			if !r.Active {
				line += "\tinactive"
			}
			fmt.Fprintln(a.out, line)
		}
		return nil
	})
}

func (a *app) accountDel(ctx context.Context, f *accountFlags, address string) error {
	at, err := mail.ParseAddress(address)
	if err != nil {
		return err
	}
	return a.withDB(ctx, f, false, func(db *postfixadmin.DB) error {
		return noMailbox(at, db.DeleteMailbox(ctx, at))
	})
}

// noMailbox says it in words.
func noMailbox(at mail.Address, err error) error {
	if errors.Is(err, accounts.ErrNotFound) {
		return fmt.Errorf("there is no mailbox %s", at)
	}
	return err
}

// withDB runs fn on the database that the flags name. With create, an SQLite
// file and its tables are made when they are missing.
func (a *app) withDB(ctx context.Context, f *accountFlags, create bool, fn func(*postfixadmin.DB) error) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	pc, err := daemon.AccountsConfig(cfg, nil)
	if err != nil {
		return err
	}
	pc.Create = create && pc.Driver == postfixadmin.SQLite
	if pc.Driver == postfixadmin.SQLite {
		if err := needFile(pc.Path, pc.Create); err != nil {
			return err
		}
	}
	db, err := postfixadmin.Open(ctx, pc)
	if err != nil {
		return err
	}
	if pc.Create {
		if err := db.CreateSchema(ctx); err != nil && !errors.Is(err, postfixadmin.ErrExists) {
			return errors.Join(err, db.Close())
		}
	}
	return errors.Join(fn(db), db.Close())
}

// needFile reports a database that is missing, or makes it: it holds password
// hashes, so nobody but its owner may read it.
func needFile(name string, create bool) error {
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !create {
		return fmt.Errorf("there is no database %s; gomaild account add makes it", name)
	}
	if err := daemon.MakeDir(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	dir, err := durable.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(durable.WriteFile(dir, filepath.Base(name), nil, 0o600), dir.Close())
}

func (f *accountFlags) load() (*config.Config, error) {
	if f.db == "" {
		return config.Load(f.config)
	}
	cfg := config.Default()
	cfg.Accounts.Driver, cfg.Accounts.Path = config.SQLite, f.db
	return cfg, nil
}

// password gets a password the way the flags say and returns its hash; the
// password itself only if it was made here.
func (a *app) password(f *accountFlags) (hash, generated string, err error) {
	var password string
	switch {
	case f.generate:
		password = newPassword()
		generated = password
	case f.passwordStdin:
		password, err = firstLine(a.in)
	default:
		password, err = a.askPassword()
	}
	if err != nil {
		return "", "", err
	}
	hash, err = auth.Hash("", password)
	return hash, generated, err
}

func (a *app) sayPassword(at mail.Address, generated string) {
	if generated != "" {
		fmt.Fprintf(a.out, "%s\t%s\n", at, generated)
	}
}

// firstLine reads the first line, without its end.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 4096)).ReadString('\n')
	if err != nil && (line == "" || !errors.Is(err, io.EOF)) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}
