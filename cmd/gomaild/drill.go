package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gomaild/e2e/drill"
)

// drillFlags are the command line of drill.
type drillFlags struct {
	drill.Config
	faults   []string
	insecure bool
	asJSON   bool
}

func (a *app) drillCommand() *cobra.Command {
	f := &drillFlags{}
	c := &cobra.Command{
		Use:   "drill --smtp HOST:PORT --imaps HOST:PORT --address ADDRESS --ledger FILE --fault NAME=COMMAND ...",
		Short: "Inject faults and prove that no acknowledged message is lost",
		Long: `drill sends numbered messages through the service's address and writes each 250
to a synced ledger, while it runs the fault commands one after another (sh -c).
Afterwards it matches ledger and mailbox by Message-ID over IMAP and prints, for
each fault, what was lost or duplicated and how long there was no 220 and no
IMAP login.

Run it on a host that the faults do not touch. The password is the first line of
standard input. A fault command returns when the fault is over, for example when
the node is back; a fault that fails to run ends the drill.

The exit status is not 0 if a message was lost or service did not come back.`,
		Example: `  gomaild drill --smtp 192.168.11.100:25 --imaps 192.168.11.100:993 \
    --address drill@example.org --ledger /var/tmp/drill.ledger \
    --fault 'standby=ssh postfix02 pcs node standby postfix01' \
    --fault 'back=ssh postfix02 pcs node unstandby postfix01' < password`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.drill(c.Context(), f) },
	}
	s := c.Flags()
	s.StringVar(&f.SMTP, "smtp", "", "the service's `HOST:PORT` that takes mail for the account")
	s.StringVar(&f.IMAPS, "imaps", "", "the service's `HOST:PORT` for IMAP with implicit TLS")
	s.StringVar(&f.Address, "address", "", "the `ADDRESS` of the probe account, also its login name")
	s.StringVar(&f.Sender, "sender", "", "the reverse-path `ADDRESS`; default the null one")
	s.StringVar(&f.Ledger, "ledger", "", "the `FILE` of acknowledged messages; it must not exist")
	s.StringArrayVar(&f.faults, "fault", nil, "`NAME=COMMAND` that injects one fault; may be given again")
	s.DurationVar(&f.Every, "every", 50*time.Millisecond, "`TIME` between two messages")
	s.DurationVar(&f.Connect, "connect", 300*time.Millisecond, "`TIME` that a connection may take; more than the way there and back")
	s.DurationVar(&f.Settle, "settle", 3*time.Second, "`TIME` that service must hold after a fault")
	s.DurationVar(&f.Patience, "patience", 2*time.Minute, "longest `TIME` to wait for service after a fault")
	s.BoolVar(&f.insecure, "insecure", false, "do not verify the certificate of IMAP")
	s.BoolVar(&f.asJSON, "json", false, "print JSON")
	for _, name := range []string{"smtp", "imaps", "address", "ledger", "fault"} {
		_ = c.MarkFlagRequired(name) // the flag is there
	}
	return c
}

func (a *app) drill(ctx context.Context, f *drillFlags) error {
	faults, err := a.faults(f.faults)
	if err != nil {
		return err
	}
	in := bufio.NewScanner(a.in)
	if !in.Scan() {
		return errors.Join(errors.New("no password on standard input"), in.Err())
	}
	f.Password = in.Text()
	f.TLS = &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: f.insecure} //nolint:gosec // asked for
	report, err := drill.Run(ctx, f.Config, faults)
	if err != nil {
		return err
	}
	if f.asJSON {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		err = e.Encode(report)
	} else {
		err = report.WriteTable(a.out)
	}
	if err == nil && !report.Passed() {
		err = errors.New("the drill is lost: acknowledged mail is missing, or service did not come back")
	}
	return err
}

// faults turns NAME=COMMAND into what is run. Names are unique, since the
// report is by name.
func (a *app) faults(args []string) ([]drill.Fault, error) {
	var faults []drill.Fault
	seen := map[string]bool{"": true, "none": true}
	for _, arg := range args {
		name, command, ok := strings.Cut(arg, "=")
		if !ok || seen[name] {
			return nil, fmt.Errorf("--fault %q: want NAME=COMMAND with a name of its own", arg)
		}
		seen[name] = true
		faults = append(faults, drill.Fault{Name: name, Inject: func(ctx context.Context) error {
			c := exec.CommandContext(ctx, "sh", "-c", command)
			c.Stdout, c.Stderr, c.Env = a.err, a.err, os.Environ()
			return c.Run()
		}})
	}
	return faults, nil
}
