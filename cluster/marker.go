package cluster

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"gomaild/internal/durable"
)

// What is wrong with a marker.
var (
	ErrUnmarked = errors.New("the mail root has no marker of a cluster")
	ErrForeign  = errors.New("the mail root is another cluster's")
)

const (
	markerMagic = "gomaild-cluster-1 "
	maxID       = 64
)

// NewID is a random cluster id.
func NewID() string { return strings.ToLower(rand.Text()) }

// CheckID reports what is wrong with a cluster id: it is 1 to 64 letters, digits,
// dots and hyphens of ASCII.
func CheckID(id string) error {
	if id == "" || len(id) > maxID {
		return fmt.Errorf("a cluster id has 1 to %d characters", maxID)
	}
	for _, c := range []byte(id) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-':
		default:
			return fmt.Errorf("a cluster id has no %q", c)
		}
	}
	return nil
}

func markerFile(c Config) string { return path.Join(c.Dir, "cluster") }

// readMarker is the id of the marker; ErrUnmarked if there is none.
func readMarker(c Config) (string, error) {
	data, err := durable.ReadFile(c.FS, markerFile(c))
	if errors.Is(err, fs.ErrNotExist) {
		return "", ErrUnmarked
	}
	if err != nil {
		return "", fmt.Errorf("read the marker: %w", err)
	}
	id, ok := strings.CutPrefix(strings.TrimSuffix(string(data), "\n"), markerMagic)
	if !ok || CheckID(id) != nil {
		return "", fmt.Errorf("the marker %s is not one of gomaild", markerFile(c))
	}
	return id, nil
}

// CheckMarker looks whether the root is the cluster's, before anything of it is
// used: ErrForeign, and ErrUnmarked where a marker has to be.
func CheckMarker(c Config) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	_, err = checkMarker(c)
	if errors.Is(err, ErrUnmarked) && !c.Marked {
		return nil
	}
	return err
}

// Mark writes the marker of the cluster c.ID. One that is there stays: ErrForeign
// if it is another's.
func Mark(c Config) error {
	c, err := c.withDefaults()
	if err != nil {
		return err
	}
	if err := CheckID(c.ID); err != nil {
		return err
	}
	if err := makeDir(c.FS, c.Dir); err != nil {
		return err
	}
	c.Marked = false
	_, err = markerOf(c)
	return err
}

// checkMarker is the id of the marker, if it is the one that is wanted.
func checkMarker(c Config) (string, error) {
	id, err := readMarker(c)
	if err == nil && c.ID != "" && id != c.ID {
		err = fmt.Errorf("%w: it is marked %q, not %q", ErrForeign, id, c.ID)
	}
	return id, err
}

// markerOf is the id of the marker, which is made if it is missing and may be.
// The lock is held.
func markerOf(c Config) (string, error) {
	id, err := checkMarker(c)
	if errors.Is(err, ErrUnmarked) && !c.Marked {
		return c.writeMarker()
	}
	return id, err
}

func (c Config) writeMarker() (string, error) {
	id := c.ID
	if id == "" {
		id = NewID()
	}
	if err := durable.WriteFile(c.FS, markerFile(c), []byte(markerMagic+id+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write the marker: %w", err)
	}
	return id, nil
}

// bootID is the kernel's, "" if it has none.
func bootID() string {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
