package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"gomaild/cluster"
	"gomaild/internal/config"
	"gomaild/internal/durable"
)

// OpenMailRoot opens the mail root beside whoever has it, when it is the one
// that c means. Close it. Faults are about the configuration.
func OpenMailRoot(c *config.Config) (durable.FS, error) {
	root, _, err := openRoot(c)
	return root, err
}

// MarkMailRoot writes the marker of the cluster that c names into the mail root.
// One that is there already stays; another cluster's is a fault.
func MarkMailRoot(c *config.Config) error {
	if c.Storage.Cluster == "" {
		return c.At("storage.cluster", nil, "is empty; write the same id on every node, such as %q", cluster.NewID())
	}
	root, _, err := openMounted(c)
	if err != nil {
		return err
	}
	err = cluster.Mark(holdConfig(c, root))
	if err != nil {
		err = rootFault(c, err)
	}
	return errors.Join(err, root.Close())
}

// openRoot opens the mail root and looks whether it is the right one.
func openRoot(c *config.Config) (durable.FS, *cluster.Mount, error) {
	root, mount, err := openMounted(c)
	if err != nil {
		return nil, nil, err
	}
	if err := cluster.CheckMarker(holdConfig(c, root)); err != nil {
		return nil, nil, errors.Join(rootFault(c, err), root.Close())
	}
	return root, mount, nil
}

// openMounted opens the mail root, and holds that it is a mount where it has to
// be one.
func openMounted(c *config.Config) (root durable.FS, mount *cluster.Mount, err error) {
	s := &c.Storage
	if s.Cluster != "" {
		if err := cluster.CheckID(s.Cluster); err != nil {
			return nil, nil, c.At("storage.cluster", err, "write one such as %q", cluster.NewID())
		}
	}
	if s.Mount {
		if mount, err = cluster.LookAtMount(s.Root, s.FileSystem); err != nil {
			return nil, nil, rootFault(c, err)
		}
	}
	root, err = durable.OpenRoot(s.Root)
	if err == nil && mount != nil {
		if err = mount.Holds(root); err != nil {
			err = errors.Join(err, root.Close())
		}
	}
	if err != nil {
		return nil, nil, rootFault(c, err)
	}
	return root, mount, nil
}

func holdConfig(c *config.Config, root durable.FS) cluster.Config {
	return cluster.Config{FS: root, Dir: ownDir, ID: c.Storage.Cluster, Marked: c.Storage.Mount}
}

// rootFault says what to do about a mail root that is not to be used. A second
// daemon is no fault of the configuration.
func rootFault(c *config.Config, err error) error {
	for fault, help := range map[error]string{
		cluster.ErrNotMounted: "mount the mail file system, or write mount = false where it is a plain directory",
		cluster.ErrFileSystem: "mount the right one, or correct storage.file_system",
		cluster.ErrReadOnly:   "look after the disk and mount it for writing",
		cluster.ErrGone:       "look who mounts and unmounts there",
		cluster.ErrForeign:    "mount this cluster's file system, or correct storage.cluster",
		cluster.ErrUnmarked:   "mount the right file system; if it is a new one, `gomaild cluster init` marks it",
		cluster.ErrDamaged:    "look after the disk, then remove " + ownDir + "/epoch, and only while no node runs",
	} {
		if errors.Is(err, fault) {
			return c.At("storage.root", err, "%s", help)
		}
	}
	if errors.Is(err, cluster.ErrHeld) {
		return fmt.Errorf("storage.root %s: %w", c.Storage.Root, err)
	}
	return c.At("storage.root", err, "name a directory that exists and that gomaild may write")
}

// own makes the mail root this daemon's. From here on nothing is made or renamed
// below it once another start has raised the epoch, and a fault of a mounted disk
// ends the daemon.
func (m *mailStore) own(c *config.Config, log *slog.Logger) error {
	if m.mount != nil {
		m.fs = durable.Watched(m.fs, m.end)
	}
	hold, err := cluster.Take(holdConfig(c, m.fs))
	if err != nil {
		return rootFault(c, err)
	}
	m.hold = hold
	m.fs = durable.Fenced(m.fs, hold.Fence)
	log.Info("mail root taken", "root", c.Storage.Root, "cluster", hold.ID(), "epoch", hold.Record().Epoch, "took_over", hold.TookOver())
	return m.openJournal(c, log)
}

// fence is nil while this process may answer for mail.
func (m *mailStore) fence() error {
	if m.hold == nil {
		return nil
	}
	return m.hold.Fence()
}

// end notes why nothing may be done with the mail any more.
func (m *mailStore) end(err error) {
	select {
	case m.ending <- err:
	default: // it is known already
	}
}

// watch looks after epoch, mount and disk, also while no mail comes, until ctx
// ends.
func (m *mailStore) watch(ctx context.Context) {
	check, patience := func() error { return nil }, time.Duration(0)
	if m.mount != nil {
		check, patience = m.mount.Check, m.patience
	}
	if err := m.hold.Watch(ctx, patience, check); err != nil {
		m.end(err)
	}
}
