// Package mariadbtest starts a private MariaDB server for tests: its own data
// directory, a unix socket and a free loopback port, no password for root, and
// no durability, since it dies with the test binary. It installs nothing: the
// Debian package is mariadb-server.
//
// A test binary shares one server, which starts with the first test that asks:
//
//	var mariadb mariadbtest.Shared
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		mariadb.Stop()
//		os.Exit(code)
//	}
package mariadbtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"gomaild/internal/peertest"
)

// Package is the Debian package that brings the server.
const Package = "mariadb-server"

// Patience with a busy machine. Each is many times what it takes.
const (
	startTimeout = 90 * time.Second
	stopTimeout  = 20 * time.Second
)

// Server is a running server. User root has no password.
type Server struct {
	Socket string // path of the unix socket
	Host   string // 127.0.0.1
	Port   int

	dir     string
	log     string
	exited  chan struct{} // closed when the process is gone
	cmd     *exec.Cmd
	release func() // gives Port back
	admin   *sql.DB

	mu        sync.Mutex
	databases int // made so far; guarded by mu
}

// Shared is one server for all tests of a binary. The zero value is ready.
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// errNotInstalled means that there is no server to start.
var errNotInstalled = errors.New("package " + Package + " is not installed")

// Server starts the server if no test has yet. Where MariaDB is not installed
// the test fails for root and in CI, which can install it, and is skipped
// otherwise.
func (s *Shared) Server(t testing.TB) *Server {
	t.Helper()
	s.once.Do(func() { s.server, s.err = start(context.WithoutCancel(t.Context())) })
	switch {
	case errors.Is(s.err, errNotInstalled) && os.Geteuid() != 0 && os.Getenv("CI") == "":
		t.Skipf("SKIPPED: %v", s.err)
	case s.err != nil:
		t.Fatalf("private MariaDB server: %v", s.err)
	}
	return s.server
}

// Stop ends the server, if it was started, and removes its files.
func (s *Shared) Stop() {
	if s.server != nil {
		s.server.stop()
	}
}

func start(ctx context.Context) (*Server, error) {
	for _, program := range []string{"mariadbd", "mariadb-install-db"} {
		if _, err := find(program); err != nil {
			return nil, errNotInstalled
		}
	}
	dir, err := os.MkdirTemp("", "mariadb") // short: a socket's path holds 107 octets
	if err != nil {
		return nil, err
	}
	s := &Server{Host: "127.0.0.1", Socket: filepath.Join(dir, "s"), dir: dir, log: filepath.Join(dir, "log"), exited: make(chan struct{})}
	if err := s.run(ctx); err != nil {
		said, _ := os.ReadFile(s.log)
		s.stop()
		return nil, fmt.Errorf("%w\n%s", err, said)
	}
	return s, nil
}

// find looks where Debian puts daemons too, which is not on everybody's PATH.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + program)
}

// run installs the system tables, starts the server and waits until it answers.
func (s *Server) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	data := filepath.Join(s.dir, "data")
	install, err := find("mariadb-install-db")
	if err != nil {
		return err
	}
	args := []string{"--no-defaults", "--datadir=" + data, s.tmpArg(), "--auth-root-authentication-method=normal", "--skip-test-db",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=8M"}
	if out, err := exec.CommandContext(ctx, install, append(args, s.userArgs()...)...).CombinedOutput(); err != nil {
		return fmt.Errorf("mariadb-install-db: %w\n%s", err, out)
	}
	if s.Port, s.release, err = peertest.ClaimPort(); err != nil {
		return err
	}
	if err := s.launch(data); err != nil {
		return err
	}
	s.admin, err = sql.Open("mysql", s.dsn("", "multiStatements=true"))
	if err != nil {
		return err
	}
	return s.waitReady(ctx)
}

// userArgs lets root run the server as root, which it otherwise refuses.
func (s *Server) userArgs() []string {
	if os.Geteuid() != 0 {
		return nil
	}
	return []string{"--user=root"}
}

// tmpArg keeps temporary tables of servers that start at the same time apart:
// each removes what it takes for leftovers in its temporary directory.
func (s *Server) tmpArg() string { return "--tmpdir=" + s.dir }

// launch starts the process so that the kernel ends it with the test binary,
// even one that is killed. That is tied to the thread that started it, so the
// thread stays until the process is gone.
func (s *Server) launch(data string) error {
	daemon, err := find("mariadbd")
	if err != nil {
		return err
	}
	log, err := os.Create(s.log)
	if err != nil {
		return err
	}
	args := []string{"--no-defaults", "--datadir=" + data, s.tmpArg(), "--socket=" + s.Socket, "--bind-address=" + s.Host,
		"--port=" + strconv.Itoa(s.Port), "--pid-file=" + filepath.Join(s.dir, "pid"), "--skip-name-resolve",
		"--innodb-buffer-pool-size=24M", "--innodb-log-file-size=8M", "--innodb-flush-log-at-trx-commit=0",
		"--skip-innodb-doublewrite", "--performance-schema=OFF", "--skip-log-bin", "--max-connections=200"}
	s.cmd = exec.Command(daemon, append(args, s.userArgs()...)...)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer close(s.exited)
		defer log.Close()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			_ = s.cmd.Wait() // how it ended shows in its log
		}
	}()
	return <-started
}

func (s *Server) waitReady(ctx context.Context) error {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		err := s.admin.PingContext(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-retry.C:
		case <-s.exited:
			return fmt.Errorf("mariadbd ended: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("mariadbd does not answer: %w", err)
		}
	}
}

// stop ends the process, kindly first, and removes the files.
func (s *Server) stop() {
	if s.admin != nil {
		_ = s.admin.Close()
	}
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.exited:
		case <-time.After(stopTimeout):
			_ = s.cmd.Process.Kill()
			<-s.exited
		}
	}
	_ = os.RemoveAll(s.dir)
	if s.release != nil {
		s.release()
	}
}

// Addr is the TCP address of the server.
func (s *Server) Addr() string { return net.JoinHostPort(s.Host, strconv.Itoa(s.Port)) }

func (s *Server) dsn(database, parameters string) string {
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr, c.DBName = "root", "unix", s.Socket, database
	return c.FormatDSN() + "?" + parameters
}

// Database makes an empty database as the deployment does (utf8,
// utf8_general_ci), runs scripts in it, and drops it with the test. It returns
// the database's name.
func (s *Server) Database(t testing.TB, scripts ...string) string {
	t.Helper()
	s.mu.Lock()
	s.databases++
	name := "test" + strconv.Itoa(s.databases)
	s.mu.Unlock()
	s.Exec(t, "", "CREATE DATABASE "+name+" CHARACTER SET utf8 COLLATE utf8_general_ci")
	after := context.WithoutCancel(t.Context()) // the test's own ends before its clean-up
	t.Cleanup(func() {
		if _, err := s.admin.ExecContext(after, "DROP DATABASE "+name); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	for _, script := range scripts {
		s.Exec(t, name, script)
	}
	return name
}

// Exec runs a script of statements in a database ("" for none) as root.
func (s *Server) Exec(t testing.TB, database, script string) {
	t.Helper()
	db, err := sql.Open("mysql", s.dsn(database, "multiStatements=true"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), script); err != nil {
		t.Fatalf("%.200s: %v", script, err)
	}
}

// Strings is the first column of the answer to a query in a database.
func (s *Server) Strings(t testing.TB, database, query string) []string {
	t.Helper()
	db, err := sql.Open("mysql", s.dsn(database, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var v string
		if err := rows.Scan(&v); err != nil {
			t.Fatal(err)
		}
		list = append(list, v)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}
