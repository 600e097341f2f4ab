package scheme

import (
	"bufio"
	"maps"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// vector is one row of testdata/auth/passwords.tsv: what Dovecot 2.3.19
// answered for a stored password and a password.
type vector struct {
	id, source, scheme, defaultScheme, stored, user, password string
	accepted                                                  bool
}

func readVectors(t testing.TB) []vector {
	t.Helper()
	f, err := os.Open("../../testdata/auth/passwords.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var rows []vector
	for lines := bufio.NewScanner(f); lines.Scan(); {
		c := strings.Split(lines.Text(), "\t")
		if strings.HasPrefix(lines.Text(), "#") || c[0] == "id" {
			continue
		}
		if len(c) != 8 {
			t.Fatalf("row %q has %d columns", lines.Text(), len(c))
		}
		rows = append(rows, vector{c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7] == "true"})
	}
	if len(rows) < 2000 {
		t.Fatalf("only %d rows", len(rows))
	}
	return rows
}

// deviations are the rows in which Dovecot lets an empty password in, and we
// do not: an empty PLAIN password is an account without one.
var deviations = map[string]bool{"258": true, "266": true}

func TestVectors(t *testing.T) {
	t.Parallel()
	rows := readVectors(t)
	parts := runtime.GOMAXPROCS(0)
	for part := range parts {
		t.Run(strconv.Itoa(part), func(t *testing.T) {
			t.Parallel()
			for i := part; i < len(rows); i += parts {
				if s, err := Parse(rows[i].stored, rows[i].defaultScheme); underRace && err == nil && s.Heavy() && i%20 != 0 {
					continue
				}
				checkVector(t, rows[i])
			}
		})
	}
}

func checkVector(t *testing.T, v vector) {
	want := v.accepted && !(deviations[v.id] && v.password == "")
	if got, err := verify(v); got != want {
		t.Errorf("row %s (%s, %s): stored %q, password %q: %v, %v, want %v", v.id, v.source, v.scheme, v.stored, v.password, got, err, want)
	}
}

// Every deviation is one: Dovecot's answer in the row is the other one.
func TestDeviations(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, v := range readVectors(t) {
		if deviations[v.id] && v.password == "" {
			seen[v.id] = v.accepted
		}
	}
	if !maps.Equal(seen, deviations) {
		t.Errorf("Dovecot's answers: %v", seen)
	}
}

func verify(v vector) (bool, error) {
	s, err := Parse(v.stored, v.defaultScheme)
	if err != nil {
		return false, err
	}
	return s.Verify(v.user, v.password, Limits{})
}
