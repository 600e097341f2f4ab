package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomaild/cluster"
	"gomaild/cluster/control"
	"gomaild/cluster/ocf"
	"gomaild/internal/durable"
	"gomaild/internal/peertest"
)

// agentWorld is the binary as pacemaker finds it, with a configuration.
type agentWorld struct {
	t          *testing.T
	dir, agent string
	env        []string
}

func newAgentWorld(t *testing.T) *agentWorld {
	t.Helper()
	dir, text := goodWorld(t)
	text += "[[listener]]\ntype = \"imap\"\naddress = \"127.0.0.1:0\"\ntls = \"implicit\"\n[[listener]]\ntype = \"lmtp\"\n"
	w := &agentWorld{t: t, dir: dir, agent: filepath.Join(dir, "resource.d/gomaild/gomaild")}
	binary := filepath.Join(dir, "bin", "gomaild")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	if err := os.MkdirAll(filepath.Dir(w.agent), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, w.agent); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("Secret-12x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.env = []string{
		"OCF_RESKEY_config=" + save(t, dir, text), "OCF_RESKEY_log=" + filepath.Join(dir, "log"), "OCF_RESKEY_CRM_meta_timeout=20000",
		"OCF_RESKEY_probe_account=alice@example.test", "OCF_RESKEY_probe_password_file=" + password,
	}
	t.Cleanup(func() {
		cmd := exec.CommandContext(context.WithoutCancel(t.Context()), w.agent, "stop")
		cmd.Env = append(os.Environ(), w.env...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("stop at the end: %v\n%s", err, out)
		}
	})
	return w
}

// want runs an action.
func (w *agentWorld) want(rule, action string, code ocf.Code, says string, env ...string) {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), w.agent, action)
	cmd.Env = append(append(os.Environ(), w.env...), env...)
	out, _ := cmd.CombinedOutput() // the code is looked at
	if got := ocf.Code(cmd.ProcessState.ExitCode()); got != code || !strings.Contains(string(out), says) {
		w.t.Errorf("%s: code %d, want %d: %s", rule, got, code, out)
	}
}

func (w *agentWorld) pid() int {
	w.t.Helper()
	pid, err := control.Client{Socket: filepath.Join(w.dir, "run/control")}.PID(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return pid
}

// TestAgent goes through the life of a resource.
func TestAgent(t *testing.T) {
	t.Parallel()
	w := newAgentWorld(t)
	w.want("before", "monitor", ocf.NotRunning, "")
	w.want("validate", "validate-all", ocf.Success, "")
	if out, err := exec.CommandContext(t.Context(), w.agent, "meta-data", "and", "more").Output(); err != nil || !strings.Contains(string(out), "<resource-agent ") {
		t.Errorf("with arguments after the action: %v, %s", err, out)
	}
	w.want("start", "start", ocf.Success, "")
	w.want("start again", "start", ocf.Success, "")
	for _, level := range []string{"0", "10", "20"} {
		w.want("level "+level, "monitor", ocf.Success, "", "OCF_CHECK_LEVEL="+level)
	}
	w.want("level 20 with the wrong password", "monitor", ocf.ErrGeneric, "ocf-exit-reason:read a probe by IMAP", "OCF_CHECK_LEVEL=20",
		"OCF_RESKEY_probe_password_file="+filepath.Join(w.dir, "gomaild.toml"))
	w.want("reload", "reload", ocf.Success, "")

	pid := w.pid()
	kill := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(pid, s); err != nil {
			t.Fatal(err)
		}
	}
	kill(syscall.SIGSTOP)
	w.want("of who was stopped", "monitor", ocf.ErrGeneric, "process "+strconv.Itoa(pid)+" was stopped by a signal", "OCF_CHECK_LEVEL=10")
	begun := time.Now()
	w.want("stop of who was stopped", "stop", ocf.Success, "")
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("it took %v", took)
	}
	w.want("after", "monitor", ocf.NotRunning, "")
	w.want("stop again", "stop", ocf.Success, "")

	w.want("start anew", "start", ocf.Success, "")
	pid = w.pid()
	ended, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ended)
	kill(syscall.SIGKILL)
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(ended), Events: unix.POLLIN}}, 60_000); err != nil {
		t.Fatal(err)
	}
	w.want("of who was killed", "monitor", ocf.NotRunning, "")
	w.want("start after a kill", "start", ocf.Success, "")
}

// TestAgentRefusals holds the codes of a start that must not be.
func TestAgentRefusals(t *testing.T) {
	t.Parallel()
	w := newAgentWorld(t)
	head := func(text string) {
		t.Helper()
		_, good := goodWorld(t)
		save(t, w.dir, text+good)
	}
	head("storage.mount = true\nstorage.cluster = \"mail-1\"\n")
	w.want("nothing mounted", "start", ocf.ErrArgs, "nothing is mounted there")
	head("storage.cluster = \"mail-1\"\n")
	w.want("the first start marks", "start", ocf.Success, "")
	w.want("stop", "stop", ocf.Success, "")
	head("storage.cluster = \"mail-2\"\n")
	w.want("another cluster's", "start", ocf.ErrArgs, `is marked "mail-1", not "mail-2"`)
	head("bogus = 1\n")
	w.want("a broken configuration", "validate-all", ocf.ErrArgs, "bogus")
	w.want("monitor with a broken configuration", "monitor", ocf.NotRunning, "")
}

// TestAgentMarkers holds the codes of a start on a mounted root that is not the
// cluster's, or whose marker is none.
func TestAgentMarkers(t *testing.T) {
	t.Parallel()
	if !peertest.InOwnMounts(t) {
		return
	}
	w := newAgentWorld(t)
	root := filepath.Join(w.dir, "mail")
	if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=80m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	_, good := goodWorld(t)
	save(t, w.dir, "storage.journal = \"0B\"\nstorage.mount = true\nstorage.cluster = \"mail-1\"\n"+good)
	marker := filepath.Join(root, ".gomaild/cluster")
	w.want("no marker", "start", ocf.ErrArgs, "no marker of a cluster; mount the right file system; if it is a new one, `gomaild cluster init`")
	if err := os.Mkdir(filepath.Dir(marker), 0o700); err != nil {
		t.Fatal(err)
	}
	for text, code := range map[string]ocf.Code{
		"": ocf.ErrArgs, "gomaild-cluster-1": ocf.ErrArgs, "something else\n": ocf.ErrArgs, "gomaild-cluster-9 mail-1\n": ocf.ErrArgs,
		"gomaild-cluster-1 mail-2\n": ocf.ErrArgs, "gomaild-cluster-1 mail-1\n": ocf.Success,
	} {
		if err := os.WriteFile(marker, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		says := "ocf-exit-reason:"
		if code == ocf.Success {
			says = ""
		}
		w.want("marker "+strconv.Quote(text), "start", code, says)
		w.want("stop", "stop", ocf.Success, "")
	}
}

// TestAgentLocks holds what a start says when the lock is another's, or cannot be
// made.
func TestAgentLocks(t *testing.T) {
	t.Parallel()
	w := newAgentWorld(t)
	w.want("start", "start", ocf.Success, "")
	second := newAgentWorld(t)
	text, err := os.ReadFile(filepath.Join(second.dir, "gomaild.toml"))
	if err != nil {
		t.Fatal(err)
	}
	save(t, second.dir, strings.Replace(string(text), `storage.root = "mail"`, "storage.root = \""+filepath.Join(w.dir, "mail")+"\"", 1))
	second.want("lock held by a live process", "start", ocf.ErrGeneric, "another gomaild has the mail root (epoch 1: process "+strconv.Itoa(w.pid())+" on ")
	w.want("it disturbed nobody", "monitor", ocf.Success, "", "OCF_CHECK_LEVEL=10")

	if os.Getuid() != 0 {
		return // what follows needs a second user
	}
	third := newAgentWorld(t)
	third.want("start as root", "start", ocf.Success, "")
	third.want("stop", "stop", ocf.Success, "")
	third.openToAll()
	peertest.Run(t, "", "chown", "-R", "nobody", third.dir)
	peertest.Run(t, "", "chown", "root", filepath.Join(third.dir, "mail/.gomaild/lock"))
	third.want("lock file of another user", "start", ocf.ErrPerm,
		"lock the mail root: open .gomaild/lock: permission denied; name a directory that exists and that gomaild may write", "OCF_RESKEY_user=nobody")
}

// ended waits for the end of a process that does so by itself.
func (w *agentWorld) ended(pid int) {
	w.t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	defer unix.Close(fd)
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 60_000); n != 1 {
		w.t.Fatalf("process %d does not end: %v", pid, err)
	}
}

// logged holds that the log has a line for a person.
func (w *agentWorld) logged(text string) {
	w.t.Helper()
	log, err := os.ReadFile(filepath.Join(w.dir, "log"))
	if err != nil || !strings.Contains(string(log), text) {
		w.t.Errorf("no %q in the log (%v):\n%s", text, err, log)
	}
}

// TestAgentMountReplaced: something is mounted over the mail of a running server.
// It ends by itself and says why; nothing is written to what is there now, and a
// start on it is refused.
func TestAgentMountReplaced(t *testing.T) {
	t.Parallel()
	if !peertest.InOwnMounts(t) {
		return
	}
	w := newAgentWorld(t)
	root := filepath.Join(w.dir, "mail")
	mount := func() {
		t.Helper()
		if err := unix.Mount("tmpfs", root, "tmpfs", 0, "size=80m,mode=0700"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	}
	mount()
	_, good := goodWorld(t)
	config := save(t, w.dir, "storage.journal = \"0B\"\nstorage.mount = true\nstorage.cluster = \"mail-1\"\n"+good)
	if code, _, stderr := gomaild(t, "", "cluster", "init", "-c", config); code != exitOK {
		t.Fatal(stderr)
	}
	w.want("start", "start", ocf.Success, "")
	pid := w.pid()
	mount()
	w.ended(pid)
	w.logged(`msg="ending at once"`)
	w.want("afterwards", "monitor", ocf.NotRunning, "")
	w.want("start on what is there now", "start", ocf.ErrArgs, "no marker of a cluster")
	if left, err := os.ReadDir(root); len(left) > 0 || err != nil {
		t.Errorf("in what was mounted over it: %v, %v", left, err)
	}
	w.want("stop of what has ended", "stop", ocf.Success, "")
}

// TestAgentTwoNodes: another node takes the mail over while the server here, whose
// lock went with its kernel, believes that it has it. It ends by itself; a start
// beside the other is refused, and one after it is not, though the clock of that node
// was a year ahead.
func TestAgentTwoNodes(t *testing.T) {
	t.Parallel()
	w := newAgentWorld(t)
	w.want("start", "start", ocf.Success, "")
	pid := w.pid()
	if err := os.Remove(filepath.Join(w.dir, "mail/.gomaild/lock")); err != nil {
		t.Fatal(err)
	}
	root, err := durable.OpenRoot(filepath.Join(w.dir, "mail"))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	other, err := cluster.Take(cluster.Config{FS: root, Node: "another", Boot: "another", Now: func() time.Time { return time.Now().AddDate(1, 0, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	w.ended(pid)
	w.logged("the mail root was taken over (epoch 2: process ")
	w.want("of who was taken over from", "monitor", ocf.NotRunning, "")
	w.want("two at once", "start", ocf.ErrGeneric, "another gomaild has the mail root (epoch 2: process ")
	if err := other.Release(); err != nil {
		t.Fatal(err)
	}
	w.want("the clock is a year behind", "start", ocf.Success, "")
	w.want("all is well", "monitor", ocf.Success, "", "OCF_CHECK_LEVEL=20")
}

// openToAll lets other users reach the directory.
func (w *agentWorld) openToAll() {
	w.t.Helper()
	for dir := w.dir; dir != filepath.Dir(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if dir != os.TempDir() {
			if err := os.Chmod(dir, 0o755); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// TestAgentUser: the server runs as the user of the parameter, without the rights
// of root but for low ports, on what belongs to that user.
func TestAgentUser(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: only root runs a server as another user")
	}
	w := newAgentWorld(t)
	w.openToAll()
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	peertest.Run(t, "", "chown", "-R", nobody.Uid+":"+nobody.Gid, w.dir)
	w.env = append(w.env, "OCF_RESKEY_user=nobody")
	w.want("start", "start", ocf.Success, "")
	w.want("monitor", "monitor", ocf.Success, "", "OCF_CHECK_LEVEL=20")
	status, err := os.ReadFile("/proc/" + strconv.Itoa(w.pid()) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	id := nobody.Uid + "\t" + nobody.Uid + "\t" + nobody.Uid + "\t" + nobody.Uid + "\n"
	const bindLow = "0000000000000400" // CAP_NET_BIND_SERVICE
	for _, want := range []string{"\nUid:\t" + id, "\nCapEff:\t" + bindLow + "\n", "\nCapAmb:\t" + bindLow + "\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	w.want("stop", "stop", ocf.Success, "")
}

// TestOCFTester runs the tester of Debian's resource-agents.
func TestOCFTester(t *testing.T) {
	t.Parallel()
	tester := peertest.Need(t, "/usr/sbin/ocf-tester", "resource-agents")
	peertest.Need(t, "xmllint", "libxml2-utils")
	w := newAgentWorld(t)
	args := []string{"-n", "gomaild-test"}
	for _, e := range w.env {
		args = append(args, "-o", strings.TrimPrefix(e, "OCF_RESKEY_"))
	}
	w.openToAll() // it tries as nobody, too
	out := peertest.Run(t, "", tester, append(args, w.agent)...)
	if !strings.Contains(out, w.agent+" passed all tests") {
		t.Error(out)
	}
}
