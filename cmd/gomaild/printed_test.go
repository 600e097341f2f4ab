package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestPrintedCommands: each `gomaild ...` that the README and the documents print
// is a command there is, with flags that it takes.
func TestPrintedCommands(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	printed := regexp.MustCompile("(?m)(?:`|^    (?:bin/|go run \\./cmd/)?)gomaild ([a-z][^`\n|;#>]*)")
	flag := regexp.MustCompile(`^--?([a-z][a-z-]*)`)
	commands := 0
	for _, file := range append(files, "../../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range printed.FindAllStringSubmatch(string(text), -1) {
			commands++
			words := strings.Fields(m[1])
			c, _, err := (&app{}).command().Find(words)
			if err != nil || c.Parent() == nil {
				t.Errorf("%s prints gomaild %s, which is no command: %v", file, m[1], err)
				continue
			}
			for _, w := range words {
				f := flag.FindStringSubmatch(strings.Trim(w, "[]"))
				if f == nil || c.DisableFlagParsing {
					continue
				}
				if c.InheritedFlags(); c.Flags().Lookup(f[1]) == nil && (len(f[1]) != 1 || c.Flags().ShorthandLookup(f[1]) == nil) {
					t.Errorf("%s prints gomaild %s: there is no flag %s", file, m[1], f[0])
				}
			}
		}
	}
	if commands < 40 {
		t.Errorf("found %d commands", commands)
	}
}
