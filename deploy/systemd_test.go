package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gomaild/internal/peertest"
)

// TestSystemdUnit holds that systemd understands every line of the unit, and
// counts it among the well shut ones. It is not run by a service manager here.
func TestSystemdUnit(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "systemd-analyze", "systemd")
	text, err := os.ReadFile("systemd/gomaild.service")
	if err != nil {
		t.Fatal(err)
	}
	// What is not installed here would be complained about.
	unit := regexp.MustCompile(`(?m)^Documentation=.*|/usr/sbin/gomaild`).ReplaceAllStringFunc(string(text), func(s string) string {
		if strings.HasPrefix(s, "/") {
			return "/bin/true"
		}
		return ""
	})
	path := filepath.Join(t.TempDir(), "gomaild.service")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errOut, err := peertest.Try(t, "", "systemd-analyze", "verify", "--man=no", path); err != nil || out+errOut != "" {
		t.Errorf("verify: %v\n%s%s", err, out, errOut)
	}
	out := peertest.Run(t, "", "systemd-analyze", "security", "--offline=true", path)
	m := regexp.MustCompile(`Overall exposure level for gomaild.service: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("security:\n%s", out)
	}
	if level, err := strconv.ParseFloat(m[1], 64); err != nil || level > 2.5 {
		t.Errorf("exposure %s, want 2.5 at most:\n%s", m[1], out)
	}
}
