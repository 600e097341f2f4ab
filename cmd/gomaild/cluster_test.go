package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClusterInit marks a mail root once and leaves another cluster's alone.
func TestClusterInit(t *testing.T) {
	t.Parallel()
	dir, text := goodWorld(t)
	initOn := func(id string) (code int, out string) {
		t.Helper()
		if id != "" {
			id = "storage.cluster = \"" + id + "\"\n"
		}
		code, stdout, stderr := gomaild(t, "", "cluster", "init", "-c", save(t, dir, id+text))
		return code, stdout + stderr
	}
	for _, tt := range []struct {
		id   string
		code int
		says string
	}{
		{"", exitConfig, "storage.cluster: is empty; write the same id on every node, such as "},
		{"mail_1", exitConfig, "storage.cluster: a cluster id has no '_'"},
		{"mail-1", exitOK, "is marked as the mail of cluster mail-1.\n"},
		{"mail-1", exitOK, "is marked as the mail of cluster mail-1.\n"},
		{"mail-2", exitConfig, `storage.root: the mail root is another cluster's: it is marked "mail-1", not "mail-2"; `},
	} {
		if code, out := initOn(tt.id); code != tt.code || !strings.Contains(out, tt.says) {
			t.Errorf("with id %q: exit %d, %s", tt.id, code, out)
		}
	}
	marker, err := os.ReadFile(filepath.Join(dir, "mail/.gomaild/cluster"))
	if string(marker) != "gomaild-cluster-1 mail-1\n" || err != nil {
		t.Errorf("the marker is %q, %v", marker, err)
	}
}
