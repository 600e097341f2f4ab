package main

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gomaild/daemon"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/policy/dkim/keys"
)

// dkimCommand is the tree of commands about keys that sign mail.
func (a *app) dkimCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "dkim",
		Short: "Make and list the keys with which mail is signed",
		Long: `Keys lie below storage.root, in .gomaild/dkim/DOMAIN/SELECTOR.pem, and fail over
with the mail. Mail that users submit is signed with every key of the domain in
its From field, from the next start or reload (SIGHUP) on. With accounts.dkim_keys
the keys that PostfixAdmin keeps in its database sign for the other domains.`,
	}
	c.PersistentFlags().StringVarP(&file, "config", "c", config.DefaultPath, "configuration file")
	c.AddCommand(a.dkimGenerateCommand(&file), a.dkimListCommand(&file))
	return c
}

func (a *app) dkimGenerateCommand(file *string) *cobra.Command {
	var selector, kind string
	c := &cobra.Command{
		Use:   "generate DOMAIN",
		Short: "Make a key and print the record for the DNS",
		Long: `generate makes a key that signs the mail of DOMAIN and prints its record as a
line of a zone file. Publish the record first, then reload gomaild (SIGHUP).`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return withRoot(*file, func(cfg *config.Config, root durable.FS) error {
				k, err := keys.Generate(root, daemon.KeysDir, args[0], cmp.Or(selector, defaultSelector(time.Now())), keys.Type(kind))
				switch {
				case errors.Is(err, keys.ErrExists):
					return fmt.Errorf("%w; name another with --selector", err)
				case errors.Is(err, keys.ErrType):
					return fmt.Errorf("%w; use rsa or ed25519", err)
				case err != nil:
					return err
				}
				if err := giveTo(root, cfg, path.Join(daemon.KeysDir, k.Domain)); err != nil {
					return err
				}
				return a.printRecord(k)
			})
		},
	}
	c.Flags().StringVarP(&selector, "selector", "s", "", "name of the key in the domain (default: the month, such as m202611)")
	c.Flags().StringVarP(&kind, "type", "t", string(keys.RSA), "rsa (2048 bits) or ed25519")
	return c
}

// defaultSelector is new each month, so that keys can be changed without a
// thought about names.
func defaultSelector(now time.Time) string { return now.Format("m200601") }

func (a *app) dkimListCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Print the records of all keys, those of the database too",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withRoot(*file, func(cfg *config.Config, root durable.FS) error {
				ring, err := keys.Load(root, daemon.KeysDir)
				if err != nil {
					return err
				}
				database, err := daemon.DatabaseKeys(cmd.Context(), cfg, slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
				if err != nil {
					return err
				}
				for _, k := range append(ring.Keys(), database.Keys()...) {
					if err := a.printRecord(k); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

// withRoot opens the mail root of a configuration.
func withRoot(file string, do func(*config.Config, durable.FS) error) error {
	cfg, err := config.Load(file)
	if err != nil {
		return err
	}
	root, err := daemon.OpenMailRoot(cfg)
	if err != nil {
		return err
	}
	return errors.Join(do(cfg, root), root.Close())
}

// giveTo gives a directory of keys and what is in it to the user that the mail
// belongs to, where root makes them for another.
func giveTo(root durable.FS, cfg *config.Config, dir string) error {
	uid, gid := cfg.Storage.UID, cfg.Storage.GID
	if os.Geteuid() != 0 || uid < 0 && gid < 0 {
		return nil
	}
	names, err := root.ReadDirNames(dir)
	if err != nil {
		return err
	}
	all := []string{path.Dir(path.Dir(dir)), path.Dir(dir), dir}
	for _, n := range names {
		all = append(all, path.Join(dir, n))
	}
	for _, n := range all {
		if err := root.Chown(n, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// printRecord prints a line of a zone file. A string in it has at most 255
// octets (RFC 1035 section 3.3).
func (a *app) printRecord(k keys.Key) error {
	text, err := k.Record()
	if err != nil {
		return err
	}
	var parts []string
	for len(text) > 255 {
		parts, text = append(parts, `"`+text[:255]+`"`), text[255:]
	}
	parts = append(parts, `"`+text+`"`)
	_, err = fmt.Fprintf(a.out, "%s. IN TXT ( %s )\n", k.RecordName(), strings.Join(parts, " "))
	return err
}
