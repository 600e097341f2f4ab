package config

import (
	"errors"
	"fmt"
	"strings"
)

// Error is one fault of a configuration.
type Error struct {
	File    string // as it was named to Load
	Line    int    // 0 when no line is at fault: the key is absent, or the file
	Key     string // "listener.tls"; "" when the file as a whole is at fault
	Problem string // what is wrong, and what would be right
	Cause   error  // may be nil; part of Problem already
}

// Error is "file:line: key: problem".
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	if e.Key != "" {
		b.WriteString(": " + e.Key)
	}
	return b.String() + ": " + e.Problem
}

// Unwrap is the cause, for errors.Is.
func (e *Error) Unwrap() error { return e.Cause }

// Errors are all faults that were found, in the order of the file. It is what
// Load and Parse return.
type Errors []*Error

// Error is one line a fault.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives the faults to errors.Is and errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// IsFault reports whether err is about the configuration: EX_CONFIG.
func IsFault(err error) bool {
	_, one := errors.AsType[*Error](err)
	_, many := errors.AsType[Errors](err)
	return one || many
}

// source knows where in which file each key stands.
type source struct {
	file  string
	lines map[string]int // by path, "listener[0].tls"
}

// at makes an Error about the key at path. A key that the file does not have
// is placed at the table it would be in.
func (s source) at(path, problem string, cause error) *Error {
	line := s.lines[path]
	for p := path; line == 0 && p != ""; {
		p = parent(p)
		line = s.lines[p]
	}
	return &Error{File: s.file, Line: line, Key: stripIndexes(path), Problem: problem, Cause: cause}
}

// parent is the path of the table that holds path, "" at the top.
func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return ""
}

// stripIndexes is the path as an operator writes it.
func stripIndexes(path string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(path, "[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		_, path, _ = strings.Cut(rest, "]")
	}
}

// At is an Error about the key at path ("tls.certificate[0].cert"), for faults
// that only show when what the key names is used. cause may be nil.
func (c *Config) At(path string, cause error, format string, args ...any) *Error {
	problem := fmt.Sprintf(format, args...)
	if cause != nil {
		problem = cause.Error() + "; " + problem
	}
	return c.source.at(path, problem, cause)
}
