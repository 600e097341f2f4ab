package gomaild

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// arrows is the policy "who may import whom" of our packages, tests apart.
// Arrows go down only. A new arrow is a change of its own, with its reason in
// the commit; one that no code uses any more is taken out (the test says so).
//
// What must never appear: a protocol package that imports a station
// (delivery/...), and an implementation (storage/maildir,
// accounts/postfixadmin) imported by anybody but daemon and cmd.
var arrows = map[string][]string{
	".":    {},
	"mail": {},

	"internal/config":              {"internal/tables", "mail"},
	"internal/durable":             {},
	"internal/durable/crashfs":     {"internal/durable"},
	"internal/durable/durabletest": {"internal/durable"},
	"internal/durable/journal":     {"internal/durable"},
	"internal/spool":               {"internal/durable"},
	"internal/peer":                {},
	"internal/gate":                {},
	"internal/tables":              {"mail"},
	"internal/inflate":             {},
	"internal/metrics":             {"mail"},
	"internal/maillog":             {"mail"},
	"internal/lineconn":            {"internal/gate", "internal/peer"},
	"internal/listener":            {"internal/gate", "internal/peer"},
	"internal/certs":               {"internal/durable"},
	"internal/dns":                 {},
	"internal/dns/dnstest":         {"internal/dns"},
	"internal/peertest":            {},
	"internal/sdnotify":            {},
	"internal/dialogtest":          {},
	"internal/mariadbtest":         {"internal/peertest"},

	"message":                       {},
	"accounts":                      {"mail"},
	"accounts/snapshot":             {"accounts", "internal/durable", "mail"},
	"accounts/usage":                {"accounts", "mail"},
	"accounts/accountstest":         {"accounts", "mail"},
	"accounts/postfixadmin":         {"accounts", "mail"},
	"accounts/postfixadmin/fixture": {"internal/mariadbtest"},
	"auth":                          {"auth/scheme", "internal/peer", "mail"},
	"auth/scheme":                   {"auth/scheme/internal/descrypt", "auth/scheme/internal/streebog"},
	"auth/scheme/internal/descrypt": {},
	"auth/scheme/internal/streebog": {},

	"storage":             {"message", "mail"},
	"storage/storagetest": {"storage", "message", "mail"},
	"storage/memory":      {"storage", "message", "mail"},
	"storage/index":       {"storage"},
	"storage/acl":         {"storage", "storage/acltext", "message", "mail"},
	"storage/acltext":     {"storage"},
	"storage/maildir":     {"storage", "storage/acltext", "storage/index", "internal/durable", "internal/durable/journal", "message", "mail"},

	"smtp":                   {"smtp/reply", "auth", "internal/peer", "mail"},
	"smtp/reply":             {"mail"},
	"smtp/client":            {"smtp/reply", "mail"},
	"smtp/client/clienttest": {"smtp/reply"},
	"imap":                   {"imap/wire", "imap/thread", "storage", "message", "auth", "internal/gate", "internal/peer", "internal/inflate"},
	"imap/wire":              {},
	"imap/thread":            {},
	"sieve/scripts":          {"sieve", "internal/durable"},
	"sieve/program":          {"sieve"},
	"managesieve":            {"sieve", "sieve/scripts", "auth", "internal/gate", "internal/lineconn", "internal/peer"},
	"pop3":                   {"storage", "message", "auth", "internal/gate", "internal/lineconn", "internal/peer", "mail"},

	"sieve":             {"message", "mail"},
	"policy":            {"policy/spf", "policy/dkim", "policy/dmarc", "policy/authres", "policy/arc", "policy/rate", "message", "mail"},
	"policy/spf":        {"mail"},
	"policy/dkim":       {"message", "mail"},
	"policy/dkim/keys":  {"policy/dkim", "policy/dmarc", "internal/durable", "message", "mail"},
	"policy/dmarc":      {"message", "mail"},
	"policy/authres":    {"mail"},
	"policy/rate":       {"internal/peer"},
	"policy/arc":        {"policy/dkim", "policy/authres", "message"},
	"policy/milter":     {"message", "mail"},
	"policy/delegation": {},
	"policy/rspamd":     {"message", "mail"},
	"policy/greylist":   {"internal/durable", "internal/peer", "mail"},

	"cluster":         {"internal/durable"},
	"cluster/control": {"cluster"},
	"cluster/ocf":     {"cluster/control"},

	"deploy":    {},
	"e2e/drill": {"internal/durable"},

	"delivery/routing":       {"accounts", "internal/tables", "mail"},
	"delivery/local":         {"storage", "accounts", "message", "mail"},
	"delivery/filter":        {"accounts", "delivery/local", "sieve", "storage", "internal/durable", "message", "mail"},
	"delivery/bounce":        {"delivery/queue", "message", "mail"},
	"delivery/queue":         {"internal/durable", "message", "mail"},
	"delivery/remote/mtasts": {"internal/dns", "internal/durable", "mail"},
	"delivery/remote/tlsrpt": {},
	"delivery/srs":           {"mail"},
	"delivery/receive":       {"smtp", "policy", "delivery/routing", "delivery/local", "accounts", "message", "mail"},
	"delivery/remote":        {"delivery/queue", "internal/dns", "mail", "message", "smtp/client"},
}

// wiring may import everything: there the program is put together.
var wiring = []string{"daemon", "cmd/gomaild", "e2e"}

func TestLayers(t *testing.T) {
	t.Parallel()
	used := map[string]map[string]bool{}
	for _, s := range parseTree(t) {
		if s.isTest || slices.Contains(wiring, s.pkg) {
			continue
		}
		allowed, known := arrows[s.pkg]
		if !known {
			t.Errorf("package %s is not in the table of layers_test.go", s.pkg)
			continue
		}
		if used[s.pkg] == nil {
			used[s.pkg] = map[string]bool{}
		}
		for _, imp := range s.file.Imports {
			target, _ := strconv.Unquote(imp.Path.Value)
			target, ours := strings.CutPrefix(target, module)
			if !ours {
				continue
			}
			used[s.pkg][target] = true
			if !slices.Contains(allowed, target) {
				t.Errorf("%s: %s may not import %s", s.at(imp.Pos()), s.pkg, target)
			}
		}
	}
	for pkg, allowed := range arrows {
		for _, target := range allowed {
			if used[pkg] != nil && !used[pkg][target] {
				t.Errorf("the arrow %s -> %s is declared and not used", pkg, target)
			}
		}
		if used[pkg] == nil && pkg != "." {
			t.Errorf("package %s is in the table and not in the tree", pkg)
		}
	}
}

// TestArrowsGoDown holds that the table has no cycle and that no package below
// daemon leans on more than eight of ours.
func TestArrowsGoDown(t *testing.T) {
	t.Parallel()
	const most = 8
	var visit func(pkg string, way []string)
	visit = func(pkg string, way []string) {
		if slices.Contains(way, pkg) {
			t.Fatalf("cycle: %s", strings.Join(append(way, pkg), " -> "))
		}
		for _, target := range arrows[pkg] {
			visit(target, append(slices.Clone(way), pkg))
		}
	}
	for pkg, targets := range arrows {
		visit(pkg, nil)
		if len(targets) > most {
			t.Errorf("%s imports %d of our packages, more than %d", pkg, len(targets), most)
		}
	}
}
