package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gomaild/cluster/control"
	"gomaild/daemon"
	"gomaild/internal/config"
)

// statusTime is how long a daemon may take to say how it is.
const statusTime = 5 * time.Second

func (a *app) statusCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how the running server is",
		Long: `status asks the server that runs with a configuration how it is, over the control
socket in run_dir, which root and the server's user may use.

It exits with 0 when the server is ready, with 1 when it runs and is not (the
reasons are printed), and with 69 (EX_UNAVAILABLE) when none runs.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(c.Context(), statusTime)
			defer cancel()
			s, err := control.Client{Socket: daemon.ControlSocket(cfg)}.Status(ctx)
			if errors.Is(err, control.ErrNotRunning) {
				fmt.Fprintln(a.err, control.ErrNotRunning)
				return exitStatus(exitUnavailable)
			}
			if err != nil {
				return err
			}
			return a.printStatus(s, asJSON)
		},
	}
	configFlag(c, &path)
	c.Flags().BoolVar(&asJSON, "json", false, "print all as JSON")
	return c
}

func (a *app) printStatus(s control.Status, asJSON bool) error {
	var err error
	if asJSON {
		e := json.NewEncoder(a.out)
		e.SetIndent("", "  ")
		err = e.Encode(s)
	} else {
		err = a.printTable(s)
	}
	if err == nil && !s.Ready {
		return exitStatus(exitFault)
	}
	return err
}

func (a *app) printTable(s control.Status) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	state := "ready"
	if !s.Ready {
		state = "NOT READY: " + strings.Join(s.Problems, "; ")
	}
	fmt.Fprintf(w, "state\t%s\n", state)
	fmt.Fprintf(w, "phase\t%s since %s\n", s.Phase, s.Since.UTC().Format(time.RFC3339))
	fmt.Fprintf(w, "process\t%d on %s\n", s.PID, s.Hostname)
	if s.Start != nil {
		fmt.Fprintf(w, "epoch\t%d on node %s\n", s.Start.Epoch, s.Start.Node)
		fmt.Fprintf(w, "cluster\t%s\n", s.Cluster)
		fmt.Fprintf(w, "mail root\t%s\n", s.Root)
	}
	if s.Mount != nil {
		fmt.Fprintf(w, "mount\t%s (%s)\n", s.Mount.Source, s.Mount.Type)
	}
	fmt.Fprintf(w, "sessions\t%d\n", s.Sessions)
	if s.Snapshot != nil {
		fmt.Fprintf(w, "accounts copy\t%s, %d answers from it\n", copyAge(s.Snapshot), s.Snapshot.Used)
	}
	for _, l := range s.Listeners {
		fmt.Fprintf(w, "%s\t%s (tls %s)\n", l.Type, l.Address, l.TLS)
	}
	return w.Flush()
}

// copyAge says how old the copy of the accounts is.
func copyAge(s *control.Snapshot) string {
	if s.Age < 0 {
		return "none yet"
	}
	return (time.Duration(s.Age) * time.Second).String() + " old"
}
