// Package config reads gomaild's one TOML file into one typed struct.
//
// Rules. Every key is a field of a struct in types.go, and the comment there is
// its documentation: docs/config.md and docs/gomaild.example.toml are generated
// from that file and from Default, so that a key cannot exist without either.
// A file is taken whole or not at all: each unknown key, value of the wrong
// kind or value that makes no sense is an Error that names file, line and key
// and says what would be right, and all of them are reported at once. An empty
// file is a valid one.
//
// This package looks at the file alone. Whether what it names exists (a
// certificate, a database) is asked by package daemon, which uses Config.At so
// that those faults carry the same line numbers. Other packages have their own
// Config, which daemon fills in; nothing reads the environment.
package config
