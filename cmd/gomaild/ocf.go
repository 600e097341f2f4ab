package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"gomaild/cluster/ocf"
	"gomaild/daemon"
	"gomaild/internal/config"
	"gomaild/internal/durable"
)

// isAgent reports that pacemaker calls us, by the link to this binary among its
// resource agents.
func isAgent(name string) bool {
	return strings.Contains(filepath.ToSlash(name), "/resource.d/")
}

func (a *app) ocfCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "ocf ACTION",
		Short: "Be the resource agent of pacemaker",
		Long: `ocf is what pacemaker runs as ocf:gomaild:gomaild, by a link to this binary:

    /usr/lib/ocf/resource.d/gomaild/gomaild -> /usr/sbin/gomaild

Parameters come in the environment, as the OCF resource agent API says (OCF_RESKEY_config
and others; "gomaild ocf meta-data" lists them), and the exit status is the API's.
Actions: start, stop, status, monitor (OCF_CHECK_LEVEL 0, 10, 20), reload,
reload-agent, notify, validate-all, meta-data.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if code := a.agent(c.Context(), args[0]); code != ocf.Success {
				return exitStatus(code)
			}
			return nil
		},
	}
}

// agent does one action.
func (a *app) agent(ctx context.Context, action string) ocf.Code {
	binary, err := os.Executable()
	if err != nil {
		binary = os.Args[0]
	}
	return ocf.Run(ctx, ocf.Config{
		Env: os.Getenv, Load: loadServer, Binary: binary, Prepare: prepareRunDir,
		Log: func(path string) (*os.File, error) { return durable.OpenLog(path, 0o640) },
		Out: a.out, Err: a.err,
	}, action)
}

// runAgent is the agent without the command tree: an action that is missing or
// unknown has a code of its own, and what follows the action is passed over, as the
// API asks.
func runAgent(ctx context.Context, args []string, s streams) int {
	action := "help"
	if len(args) > 0 {
		action = args[0]
	}
	return int((&app{streams: s}).agent(ctx, action))
}

func loadServer(path string) (ocf.Server, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return ocf.Server{}, err
	}
	return ocf.Server{Control: daemon.ControlSocket(cfg), Root: cfg.Storage.Root, RunDir: cfg.RunDir}, nil
}

// prepareRunDir makes the directory of the sockets and gives it to a user.
func prepareRunDir(dir string, uid, gid int) error {
	if err := daemon.MakeDir(dir, 0o755); err != nil {
		return err
	}
	root, err := durable.OpenRoot(dir)
	if err != nil {
		return err
	}
	return errors.Join(root.Chown(".", uid, gid), root.Close())
}
