package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// services are the resources that live on one node, in the order of start.
var services = []string{"MailVolume", "ProxysqlAddress", "Proxysql", "MailAddress", "Gomaild"}

// nodes of the example settings.
var nodes = []string{"postfix01", "postfix02", "postfix03"}

// world is a state of the cluster, as a CIB, and how the scheduler came to it.
type world struct {
	t    *testing.T
	cib  string // file
	log  string // transcript of crm_simulate
	home map[string]string
}

// treeFaults plays the events of an operator's life on a configuration and
// names each claim of the resource tree that does not hold.
func treeFaults(t *testing.T, cib string) []string {
	t.Helper()
	var faults []string
	claim := func(holds bool, format string, args ...any) {
		if !holds {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	up := firstStart(t, cib)
	home := up.home["Gomaild"]
	claim(up.allOn(home), "start: not all on one node: %v", up.home)
	for _, pair := range [][2]string{
		{"promote Drbd", "start MailVolume"}, {"start MailVolume", "start ProxysqlAddress"}, {"start ProxysqlAddress", "start Proxysql"},
		{"start MailVolume", "start MailAddress"}, {"start MailAddress", "start Gomaild"},
	} {
		claim(up.before(pair[0], pair[1]), "start: not %s before %s", pair[0], pair[1])
	}

	lost := up.after(nil, "--node-fail", home, "--quorum=true")
	fenced := strings.Index(lost.log, "Fencing "+home)
	claim(fenced >= 0 && fenced < lost.position("start MailVolume"), "node lost: not fenced before the volume is mounted elsewhere")
	claim(lost.home["Gomaild"] != home && lost.allOn(lost.home["Gomaild"]), "node lost: not all on one other node: %v", lost.home)

	away := up.after(func(cib string) { attribute(t, cib, home, "forever", "standby", "on") }, "--quorum=true")
	claim(away.home["Gomaild"] != home && away.allOn(away.home["Gomaild"]), "standby: not all on one other node: %v", away.home)
	for _, pair := range [][2]string{
		{"stop Gomaild", "stop MailAddress"}, {"stop MailAddress", "stop MailVolume"}, {"stop Proxysql", "stop ProxysqlAddress"},
		{"stop ProxysqlAddress", "stop MailVolume"}, {"stop MailVolume", "demote Drbd"},
	} {
		claim(away.before(pair[0], pair[1]), "standby: not %s before %s", pair[0], pair[1])
	}

	for _, monitor := range []string{"Gomaild_monitor_2000", "Gomaild_monitor_5000", "Proxysql_monitor_5000"} {
		name, _, _ := strings.Cut(monitor, "_")
		failed := up.after(nil, "--op-inject", monitor+"@"+home+"=7", "--quorum=true")
		claim(failed.position("start "+name) >= 0 && failed.allOn(home), "%s failed: not restarted in place: %v", monitor, failed.home)
		claim(failed.started() == 1, "%s failed: %d resources were started, want it alone", monitor, failed.started())
	}
	thrice := up.after(func(cib string) {
		attribute(t, cib, home, "reboot", "fail-count-Gomaild#monitor_5000", "3")
		attribute(t, cib, home, "reboot", "last-failure-Gomaild#monitor_5000", "1")
	}, "--op-inject", "Gomaild_monitor_5000@"+home+"=7", "--quorum=true")
	claim(thrice.home["Gomaild"] != home && thrice.allOn(thrice.home["Gomaild"]), "Gomaild failed three times: did not move with all: %v", thrice.home)

	quorum := regexp.MustCompile(`have-quorum="[^"]*"`)
	alone := up.after(func(cib string) {
		edit(t, cib, func(s string) string { return quorum.ReplaceAllString(s, `have-quorum="0"`) })
	})
	claim(len(alone.home) == 0, "without quorum these serve: %v", alone.home)
	return faults
}

// firstStart switches three nodes on, each with an up-to-date replica.
func firstStart(t *testing.T, cib string) *world {
	t.Helper()
	w := &world{t: t, cib: filepath.Join(t.TempDir(), "cib.xml")}
	if err := os.WriteFile(w.cib, []byte(cib), 0o600); err != nil {
		t.Fatal(err)
	}
	var ups []string
	for _, n := range nodes {
		ups = append(ups, "--node-up", n)
	}
	w = w.after(nil, append(ups, "--quorum=true")...)
	return w.after(func(cib string) {
		for _, n := range nodes {
			attribute(t, cib, n, "reboot", "master-Drbd", "10000")
		}
	}, "--quorum=true")
}

// after is the world when prepare has changed the CIB, the events of args have
// come and the scheduler has done all that it then wants.
func (w *world) after(prepare func(cib string), args ...string) *world {
	w.t.Helper()
	dir := w.t.TempDir()
	in, out := filepath.Join(dir, "in.xml"), filepath.Join(dir, "out.xml")
	text, err := os.ReadFile(w.cib)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(in, text, 0o600); err != nil {
		w.t.Fatal(err)
	}
	if prepare != nil {
		prepare(in)
	}
	log := tool(w.t, in, "crm_simulate", append([]string{"--xml-file", in, "--save-output", out, "--simulate"}, args...)...)
	next := &world{t: w.t, cib: out, log: log, home: map[string]string{}}
	next.locate()
	return next
}

// locate reads which node runs what from the end of the transcript.
func (w *world) locate() {
	_, state, _ := strings.Cut(w.log, "Revised Cluster Status:")
	for _, m := range regexp.MustCompile(`\* (\w+)\s+\([^)]*\):\s+Started (\w+)`).FindAllStringSubmatch(state, -1) {
		if slices.Contains(services, m[1]) {
			w.home[m[1]] = m[2]
		}
	}
	if m := regexp.MustCompile(`Promoted: \[ (.*) \]`).FindStringSubmatch(state); m != nil {
		w.home["Drbd"] = m[1]
	}
}

// allOn tells whether the primary and all services are on the node.
func (w *world) allOn(node string) bool {
	if node == "" || w.home["Drbd"] != node {
		return false
	}
	return !slices.ContainsFunc(services, func(s string) bool { return w.home[s] != node })
}

// position of an action, "start Gomaild", in the transcript; -1 for none.
func (w *world) position(action string) int {
	verb, name, _ := strings.Cut(action, " ")
	at := regexp.MustCompile(`Resource action: ` + name + ` +` + verb + ` on`).FindStringIndex(w.log)
	if at == nil {
		return -1
	}
	return at[0]
}

func (w *world) before(first, then string) bool {
	a, b := w.position(first), w.position(then)
	return a >= 0 && b >= 0 && a < b
}

// started is how many services the transition started.
func (w *world) started() int {
	n := 0
	for _, s := range services {
		if w.position("start "+s) >= 0 {
			n++
		}
	}
	return n
}

// attribute sets a node attribute in a CIB file.
func attribute(t *testing.T, cib, node, lifetime, name, value string) {
	t.Helper()
	tool(t, cib, "crm_attribute", "-N", node, "-l", lifetime, "-n", name, "-v", value, "-q")
}

// edit rewrites a CIB file.
func edit(t *testing.T, cib string, change func(string) string) {
	t.Helper()
	text, err := os.ReadFile(cib)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(cib, []byte(change(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// tool runs one of pacemaker's tools on a CIB file and returns what it printed.
func tool(t *testing.T, cib, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Env = append(os.Environ(), "CIB_file="+cib, "LC_ALL=C")
	out, err := c.CombinedOutput()
	if err != nil && name != "crm_simulate" { // it fails where a simulated transition does
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}
