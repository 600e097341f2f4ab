package e2e

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gomaild/internal/dns/dnstest"
	"gomaild/policy/dkim"
)

// mx is a server on port 25 with what lies behind it, measured from outside.
type mx struct {
	addr     string
	users    []string
	masters  []int                       // processes
	new      func(user string) string    // where a user's new mail lies
	isOwed   func(tb testing.TB) bool    // it still has mail that is in no Maildir
	senders  []string                    // of messages
	contents func(size int) (c [][]byte) // one for each sender
}

// strangers have no domain that anybody asks about.
var strangers = []string{"sender@remote.invalid"}

func plainContent(size int) [][]byte { return [][]byte{content(size)} }

// result is how long it took to bring messages, and the server's processor time.
type result struct {
	n         int
	took, cpu time.Duration
}

func (r *result) add(other result) {
	r.n, r.took, r.cpu = r.n+other.n, r.took+other.took, r.cpu+other.cpu
}

func (r *result) rate() float64 { return float64(r.n) / r.took.Seconds() }

// deliver sends n messages over conns connections. The time is that from the
// first connect until the last message is in its Maildir and all is written.
func (m *mx) deliver(b *testing.B, conns, n, size int) result {
	b.Helper()
	contents := m.contents(size)
	before, used := m.count(b), m.cpu(b)
	m.sync(b)
	start := time.Now()
	s := dialSwarm(b, m.addr, m.senders, m.users, conns)
	s.send(b, n, contents...)
	s.close()
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for m.isOwed(b) {
		<-look.C
	}
	m.sync(b)
	took := time.Since(start)
	used = m.cpu(b) - used
	if got := m.count(b) - before; got != n {
		b.Fatalf("%d of %d messages are there", got, n)
	}
	return result{n, took, used}
}

// sync waits until the file system of the mail has written all. What lies on
// others is not of the server: only what others wrote would be waited for.
func (m *mx) sync(tb testing.TB) {
	tb.Helper()
	dir, err := os.Open(filepath.Dir(m.new(m.users[0])))
	if errors.Is(err, fs.ErrNotExist) { // nobody has mail yet
		return
	}
	if err != nil {
		tb.Fatal(err)
	}
	defer dir.Close()
	if err := unix.Syncfs(int(dir.Fd())); err != nil {
		tb.Fatal(err)
	}
}

// count is how much new mail there is.
func (m *mx) count(tb testing.TB) int {
	tb.Helper()
	n := 0
	for _, user := range m.users {
		names, err := os.ReadDir(m.new(user))
		if err != nil && !os.IsNotExist(err) {
			tb.Fatal(err)
		}
		n += len(names)
	}
	return n
}

func (m *mx) cpu(tb testing.TB) (sum time.Duration) {
	tb.Helper()
	for _, pid := range m.masters {
		sum += familyCPU(tb, pid)
	}
	return sum
}

func gomaildMX(b *testing.B, top string) *mx {
	b.Helper()
	w := newWorld(b, top)
	users := w.addUsers(b, mailboxes)
	w.start(b)
	return &mx{
		addr: w.addr(w.mx), users: users, masters: []int{w.cmd.Process.Pid}, senders: strangers, contents: plainContent,
		new:    func(user string) string { return filepath.Join(w.maildir(user), "new") },
		isOwed: func(testing.TB) bool { return false }, // what is answered is there
	}
}

// judgingMX is gomaild that checks SPF, DKIM and DMARC of messages from a hundred
// domains, all of which pass, at a resolver here.
func judgingMX(b *testing.B) *mx {
	b.Helper()
	const domains = 100
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	record, err := dkim.Record(key.Public())
	if err != nil {
		b.Fatal(err)
	}
	zone := dnstest.Zone{Records: map[string][]string{"_spf.provider.test": {`TXT "v=spf1 ip4:192.0.2.0/24 ip4:127.0.0.1 -all"`}}}
	var senders []string
	for i := range domains {
		domain := fmt.Sprintf("d%d.test", i)
		senders = append(senders, "sender@"+domain)
		zone.Records[domain] = []string{`TXT "v=spf1 include:_spf.provider.test -all"`}
		zone.Records["_dmarc."+domain] = []string{`TXT "v=DMARC1; p=reject"`}
		zone.Records["s1._domainkey."+domain] = []string{fmt.Sprintf("TXT %q %q", record[:200], record[200:])}
	}
	m := gomaildMX(b, fmt.Sprintf("dns.servers = [%q]\npolicy.checks = [\"spf\", \"reject_spf_fail\", \"dkim\", \"dmarc\", \"reject_dmarc\"]\n", dnstest.Serve(b, zone)))
	m.senders = senders
	m.contents = func(size int) [][]byte {
		var all [][]byte
		for i := range domains {
			domain := fmt.Sprintf("d%d.test", i)
			text := strings.Replace(string(content(size)), "From: sender@remote.invalid", "From: sender@"+domain, 1)
			field, err := (&dkim.Signer{Domain: domain, Selector: "s1", Key: key}).Sign(strings.NewReader(text))
			if err != nil {
				b.Fatal(err)
			}
			all = append(all, append(field, text...))
		}
		return all
	}
	return m
}

// passes fails when not all of what is judged has passed.
func (m *mx) passes(b *testing.B) {
	b.Helper()
	for _, user := range m.users[:10] {
		names, err := filepath.Glob(filepath.Join(m.new(user), "*"))
		if err != nil || len(names) == 0 {
			b.Fatal(names, err)
		}
		text, err := os.ReadFile(names[0])
		if err != nil {
			b.Fatal(err)
		}
		head, _, _ := strings.Cut(string(text), "\n\n")
		for _, want := range []string{"spf=pass", "dkim=pass", "dmarc=pass"} {
			if !strings.Contains(head, want) {
				b.Fatalf("no %s in\n%s", want, head)
			}
		}
	}
}

// postfixMX is the machine's own Postfix, which hands everything to the machine's
// own Dovecot: over LMTP, or with one dovecot-lda for each message.
func postfixMX(b *testing.B, w *world, lda bool) *mx {
	b.Helper()
	d := dovecotServer(b, w, false)
	settings := "virtual_mailbox_domains = example.test\nvirtual_mailbox_maps = static:here\nvirtual_transport = lmtp:inet:" + d.lmtp + "\n"
	service := ""
	if lda {
		settings = "virtual_mailbox_domains = example.test\nvirtual_mailbox_maps = static:here\nvirtual_transport = dovecot\ndovecot_destination_recipient_limit = 1\n"
		service = fmt.Sprintf("dovecot unix - n n - - pipe flags=DRhu user=nobody argv=/usr/lib/dovecot/dovecot-lda -c %s -o log_path=/dev/stderr -o ssl=no -o ssl_key= -f ${sender} -d ${recipient}\n", d.conf)
		if err := os.Chmod(d.conf, 0o644); err != nil {
			b.Fatal(err)
		}
	}
	p := startPostfix(b, 1, settings, service)
	awaitPort(b, fmt.Sprintf("%s:%d", host, p.port))
	pid, err := os.ReadFile(filepath.Join(p.dir, "queue/pid/master.pid"))
	if err != nil {
		b.Fatal(err)
	}
	master, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	if err != nil {
		b.Fatal(err)
	}
	m := &mx{
		addr: fmt.Sprintf("%s:%d", host, p.port), masters: []int{master, d.master}, senders: strangers, contents: plainContent,
		new: func(user string) string { return filepath.Join(d.home(user), "new") },
	}
	for i := range mailboxes {
		m.users = append(m.users, benchUser(i))
	}
	m.isOwed = func(tb testing.TB) bool {
		for _, queue := range []string{"maildrop", "incoming", "active", "deferred"} {
			found := false
			err := filepath.WalkDir(filepath.Join(p.dir, "queue", queue), func(_ string, e fs.DirEntry, err error) error {
				if err == nil && e.Type().IsRegular() {
					found = true
					return fs.SkipAll
				}
				return nil // a file that has just gone
			})
			if err != nil {
				tb.Fatal(err)
			}
			if found {
				return true
			}
		}
		return false
	}
	return m
}

// BenchmarkMX: from a stranger into a Maildir, all synced, with no policy and
// with SPF, DKIM and DMARC, beside the machine's own Postfix with Dovecot behind
// it: over LMTP (target: 8 times as fast, 4 with policy) and with one dovecot-lda
// for each message (20 and 10 times).
func BenchmarkMX(b *testing.B) {
	plain, judging := gomaildMX(b, ""), judgingMX(b)
	w := newWorld(b, "") // for its certificate
	lmtp, lda := postfixMX(b, w, false), postfixMX(b, w, true)
	for _, m := range []*mx{plain, judging, lmtp, lda} { // makes the Maildirs
		m.deliver(b, 8, mailboxes, 100)
	}
	judging.passes(b)
	for _, size := range []int{4 << 10, 20 << 10} {
		for _, conns := range []int{8, 32} {
			b.Run(fmt.Sprintf("%dKB/%dconns", size>>10, conns), func(b *testing.B) {
				const turns = 2 // the disk has moods; all shall meet them
				var ours, judged, byLMTP, byLDA result
				for b.Loop() {
					for range turns {
						ours.add(plain.deliver(b, conns, 3000, size))
						judged.add(judging.deliver(b, conns, 3000, size))
						byLMTP.add(lmtp.deliver(b, conns, 500, size))
						byLDA.add(lda.deliver(b, conns, 200, size))
					}
				}
				for name, r := range map[string]*result{"": &ours, "judged-": &judged, "lmtp-": &byLMTP, "lda-": &byLDA} {
					b.ReportMetric(r.rate(), name+"msg/s")
					b.ReportMetric(float64(r.cpu.Microseconds())/float64(r.n), name+"cpu-us")
				}
				b.ReportMetric(ours.rate()/byLMTP.rate(), "x-lmtp")
				b.ReportMetric(ours.rate()/byLDA.rate(), "x-lda")
				b.ReportMetric(judged.rate()/byLMTP.rate(), "judged-x-lmtp")
				b.ReportMetric(judged.rate()/byLDA.rate(), "judged-x-lda")
				b.ReportMetric(judged.rate()/ours.rate(), "judged/plain")
			})
		}
	}
}
