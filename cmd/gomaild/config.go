package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gomaild/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Print the documentation of the configuration",
		Args:  cobra.NoArgs,
	}
	c.AddCommand(
		a.printCommand("example", "Print a configuration with every key at its default, commented", config.Example),
		a.printCommand("doc", "Print docs/config.md: every key, its kind, its default", config.Markdown),
	)
	return c
}

func (a *app) printCommand(name, short string, text func() (string, error)) *cobra.Command {
	return &cobra.Command{
		Use:   name,
		Short: short,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := text()
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(a.out, s)
			return err
		},
	}
}
