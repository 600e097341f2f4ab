package sieve

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Loader finds the text of an included script: RFC 6609 section 3.2. personal
// is the user's own, else the administrator's. fs.ErrNotExist means there is
// none; other errors are faults of the moment.
type Loader func(personal bool, name string) ([]byte, error)

// library is what the scripts of one compilation share.
type library struct {
	load    Loader
	scripts map[string]*Script
	open    map[string]bool // being compiled now: including it again is a circle
	depth   int
	now     bool // the script is to run now: what it includes must be there
}

// include is RFC 6609 section 3.2.
type include struct {
	pos    Pos
	script *Script
	once   bool
}

func buildInclude(c *checker, n *call) any {
	name, ok := c.text(n.args[0].strs[0]).constant()
	if !ok {
		c.errorf(n.pos, "the name of an included script must be a constant string")
		return nil
	}
	personal := !n.has("global")
	script, err := c.include(n, personal, name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && n.has("optional"):
		return nil
	case errors.Is(err, fs.ErrNotExist) && !c.library.now: // it may come yet: an error only where it is run (RFC 6609 section 3.1)
		text := fmt.Sprintf("included %s script '%s' does not exist", location(personal), shorten(name))
		c.warnf(n.pos, "%s", text)
		return does(func(m *machine) error { return m.failAt(n.pos, "%s", text) })
	case errors.Is(err, fs.ErrNotExist):
		c.errorf(n.pos, "included %s script '%s' does not exist", location(personal), shorten(name))
	case c.inner(err):
		c.errorf(n.pos, "failed to include %s script '%s'", location(personal), shorten(name))
	case err != nil:
		c.errorf(n.pos, "failed to include %s script '%s': %v", location(personal), shorten(name), err)
	}
	if script == nil {
		return nil
	}
	return &include{n.pos, script, n.has("once")}
}

// inner takes over the complaints of an included script.
func (c *checker) inner(err error) bool {
	list, ok := errors.AsType[CompileError](err)
	for _, d := range list {
		if !d.Warning {
			c.errorf(d.Pos, "%s", d.Text)
		}
	}
	return ok
}

func location(personal bool) string {
	if personal {
		return "personal"
	}
	return "global"
}

// IsScriptName reports a name that a script can have: RFC 6609 section 3.2 with
// RFC 5804 section 1.6, and what can be one file's name.
func IsScriptName(s string) bool {
	return isMailboxName(s) && len(s) <= 255 && !strings.ContainsAny(s, "/\u2028\u2029") && s != "." && s != ".."
}

func (c *checker) include(n *call, personal bool, name string) (*Script, error) {
	key := location(personal) + ":" + name
	lib := c.library
	switch {
	case !IsScriptName(name):
		return nil, errors.New("invalid script name")
	case lib.open[key] && n.has("once"):
		return nil, nil // it runs already wherever this is reached
	case lib.open[key]:
		return nil, errors.New("circular include")
	case lib.scripts[key] != nil:
		return lib.scripts[key], nil
	case lib.depth >= c.engine.limits.IncludeDepth:
		return nil, errors.New("maximum include depth exceeded")
	case len(lib.scripts) >= c.engine.limits.Includes:
		return nil, errors.New("maximum number of included scripts exceeded")
	case lib.load == nil:
		return nil, fs.ErrNotExist
	}
	src, err := lib.load(personal, name)
	if err != nil {
		return nil, err
	}
	lib.open[key] = true
	lib.depth++
	script, err := c.engine.compile(name, src, func(inner *checker) { inner.library, inner.trusted = lib, !personal })
	lib.depth--
	delete(lib.open, key)
	if err != nil {
		return nil, err
	}
	lib.scripts[key] = script
	return script, nil
}

func (t *include) exec(m *machine) error {
	if t.once && m.included[t.script] {
		return nil
	}
	m.included[t.script] = true
	outer := m.frame
	defer func() { m.frame = outer }()
	return m.body(t.script)
}

// body runs a script's commands with variables of their own; return ends them.
func (m *machine) body(s *Script) error {
	m.frame = &frame{vars: map[string]string{}}
	err := s.body.exec(m)
	if errors.Is(err, errReturn) {
		return nil
	}
	return err
}

// returnCommand is RFC 6609 section 3.3.
type returnCommand struct{}

func buildReturn(*checker, *call) any { return returnCommand{} }

func (returnCommand) exec(*machine) error { return errReturn }

// buildGlobal makes names mean the same in every script: RFC 6609 section 3.4,
// and import and export, which the drafts before had in its place.
func buildGlobal(c *checker, n *call) any {
	if !c.required["variables"] {
		c.errorf(n.pos, "the %s command requires the variables extension", n.name)
	}
	for _, s := range n.args[0].strs {
		name := strings.ToLower(s.text)
		if !isIdentifier(name) {
			c.errorf(s.pos, "invalid variable identifier '%s'", shorten(s.text))
			continue
		}
		if c.variables[name] && !c.globals[name] {
			c.errorf(s.pos, "declaration of new global variable '%s' conflicts with local variable", name)
			continue
		}
		c.globals[name] = true
	}
	return nil
}
