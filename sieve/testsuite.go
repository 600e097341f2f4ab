package sieve

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"
)

// TestConfig is what RunTests needs.
type TestConfig struct {
	Config Config
	// Read reads a file that a test names, relative to Dir.
	Read func(name string) ([]byte, error)
	// Dir is the directory of the test script, for ${tst.path}.
	Dir string
	// Program runs a program that lies in a directory, relative to Dir: the settings
	// sieve_pipe_bin_dir, sieve_filter_bin_dir and sieve_execute_bin_dir. nil:
	// there are none.
	Program func(ctx context.Context, dir string, p Program) ([]byte, error)
	// Report gets one line for each test, and for each failure.
	Report func(line string)
}

// RunTests runs a test script: Sieve itself with vnd.dovecot.testsuite, as
// Pigeonhole's own tests are written. A script that does not compile, and a
// fault outside of any test, is one failed test.
func RunTests(ctx context.Context, c TestConfig, name string, src []byte) (passed, failed int) {
	s := &suite{config: c, settings: map[string]string{}, metadata: map[string]string{}, marks: map[string]bool{}, mailboxes: map[string][]stored{"INBOX": nil}}
	if c.Report == nil {
		s.config.Report = func(string) {}
	}
	s.config.Config.Place = Anywhere
	s.config.Config.Programs = programExtensions()
	engine := New(s.config.Config)
	script, err := engine.compile(name, src, func(c *checker) {
		c.test = true
		c.library = s.library()
	})
	if err != nil {
		s.failf("%v", err)
		return s.passed, s.failed
	}
	m := engine.machine(ctx, &Env{Now: time.Now(), From: "sender@example.com", To: "recipient@example.org", Message: strings.NewReader(defaultTestMessage)})
	m.suite = s
	m.env.Metadata = func(mailbox, entry string) (string, bool) { v, ok := s.metadata[mailbox+"\x00"+entry]; return v, ok }
	m.env.List = s.list
	m.env.Program = func(ctx context.Context, p Program) ([]byte, error) { return s.program(ctx, m, p) }
	m.env.MailboxExists = func(name string) bool { _, ok := s.mailboxes[name]; return ok }
	m.env.Items = map[string]string{"vnd.dovecot.username": "test", "vnd.dovecot.default-mailbox": "INBOX", "location": "MS", "host": "localhost"}
	m.env.Duplicate = func(id string) (bool, error) { return s.marks[id], nil }
	if err := script.body.exec(m); err != nil && !errors.Is(err, errStop) {
		s.failf("%s: %v", name, err)
	}
	return s.passed, s.failed
}

const defaultTestMessage = "From: sender@example.com\r\nTo: recipient@example.org\r\nSubject: Frop!\r\n\r\nFriep!\r\n"

// suite is the world of a test script: a mail store and an SMTP client that
// keep what they get, and what went wrong.
type suite struct {
	config    TestConfig
	settings  map[string]string
	mailboxes map[string][]stored
	metadata  map[string]string
	marks     map[string]bool // what duplicate remembers
	smtp      []sentMessage
	problems  []string // of the last compile, run or execute, for test_error
	script    *Script
	flags     []string // those that the scripts under test have set
	hasFlags  bool
	in        bool          // inside a test
	time      time.Duration // one run may take, 0: what it takes
	passed    int
	failed    int
}

// stored is a message in a mailbox.
type stored struct {
	content []byte
	flags   []string
}

// sentMessage is one that left.
type sentMessage struct {
	from, to string
	content  []byte
}

// errTestFailed ends a test.
var errTestFailed = errors.New("test failed")

func (s *suite) failf(format string, args ...any) {
	s.failed++
	s.config.Report("FAIL: " + fmt.Sprintf(format, args...))
}

// problem keeps what went wrong for test_error, and says whether all is well.
func (s *suite) problem(err error) bool {
	s.problems = nil
	if list, ok := errors.AsType[unpiped](err); ok {
		s.problems = list
		return false
	}
	if list, ok := errors.AsType[CompileError](err); ok {
		for _, d := range list {
			if !d.Warning {
				s.problems = append(s.problems, d.Text)
			}
		}
		s.problems = append(s.problems, "validation failed") // as Pigeonhole ends its list
		return false
	}
	if re, ok := errors.AsType[*RuntimeError](err); ok {
		s.problems = []string{re.Text}
	} else if err != nil {
		s.problems = []string{err.Error()}
	}
	return err == nil
}

func (s *suite) read(name string) ([]byte, error) {
	if path.IsAbs(name) {
		return nil, fmt.Errorf("%s: not below the test's directory", name)
	}
	return s.config.Read(path.Join(s.config.Dir, name))
}

func (s *suite) compile(m *machine, name string) (*Script, error) {
	src, err := s.read(name)
	if err != nil {
		return nil, err
	}
	lib := s.library()
	lib.now = true
	return m.engine.compile(strings.TrimSuffix(path.Base(name), ".sieve"), src, func(c *checker) { c.library, c.tested = lib, true })
}

func (s *suite) library() *library {
	return &library{load: s.include, scripts: map[string]*Script{}, open: map[string]bool{}}
}

// include finds scripts beside the test, where Pigeonhole's tests have them.
func (s *suite) include(personal bool, name string) ([]byte, error) {
	dir := "included-global"
	if personal {
		dir = "included"
	}
	return s.read(path.Join(dir, name+".sieve"))
}

// deliver carries out a result in the suite's world.
func (s *suite) deliver(m *machine) error {
	raw, err := m.msg.bytes()
	if err != nil {
		return err
	}
	first, err := newContent(m.env.Message).bytes()
	if err != nil {
		return err
	}
	original := stored{content: first} // of the implicit keep after a failure
	m.settlePipes()
	m.notifyOnce()
	keep := m.result.ImplicitKeep
	defer func() { m.executed = len(m.result.Actions) }()
	for _, a := range once(m.result.Actions[m.executed:]) {
		raw := raw
		if a.Content != nil {
			if raw, err = newContent(a.Content).bytes(); err != nil {
				return err
			}
		}
		switch a.Kind {
		case Keep:
			s.mailboxes["INBOX"] = append(s.mailboxes["INBOX"], stored{raw, a.Flags})
		case FileInto:
			if err := s.store(a, raw); err != nil {
				s.mailboxes["INBOX"] = append(s.mailboxes["INBOX"], original)
				return err
			}
		case Redirect:
			ran, err := s.redirect(m, a, raw)
			if err != nil {
				return err
			}
			keep = keep || !ran
		case Pipe:
			ran, err := s.pipe(m, a, raw)
			if err != nil {
				m.result = &Result{ImplicitKeep: true}
				return err
			}
			keep = keep || a.ElseKeep && !ran
		case Notify:
			out, _ := a.Notification.Send(m.env)
			if err := s.send(out); err != nil {
				return err
			}
		case Reject:
			if a.inSession {
				continue
			}
			out, err := a.Refusal(m.env)
			if err != nil {
				return err
			}
			if err := s.send(out); err != nil {
				return err
			}
		case SendReport:
			out, err := a.Report.Send(m.env, a.Content)
			if err != nil {
				return err
			}
			if err := s.send(out); err != nil {
				return err
			}
		case VacationReply:
			out, _ := a.Vacation.Reply(m.env)
			if err := s.send(out); err != nil {
				return err
			}
		}
	}
	if keep {
		s.mailboxes["INBOX"] = append(s.mailboxes["INBOX"], stored{raw, m.result.Flags})
	}
	for _, mark := range m.result.Marks {
		s.marks[mark.ID] = true
	}
	return nil
}

// once is the actions without the second that brings the message to INBOX, which
// is where the suite keeps.
func once(actions []Action) []Action {
	var out []Action
	kept := -1 // where in out
	for _, a := range actions {
		if a.Kind != Keep && (a.Kind != FileInto || !strings.EqualFold(a.Mailbox, "INBOX")) {
			out = append(out, a)
			continue
		}
		if kept >= 0 {
			mergeFlags(&out[kept], &a)
			if a.Kind == Keep {
				out[kept].Kind = Keep
			}
			continue
		}
		kept = len(out)
		out = append(out, a)
	}
	return out
}

// redirect sends a message on, once for an account.
func (s *suite) redirect(m *machine, a Action, raw []byte) (sent bool, err error) {
	const loop = "X-Sieve-Redirected-From"
	own := cmp.Or(m.env.UserEmail, m.env.To)
	fields, err := newContent(bytes.NewReader(raw)).named(loop)
	if err != nil {
		return false, err
	}
	for _, f := range fields {
		if strings.EqualFold(f.text, own) || strings.EqualFold(f.text, m.env.To) {
			return false, nil
		}
	}
	from := m.env.From
	if !isNullPath(from) {
		from = m.env.source(s.settings["sieve_redirect_envelope_from"], from)
	}
	s.smtp = append(s.smtp, sentMessage{from, a.Address, append([]byte(loop+": "+own+"\r\n"), raw...)})
	return true, nil
}

// program runs a program of the test's directory.
func (s *suite) program(ctx context.Context, m *machine, p Program) ([]byte, error) {
	setting := "sieve_" + strings.TrimPrefix(p.Extension, "vnd.dovecot.")
	dir, ok := s.settings[setting+"_bin_dir"]
	below, isBelow := strings.CutPrefix(dir, s.config.Dir+"/") // it was made of ${tst.path}
	if !ok || s.config.Program == nil || path.IsAbs(dir) && !isBelow {
		return nil, ErrNoProgram
	}
	if isBelow {
		dir = below
	}
	if most, ok := period(s.settings[setting+"_exec_timeout"]); ok && most > 0 {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(ctx, most)
		defer end()
	}
	p.Environ = []string{"SENDER=" + m.env.From, "RECIPIENT=" + m.env.To, "ORIG_RECIPIENT=" + cmp.Or(m.env.OrigTo, m.env.To), "HOME=/", "USER=test", "HOST=localhost"}
	if p.Input != nil {
		in, err := newContent(p.Input).bytes()
		if err != nil {
			return nil, err
		}
		switch s.settings[setting+"_input_eol"] {
		case "lf":
			in = bytes.ReplaceAll(in, []byte("\r\n"), []byte("\n"))
		case "crlf":
			in = []byte(crlf(string(in)))
		}
		p.Input = bytes.NewReader(in)
	}
	return s.config.Program(ctx, path.Join(s.config.Dir, dir), p)
}

// unpiped is a program of a Pipe that failed: why, and what came of it.
type unpiped []string

func (e unpiped) Error() string { return strings.Join(e, "; ") }

// pipe runs the program of a Pipe.
func (s *suite) pipe(m *machine, a Action, raw []byte) (ran bool, err error) {
	p := *a.Program
	p.Input = bytes.NewReader(raw)
	if _, err := s.program(m.ctx, m, p); err != nil && !a.Try {
		failed := unpiped{fmt.Sprintf("failed to pipe message to program '%s'", p.Name)}
		if !errors.Is(err, ErrNoProgram) {
			failed = append(unpiped{err.Error()}, failed...)
		}
		return false, failed
	} else if err != nil {
		return false, nil
	}
	return true, nil
}

// send gives an answer to the SMTP client, and files the copy of :fcc.
func (s *suite) send(out *Outgoing) error {
	if out == nil {
		return nil
	}
	for _, to := range out.To {
		s.smtp = append(s.smtp, sentMessage{out.From, to, out.Content})
	}
	if out.FCC == nil {
		return nil
	}
	return s.store(*out.FCC, out.Content)
}

// list finds external lists beside the scripts.
func (s *suite) list(name string) ([]string, bool, error) {
	short, ok := ListName(name)
	if !ok {
		return nil, false, nil
	}
	data, err := s.read(path.Join("included", short+".list"))
	if err != nil {
		return nil, false, nil
	}
	return ParseList(data), true, nil
}

func (s *suite) store(a Action, raw []byte) error {
	if strings.Contains(a.Mailbox, "//") || strings.HasPrefix(a.Mailbox, "/") || strings.Contains(a.Mailbox, "..") || strings.HasSuffix(a.Mailbox, "/") {
		return fmt.Errorf("failed to store into mailbox '%s': invalid mailbox name", a.Mailbox)
	}
	if len(a.Mailbox) > 6 && strings.EqualFold(a.Mailbox[:6], "INBOX.") {
		a.Mailbox = "INBOX." + a.Mailbox[6:]
	}
	if _, ok := s.mailboxes[a.Mailbox]; !ok && !a.Create {
		return fmt.Errorf("failed to store into mailbox '%s': mailbox doesn't exist: %s", a.Mailbox, a.Mailbox)
	}
	s.mailboxes[a.Mailbox] = append(s.mailboxes[a.Mailbox], stored{raw, a.Flags})
	return nil
}
