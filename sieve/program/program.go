// Package program runs the external programs of Sieve scripts
// (vnd.dovecot.pipe, vnd.dovecot.filter, vnd.dovecot.execute).
//
// A script names a file of a directory that the administrator gave for that
// extension, nothing else: no path, no shell, no search. The program gets the
// environment that it is called with and nothing more, the message or a string
// on its standard input, and a time; what it writes is bounded. When the time
// is over, or it wrote too much, it is killed with all that it started.
package program

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gomaild/sieve"
)

// Config says which programs there are and what one may cost. Zero fields stand
// for defaults.
type Config struct {
	// Dirs are the directories, by extension ("vnd.dovecot.pipe" ...). An extension
	// without one has no programs.
	Dirs    map[string]string
	Timeout time.Duration // of one run; default 10 s
	Output  int           // octets that one may write; default 16 MiB
	AtOnce  int           // how many run at once, others wait; default 8
	// UID and GID are who the programs are, where we are root; 0 and below: who
	// we are.
	UID, GID int
	Logger   *slog.Logger // default none
}

// Runner runs programs. It is safe for concurrent use.
type Runner struct {
	Config
	slots chan struct{}
}

// New makes a Runner.
func New(c Config) *Runner {
	c.Timeout = cmp.Or(c.Timeout, 10*time.Second)
	c.Output = cmp.Or(c.Output, 16<<20)
	c.AtOnce = cmp.Or(c.AtOnce, 8)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Runner{c, make(chan struct{}, c.AtOnce)}
}

// maxErrors is how much of what a program writes to its standard error is
// logged.
const maxErrors = 2 << 10

// errOutput ends a program that writes without end.
var errOutput = errors.New("it wrote too much")

// Run runs a program to its end and returns its standard output. ErrNoProgram
// means that there is none of that name; every other error that it did not run,
// or not end with the status 0 in time.
func (r *Runner) Run(ctx context.Context, p sieve.Program) ([]byte, error) {
	file, err := r.find(p)
	if err != nil {
		return nil, err
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.Timeout, fmt.Errorf("it took longer than %v", r.Timeout))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	out := &bounded{limit: r.Output, full: func() { stop(errOutput) }}
	complaints := &bounded{limit: maxErrors}
	err = run(r.command(ctx, file, p, out, complaints))
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	log := r.Logger.With("program", p.Name, "extension", p.Extension)
	if text := strings.TrimSpace(complaints.String()); text != "" {
		log.InfoContext(ctx, "program of a sieve script", "stderr", text)
	}
	if err != nil {
		log.WarnContext(ctx, "program of a sieve script failed", "error", err)
		return nil, fmt.Errorf("program %s: %w", p.Name, err)
	}
	return out.Bytes(), nil
}

// find is the file of a program.
func (r *Runner) find(p sieve.Program) (string, error) {
	dir := r.Dirs[p.Extension]
	if dir == "" || !filepath.IsLocal(p.Name) || filepath.Base(p.Name) != p.Name {
		return "", sieve.ErrNoProgram
	}
	file, err := filepath.Abs(filepath.Join(dir, p.Name))
	if err != nil {
		return "", err
	}
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return "", sieve.ErrNoProgram
	}
	return file, nil
}

func (r *Runner) command(ctx context.Context, file string, p sieve.Program, out, complaints io.Writer) *exec.Cmd {
	c := exec.CommandContext(ctx, file, p.Args...)
	c.Env = append([]string{}, p.Environ...) // not nil, which would be ours
	c.Dir = "/"
	c.Stdout, c.Stderr = out, complaints
	if p.Input != nil {
		c.Stdin = io.NewSectionReader(p.Input, 0, p.Input.Size())
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 && r.UID > 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(r.UID), Gid: uint32(max(r.GID, 0))}
	}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = time.Second // for what it left behind with our pipes open
	return c
}

// run starts a program and waits for it. What the service manager gave to the
// server alone, CAP_NET_BIND_SERVICE of our unit, is in the ambient set, which
// children inherit from the thread that starts them: this one has none any more,
// and ends with its goroutine. (A kernel before 4.3 has no such set.)
func run(c *exec.Cmd) error {
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		_, _, _ = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0, 0)
		started <- c.Start()
	}()
	if err := <-started; err != nil {
		return err
	}
	return c.Wait()
}

// bounded keeps the first octets of what is written, and says when there is
// more.
type bounded struct {
	bytes.Buffer
	limit int
	full  func() // may be nil
}

// Write implements io.Writer. It takes everything.
func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - b.Len()
	if len(p) > room && b.full != nil {
		b.full()
	}
	b.Buffer.Write(p[:min(len(p), max(room, 0))])
	return len(p), nil
}

// ReadFrom hides the one of the buffer, which has no limit.
func (b *bounded) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{b}, r)
}
