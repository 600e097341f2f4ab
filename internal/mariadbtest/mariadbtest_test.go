package mariadbtest

import (
	"os"
	"slices"
	"testing"
)

var mariadb Shared

func TestMain(m *testing.M) {
	code := m.Run()
	mariadb.Stop()
	if s := mariadb.server; s != nil {
		if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
			code = 1
		}
	}
	os.Exit(code)
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	s := mariadb.Server(t)
	name := s.Database(t, "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('x'), ('ж')")
	if got := s.Strings(t, name, "SELECT a FROM t"); !slices.Equal(got, []string{"x", "ж"}) {
		t.Errorf("read back %q", got)
	}
	if other := s.Database(t); other == name || len(s.Strings(t, other, "SHOW TABLES")) != 0 {
		t.Errorf("database %s is not new and empty", other)
	}
}
