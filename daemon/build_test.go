package daemon

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gomaild/accounts/postfixadmin"
	"gomaild/auth"
	"gomaild/internal/config"
)

// TestAccountsConfig holds how [accounts] names a MySQL server.
func TestAccountsConfig(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		address, host, socket string
		port                  int
	}{
		{"db.example.org:6033", "db.example.org", "", 6033},
		{"[::1]:3306", "::1", "", 3306},
		{"/run/mysqld/mysqld.sock", "", "/run/mysqld/mysqld.sock", 0},
	} {
		c, err := config.Parse("c.toml", []byte("accounts.driver = \"mysql\"\naccounts.address = \""+tt.address+"\"\n"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := AccountsConfig(c, nil)
		if err != nil || p.Driver != postfixadmin.MySQL || p.Host != tt.host || p.Port != tt.port || p.Socket != tt.socket {
			t.Errorf("%s: %+v, %v", tt.address, p, err)
		}
	}
}

// TestConfigReachesParts holds, part by part, that no key stops on its way.
func TestConfigReachesParts(t *testing.T) {
	t.Parallel()
	c, err := config.Parse("c.toml", []byte(`
accounts.default_scheme = "PLAIN"
accounts.default_domain = "example.test"
accounts.app_passwords = true
accounts.deployed_answers = true
routing = { recipient_delimiter = "-", detail_folder = "create", postmaster = "p@example.test", origin = "o.test", vacation_domain = "v.test" }
auth = { throttle_client = 3, throttle_account = 4, max_delay = "5s", cache = "0s" }
limits = { message_size = "1MB", recipients = 101, hops = 60, errors = 7, smtp_timeout = "6m", imap_timeout = "31m", login_timeout = "1m" }
storage.special = { trash = "", archive = "Old" }
[[listener]]
type = "submission"
tls = "none"
trusted_networks = ["10.0.0.0/8"]
[[listener]]
type = "imap"
trusted_networks = ["10.1.0.0/16"]
`))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.start(t)
	db, err := AccountsConfig(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.parts(c, w.current.Load().db, w.current.Load().db)
	if err != nil {
		t.Fatal(err)
	}
	route, err := routingConfig(c, nil, "mail.example.test", w.log)
	if err != nil {
		t.Fatal(err)
	}
	login, received := p.authConfig(), p.receiveConfig()
	submission, reading := p.smtpConfig(&c.Listeners[0]), p.imapConfig(&c.Listeners[1])
	for key, ok := range map[string]bool{
		"accounts":         db.AppPasswords && db.Deployed,
		"default_scheme":   login.DefaultScheme == "PLAIN" && login.DefaultDomain == "example.test",
		"throttle":         login.Throttle.FreePerClient == 3 && login.Throttle.FreePerAccount == 4 && login.Throttle.MaxPace.String() == "5s",
		"cache 0s is none": login.CacheEntries < 0,
		"exempt":           len(login.Throttle.Exempt) == 2,
		"routing":          route.Delimiter == '-' && route.Deployed && route.Origin == "o.test" && route.VacationDomain == "v.test" && route.Postmaster.Local == "p",
		"detail_folder":    detailFolder(c) != detailFolder(w.cfg),
		"hops":             received.MaxReceived == 60 && received.Delimiter == '-',
		"smtp limits":      submission.Limits.MaxMessageSize == 1_000_000 && submission.Limits.MaxRecipients == 101 && submission.Limits.MaxErrors == 7 && submission.Limits.CommandTimeout.Minutes() == 6,
		"submission":       submission.RequireAuth && submission.Auth == auth.Authenticator(p.auth) && len(submission.TrustedNetworks) == 1 && submission.TLS == nil && !submission.AllowPlaintextAuth,
		"imap":             reading.Limits.Message == 1_000_000 && reading.Limits.IdleTimeout.Minutes() == 31 && reading.Limits.LoginTimeout.Minutes() == 1 && len(reading.TrustedNetworks) == 1 && reading.TLS != nil && !reading.PlaintextAuth,
		"special":          len(specialFolders(&c.Storage.Special)) == 4,
	} {
		if !ok {
			t.Errorf("%s did not arrive", key)
		}
	}
}

func TestMakeDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	deep := filepath.Join(dir, "a", "b", "c")
	for range 2 {
		if err := MakeDir(deep, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(deep); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := MakeDir(path, 0o700); err == nil || !strings.Contains(err.Error(), "director") {
			t.Errorf("%s: %v", path, err)
		}
	}
}
