package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin"
	"gomaild/daemon"
	"gomaild/delivery/filter"
	"gomaild/sieve"
)

// sieveFilterCommand runs a script over mail that is there.
func (a *app) sieveFilterCommand() *cobra.Command {
	f := &accountFlags{}
	var s filter.Sweep
	c := &cobra.Command{
		Use:   "filter ACCOUNT FILE",
		Short: "Run a Sieve script over mail that an account has already",
		Long: `filter runs a script over the messages of a mailbox and prints what it says of
each that does not simply stay. Without --apply nothing changes. With it messages
are filed and flagged as the script says. What a script discards stays, unless
--expunge is given. Nothing is sent, answered or refused: the message came long
ago. It may run beside the server.

It exits with 1 when the script or the store failed.`,
		Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error { return a.filterMail(c.Context(), f, args[0], args[1], s) },
	}
	configFlag(c, &f.config)
	c.Flags().StringVarP(&s.Mailbox, "mailbox", "m", "INBOX", "`NAME` of the mailbox to go through")
	c.Flags().BoolVar(&s.Apply, "apply", false, "carry out what the script says")
	c.Flags().BoolVar(&s.Expunge, "expunge", false, "with --apply: expunge for ever what the script discards")
	return c
}

func (a *app) filterMail(ctx context.Context, f *accountFlags, address, file string, s filter.Sweep) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	s.Name = file
	if s.Script, err = readLimited(file, maxSieveFile); err != nil {
		return err
	}
	var boxes []accounts.Mailbox
	err = a.withDB(ctx, f, false, func(db *postfixadmin.DB) error {
		boxes, err = mailboxesOf(ctx, db, []string{address})
		return err
	})
	if err != nil {
		return err
	}
	isWell := true
	s.Tell = func(m filter.Swept) {
		for _, line := range m.Lines {
			fmt.Fprintf(a.out, "%d: %s\n", m.UID, line)
		}
		if m.Err != nil {
			isWell = false
			fmt.Fprintf(a.err, "%d: %v\n", m.UID, m.Err)
		}
	}
	err = daemon.FilterAccount(ctx, cfg, boxes[0], s)
	if list, ok := errors.AsType[sieve.CompileError](err); ok {
		fmt.Fprintln(a.err, list)
		return exitStatus(exitFault)
	}
	if err == nil && !isWell {
		return exitStatus(exitFault)
	}
	return err
}
