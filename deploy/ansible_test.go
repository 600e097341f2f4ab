package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gomaild/internal/peertest"
)

// TestPlaybook: Ansible and its linter find nothing in the playbook.
func TestPlaybook(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "ansible-lint", "ansible-lint")
	peertest.Run(t, "", "sh", "-ec", `cd ansible
		export HOME="$1" ANSIBLE_LOCAL_TEMP="$1"
		ansible-playbook --syntax-check --extra-vars @vault.example.yml site.yml
		ansible-lint --offline --nocolor`, "sh", t.TempDir())
}

// places are where the roles put what they render, on Debian.
var places = map[string]string{
	"drbd/global_common.conf.j2":           "/etc/drbd.d/global_common.conf",
	"drbd/mail.res.j2":                     "/etc/drbd.d/mail.res",
	"cluster/corosync.conf.j2":             "/etc/corosync/corosync.conf",
	"cluster/cluster.env.j2":               "/etc/gomaild/cluster.env",
	"cluster/fence-password.j2":            "/etc/gomaild/fence-password",
	"gomaild/gomaild.toml.j2":              "/etc/gomaild/gomaild.toml",
	"galera/galera.cnf.j2":                 "/etc/mysql/mariadb.conf.d/60-galera.cnf",
	"keepalived/keepalived.conf.j2":        "/etc/keepalived/keepalived.conf",
	"roundcube/site.conf.j2":               "/etc/nginx/sites-enabled/default",
	"roundcube/pool.conf.j2":               "/etc/php/8.2/fpm/pool.d/www.conf",
	"roundcube/config.inc.php.j2":          "/etc/roundcube/config.inc.php",
	"postfixadmin/config.local.php.j2":     "/etc/postfixadmin/config.local.php",
	"backup/gomaild-backup.conf.j2":        "/etc/gomaild-backup.conf",
	"backup/gomaild-backup.service.j2":     "/etc/systemd/system/gomaild-backup.service",
	"backup/gomaild-backup.timer.j2":       "/etc/systemd/system/gomaild-backup.timer",
	"galera/users.sql.j2":                  "/root/stand-users.sql",
	"proxysql/proxysql.cnf.j2":             "/etc/proxysql.cnf",
	"common/firewalld-zone.xml.j2":         "/etc/firewalld/zones/public.xml",
	"backup/gomaild-backup-source.conf.j2": "/etc/gomaild-backup-source.conf",
}

// TestRendered: every template renders for both families of systems, and what
// is rendered is right to the program that it is for. DRBD 9 has no module
// here: its own tool reads the configuration and says what it would do.
func TestRendered(t *testing.T) {
	t.Parallel()
	for _, need := range [][2]string{
		{"ansible-playbook", "ansible-lint"}, {"drbdadm", "drbd-utils"}, {"keepalived", "keepalived"}, {"nginx", "nginx-light"},
		{"php-fpm8.2", "php-fpm"}, {"corosync", "corosync"}, {"mariadbd", "mariadb-server"},
	} {
		peertest.Need(t, need[0], need[1])
	}
	debian, redHat := render(t)
	if len(debian) != len(places) || len(redHat) != len(places) {
		t.Errorf("%d templates rendered for Debian, %d for EL9; places knows %d", len(debian), len(redHat), len(places))
	}
	checkRedHat(t, debian, redHat)
	dir := t.TempDir()
	for template, content := range debian {
		writeFile(t, filepath.Join(dir, "root", places[template]), content)
	}
	example, err := os.ReadFile("pacemaker/cluster.env.example")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "example"), string(example))
	peertest.Run(t, "", "go", "build", "-o", filepath.Join(dir, "gomaild"), "../cmd/gomaild")
	readers, err := os.ReadFile("testdata/readers.sh")
	if err != nil {
		t.Fatal(err)
	}
	out, ok := insideCopy(t, dir, string(readers))
	if !ok {
		return
	}
	if strings.Contains(out, "BAD") {
		t.Error(out)
	}
	checkDRBD(t, out)
	const ran = "Primary ON\nlogin gomaild\nlogin postfixadmin\nlogin monitor\npage\nfrom elsewhere: 403\n" +
		"web address held\nweb address given up without PHP\n"
	if !strings.HasSuffix(out, ran) {
		t.Errorf("run, they print:\n%s\nwant at the end:\n%s", out, ran)
	}
}

// checkRedHat holds that what is read for Debian holds for EL9: its files differ in
// paths and in the user of PHP alone.
func checkRedHat(t *testing.T, debian, redHat map[string]string) {
	t.Helper()
	family := regexp.MustCompile(`^\s*(user|group|ssl_certificate|ssl_certificate_key|root|wsrep_provider)\b[ =]`)
	for template, content := range debian {
		ours, theirs := strings.Split(content, "\n"), strings.Split(redHat[template], "\n")
		if len(ours) != len(theirs) {
			t.Errorf("%s: %d lines for Debian, %d for EL9", template, len(ours), len(theirs))
			continue
		}
		for i, line := range ours {
			if a, b := family.FindString(line), family.FindString(theirs[i]); line != theirs[i] && (a == "" || a != b) {
				t.Errorf("%s: %q for Debian, %q for EL9", template, line, theirs[i])
			}
		}
	}
}

// checkDRBD looks at the calls that `drbdadm up` would make on postfix02.
func checkDRBD(t *testing.T, calls string) {
	t.Helper()
	for _, want := range []string{
		"new-resource mail 1 --auto-promote=no --on-no-quorum=io-error --quorum=majority",
		"new-peer mail 0 --_name=postfix01", "new-peer mail 2 --_name=postfix03", "--protocol=C --fencing=resource-and-stonith",
		"new-path mail 0 ipv4:192.168.11.114:7789 ipv4:192.168.11.113:7789",
		"new-path mail 2 ipv4:192.168.11.114:7789 ipv4:192.168.11.115:7789",
		"drbdsetup connect mail 0", "drbdsetup connect mail 2",
	} {
		if !strings.Contains(calls, want) {
			t.Errorf("drbdadm would not call %q but:\n%s", want, calls)
		}
	}
}

// render runs testdata/render.yml and returns what each template became.
func render(t *testing.T) (debian, redHat map[string]string) {
	t.Helper()
	out := t.TempDir()
	peertest.Run(t, "", "sh", "-ec", `cd ansible
		export HOME="$1" ANSIBLE_LOCAL_TEMP="$1" ANSIBLE_PIPELINING=1
		ansible-playbook --extra-vars out="$1" ../testdata/render.yml`, "sh", out)
	return rendered(t, out, "Debian"), rendered(t, out, "RedHat")
}

// rendered takes apart the files that render.yml wrote for a family.
func rendered(t *testing.T, dir, family string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, host := range []string{"postfix02", "ngx01", "pxc1", "backup"} {
		text, err := os.ReadFile(filepath.Join(dir, family+"-"+host))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range strings.Split(string(text), "FILE ")[1:] {
			template, content, _ := strings.Cut(part, "\n")
			all[template] = content
		}
	}
	return all
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
