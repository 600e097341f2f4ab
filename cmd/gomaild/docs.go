//go:build docs

package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// packagingCommands are those that only the build of packages needs; the tag
// keeps what they import out of the program.
func (a *app) packagingCommands() []*cobra.Command {
	return []*cobra.Command{{
		Use:    "man DIRECTORY",
		Short:  "Write a manual page for each command",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			root.DisableAutoGenTag = true // the same tree gives the same bytes
			return doc.GenManTree(root, &doc.GenManHeader{Section: "8", Source: "gomaild", Manual: "gomaild"}, args[0])
		},
	}}
}
