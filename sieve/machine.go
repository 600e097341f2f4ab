package sieve

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gomaild/message"
)

// command is a step of a script.
type command interface{ exec(m *machine) error }

// test is a question of a script.
type test interface {
	eval(m *machine) (bool, error)
}

type step struct {
	pos Pos
	command
}

type block []step

// Ways out of a block that are no faults.
var (
	errStop   = errors.New("stop")
	errReturn = errors.New("return")
)

func (b block) exec(m *machine) error {
	for _, s := range b {
		if err := m.spend(s.pos, 1); err != nil {
			return err
		}
		if err := s.command.exec(m); err != nil {
			return err
		}
	}
	return nil
}

// machine is one run: of a script, or of several in turn over one message.
type machine struct {
	ctx      context.Context
	engine   *Engine
	limits   Limits
	env      *Env
	msg      *content
	budget   int
	result   *Result
	executed int           // actions of result that were carried out before: in a test suite
	part     *message.Part // of the loop, nil outside
	loops    int           // foreverypart loops around
	added    int           // octets of added fields
	written  int           // octets that replace and enclose wrote
	programs int           // that were run
	frame    *frame
	globals  map[string]string
	included map[*Script]bool // by include, for :once
	flags    []string         // the internal variable of imap4flags
	hasFlags bool             // it was set
	at       Pos
	fold     foldedValue         // the last one
	regexps  map[string]*pattern // those made at run time
	matches  []string            // ${0}, ${1} ...
	lists    map[string]*extList // those asked for
	suite    *suite              // of a test script, else nil

	cancelled bool // a command took the implicit keep away, whatever becomes of it
	originals bool // replace has noted fields of the original
}

// spend takes n instructions from the budget.
func (m *machine) spend(at Pos, n int) error {
	m.at = at
	before := m.budget
	if m.budget -= n; m.budget < 0 {
		return m.failAt(at, "execution exceeded the instruction limit of %d", m.limits.Instructions)
	}
	if before>>10 != m.budget>>10 {
		if err := m.ctx.Err(); err != nil {
			return &RuntimeError{Pos: at, Text: "execution was ended: " + err.Error(), Temporary: true}
		}
	}
	return nil
}

func (m *machine) failAt(at Pos, format string, args ...any) error {
	return &RuntimeError{Pos: at, Text: fmt.Sprintf(format, args...)}
}

// maxProblems is how many of a run its owner is told.
const maxProblems = 10

// problem notes what went wrong without ending the script.
func (m *machine) problem(at Pos, text string) {
	d := Diagnostic{Pos: at, Text: text}
	if list := m.result.Problems; len(list) < maxProblems && !slices.Contains(list, d) {
		m.result.Problems = append(list, d)
	}
}

// fault is an error of the message's or the world's, not of the script.
func (m *machine) fault(at Pos, err error) error {
	return &RuntimeError{Pos: at, Text: err.Error(), Temporary: true}
}

func (m *machine) eval(at Pos, t test) (bool, error) {
	if err := m.spend(at, 1); err != nil {
		return false, err
	}
	return t.eval(m)
}

// Run runs scripts in turn over a message: each next one only if what came
// before ends in a keep, explicit or implicit, which it then decides anew. The
// Result is never nil; on an error of a script it is the implicit keep, and the
// error says why.
func (e *Engine) Run(ctx context.Context, env *Env, scripts ...*Script) (*Result, error) {
	m := e.machine(ctx, env)
	for _, s := range scripts {
		if err := m.script(s); err != nil {
			return &Result{ImplicitKeep: true}, err
		}
		if !m.result.Keeps() {
			break
		}
	}
	return m.result, nil
}

func (e *Engine) machine(ctx context.Context, env *Env) *machine {
	m := &machine{ctx: ctx, engine: e, limits: e.limits, env: env, budget: e.limits.Instructions}
	m.msg = newContent(env.Message)
	m.result = &Result{ImplicitKeep: true}
	m.frame = &frame{vars: map[string]string{}}
	m.globals = map[string]string{}
	m.included = map[*Script]bool{}
	m.flags = env.Flags
	return m
}

// current is the message as the script has made it, nil if it is as it came. What
// has to be written for that is paid for.
func (m *machine) current(at Pos) (message.Content, error) {
	isMade := m.msg.rendered != nil
	c, err := m.msg.current()
	if err != nil {
		return nil, m.fault(at, err)
	}
	if !isMade && m.msg.rendered != nil {
		err = m.spend(at, 1+(m.msg.octets+m.added)/256)
	}
	return c, err
}

// script runs one script on top of the result so far.
func (m *machine) script(s *Script) error {
	m.result.reopen()
	m.cancelled = false
	err := m.body(s)
	if errors.Is(err, errStop) {
		err = nil
	}
	m.settlePipes()
	m.notifyOnce()
	m.result.Flags = m.flags
	if err == nil {
		m.result.Content, err = m.current(m.at)
	}
	return err
}
