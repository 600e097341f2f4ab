package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"gomaild/daemon"
	"gomaild/internal/config"
)

func (a *app) checkCommand() *cobra.Command {
	var path string
	var running bool
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with a configuration",
		Long: `check reads the configuration and looks at everything that it names: directories,
certificates, the database and its tables, the addresses to listen on. It prints
each fault with its file, line and key and what to do about it, and changes
nothing.

It exits with 0 when a server would start, else with 78 (EX_CONFIG).`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.check(c.Context(), path, running) },
	}
	configFlag(c, &path)
	c.Flags().BoolVar(&running, "running", false, "a server runs with this configuration: do not try its addresses")
	return c
}

func (a *app) check(ctx context.Context, path string, running bool) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	report := daemon.Check(ctx, cfg, running)
	for _, w := range report.Warnings {
		fmt.Fprintf(a.err, "warning: %v\n", w)
	}
	if len(report.Faults) > 0 {
		return report.Faults
	}
	fmt.Fprintf(a.out, "%s: good\n", path)
	return nil
}
