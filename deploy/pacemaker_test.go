package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gomaild/internal/peertest"
)

// TestPacemakerTree: both builders make a configuration in which pacemaker's
// own scheduler starts, moves, restarts and stops as the tree says.
func TestPacemakerTree(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"pcs", "crm"} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			cib := buildCIB(t, tool)
			for _, fault := range treeFaults(t, cib) {
				t.Error(fault)
			}
			if !strings.Contains(cib, `name="user" value="gomaild"`) {
				t.Error("gomaild would run as root")
			}
		})
	}
}

// TestBrokenTree: the checks of TestPacemakerTree see what they shall see.
func TestBrokenTree(t *testing.T) {
	t.Parallel()
	whole := buildCIB(t, "crm")
	for _, tt := range []struct{ name, old, with, want string }{
		{"mounted before promoted", `<rsc_order id="Drbd-then-MailVolume"[^>]*/>`, "", "promote Drbd before start MailVolume"},
		{"mounted anywhere", `<rsc_colocation id="MailVolume-with-Drbd"[^>]*/>`, "", "did not move with all"},
		{"mail before its volume", `<rsc_order id="MailVolume-then-Mail"[^>]*/>`, "", "start MailVolume before start MailAddress"},
		{"mail without its volume", `<rsc_colocation id="Mail-with-MailVolume"[^>]*/>`, "", "one node"},
		{"no fencing", `(name="stonith-enabled" value=)"true"`, `$1"false"`, "fenced"},
		{"served without quorum", `(name="no-quorum-policy" value=)"stop"`, `$1"ignore"`, "without quorum"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			broken := regexp.MustCompile(tt.old).ReplaceAllString(whole, tt.with)
			if broken == whole {
				t.Fatalf("%s matches nothing in the configuration", tt.old)
			}
			if faults := strings.Join(treeFaults(t, broken), "\n"); !strings.Contains(faults, tt.want) {
				t.Errorf("faults found: %q; want one that says %q", faults, tt.want)
			}
		})
	}
}

// buildCIB runs with-pcs or with-crm on the example settings, with the agent, which
// is the binary, laid over the system's agents in a mount namespace of its own.
func buildCIB(t *testing.T, tool string) string {
	t.Helper()
	peertest.Need(t, tool, map[string]string{"pcs": "pcs", "crm": "crmsh"}[tool])
	peertest.Need(t, "crm_verify", "pacemaker-cli-utils")
	peertest.Need(t, "drbdadm", "drbd-utils")
	unshare := []string{"--mount"}
	if os.Getuid() != 0 {
		unshare = append(unshare, "--map-root-user")
	}
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	cib, agents := filepath.Join(t.TempDir(), "cib.xml"), t.TempDir()
	peertest.Run(t, "", "go", "build", "-o", filepath.Join(agents, "gomaild/gomaild"), "gomaild/cmd/gomaild")
	args := append(unshare, "sh", "-ec", `
		mount --make-rprivate /
		mount -t overlay -o "lowerdir=$1:/usr/lib/ocf/resource.d" overlay /usr/lib/ocf/resource.d
		shift; export LC_ALL=C.UTF-8; exec "$@"`, "-",
		agents, filepath.Join(here, "pacemaker/with-"+tool),
		filepath.Join(here, "pacemaker/cluster.env.example"), cib)
	// pcs is started some twenty times: on a busy machine that takes minutes.
	if out, err := exec.CommandContext(t.Context(), "unshare", args...).CombinedOutput(); err != nil {
		t.Fatalf("with-%s: %v\n%s", tool, err, out)
	}
	text, err := os.ReadFile(cib)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
