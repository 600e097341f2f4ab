//go:build !docs

package main

import "github.com/spf13/cobra"

// packagingCommands are none in the program itself: see docs.go.
func (a *app) packagingCommands() []*cobra.Command { return nil }
