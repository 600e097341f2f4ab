package daemon

import (
	"crypto/tls"
	"net"
	"os"
	"slices"
	"strings"
	"testing"

	"gomaild/internal/certs"
	"gomaild/internal/config"
	"gomaild/internal/durable"
)

// makeCert puts a new certificate for host into the world's directory.
func (w *world) makeCert(t *testing.T, host string) {
	t.Helper()
	root, err := durable.OpenRoot(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if err := certs.SelfSigned(root, host); err != nil {
		t.Fatal(err)
	}
}

const withCert = "tls.certificate = [{cert = \"cert.pem\", key = \"key.pem\"}]\n"

// shown is the name on the certificate that IMAPS shows.
func (w *world) shown(t *testing.T) string {
	t.Helper()
	conn, err := tls.Dial("tcp", w.addr(t, config.IMAP, config.Implicit), trusting())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return strings.Join(conn.ConnectionState().PeerCertificates[0].DNSNames, " ")
}

// TestReloadCertificates holds that certificates are replaced while a session
// goes on undisturbed.
func TestReloadCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.makeCert(t, "old.example.test")
	w.cfg = w.config(t, withCert, listeners)
	w.start(t)
	session := w.login(t)
	if name := w.shown(t); name != "old.example.test" {
		t.Fatalf("shows %s", name)
	}
	w.makeCert(t, "new.example.test")
	if err := w.Reload(t.Context(), w.config(t, withCert, listeners)); err != nil {
		t.Fatal(err)
	}
	if name := w.shown(t); name != "new.example.test" {
		t.Errorf("after the reload it shows %s", name)
	}
	if err := session.Noop().Wait(); err != nil {
		t.Errorf("the session ended: %v", err)
	}
}

// TestBadReload holds that whatever is wrong with the new, the old runs on, all
// of it.
func TestBadReload(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for _, tt := range []struct{ rule, head, more, want string }{
		{"another mail root", `storage.root = "elsewhere"` + "\n", "", "storage.root: cannot change while gomaild runs"},
		{"another folder name", `storage.special.sent = "Sent Items"` + "\n", "", "storage.special.sent: cannot change while gomaild runs"},
		{"another name", `hostname = "other.example.test"` + "\n", "", "hostname: cannot change while gomaild runs"},
		{"another log", `log.format = "json"` + "\n", "", "log.format: cannot change while gomaild runs"},
		{"no such certificate", `tls.certificate = [{cert = "c.pem", key = "k.pem"}]` + "\n", "", "tls.certificate.cert: certificate: open"},
		{"no such database", `accounts.path = "other.sqlite"` + "\n", "", "accounts.path: stat"},
		{"a database without tables", `accounts.path = "empty.sqlite"` + "\n", "", "accounts.path: table domain is missing"},
		{"an address that is taken", "", "[[listener]]\ntype = \"mx\"\naddress = \"" + taken.Addr().String() + "\"\n", "address already in use"},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t).start(t)
			if err := os.WriteFile(w.path("empty.sqlite"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			session, before := w.login(t), w.Addrs()
			err := w.Reload(t.Context(), w.config(t, tt.head, listeners+tt.more))
			if !config.IsFault(err) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Reload said %v, want %s", err, tt.want)
			}
			if !slices.EqualFunc(before, w.Addrs(), func(a, b Addr) bool { return a.String() == b.String() }) {
				t.Errorf("listens on %v, was %v", w.Addrs(), before)
			}
			if err := session.Noop().Wait(); err != nil {
				t.Errorf("the session ended: %v", err)
			}
			if err := w.submit(t, "still"); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestReloadChanges goes over to a configuration with another limit, one
// address less and one more.
func TestReloadChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	mx, lmtp := w.addr(t, config.MX, config.StartTLS), w.addr(t, config.LMTP, config.NoTLS)
	idle := lines(dial(t, "tcp", mx))
	<-idle

	without := strings.Replace(listeners, "[[listener]]\ntype = \"lmtp\"\naddress = \"127.0.0.1:0\"\n", "", 1)
	next := w.config(t, "limits.message_size = \"64kB\"\n", without+"[[listener]]\ntype = \"lmtp\"\naddress = \"unix:run/more\"\n")
	if err := w.Reload(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if l := <-idle; !strings.HasPrefix(l, "421 4.3.2 ") {
		t.Errorf("an idle client of the old configuration heard %q", l)
	}
	if conn, err := net.Dial("tcp", lmtp); err == nil {
		conn.Close()
		t.Error("the address that was taken away is open")
	}
	if err := transmit(t, dial(t, "unix", w.path("run/more")), true, "by the new address"); err != nil {
		t.Error(err)
	}
	if now := w.addr(t, config.MX, config.StartTLS); now != mx {
		t.Errorf("the MX moved from %s to %s", mx, now)
	}
	err := transmit(t, dial(t, "tcp", mx), false, strings.Repeat("x", 70_000))
	if err == nil || !strings.Contains(err.Error(), "552") && !strings.Contains(err.Error(), "ize") {
		t.Errorf("the new limit: %v", err)
	}
	if got := subjects(t, w.login(t)); !slices.Equal(got, []string{"by the new address"}) {
		t.Errorf("alice has %q", got)
	}
}

// TestReloadReopens changes what only the listener itself can: its address is
// closed for a moment and opened with the new limit.
func TestReloadReopens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := "[[listener]]\ntype = \"lmtp\"\naddress = \"unix:run/x\"\n"
	w.cfg = w.config(t, "", listeners+one)
	w.start(t)
	if err := w.Reload(t.Context(), w.config(t, "", listeners+one+"max_connections = 1\n")); err != nil {
		t.Fatal(err)
	}
	first := lines(dial(t, "unix", w.path("run/x")))
	if l := <-first; !strings.HasPrefix(l, "220 ") {
		t.Fatalf("the first client heard %q", l)
	}
	if l := <-lines(dial(t, "unix", w.path("run/x"))); !strings.HasPrefix(l, "421 4.7.0 ") {
		t.Errorf("the second client heard %q", l)
	}
}

// TestReloadMinVersion holds that implicit TLS follows a reload too.
func TestReloadMinVersion(t *testing.T) {
	t.Parallel()
	w := newWorld(t).start(t)
	if err := w.Reload(t.Context(), w.config(t, "tls.min_version = \"1.3\"\n", listeners)); err != nil {
		t.Fatal(err)
	}
	old := trusting()
	old.MaxVersion = tls.VersionTLS12
	if conn, err := tls.Dial("tcp", w.addr(t, config.IMAP, config.Implicit), old); err == nil {
		conn.Close()
		t.Error("TLS 1.2 is still spoken")
	}
	w.login(t)
}

// TestReloadOfNothing holds the states in which there is nothing to reload.
func TestReloadOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.Reload(t.Context(), w.cfg); err == nil {
		t.Error("reloaded before Start")
	}
	w.start(t)
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(t.Context(), w.cfg); err == nil {
		t.Error("reloaded after Stop")
	}
}
