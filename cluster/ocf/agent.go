package ocf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gomaild/cluster/control"
)

// Server is what the agent has to know of a configuration.
type Server struct {
	Control string // the path of its control socket
	Root    string // the mail root
	RunDir  string
}

// Config is what the agent works with. Env, Load and Binary are required.
type Config struct {
	Env    func(name string) string // as os.Getenv
	Load   func(config string) (Server, error)
	Binary string // of the server
	// Prepare makes the directory of the sockets for a user, and Log opens the
	// log file to append to it and to read it.
	Prepare  func(runDir string, uid, gid int) error
	Log      func(path string) (*os.File, error)
	Out, Err io.Writer
}

// Run does one action; ctx ends it early.
func Run(ctx context.Context, c Config, action string) Code {
	a := &agent{Config: c, action: action}
	err := a.run(ctx)
	if err == nil {
		return Success
	}
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = &failure{ErrGeneric, err}
	}
	if f.code != NotRunning { // which is an answer, not a fault
		fmt.Fprintf(c.Err, "ocf-exit-reason:%s\n", strings.ReplaceAll(f.err.Error(), "\n", "; "))
	}
	return f.code
}

// failure is an error that has its code.
type failure struct {
	code Code
	err  error
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func failed(code Code, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...)}
}

// agent is one call.
type agent struct {
	Config
	action string
	params
}

// params are the parameters of the resource and of the operation.
type params struct {
	config, user, log             string
	probeAccount, probePasswordIn string
	level                         int
	timeout                       time.Duration
}

func (a *agent) run(ctx context.Context) error {
	switch a.action {
	case "meta-data":
		_, err := io.WriteString(a.Out, metadata)
		return err
	case "notify", "usage", "help": // nothing is asked of us there
		return nil
	}
	actions := map[string]func(context.Context) error{
		"validate-all": a.validate, "start": a.start, "stop": a.stop, "monitor": a.monitor,
		"status": a.monitor, "reload": a.reload, "reload-agent": a.reload,
	}
	act, known := actions[a.action]
	if !known {
		return failed(ErrUnimplemented, "there is no action %q", a.action)
	}
	if err := a.read(); err != nil && a.action != "stop" {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, a.budget())
	defer cancel()
	return act(ctx)
}

// read takes the parameters from the environment. It reads all of them, whatever it
// finds wrong: a stop, which fences the node if it fails, does with what can be used.
func (a *agent) read() error {
	param := func(name, value string) string {
		if v := a.Env("OCF_RESKEY_" + name); v != "" {
			return v
		}
		return value
	}
	a.params = params{
		config: param("config", "/etc/gomaild/gomaild.toml"), user: param("user", ""), log: param("log", "/var/log/gomaild.log"),
		probeAccount: param("probe_account", ""), probePasswordIn: param("probe_password_file", ""),
	}
	const hour = 3_600_000
	level, levelErr := number(a.Env("OCF_CHECK_LEVEL"), 0, 1000)
	ms, timeoutErr := number(param("CRM_meta_timeout", ""), 20_000, hour)
	if ms == 0 {
		ms = 20_000 // pacemaker has no such timeout
	}
	a.level, a.timeout = level, time.Duration(ms)*time.Millisecond
	switch {
	case levelErr != nil:
		return failed(ErrConfigured, "OCF_CHECK_LEVEL: %w; write 0, 10 or 20", levelErr)
	case timeoutErr != nil:
		return failed(ErrConfigured, "CRM_meta_timeout: %w, in milliseconds", timeoutErr)
	case !filepath.IsAbs(a.config):
		return failed(ErrConfigured, "config: %q is no absolute path; name the configuration file by one", a.config)
	case !filepath.IsAbs(a.log):
		return failed(ErrConfigured, "log: %q is no absolute path; name a file that the server may write to by one", a.log)
	case a.probePasswordIn != "" && !filepath.IsAbs(a.probePasswordIn):
		return failed(ErrConfigured, "probe_password_file: %q is no absolute path; name the file by one", a.probePasswordIn)
	case (a.probeAccount == "") != (a.probePasswordIn == ""):
		return failed(ErrConfigured, "probe_account and probe_password_file go together; set both or none")
	}
	return nil
}

// number is text as a number from 0 to most, the default for "" and beside an error.
func number(text string, value, most int) (int, error) {
	if text == "" {
		return value, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > most {
		return value, fmt.Errorf("%q is no number from 0 to %d", text, most)
	}
	return n, nil
}

// budget is the operation's timeout less what the agent keeps to answer.
func (a *agent) budget() time.Duration {
	return max(a.timeout-max(a.timeout/10, time.Second), a.timeout/2)
}

// server reads the configuration.
func (a *agent) server() (Server, error) {
	s, err := a.Load(a.config)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, failed(ErrInstalled, "%w; put the configuration there on this node, or name another with config", err)
	case err != nil:
		return s, &failure{ErrArgs, err}
	}
	return s, nil
}

// validate is the action validate-all: what can be told while nothing is mounted. At
// level 0, if that is asked for, only the parameters are looked at, which were read: this may
// be a node that never runs the server.
func (a *agent) validate(context.Context) error {
	if a.Env("OCF_CHECK_LEVEL") == "0" {
		return nil
	}
	if _, err := a.server(); err != nil {
		return err
	}
	_, err := a.credential()
	return err
}

// reload makes the server read its configuration again, which it refuses by
// itself if something is wrong with it.
func (a *agent) reload(ctx context.Context) error {
	s, err := a.server()
	if err != nil {
		return err
	}
	p, err := a.find(ctx, s)
	if err != nil {
		return err
	}
	return p.hup()
}

// client asks the server.
func (s Server) client() control.Client { return control.Client{Socket: s.Control} }
