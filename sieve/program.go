package sieve

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gomaild/message"
)

// Program is an external program to run, of vnd.dovecot.pipe, filter or
// execute. Which there are is the administrator's to say: the name is no path.
type Program struct {
	Extension string // "vnd.dovecot.pipe" ...: each may have programs of its own
	Name      string
	Args      []string
	Input     message.Content // nil: nothing to read
	Environ   []string        // "NAME=value", all that it gets
}

// ErrNoProgram is what Env.Program says of a name that there is not.
var ErrNoProgram = errors.New("there is no such program")

// Bounds of what a program is called with, those of Pigeonhole.
const (
	maxProgramName = 128 // characters
	maxProgramArgs = 32
	maxProgramArg  = 1024 // octets
)

// The extensions that run programs.
const (
	pipeExtension    = "vnd.dovecot.pipe"
	filterExtension  = "vnd.dovecot.filter"
	executeExtension = "vnd.dovecot.execute"
)

// programCall is a program with its arguments as a script has them.
type programCall struct {
	pos  Pos
	ext  string
	name string
	args texts
}

func (c *checker) programCall(n *call, ext string) programCall {
	p := programCall{pos: n.pos, ext: ext}
	t := c.string(n.args[0])
	name, isConstant := t.constant()
	switch {
	case !isConstant:
		c.errorf(t.pos, "the %s %s requires a constant string as program name", n.name, n.spec.kind())
	case !isProgramName(name):
		c.errorf(t.pos, "invalid program name '%s' for the %s %s", shorten(name), n.name, n.spec.kind())
	}
	p.name = name
	if n.args[1].kind == argNone {
		return p
	}
	p.args = c.texts(n.args[1])
	if len(p.args) > maxProgramArgs {
		c.errorf(n.args[1].pos, "the %s %s has more than %d arguments", n.name, n.spec.kind(), maxProgramArgs)
	}
	for _, a := range p.args {
		if s, ok := a.constant(); ok && !isProgramArg(s) {
			c.errorf(a.pos, "invalid argument '%s' for the program of the %s %s", shorten(s), n.name, n.spec.kind())
		}
	}
	return p
}

// isProgramName is section 3 of the extensions' specification.
func isProgramName(s string) bool {
	return s != "" && s != "." && s != ".." && utf8.ValidString(s) && utf8.RuneCountInString(s) <= maxProgramName &&
		!strings.ContainsFunc(s, func(r rune) bool { return r == '/' || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' })
}

// isProgramArg is section 4: lines and NUL could mean something to a program.
func isProgramArg(s string) bool {
	return len(s) <= maxProgramArg && !strings.ContainsAny(s, "\r\n\x00")
}

// program is the call with its variables put in.
func (p *programCall) program(m *machine) (*Program, error) {
	args, err := p.args.values(m)
	if err != nil {
		return nil, err
	}
	for _, a := range args {
		if !isProgramArg(a) {
			return nil, m.failAt(p.pos, "invalid argument '%s' for program '%s'", shorten(a), p.name)
		}
	}
	return &Program{Extension: p.ext, Name: p.name, Args: args}, nil
}

// run runs the program now. ran tells that it ended well; one that is not there
// is an error of the script, unless a test asks for it.
func (p *programCall) run(m *machine, input message.Content, isTest bool) (output []byte, ran bool, err error) {
	prog, err := p.program(m)
	if err != nil {
		return nil, false, err
	}
	if m.programs++; m.programs > m.limits.Programs {
		return nil, false, m.failAt(p.pos, "number of programs exceeds policy limit (%d)", m.limits.Programs)
	}
	prog.Input = input
	output, err = m.env.runProgram(m, prog)
	switch {
	case m.ctx.Err() != nil:
		return nil, false, m.fault(p.pos, m.ctx.Err())
	case errors.Is(err, ErrNoProgram) && !isTest:
		return nil, false, m.failAt(p.pos, "program '%s' not found", p.name)
	}
	return output, err == nil, nil
}

func (e *Env) runProgram(m *machine, p *Program) ([]byte, error) {
	if e.Program == nil {
		return nil, ErrNoProgram
	}
	return e.Program(m.ctx, *p)
}

// pipe is the action of vnd.dovecot.pipe, carried out with the other actions.
type pipe struct {
	programCall
	copy, try bool
}

func buildPipe(c *checker, n *call) any {
	return &pipe{c.programCall(n, pipeExtension), n.has("copy"), n.has("try")}
}

func (p *pipe) exec(m *machine) error {
	prog, err := p.program(m)
	if err != nil {
		return err
	}
	for _, a := range m.result.Actions {
		if a.Kind == Pipe && a.Program.Name == p.name {
			return m.failAt(p.pos, "duplicate pipe \"%s\" action not allowed (previously triggered one was here: %s)", p.name, a.Pos)
		}
	}
	if err := m.add(Action{Kind: Pipe, Pos: p.pos, Program: prog, Try: p.try, elseKeep: p.try && !p.copy}); err != nil {
		return err
	}
	switch {
	case p.copy:
	case p.try:
		m.result.ImplicitKeep = false // for now: it is in force again if the program fails
	default:
		m.cancelKeep()
	}
	return nil
}

// settlePipes says which programs bring the implicit keep back when they fail:
// those that were tried, where no other command took the keep away.
func (m *machine) settlePipes() {
	for i := range m.result.Actions {
		a := &m.result.Actions[i]
		a.ElseKeep = a.elseKeep && !m.cancelled
	}
}

// filter is the action and test of vnd.dovecot.filter.
type filter struct {
	programCall
	isTest bool
}

func buildFilter(c *checker, n *call) any {
	return &filter{c.programCall(n, filterExtension), n.spec.isTest}
}

func (f *filter) exec(m *machine) error {
	_, err := f.eval(m)
	return err
}

func (f *filter) eval(m *machine) (bool, error) {
	if m.part != nil {
		return false, m.failAt(f.pos, "filter action: the message cannot be filtered inside foreverypart")
	}
	now, err := m.now(f.pos)
	if err != nil {
		return false, err
	}
	out, ran, err := f.run(m, now, f.isTest)
	if err != nil || !ran || len(out) == 0 {
		return false, err // the message stays as it is
	}
	src := bytes.NewReader(wireLines(out))
	m.msg = &content{src: src, rendered: src, edited: true}
	return true, m.spend(f.pos, 10+len(out)/1024)
}

// now is the message as the script has made it.
func (m *machine) now(at Pos) (message.Content, error) {
	c, err := m.current(at)
	if err != nil {
		return nil, err
	}
	if c == nil {
		c = m.msg.src
	}
	return c, nil
}

// wireLines ends every line in CRLF and changes nothing else.
func wireLines(b []byte) []byte {
	out := make([]byte, 0, len(b)+bytes.Count(b, []byte("\n")))
	for i, c := range b {
		if c == '\n' && (i == 0 || b[i-1] != '\r') {
			out = append(out, '\r')
		}
		out = append(out, c)
	}
	return out
}

// execute is the action and test of vnd.dovecot.execute.
type execute struct {
	programCall
	input  *text
	pipe   bool
	output func(*machine, string) // nil: the output is thrown away
	isTest bool
}

func buildExecute(c *checker, n *call) any {
	e := &execute{programCall: c.programCall(n, executeExtension), input: c.optional(n, "input"), pipe: n.has("pipe"), isTest: n.spec.isTest}
	if a, ok := n.tags["output"]; ok {
		if !c.required["variables"] {
			c.errorf(a.pos, "the :output tag for the %s %s requires the variables extension", n.name, n.spec.kind())
			return nil
		}
		e.output = c.target(a.strs[0])
	}
	return e
}

func (e *execute) exec(m *machine) error {
	_, err := e.eval(m)
	return err
}

func (e *execute) eval(m *machine) (bool, error) {
	var input message.Content
	var err error
	switch {
	case e.pipe:
		input, err = m.now(e.pos)
	case e.input != nil:
		var s string
		s, err = e.input.value(m)
		input = strings.NewReader(s)
	}
	if err != nil {
		return false, err
	}
	out, ran, err := e.run(m, input, e.isTest)
	if err != nil || !ran {
		return false, err
	}
	if e.output != nil {
		e.output(m, strings.ToValidUTF8(string(out[:min(len(out), m.limits.VariableSize)]), "\uFFFD"))
	}
	return true, nil
}

// programExtensions are those whose names begin so, in the order of the list.
func programExtensions() []string {
	return slices.Clone([]string{pipeExtension, filterExtension, executeExtension})
}
