package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gomaild/daemon"
	"gomaild/internal/config"
	"gomaild/mail"
)

func (a *app) routeCommand() *cobra.Command {
	var path, sender string
	var asJSON bool
	c := &cobra.Command{
		Use:   "route ADDRESS",
		Short: "Print the whole way of mail to an address",
		Long: `route prints what a client would hear at RCPT and where mail to an address goes:
the aliases that it leads through, mailboxes with their directories, next hops with
their hosts, and copies by the BCC maps. It asks the running server over the
control socket in run_dir; where none runs it looks for itself, with the same
configuration. --from matters to relay hosts, logins and copies by sender.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			to, err := daemon.ParseRouted(args[0])
			var from mail.Address
			if err == nil && sender != "" {
				from, err = mail.ParseAddress(sender)
			}
			if err != nil {
				fmt.Fprintf(a.err, "gomaild: %v\n", err)
				return exitStatus(exitUsage)
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			r, err := daemon.FindRoute(c.Context(), cfg, from, to)
			if err != nil {
				return err
			}
			if asJSON {
				e := json.NewEncoder(a.out)
				e.SetIndent("", "  ")
				return e.Encode(r)
			}
			a.printRoute(r, "")
			return nil
		},
	}
	configFlag(c, &path)
	c.Flags().StringVar(&sender, "from", "", "mail from this `SENDER`")
	c.Flags().BoolVar(&asJSON, "json", false, "print all as JSON")
	return c
}

func (a *app) printRoute(r daemon.Route, indent string) {
	say := func(format string, args ...any) { fmt.Fprintf(a.out, indent+format+"\n", args...) }
	say("%s", r.Address)
	say("    RCPT by a stranger: %s", r.Stranger)
	say("    RCPT by a user: %s", r.User)
	for _, s := range r.Aliases {
		more := ""
		if s.More > 0 {
			more = fmt.Sprintf(" and %d more", s.More)
		}
		say("    alias %s -> %s%s", s.Address, strings.Join(s.LeadsTo, ", "), more)
	}
	for _, e := range r.Ends {
		say("    %s: %s", e.Address, endText(e))
		for _, h := range e.Hosts {
			say("        host %s", h)
		}
		if e.Fault != "" {
			say("        %s", e.Fault)
		}
	}
	for _, one := range r.Copies {
		say("    copy to")
		a.printRoute(one, indent+"    ")
	}
}

func endText(e daemon.RouteEnd) string {
	var text string
	switch e.Class {
	case "mailbox":
		text = "mailbox " + e.Mailbox + " in " + e.Directory
		if e.Detail != "" {
			text += ", detail " + e.Detail
		}
		if e.Vacation {
			text += ", answered with the vacation"
		}
	case "nobody":
		text = "nobody has this address"
	case "discard":
		text = "taken and thrown away"
	case "refused":
		text = "refused: " + e.Reply
	default:
		text = "by " + e.NextHop
		if e.TLS != "" {
			text += ", TLS " + e.TLS
		}
		if e.Login != "" {
			text += ", login " + e.Login
		}
	}
	return text
}
