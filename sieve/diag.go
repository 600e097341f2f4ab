package sieve

import (
	"fmt"
	"strings"
)

// Pos is a place in a script. Line and Column count from 1, Column in octets;
// the zero Pos is the implicit keep at the end of every script.
type Pos struct {
	Script       string // name as given to Compile
	Line, Column int
}

// String is "name: line 3, column 5".
func (p Pos) String() string {
	if p.Line == 0 {
		return p.Script
	}
	return fmt.Sprintf("%s: line %d, column %d", p.Script, p.Line, p.Column)
}

// Diagnostic is what the compiler says of one place.
type Diagnostic struct {
	Pos     Pos
	Text    string
	Warning bool // the script is compiled all the same
}

// String is one line in the manner of Pigeonhole's compiler.
func (d Diagnostic) String() string {
	kind := "error"
	if d.Warning {
		kind = "warning"
	}
	return fmt.Sprintf("%s: %s: %s", d.Pos, kind, d.Text)
}

// CompileError is the Diagnostics that kept a script from being compiled. It is
// permanent until the script changes.
type CompileError []Diagnostic

// Error is one line for each Diagnostic.
func (e CompileError) Error() string {
	lines := make([]string, len(e))
	for i, d := range e {
		lines[i] = d.String()
	}
	return strings.Join(lines, "\n")
}

// RuntimeError ended a run; the message is to be kept. Temporary tells that it
// was no fault of the script.
type RuntimeError struct {
	Pos       Pos
	Text      string
	Temporary bool
}

// Error names the place.
func (e *RuntimeError) Error() string { return e.Pos.String() + ": error: " + e.Text }
