package config

import (
	"fmt"
	"net"
	"net/netip"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/idna"

	"gomaild/internal/tables"
	"gomaild/mail"
)

// unixPrefix marks the address of a unix socket.
const unixPrefix = "unix:"

// Endpoint is the network ("tcp" or "unix") and address to listen on.
func (l *Listener) Endpoint() (network, address string) {
	if p, ok := strings.CutPrefix(l.Address, unixPrefix); ok {
		return "unix", p
	}
	return "tcp", l.Address
}

// validator collects the faults of values that are of the right kind.
type validator struct {
	c      *Config
	failed func(path string) bool // has a fault already
	errs   Errors
}

// validate looks at what a type cannot say: ranges, and keys that need each
// other.
func (c *Config) validate(failed func(path string) bool) Errors {
	v := &validator{c: c, failed: failed}
	v.hostname()
	v.storage()
	v.quota()
	v.acl()
	v.sieve()
	v.accounts()
	v.routing()
	v.lookupTables()
	v.remote()
	v.dns()
	v.policy()
	v.milter()
	v.ranges()
	v.certificates()
	v.log()
	v.metrics()
	for i := range c.Listeners {
		v.listener(&c.Listeners[i], index("listener", i))
	}
	v.twice()
	return v.errs
}

// unless reports a fault when ok is false and the key has none yet.
func (v *validator) unless(ok bool, path, format string, args ...any) {
	if !ok && !v.failed(path) {
		v.errs = append(v.errs, v.c.source.at(path, fmt.Sprintf(format, args...), nil))
	}
}

func (v *validator) hostname() {
	h := v.c.Hostname
	v.unless(h == "" || isDomain(h), "hostname", "%q is not a host name; write one such as %q", h, "mail.example.org")
	v.unless(v.c.RunDir != "", "run_dir", "is empty; name a directory such as %q", "/run/gomaild")
}

func (v *validator) storage() {
	s := &v.c.Storage
	v.unless(s.Root != "", "storage.root", "is empty; name the directory that holds the mail")
	v.unless(!s.Mount || s.Cluster != "", "storage.cluster", "is empty; with mount = true write an id here, the same on every node, and mark the mail root with `gomaild cluster init`")
	v.unless(s.Mount || s.FileSystem == "", "storage.file_system", "goes with mount = true")
	v.template(s.Path)
	v.unless(s.UID >= -1, "storage.uid", "%d is not a user id; write a number from 0 up, or -1 for the user that gomaild runs as", s.UID)
	v.unless(s.GID >= -1, "storage.gid", "%d is not a group id; write a number from 0 up, or -1 for the group that gomaild runs as", s.GID)
	v.unless(s.Journal == 0 || s.Journal >= 1_000_000, "storage.journal", "%q is too small; write \"1MB\" or more, or \"0B\" for none", s.Journal)
	v.unless(isInside(s.Spool), "storage.spool", "%q is not a path below root; write one such as %q", s.Spool, ".gomaild/spool")
	for name, folder := range map[string]string{
		"sent": s.Special.Sent, "drafts": s.Special.Drafts, "trash": s.Special.Trash,
		"junk": s.Special.Junk, "archive": s.Special.Archive,
	} {
		ok := !strings.ContainsAny(folder, ".\x00\n") && !strings.HasPrefix(folder, "~") && !strings.EqualFold(folder, "INBOX")
		v.unless(ok, "storage.special."+name, "%q cannot be the name of a folder; write one without dots, such as %q", folder, "Sent")
	}
}

// template checks a path template: what it may name, and that two accounts
// cannot get the same directory.
func (v *validator) template(t string) {
	const key, help = "storage.path", "write it of {domain}, {local}, {address} or {maildir}, such as"
	left := t
	for _, name := range []string{"{domain}", "{local}", "{address}", "{maildir}"} {
		left = strings.ReplaceAll(left, name, "x")
	}
	unique := strings.Contains(t, "{address}") || strings.Contains(t, "{maildir}") ||
		strings.Contains(t, "{domain}") && strings.Contains(t, "{local}")
	switch {
	case strings.ContainsAny(left, "{}"):
		v.unless(false, key, "%q has an unknown part in braces; %s %q", t, help, "{domain}/{address}")
	case !isInside(left):
		v.unless(false, key, "%q does not lie below root; %s %q", t, help, "{domain}/{address}")
	default:
		v.unless(unique, key, "%q gives two accounts one directory; %s %q", t, help, "{domain}/{local}")
	}
}

// isInside reports a relative path that stays where it begins.
func isInside(p string) bool {
	return p != "" && filepath.IsLocal(p) && path.Clean(p) != "."
}

func (v *validator) quota() {
	q := &v.c.Quota
	v.unless(q.Messages >= 0, "quota.messages", "%d is less than none; write 0 for no limit", q.Messages)
	v.unless(q.DomainUnit > 0, "quota.domain_unit", "is nothing; write what postfixadmin's quota_multiplier says, such as \"1024kB\"")
	for i, w := range q.Warnings {
		v.unless(w >= 1 && w <= 100, index("quota.warnings", i), "%d is not a percentage; write a number from 1 to 100", w)
	}
	v.unless(q.Grace >= 0 && q.Grace <= 100, "quota.grace", "%d is not a percentage; write a number from 0 to 100", q.Grace)
}

func (v *validator) acl() {
	a := &v.c.ACL
	v.unless(isInside(a.Dictionary), "acl.dictionary", "%q is not a path below storage.root; write one such as %q", a.Dictionary, "shared-folders/shared-mailboxes.db")
	name, ended := strings.CutSuffix(a.Prefix, "/")
	v.unless(ended && name != "" && !strings.ContainsAny(name, "/*%.") && !strings.EqualFold(name, "INBOX"), "acl.prefix", "%q is not one level of names and \"/\"; write one such as %q", a.Prefix, "Shared/")
}

func (v *validator) sieve() {
	s := &v.c.Sieve
	for key, p := range map[string]string{"before": s.Before, "default": s.Default, "after": s.After, "global": s.Global} {
		v.unless(p == "" || isInside(p), "sieve."+key, "%q is not a path below storage.root; write one such as %q, or nothing", p, "sieve/before.sieve")
	}
	v.scanner("sieve.spamtest.", &s.SpamTest, 10)
	v.scanner("sieve.virustest.", &s.VirusTest, 5)
	v.unless(isInside(s.Dir) && !strings.Contains(s.Dir, "/") && !slices.Contains([]string{"cur", "new", "tmp"}, s.Dir), "sieve.dir",
		"%q is no name of a directory in an account; write %q, or %q as Dovecot has it by default", s.Dir, ".sieve", "sieve")
	v.sievePrograms(&s.Programs)
	v.sieveIMAP(&s.IMAP)
}

func (v *validator) sievePrograms(p *SievePrograms) {
	for key, dir := range map[string]string{"pipe": p.Pipe, "filter": p.Filter, "execute": p.Execute} {
		v.unless(dir == "" || filepath.IsAbs(dir), "sieve.programs."+key, "%q is not an absolute path; write one such as %q, or nothing", dir, "/usr/lib/gomaild/sieve")
	}
	v.unless(p.Timeout > 0, "sieve.programs.timeout", "is nothing; write how long a program may run, such as %q", "10s")
	v.unless(p.MaxOutput > 0 && p.MaxOutput <= 1<<30, "sieve.programs.max_output", "%v is not between %q and %q", p.MaxOutput, "1B", "1GiB")
}

func (v *validator) sieveIMAP(m *SieveIMAP) {
	rest, isSieve := strings.CutPrefix(m.URL, "sieve://")
	v.unless(m.URL == "" || isSieve && rest != "" && !strings.ContainsAny(rest, " /\"\r\n"), "sieve.imap.url",
		"%q is no ManageSieve server; write one such as %q", m.URL, "sieve://mail.example.org")
	for i, r := range m.Rules {
		at := index("sieve.imap.rule", i) + "."
		v.unless(r.Name != "", at+"name", "is empty; name a mailbox, or write %q for all", "*")
		v.unless(r.Before != "" || r.After != "", at+"before", "and after are both empty; name a script")
		for key, p := range map[string]string{"before": r.Before, "after": r.After} {
			v.unless(p == "" || isInside(p), at+key, "%q is not a path below storage.root; write one such as %q", p, "sieve/learn-spam.sieve")
		}
		for _, c := range r.Causes {
			v.unless(slices.Contains([]string{"APPEND", "COPY", "FLAG"}, c), at+"causes", "%q is none of APPEND, COPY, FLAG", c)
		}
	}
}

func (v *validator) scanner(at string, s *SieveScanner, most int) {
	for key, header := range map[string]string{"status_header": s.StatusHeader, "max_header": s.MaxHeader} {
		if _, expr, has := strings.Cut(header, ":"); has {
			re, err := regexp.CompilePOSIX(strings.TrimSpace(expr))
			v.unless(err == nil && re.NumSubexp() > 0, at+key, "%q has no regular expression with a group behind the field's name; write one such as %q", header, `X-Spam-Score: score=([0-9.]+)`)
		}
	}
	v.unless(slices.Contains([]string{"", "score", "strlen", "text"}, s.StatusType), at+"status_type", "%q is none of score, strlen, text", s.StatusType)
	if s.MaxValue != "" {
		n, err := strconv.ParseFloat(s.MaxValue, 64)
		v.unless(err == nil && n > 0, at+"max_value", "%q is not a number above 0; write one such as %q", s.MaxValue, "15")
	}
	v.unless(len(s.TextValues) <= most+1, at+"text_values", "has %d verdicts; the highest value is %d, so write at most %d", len(s.TextValues), most, most+1)
	isText := s.StatusType == "text"
	v.unless(s.StatusHeader == "" || isText || s.MaxHeader+s.MaxValue != "", at+"max_value", "is missing; write the score that is as bad as can be, such as %q, or name its field in max_header", "15")
	v.unless(s.StatusHeader == "" || !isText || len(s.TextValues) > 0, at+"text_values", "is missing; write the verdicts of the values from 0")
}

func (v *validator) accounts() {
	a := &v.c.Accounts
	v.unless(a.Driver != SQLite || a.Path != "", "accounts.path", "is empty; name the SQLite file")
	if a.Driver == MySQL {
		v.unless(a.Address != "" && (filepath.IsAbs(a.Address) || isHostPort(a.Address)), "accounts.address",
			"%q is not a MySQL server; write %q or the absolute path of its socket", a.Address, "host:3306")
		v.unless(a.Database != "", "accounts.database", "is empty; name the database with postfixadmin's tables")
		v.unless(a.User != "", "accounts.user", "is empty; name the MySQL user")
	}
	v.unless(a.Timeout > 0, "accounts.timeout", `is "0s"; write how long a look-up may take, such as "5s"`)
	v.unless(a.ConnLifetime >= Duration(time.Second), "accounts.conn_lifetime", "%q is too short; write at least %q", a.ConnLifetime, "1s")
	v.unless(a.SnapshotAge >= Duration(time.Minute), "accounts.snapshot_age", "%q is too short; write %q or more", a.SnapshotAge, "1m")
	v.unless(a.MaxConns > 0, "accounts.max_conns", "%d connections cannot work; write at least 1", a.MaxConns)
	v.unless(a.DefaultDomain == "" || isDomain(a.DefaultDomain), "accounts.default_domain",
		"%q is not a domain; write one such as %q, or nothing", a.DefaultDomain, "example.org")
	v.unless(a.DefaultScheme != "", "accounts.default_scheme", "is empty; name a password scheme such as %q", "MD5-CRYPT")
}

func (v *validator) routing() {
	r := &v.c.Routing
	d := r.RecipientDelimiter
	v.unless(d == "" || len(d) == 1 && strings.ContainsAny(d, "!#$%&'*+-/=?^_`{|}~."), "routing.recipient_delimiter",
		"%q is not one character that an address may hold; write %q, or nothing", d, "+")
	local, domain, found := strings.Cut(r.Postmaster, "@")
	v.unless(r.Postmaster == "" || found && local != "" && isDomain(domain), "routing.postmaster",
		"%q is not an address; write one such as %q, or nothing", r.Postmaster, "admin@example.org")
	for path, d := range map[string]string{"routing.origin": r.Origin, "routing.vacation_domain": r.VacationDomain} {
		v.unless(d == "" || isDomain(d), path, "%q is not a domain; write one such as %q, or nothing", d, "example.org")
	}
}

// lookupTables checks the names of lookup tables; their files are the daemon's to read.
func (v *validator) lookupTables() {
	for _, m := range v.c.maps() {
		for i, spec := range *m.list {
			err := tables.CheckSpec(spec)
			v.unless(err == nil, index(m.path, i), "%v", err)
		}
	}
}

// ranges checks numbers that only have a least value.
func (v *validator) ranges() {
	l, a := &v.c.Limits, &v.c.Auth
	for _, n := range []struct {
		path      string
		is, least int
	}{
		{"limits.recipients", l.Recipients, 1},
		{"limits.hops", l.Hops, 1},
		{"limits.errors", l.Errors, 1},
		{"limits.imap_sessions", l.IMAPSessions, 0},
		{"auth.throttle_client", a.ThrottleClient, 1},
		{"auth.throttle_account", a.ThrottleAccount, 1},
	} {
		v.unless(n.is >= n.least, n.path, "%d is too small; write %d or more", n.is, n.least)
	}
	for _, d := range []struct {
		path      string
		is, least Duration
	}{
		{"limits.smtp_timeout", l.SMTPTimeout, Duration(time.Second)},
		{"limits.imap_timeout", l.IMAPTimeout, Duration(time.Second)},
		{"limits.pop3_timeout", l.POP3Timeout, Duration(time.Second)},
		{"limits.login_timeout", l.LoginTimeout, Duration(time.Second)},
	} {
		v.unless(d.is >= d.least, d.path, "%q is too short; write %q or more", d.is, d.least)
	}
	v.unless(l.MessageSize >= 64_000, "limits.message_size",
		"%q is too small (RFC 5321 section 4.5.3.1.7); write %q or more", l.MessageSize, "64kB")
}

func (v *validator) remote() {
	q, r := &v.c.Queue, &v.c.Remote
	v.unless(len(q.Schedule) > 0, "queue.schedule", "is empty; write at least one wait, such as %q", "5m")
	for i, d := range q.Schedule {
		v.unless(d >= Duration(time.Second), index("queue.schedule", i), "%q is too short; write %q or more", d, "1s")
	}
	v.unless(q.Lifetime >= Duration(time.Minute), "queue.lifetime", "%q is too short; write %q or more", q.Lifetime, "1m")
	v.unless(q.Concurrency > 0, "queue.concurrency", "%d is too small; write 1 or more", q.Concurrency)
	v.unless(q.PerDestination > 0, "queue.per_destination", "%d is too small; write 1 or more", q.PerDestination)
	v.unless(r.HELO == "" || isDomain(r.HELO), "remote.helo", "%q is not a host name; write one such as %q", r.HELO, "mail.example.org")
	_, err := netip.ParseAddr(r.Source)
	v.unless(r.Source == "" || err == nil, "remote.source", "%q is not an address; write one of this host, or nothing", r.Source)
	_, err = mail.ParseNextHop(r.RelayHost)
	v.unless(r.RelayHost == "" || err == nil, "remote.relay_host", "%q is not a host; write one such as %q", r.RelayHost, "[smtp.example.org]:587")
	v.unless(r.SRSDomain == "" || isDomain(r.SRSDomain), "remote.srs_domain", "%q is not a domain; write one such as %q", r.SRSDomain, "srs.example.org")
	_, err = mail.ParseAddress(r.TLSReportFrom)
	v.unless(r.TLSReportFrom == "" || err == nil, "remote.tls_report_from", "%q is not an address; write one such as %q", r.TLSReportFrom, "postmaster@example.org")
	for _, d := range []struct {
		key string
		is  Duration
	}{
		{"connect", r.Timeouts.Connect}, {"greeting", r.Timeouts.Greeting}, {"command", r.Timeouts.Command}, {"tls", r.Timeouts.TLS},
		{"data", r.Timeouts.Data}, {"block", r.Timeouts.Block}, {"end_of_data", r.Timeouts.EndOfData}, {"quit", r.Timeouts.Quit},
	} {
		v.unless(d.is >= Duration(time.Second), "remote.timeouts."+d.key, "%q is too short; write %q or more", d.is, "1s")
	}
	v.unless(r.RelayLoginFile == "" || r.RelayHost != "", "remote.relay_login_file", "is for relay_host; name that host too")
}

func (v *validator) dns() {
	for i, s := range v.c.DNS.Servers {
		_, err := netip.ParseAddrPort(s)
		if err != nil {
			_, err = netip.ParseAddr(s)
		}
		v.unless(err == nil, index("dns.servers", i), "%q is not an address; write %q or %q", s, "127.0.0.1", "127.0.0.1:53")
	}
	v.unless(v.c.DNS.Timeout >= Duration(100*time.Millisecond), "dns.timeout", "%q is too short; write %q or more", v.c.DNS.Timeout, "100ms")
}

func (v *validator) policy() {
	p := &v.c.Policy
	v.unless(p.GreylistDelay >= Duration(time.Second), "policy.greylist_delay", "%q is too short; write %q or more", p.GreylistDelay, "1s")
	v.unless(p.DNSBLThreshold > 0, "policy.dnsbl_threshold", "%d would refuse everybody; write 1 or more", p.DNSBLThreshold)
	v.unless(!strings.ContainsAny(p.JunkFolder, "\x00\n"), "policy.junk_folder", "%q cannot be the name of a folder; write one such as %q", p.JunkFolder, "Junk")
	v.unless(p.ServiceTimeout >= Duration(100*time.Millisecond), "policy.service_timeout", "%q is too short; write %q or more", p.ServiceTimeout, "100ms")
	v.services("policy.services", p.Services)
	v.services("milter.rspamd", v.c.Milter.Rspamd)
	verifies := slices.Contains(p.Checks, "arc")
	v.unless(p.ARCDomain == "" || verifies, "policy.arc_domain", "nothing can be sealed that was not looked at; add %q to policy.checks", "arc")
	v.unless(len(p.ARCTrusted) == 0 || verifies, "policy.arc_trusted", "no seals are looked at; add %q to policy.checks", "arc")
	for i, l := range p.DNSBL {
		at := index("policy.dnsbl", i)
		v.unless(isDomain(l.Domain), at+".domain", "%q is not a domain; write that of the list, such as %q", l.Domain, "bl.example.org")
		for k, a := range l.Answers {
			ip, err := netip.ParseAddr(a)
			v.unless(err == nil && ip.Is4() && ip.IsLoopback(), index(at+".answers", k), "%q is not an answer of a list; write one such as %q", a, "127.0.0.2")
		}
	}
}

// services checks addresses of policy servers and milters.
func (v *validator) services(path string, all []string) {
	for i, s := range all {
		socket, isUnix := strings.CutPrefix(s, unixPrefix)
		v.unless(isUnix && filepath.IsAbs(socket) || !isUnix && isHostPort(s), index(path, i),
			"%q is not the address of a service; write %q or %q", s, "127.0.0.1:10023", "unix:/path")
	}
}

func (v *validator) milter() {
	m := &v.c.Milter
	v.services("milter.mx", m.MX)
	v.services("milter.submission", m.Submission)
	v.unless(m.Timeout >= Duration(100*time.Millisecond), "milter.timeout", "%q is too short; write %q or more", m.Timeout, "100ms")
}

func (v *validator) certificates() {
	for i, c := range v.c.TLS.Certificates {
		at := index("tls.certificate", i)
		v.unless(c.Cert != "", at+".cert", "is missing; name the PEM file with the certificate and its chain")
		v.unless(c.Key != "", at+".key", "is missing; name the PEM file with the private key")
	}
}

func (v *validator) log() {
	d := v.c.Log.Destination
	v.unless(d == "stderr" || d == "stdout" || d == "syslog" || filepath.IsAbs(d), "log.destination",
		"%q is not a destination; write %q, %q, %q or the absolute path of a file", d, "stderr", "stdout", "syslog")
}

func (v *validator) metrics() {
	m := &v.c.Metrics
	v.unless(m.Address == "" || isHostPort(m.Address), "metrics.address", "%q is not an address to listen on; write one such as %q", m.Address, "127.0.0.1:9154")
	host, _, _ := net.SplitHostPort(m.Address)
	ip, err := netip.ParseAddr(host)
	v.unless(!m.Pprof || host == "localhost" || err == nil && ip.IsLoopback(), "metrics.pprof",
		"is for an address on loopback, such as %q; profiles show what is in memory", "127.0.0.1:9154")
}

func (v *validator) listener(l *Listener, at string) {
	if l.Type == "" {
		v.unless(false, at+".type", "is missing; use %s", quotedList(l.Type.choices()))
		return
	}
	network, address := l.Endpoint()
	if network == "unix" {
		v.unless(address != "", at+".address", "names no socket; write %q", "unix:/run/gomaild/lmtp")
	} else {
		v.unless(isHostPort(address), at+".address", "%q is not an address to listen on; write %q, %q or %q",
			address, "127.0.0.1:2525", ":25", "unix:/path")
	}
	v.unless(l.Type != LDA || network == "unix", at+".address",
		"%q would let anybody on the network deliver; the lda listener needs a unix socket, such as %q", l.Address, "unix:/run/gomaild/lda")
	v.unless(network == "tcp" || l.TLS == NoTLS, at+".tls", "%q is for TCP; on a unix socket write %q", l.TLS, NoTLS)
	v.unless(len(l.TrustedNetworks) == 0 || l.Type == Submission || l.isForReading(), at+".trusted_networks",
		"is for submission, imap, pop3 and managesieve; %s trusts nobody, take the key away", l.Type)
	v.unless(len(l.ProxyNetworks) == 0 || network == "tcp", at+".proxy_networks",
		"is for TCP; a unix socket has no network behind it, take the key away")
	v.unless(!l.FreeBind || network == "tcp", at+".free_bind", "is for TCP; take the key away")
	v.unless(len(l.XClientNetworks) == 0 || l.Type == MX || l.Type == Submission || l.Type == LMTP, at+".xclient_networks",
		"is for mx, submission and lmtp; %s has no XCLIENT, take the key away", l.Type)
	v.unless(l.Type != Submission || l.TLS != NoTLS || len(l.TrustedNetworks) > 0, at+".tls",
		"%q leaves users no way to log in; write %q or %q, or list trusted_networks", l.TLS, Implicit, StartTLS)
	v.unless(!l.isForReading() || l.TLS != NoTLS || len(l.TrustedNetworks) > 0, at+".tls",
		"%q leaves users no way to log in; write %q or %q, or list trusted_networks", l.TLS, Implicit, StartTLS)
	v.unless(l.MaxConnections > 0, at+".max_connections", "%d is too small; write 1 or more", l.MaxConnections)
	v.unless(l.MaxPerClient >= 0, at+".max_per_client", "%d is negative; write 0 for no limit", l.MaxPerClient)
}

// twice finds two listeners on one address; port 0 is never the same twice.
func (v *validator) twice() {
	first := map[string]int{}
	for i := range v.c.Listeners {
		network, address := v.c.Listeners[i].Endpoint()
		at := index("listener", i) + ".address"
		if network == "tcp" && strings.HasSuffix(address, ":0") {
			continue
		}
		if j, taken := first[network+address]; taken {
			v.unless(false, at, "%q is the address of another listener too (line %d); give each its own",
				v.c.Listeners[i].Address, v.c.source.lines[index("listener", j)])
			continue
		}
		first[network+address] = i
	}
}

func isHostPort(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

func isDomain(s string) bool {
	if s == "" || strings.HasPrefix(s, ".") || strings.HasSuffix(s, ".") || len(s) > 253 {
		return false
	}
	_, err := idna.Lookup.ToASCII(s)
	return err == nil
}
