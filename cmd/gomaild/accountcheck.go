package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin"
	"gomaild/daemon"
	"gomaild/mail"
)

func (a *app) checkMailCommand(f *accountFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "check [ADDRESS ...]",
		Short: "Look through the mail on the disk for what is broken",
		Long: `check reads the mail of the accounts, all of them if none is named, and prints
what breaks the rules: a damaged uidlist or index, names that tell wrong sizes,
two messages with one name, keyword letters without a name, a maildirsize that
does not say what is there, and locks and files that were left behind. It changes
nothing and may run beside the server.

It exits with 1 when something was found.`,
		RunE: func(c *cobra.Command, args []string) error { return a.checkMail(c.Context(), f, args, false) },
	}
}

func (a *app) repairMailCommand(f *accountFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "repair ADDRESS ...",
		Short: "Put right what check finds",
		Long: `repair mends the mail of accounts: lists and indexes are written anew, messages
keep their UIDs where that is honest. A message whose name told a wrong size gets
a new UID, so that clients fetch it once more. No message is removed. It may run
beside the server. Where none runs, what a crash left in the journal is put back first.

It exits with 1 when something is left that check finds.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.checkMail(c.Context(), f, args, true) },
	}
}

// errFaults says by the exit status that something was found.
var errFaults = errors.New("there are faults")

func (a *app) checkMail(ctx context.Context, f *accountFlags, addresses []string, repair bool) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	var boxes []accounts.Mailbox
	err = a.withDB(ctx, f, false, func(db *postfixadmin.DB) error {
		boxes, err = mailboxesOf(ctx, db, addresses)
		return err
	})
	if err != nil {
		return err
	}
	sound := true
	err = daemon.CheckAccounts(ctx, cfg, boxes, repair, func(r daemon.AccountReport) {
		for _, fault := range r.Faults {
			what := "found"
			if !slices.Contains(r.Left, fault) {
				what = "repaired"
			}
			fmt.Fprintf(a.out, "%s: %s: %s\n", r.Address, what, fault)
		}
		for _, fault := range r.Left {
			if !slices.Contains(r.Faults, fault) {
				fmt.Fprintf(a.out, "%s: left: %s\n", r.Address, fault)
			}
		}
		if r.Err != nil {
			fmt.Fprintf(a.err, "%s: %v\n", r.Address, r.Err)
		}
		sound = sound && r.Err == nil && len(r.Left) == 0
	})
	if err == nil && !sound {
		return errFaults
	}
	return err
}

// mailboxesOf are the mailboxes of addresses, active or not; all without any.
func mailboxesOf(ctx context.Context, db *postfixadmin.DB, addresses []string) ([]accounts.Mailbox, error) {
	rows, err := db.Mailboxes(ctx, "")
	if err != nil {
		return nil, err
	}
	var all []accounts.Mailbox
	known := map[mail.Address]accounts.Mailbox{}
	for _, r := range rows {
		all = append(all, r.Mailbox)
		known[r.Address.Fold()] = r.Mailbox
	}
	if len(addresses) == 0 {
		return all, nil
	}
	var named []accounts.Mailbox
	for _, text := range addresses {
		at, err := mail.ParseAddress(text)
		if err != nil {
			return nil, err
		}
		box, there := known[at.Fold()]
		if !there {
			return nil, noMailbox(at, accounts.ErrNotFound)
		}
		named = append(named, box)
	}
	return named, nil
}
