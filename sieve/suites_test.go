package sieve_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/sieve"
	"gomaild/sieve/program"
)

const suites = "../testdata/sieve"

// TestSuites runs the test scripts of testdata/sieve, one by extension.
func TestSuites(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(suites, "*.svtest"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no suites: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".svtest"), func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			passed, failed := sieve.RunTests(t.Context(), sieve.TestConfig{
				Dir:  suites,
				Read: os.ReadFile,
				Program: func(ctx context.Context, dir string, p sieve.Program) ([]byte, error) {
					return program.New(program.Config{Dirs: map[string]string{p.Extension: dir}}).Run(ctx, p)
				},
				Report: func(line string) { t.Log(line) },
			}, filepath.Base(f), src)
			if failed > 0 || passed == 0 {
				t.Errorf("%d passed, %d failed", passed, failed)
			}
		})
	}
}
