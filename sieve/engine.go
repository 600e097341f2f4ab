package sieve

import (
	"fmt"
)

// Config is what an Engine is made of; its zero value works.
type Config struct {
	Limits Limits
	// Off are extensions that scripts may not require.
	Off []string
	// Place is where the scripts run, default AtDelivery.
	Place Place
	// Programs are those of vnd.dovecot.pipe, vnd.dovecot.filter and
	// vnd.dovecot.execute that there are; default none.
	Programs []string
	// Reserved are extensions that only the administrator's scripts may require:
	// those that CompileTrusted compiles, and what include :global brings.
	Reserved []string
	// Implicit are extensions that scripts use without requiring them.
	Implicit []string
	// NoAdd and NoDelete are header fields that addheader and deleteheader leave
	// alone, besides those that always stay. Of Subject nothing can be forbidden
	// (RFC 5293 section 6).
	NoAdd, NoDelete []string
	// Spam and Virus are read by spamtest and virustest.
	Spam, Virus Scanner
	// Version is what the environment test tells of this program, default
	// "unknown".
	Version string
	// Delimiter separates user and detail of an address for the subaddress
	// extension (RFC 5233), default "+"; longest match first as Dovecot's
	// recipient_delimiter, a set of octets.
	Delimiter string
}

// Engine compiles and runs scripts. It is safe for concurrent use.
type Engine struct {
	limits      Limits
	known       map[string]bool
	reserved    map[string]bool
	implicit    []string
	noAdd       []string
	noDelete    []string
	place       Place
	table       map[string]*spec
	delimiter   string
	spam, virus scanner
	version     string
}

// New makes an Engine.
func New(c Config) *Engine {
	if c.Delimiter == "" {
		c.Delimiter = "+"
	}
	if c.Version == "" {
		c.Version = "unknown"
	}
	e := &Engine{
		limits:    c.Limits.withDefaults(),
		known:     knownExtensions(c),
		reserved:  map[string]bool{},
		place:     c.Place,
		table:     commandTable(),
		implicit:  c.Implicit,
		noAdd:     c.NoAdd,
		noDelete:  append([]string{"Received", "Auto-Submitted"}, c.NoDelete...), // RFC 5293 section 6
		delimiter: c.Delimiter,
		spam:      newScanner(c.Spam), virus: newScanner(c.Virus),
		version: c.Version,
	}
	for _, x := range c.Reserved {
		e.reserved[x] = true
	}
	return e
}

// Script is a compiled script. It never changes: keep it as long as its text
// is the same, and run it in as many goroutines as you like.
type Script struct {
	Name     string
	Warnings []Diagnostic
	body     block
}

// Compile checks a script and makes it ready to run. name is what messages call
// it. The error is a CompileError; with it the Script is nil.
// load finds what it includes; nil: nothing is found.
func (e *Engine) Compile(name string, src []byte, load Loader) (*Script, error) {
	lib := &library{load: load, scripts: map[string]*Script{}, open: map[string]bool{}}
	return e.compile(name, src, func(c *checker) { c.library = lib })
}

// CompileTrusted is Compile for a script of the administrator, which may require
// what is reserved.
func (e *Engine) CompileTrusted(name string, src []byte, load Loader) (*Script, error) {
	lib := &library{load: load, scripts: map[string]*Script{}, open: map[string]bool{}}
	return e.compile(name, src, func(c *checker) { c.library, c.trusted = lib, true })
}

// compile is Compile, with what a test script or an including script brings.
func (e *Engine) compile(name string, src []byte, prepare func(*checker)) (*Script, error) {
	c := &checker{engine: e, required: map[string]bool{}, once: map[string]bool{}, variables: map[string]bool{}, globals: map[string]bool{}}
	if len(src) > e.limits.ScriptSize {
		c.errorf(Pos{Script: name}, "sieve script is too large (max %d bytes)", e.limits.ScriptSize)
		return nil, c.failure()
	}
	if prepare != nil {
		prepare(c)
	}
	for _, x := range e.implicit {
		if c.offers(x) {
			c.takeIn(Pos{Script: name}, x)
		}
	}
	nodes := parse(name, src, e.limits, func(at Pos, text string) { c.errorf(at, "%s", text) })
	if err := c.failure(); err != nil {
		return nil, err
	}
	body := c.block(nodes, true)
	if c.required["extracttext"] && !c.required["foreverypart"] {
		c.errorf(Pos{Script: name, Line: 1, Column: 1}, "the 'extracttext' extension requires the 'foreverypart' extension")
	}
	if err := c.failure(); err != nil {
		return nil, err
	}
	return &Script{Name: name, Warnings: c.found, body: body}, nil
}

// failure is the CompileError, if there was an error.
func (c *checker) failure() error {
	if c.errors == 0 {
		return nil
	}
	return CompileError(c.found)
}

func (c *checker) errorf(at Pos, format string, args ...any) {
	if c.errors >= c.engine.limits.Errors {
		return
	}
	c.errors++
	c.found = append(c.found, Diagnostic{Pos: at, Text: fmt.Sprintf(format, args...)})
}

func (c *checker) warnf(at Pos, format string, args ...any) {
	if len(c.found) < 2*c.engine.limits.Errors {
		c.found = append(c.found, Diagnostic{Pos: at, Text: fmt.Sprintf(format, args...), Warning: true})
	}
}
