package deploy

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gomaild/internal/peertest"
)

// TestPackage builds the .deb and the .rpm as `make dist` does, looks into them, and installs
// the .deb over itself and removes it again: what the administrator edited stays.
func TestPackage(t *testing.T) {
	t.Parallel()
	dist := buildPackages(t)
	deb := theOne(t, filepath.Join(dist, "gomaild_1.2.3_*.deb"))
	listing := strings.Split(peertest.Run(t, "", "dpkg-deb", "--contents", deb), "\n")
	for _, want := range []string{
		"-rwxr-xr-x root/root ./usr/sbin/gomaild",
		"-rw-r--r-- root/root ./etc/gomaild/gomaild.toml",
		"-rw-r--r-- root/root ./usr/lib/sysusers.d/gomaild.conf",
		"-rw-r--r-- root/root ./usr/share/man/man8/gomaild-serve.8.gz",
		"-rw-r--r-- root/root ./usr/share/bash-completion/completions/gomaild",
		"-rw-r--r-- root/root ./usr/share/zsh/vendor-completions/_gomaild",
		"-rw-r--r-- root/root ./usr/share/fish/vendor_completions.d/gomaild.fish",
		"-rwxr-xr-x root/root ./usr/share/gomaild/pacemaker/with-pcs",
		"-rw-r--r-- root/root ./usr/share/doc/gomaild/operations.md",
		"-rw-r--r-- root/root ./usr/lib/systemd/system/gomaild.service",
		"l--------- root/root ./usr/lib/ocf/resource.d/gomaild/gomaild -> /usr/sbin/gomaild",
	} {
		mode, name := want[:len("-rwxr-xr-x root/root")], want[len("-rwxr-xr-x root/root "):]
		if !slices.ContainsFunc(listing, func(l string) bool { return strings.HasPrefix(l, mode) && strings.HasSuffix(l, " "+name) }) {
			t.Errorf("the package does not hold %s", want)
		}
	}
	if got := peertest.Run(t, "", "dpkg-deb", "--info", deb, "conffiles"); got != "/etc/gomaild/gomaild.toml\n" {
		t.Errorf("conffiles: %q", got)
	}
	rpm := theOne(t, filepath.Join(dist, "gomaild-1.2.3-1.*.rpm"))
	if got := peertest.Run(t, "", "rpm", "-qp", "--configfiles", rpm); got != "/etc/gomaild/gomaild.toml\n" {
		t.Errorf("configuration files of the .rpm: %q", got)
	}
	links := peertest.Run(t, "", "rpm", "-qp", "--queryformat", "[%{FILENAMES} %{FILELINKTOS}\n]", rpm)
	for _, want := range []string{"/usr/lib/ocf/resource.d/gomaild/gomaild /usr/sbin/gomaild\n", "/usr/share/zsh/site-functions/_gomaild \n"} {
		if !strings.Contains(links, want) {
			t.Errorf("the .rpm does not hold %q", want)
		}
	}
	tryPackage(t, dist)
}

// tryPackage installs, upgrades and removes the package.
func tryPackage(t *testing.T, dist string) {
	t.Helper()
	out, ok := insideCopy(t, dist, `
		exec 2>&1
		dpkg -i *.deb >log || cat log
		getent passwd gomaild | cut -d: -f1,7
		echo "# edited" >>/etc/gomaild/gomaild.toml
		dpkg -i *.deb >log || cat log
		tail -n 1 /etc/gomaild/gomaild.toml
		/usr/lib/ocf/resource.d/gomaild/gomaild meta-data | sed -n 's/<resource-agent name=\(.*\) version.*/agent \1/p'
		dpkg -r gomaild >log || cat log
		test -e /usr/sbin/gomaild || echo removed
		tail -n 1 /etc/gomaild/gomaild.toml`)
	if !ok {
		return
	}
	for _, want := range []string{"gomaild:/usr/sbin/nologin\n", "# edited\nagent \"gomaild\"\nremoved\n# edited\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("installed, upgraded and removed: want %q in:\n%s", want, out)
		}
	}
}

// buildPackages makes .deb and .rpm with the flags that the tests are built with, so
// that the build cache serves.
func buildPackages(t *testing.T) (dist string) {
	t.Helper()
	dist = t.TempDir()
	cmd := exec.CommandContext(t.Context(), "packages/build", dist)
	cmd.Env = append(cmd.Environ(), "VERSION=1.2.3", "BUILD_FLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("packages/build: %v\n%s", err, out)
	}
	return dist
}

// theOne returns the only file that matches pattern.
func theOne(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) != 1 {
		t.Fatalf("%s: %q, %v", pattern, names, err)
	}
	return names[0]
}
