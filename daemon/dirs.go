package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gomaild/internal/durable"
)

// MakeDir makes a directory and its missing parents, durably, as the rest of
// the program writes. One that exists is left as it is.
func MakeDir(path string, perm fs.FileMode) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	above := path
	for {
		info, err := os.Stat(above)
		if err == nil && above == path && info.IsDir() {
			return nil
		}
		if err == nil && info.IsDir() {
			break
		}
		if err == nil {
			return fmt.Errorf("%s is no directory", above)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		above = filepath.Dir(above)
	}
	below, err := filepath.Rel(above, path)
	if err != nil {
		return err
	}
	root, err := durable.OpenRoot(above)
	if err != nil {
		return err
	}
	return errors.Join(durable.MkdirAll(root, filepath.ToSlash(below), perm), root.Close())
}
