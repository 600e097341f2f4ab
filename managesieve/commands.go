package managesieve

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gomaild/sieve"
	"gomaild/sieve/scripts"
)

// when says where a command may come.
type when uint8

const (
	beforeLogin when = 1 << iota
	afterLogin
	anyTime = beforeLogin | afterLogin
)

// command is all that is true of a verb besides its work.
type command struct {
	verb        string
	when        when
	least, most int // arguments
	run         func(s *session, ctx context.Context, args []argument) error
}

// commandTable is RFC 5804 section 2.
func commandTable() []command {
	return []command{
		{"AUTHENTICATE", beforeLogin, 1, 2, (*session).authenticate},
		{"CAPABILITY", anyTime, 0, 0, (*session).capability},
		{"CHECKSCRIPT", afterLogin, 1, 1, (*session).checkScript},
		{"DELETESCRIPT", afterLogin, 1, 1, (*session).deleteScript},
		{"GETSCRIPT", afterLogin, 1, 1, (*session).getScript},
		{"HAVESPACE", afterLogin, 2, 2, (*session).haveSpace},
		{"LISTSCRIPTS", afterLogin, 0, 0, (*session).listScripts},
		{"LOGOUT", anyTime, 0, 0, (*session).logout},
		{"NOOP", anyTime, 0, 1, (*session).noop},
		{"PUTSCRIPT", afterLogin, 2, 2, (*session).putScript},
		{"RENAMESCRIPT", afterLogin, 2, 2, (*session).renameScript},
		{"SETACTIVE", afterLogin, 1, 1, (*session).setActive},
		{"STARTTLS", beforeLogin, 0, 0, (*session).startTLS},
		{"UNAUTHENTICATE", afterLogin, 0, 0, (*session).unauthenticate},
	}
}

// run finds the command in the table and runs it.
func (s *session) run(ctx context.Context, r request) error {
	now := beforeLogin
	if s.scripts != nil {
		now = afterLogin
	}
	for _, c := range commandTable() {
		if c.verb != r.verb {
			continue
		}
		switch {
		case c.when&now == 0 && now == beforeLogin:
			return no("", "Log in first")
		case c.when&now == 0:
			return no("", "Logged in already")
		case len(r.args) < c.least || len(r.args) > c.most:
			return no("", "Wrong number of arguments")
		}
		return c.run(s, ctx, r.args)
	}
	return no("", "Unknown command")
}

// capabilities are the lines of the greeting and of CAPABILITY (section 1.7).
func (s *session) capabilities() {
	cfg := &s.srv.cfg
	write := func(name, value string) { fmt.Fprintf(s.conn.Out, "%q %s\r\n", name, quote(value)) }
	write("IMPLEMENTATION", "gomaild")
	write("SIEVE", strings.Join(cfg.Extensions, " "))
	mechanisms := ""
	if s.mayUsePlaintext() && s.scripts == nil {
		mechanisms = strings.Join(cfg.Auth.Mechanisms(), " ")
	}
	write("SASL", mechanisms)
	if s.mayStartTLS() {
		fmt.Fprint(s.conn.Out, "\"STARTTLS\"\r\n")
	}
	write("MAXREDIRECTS", strconv.Itoa(cfg.Redirects))
	write("NOTIFY", "mailto")
	if slices.Contains(cfg.Extensions, "extlists") {
		write("EXTLISTS", "urn") // of urn:ietf:params:sieve:addrbook (RFC 6134 section 2.7)
	}
	if s.scripts != nil {
		write("OWNER", s.identity.Account.String())
	}
	fmt.Fprint(s.conn.Out, "\"UNAUTHENTICATE\"\r\n")
	write("VERSION", "1.0")
}

func (s *session) capability(context.Context, []argument) error {
	s.capabilities()
	s.ok("", "")
	return nil
}

// noop is NOOP, section 2.13.
func (s *session) noop(_ context.Context, args []argument) error {
	if len(args) == 1 {
		s.ok("TAG "+quote(args[0].text), "Done")
		return nil
	}
	s.ok("", "Done")
	return nil
}

func (s *session) logout(context.Context, []argument) error {
	s.ok("", "Logging out")
	s.ended = true
	return nil
}

func (s *session) haveSpace(_ context.Context, args []argument) error {
	size, err := strconv.ParseInt(args[1].text, 10, 64)
	if err != nil || !args[1].isNumber || args[0].isNumber {
		return no("", "Syntax: HAVESPACE name size")
	}
	if err := s.scripts.HaveSpace(args[0].text, size); err != nil {
		return s.refused(err)
	}
	s.ok("", "")
	return nil
}

func (s *session) putScript(_ context.Context, args []argument) error {
	warnings, err := s.scripts.Put(args[0].text, []byte(args[1].text))
	if err != nil {
		return s.refused(err)
	}
	s.log.Info("script kept", "script", args[0].text)
	s.okWith(warnings)
	return nil
}

func (s *session) checkScript(_ context.Context, args []argument) error {
	warnings, err := s.scripts.Check("script", []byte(args[0].text))
	if err != nil {
		return s.refused(err)
	}
	s.okWith(warnings)
	return nil
}

// okWith is OK, with the warnings there are (section 1.3).
func (s *session) okWith(warnings []sieve.Diagnostic) {
	if len(warnings) == 0 {
		s.ok("", "")
		return
	}
	s.ok("WARNINGS", sieve.CompileError(warnings).Error())
}

func (s *session) listScripts(context.Context, []argument) error {
	list, err := s.scripts.List()
	if err != nil {
		return s.refused(err)
	}
	for _, one := range list {
		line := quote(one.Name)
		if one.Active {
			line += " ACTIVE"
		}
		fmt.Fprintf(s.conn.Out, "%s\r\n", line)
	}
	s.ok("", "")
	return nil
}

func (s *session) setActive(_ context.Context, args []argument) error {
	return s.done("script active", args[0].text, s.scripts.SetActive(args[0].text))
}

func (s *session) getScript(_ context.Context, args []argument) error {
	text, err := s.scripts.Get(args[0].text)
	if err != nil {
		return s.refused(err)
	}
	fmt.Fprintf(s.conn.Out, "{%d}\r\n%s\r\n", len(text), text)
	s.ok("", "")
	return nil
}

func (s *session) deleteScript(_ context.Context, args []argument) error {
	return s.done("script deleted", args[0].text, s.scripts.Delete(args[0].text))
}

func (s *session) renameScript(_ context.Context, args []argument) error {
	return s.done("script renamed", args[1].text, s.scripts.Rename(args[0].text, args[1].text))
}

// done answers a change.
func (s *session) done(what, script string, err error) error {
	if err != nil {
		return s.refused(err)
	}
	s.log.Info(what, "script", script)
	s.ok("", "")
	return nil
}

// refused is the answer to an error of the scripts. One that they do not define
// is a fault of the disk.
func (s *session) refused(err error) error {
	if c, ok := errors.AsType[sieve.CompileError](err); ok {
		return no("", c.Error())
	}
	for known, code := range map[error]string{
		scripts.ErrNoScript: "NONEXISTENT", scripts.ErrExists: "ALREADYEXISTS", scripts.ErrActive: "ACTIVE",
		scripts.ErrQuota: "QUOTA/MAXSCRIPTS", scripts.ErrSize: "QUOTA/MAXSIZE", scripts.ErrFull: "QUOTA",
		scripts.ErrName: "",
	} {
		if errors.Is(err, known) {
			return no(code, err.Error())
		}
	}
	s.log.Error("scripts", "error", err)
	return no("TRYLATER", "Temporary internal error, try again later")
}
