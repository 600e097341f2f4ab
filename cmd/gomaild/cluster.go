package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gomaild/daemon"
	"gomaild/internal/config"
)

func (a *app) clusterCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "cluster",
		Short: "Prepare a mail root for a cluster",
		Args:  cobra.NoArgs,
	}
	c.AddCommand(a.clusterInitCommand())
	return c
}

func (a *app) clusterInitCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "init",
		Short: "Mark the mounted mail root as this cluster's",
		Long: `init writes the id of the key storage.cluster into the mail root, once for a new
file system, on the node where it is mounted. A gomaild with storage.mount = true
starts only on a mail root that is marked with its own id. A marker that is there
stays; if it is another cluster's, the command says so and exits with 78.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			if err := daemon.MarkMailRoot(cfg); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s is marked as the mail of cluster %s.\n", cfg.Storage.Root, cfg.Storage.Cluster)
			return err
		},
	}
	configFlag(c, &path)
	return c
}
