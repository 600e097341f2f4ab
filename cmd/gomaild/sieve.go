package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"gomaild/sieve"
	"gomaild/sieve/program"
)

// sieveCommand is the tree of commands about Sieve scripts.
func (a *app) sieveCommand() *cobra.Command {
	c := &cobra.Command{Use: "sieve", Short: "Check, try and test Sieve scripts"}
	c.AddCommand(a.sieveCheckCommand(), a.sieveRunCommand(), a.sieveTestCommand(), a.sieveFilterCommand())
	return c
}

// sieveCheckCommand compiles.
func (a *app) sieveCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE...",
		Short: "Say what is wrong in Sieve scripts",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, files []string) error {
			bad := false
			for _, f := range files {
				if _, err := a.compileSieve(f); err != nil {
					fmt.Fprintln(a.err, err)
					bad = true
				}
			}
			if bad {
				return exitStatus(exitFault)
			}
			return nil
		},
	}
}

// compileSieve compiles a file and shows its warnings.
func (a *app) compileSieve(file string) (*sieve.Script, error) {
	src, err := readLimited(file, maxSieveFile)
	if err != nil {
		return nil, err
	}
	script, err := anySieve().CompileTrusted(file, src, includesBeside(file))
	if err != nil {
		return nil, err
	}
	for _, w := range script.Warnings {
		fmt.Fprintln(a.err, w)
	}
	return script, nil
}

// anySieve knows every extension: what a script may require here is for a
// configuration to say.
func anySieve() *sieve.Engine {
	return sieve.New(sieve.Config{Place: sieve.Anywhere, Programs: programsOf("").extensions()})
}

// includesBeside finds the scripts that one includes beside it, personal or
// global.
func includesBeside(file string) sieve.Loader {
	return func(_ bool, name string) ([]byte, error) {
		return readLimited(filepath.Join(filepath.Dir(file), name+".sieve"), maxSieveFile)
	}
}

// programDir is a directory of programs for all three extensions that run some.
type programDir map[string]string

func programsOf(dir string) programDir {
	return programDir{"vnd.dovecot.pipe": dir, "vnd.dovecot.filter": dir, "vnd.dovecot.execute": dir}
}

func (d programDir) extensions() []string { return slices.Sorted(maps.Keys(d)) }

// The most that is read of a file: a script over the engine's limit is refused
// by the engine, so one octet more than any limit is enough.
const (
	maxSieveFile    = 2 << 20
	maxSieveMessage = 256 << 20
)

// readLimited reads a file, or its beginning if it is longer than limit.
func readLimited(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(io.LimitReader(f, limit))
	return b.Bytes(), err
}

// sieveRunCommand shows what a script would do.
func (a *app) sieveRunCommand() *cobra.Command {
	var from, to, programs string
	c := &cobra.Command{
		Use:   "run FILE MESSAGE",
		Short: "Show what a Sieve script would do with a message, and which line decided",
		Args:  cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			script, err := a.compileSieve(args[0])
			if err != nil {
				fmt.Fprintln(a.err, err)
				return exitStatus(exitFault)
			}
			msg, err := readLimited(args[1], maxSieveMessage)
			if err != nil {
				return err
			}
			env := &sieve.Env{Message: bytes.NewReader(msg), From: from, To: to, Now: time.Now()}
			if programs != "" {
				env.Program = program.New(program.Config{Dirs: programsOf(programs)}).Run
			}
			result, err := anySieve().Run(c.Context(), env, script)
			a.showSieve(result)
			if err != nil {
				fmt.Fprintln(a.err, err)
				return exitStatus(exitFault)
			}
			return nil
		},
	}
	c.Flags().StringVarP(&from, "sender", "f", "", "the envelope sender `ADDRESS`")
	c.Flags().StringVarP(&to, "recipient", "a", "", "the envelope recipient `ADDRESS`")
	c.Flags().StringVar(&programs, "programs", "", "run what filter and execute name in `DIR`; without, there are no programs")
	return c
}

func (a *app) showSieve(r *sieve.Result) {
	for _, action := range r.Actions {
		fmt.Fprintln(a.out, action)
	}
	if r.ImplicitKeep {
		fmt.Fprintln(a.out, "keep (implicit)")
	}
}

// sieveTestCommand runs test scripts written in Sieve.
func (a *app) sieveTestCommand() *cobra.Command {
	var verbose bool
	c := &cobra.Command{
		Use:   "test FILE.svtest...",
		Short: "Run test scripts of the vnd.dovecot.testsuite language",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, files []string) error {
			passed, failed := 0, 0
			for _, f := range files {
				p, n, err := a.testSieve(c, f, verbose)
				if err != nil {
					return err
				}
				passed += p
				failed += n
			}
			fmt.Fprintf(a.out, "%d passed, %d failed\n", passed, failed)
			if failed > 0 {
				return exitStatus(exitFault)
			}
			return nil
		},
	}
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "name the tests that pass, too")
	return c
}

func (a *app) testSieve(c *cobra.Command, file string, verbose bool) (passed, failed int, err error) {
	src, err := readLimited(file, maxSieveFile)
	if err != nil {
		return 0, 0, err
	}
	passed, failed = sieve.RunTests(c.Context(), sieve.TestConfig{
		Dir:  filepath.ToSlash(filepath.Dir(file)),
		Read: func(name string) ([]byte, error) { return readLimited(filepath.FromSlash(name), maxSieveFile) },
		Program: func(ctx context.Context, dir string, p sieve.Program) ([]byte, error) {
			return program.New(program.Config{Dirs: programsOf(dir)}).Run(ctx, p)
		},
		Report: func(line string) {
			if verbose || len(line) > 4 && line[:4] == "FAIL" {
				fmt.Fprintf(a.out, "%s: %s\n", file, line)
			}
		},
	}, file, src)
	return passed, failed, nil
}
