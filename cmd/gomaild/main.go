// Gomaild is a mail server in one binary: MX, submission, LMTP, delivery into
// Maildirs and to other hosts, IMAP, POP3, Sieve. Each sub-command has its file here; package daemon is the
// server itself.
//
// Rules: signals, standard streams and exit statuses are handled here and
// nowhere else. Exit statuses are those of sysexits.h, which Postfix and
// pacemaker know.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"gomaild/internal/config"
)

// The exit statuses of sysexits.h that the commands use.
const (
	exitOK          = 0
	exitFault       = 1
	exitUsage       = 64 // EX_USAGE
	exitNoUser      = 67 // EX_NOUSER
	exitUnavailable = 69 // EX_UNAVAILABLE
	exitIO          = 74 // EX_IOERR
	exitTempFail    = 75 // EX_TEMPFAIL
	exitNoPerm      = 77 // EX_NOPERM: refused for good, the text says why
	exitConfig      = 78 // EX_CONFIG
)

func main() {
	// deliver is run once for each message: it goes without the command tree.
	if len(os.Args) > 1 && os.Args[1] == "deliver" {
		os.Exit(runDeliver(os.Args[2:], os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the process at once
	work := run
	if isAgent(os.Args[0]) {
		work = runAgent
	}
	code := work(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	stop()
	os.Exit(code)
}

// streams are the standard streams of a command.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// run is the whole program but the process: args in, exit status out.
func run(ctx context.Context, args []string, s streams) int {
	a := &app{streams: s}
	root := a.command()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	c, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if !a.begun {
		fmt.Fprintf(s.err, "gomaild: %v\n", err)
		if c.Runnable() {
			fmt.Fprintf(s.err, "Usage: %s\n", c.UseLine())
		}
		fmt.Fprintf(s.err, "See %s --help.\n", c.CommandPath())
		return exitUsage
	}
	code, isStatus := errors.AsType[exitStatus](err)
	switch {
	case isStatus:
		return int(code)
	case config.IsFault(err):
		code := exitConfig
		if errors.Is(err, fs.ErrPermission) {
			code = exitNoPerm
		}
		fmt.Fprintln(s.err, err)
		return code
	default:
		fmt.Fprintf(s.err, "gomaild: %v\n", err)
		return exitFault
	}
}

// exitStatus ends a command that has said already why.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// app is what the sub-commands share.
type app struct {
	streams
	begun bool // the command line was right and a command runs
}

// command is the tree of sub-commands.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "gomaild",
		Short: "A mail server in one binary",
		Long: `gomaild receives mail (MX, submission, LMTP), delivers it durably into Maildirs
as Dovecot lays them out, sends it to other hosts, and serves it over IMAP and
POP3, with Sieve and ManageSieve. Its accounts are those of postfixadmin, on
MySQL or in an SQLite file.

To see it work at once, without any setup:

    gomaild demo

To set up your own:

    gomaild config example > gomaild.toml
    gomaild check -c gomaild.toml
    gomaild serve -c gomaild.toml`,
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(c *cobra.Command, _ []string) error {
			if err := c.ValidateFlagGroups(); err != nil {
				return err
			}
			a.begun = true
			return nil
		},
	}
	root.AddCommand(
		a.serveCommand(),
		a.checkCommand(),
		a.clusterCommand(),
		a.demoCommand(),
		a.drillCommand(),
		a.accountCommand(),
		a.configCommand(),
		a.deliverCommand(),
		a.ocfCommand(),
		a.queueCommand(),
		a.routeCommand(),
		a.dkimCommand(),
		a.sieveCommand(),
		a.statusCommand(),
		a.versionCommand(),
		a.whyCommand(),
	)
	root.AddCommand(a.packagingCommands()...)
	return root
}

// deliverCommand is for help and completion; main goes the short way.
func (a *app) deliverCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "deliver -f SENDER -d RECIPIENT",
		Short:              "Deliver one message from standard input, as Postfix's pipe calls it",
		Long:               deliverUsage,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if code := runDeliver(args, a.in, a.out, a.err); code != exitOK {
				return exitStatus(code)
			}
			return nil
		},
	}
}

// configFlag is the -c of the commands that read a configuration.
func configFlag(c *cobra.Command, path *string) {
	c.Flags().StringVarP(path, "config", "c", config.DefaultPath, "the configuration `FILE`")
	_ = c.MarkFlagFilename("config", "toml") // completion only
}
