package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"
	mdns "github.com/miekg/dns"

	"gomaild/delivery/queue"
	"gomaild/internal/config"
	"gomaild/internal/dns"
	"gomaild/internal/dns/dnstest"
	"gomaild/smtp/client/clienttest"
)

// hostileDNS answers as the first label of a name says, and as its zone does once
// it is healed. With "addresses" it is the exchanger's addresses that are hostile.
type hostileDNS struct {
	zone   dnstest.Zone
	healed atomic.Bool
}

func (h *hostileDNS) ServeDNS(w mdns.ResponseWriter, q *mdns.Msg) {
	m := new(mdns.Msg)
	m.SetReply(q)
	m.RecursionAvailable = true
	name, qtype := dns.HostName(q.Question[0].Name), q.Question[0].Qtype
	what, _, _ := strings.Cut(strings.TrimPrefix(name, "_dmarc."), ".")
	overTCP := strings.HasPrefix(w.RemoteAddr().Network(), "tcp")
	if h.healed.Load() {
		what = ""
	}
	alias := func(to string) {
		m.Answer = []mdns.RR{&mdns.CNAME{Hdr: mdns.RR_Header{Name: q.Question[0].Name, Rrtype: mdns.TypeCNAME, Class: mdns.ClassINET, Ttl: 300}, Target: to}}
	}
	switch what {
	case "silent":
		return
	case "servfail":
		m.Rcode = mdns.RcodeServerFailure
	case "refused":
		m.Rcode = mdns.RcodeRefused
	case "liar": // says of another name that it does not exist
		m.Question[0].Name = "else.test."
		m.Rcode = mdns.RcodeNameError
	case "spoofed": // an answer to a question that was not put
		m.Id++
		m.Rcode = mdns.RcodeNameError
	case "truncated": // over TCP too
		m.Truncated = true
	case "cut": // over UDP only
		if !overTCP {
			m.Truncated = true
			break
		}
		h.zone.ServeDNS(w, q)
		return
	case "loop":
		alias(q.Question[0].Name)
	case "circle":
		alias("circle.back." + name[strings.LastIndex(name, ".")+1:] + ".")
	case "endless":
		alias("endless.x." + strings.TrimPrefix(q.Question[0].Name, "endless."))
	case "referral":
		m.RecursionAvailable = false
	case "garbage":
		_, _ = w.Write([]byte("garbage that is no packet"))
		return
	case "addresses":
		if qtype != mdns.TypeMX {
			m.Rcode = mdns.RcodeServerFailure
			break
		}
		h.zone.ServeDNS(w, q)
		return
	default:
		h.zone.ServeDNS(w, q)
		return
	}
	_ = w.WriteMsg(m) // the client is gone: nobody to tell
}

// TestHostileResolver: whatever a resolver does that is no answer, mail waits, with
// words that say so; nothing bounces, and all arrives when it has come to its senses.
// A truncated answer is asked for again over TCP.
func TestHostileResolver(t *testing.T) {
	t.Parallel()
	far := new(clienttest.Sink)
	host, port := serveSink(t, far)
	h := &hostileDNS{zone: dnstest.Zone{Records: map[string][]string{}}}
	const noMX, noAddress = "451 4.4.3 Mail exchangers of %s could not be looked up", "451 4.4.3 Addresses of the mail exchangers of %s could not be looked up"
	rows := map[string]string{
		"silent": noMX, "servfail": noMX, "refused": noMX, "liar": noMX, "spoofed": noMX, "truncated": noMX, "loop": noMX, "circle": noMX, "endless": noMX,
		"referral": noMX, "garbage": noMX, "addresses": noAddress, "cut": "",
	}
	var maps []string
	for what := range rows {
		domain := what + ".test"
		h.zone.Records[domain] = []string{"MX 10 " + domain + ".", "A " + host}
		maps = append(maps, fmt.Sprintf("%s=smtp:%s:%s", domain, domain, port))
	}
	w := newWorld(t)
	head := fmt.Sprintf("dns.servers = [%q]\ndns.timeout = \"500ms\"\nremote.mta_sts = false\nqueue.schedule = [\"1h\"]\nrouting.transport_maps = [%q]\n",
		dnstest.Serve(t, h), "inline:{"+strings.Join(maps, ", ")+"}")
	d, err := New(w.config(t, head, listeners), Options{})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	w.start(t)
	for what := range rows {
		if err := w.submitTo(t, "x@"+what+".test", what); err != nil {
			t.Fatal(err)
		}
	}
	for what, want := range rows {
		if want != "" {
			w.awaitReply(t, "x@"+what+".test", strings.ReplaceAll(want, "%s", what+".test"))
		}
	}
	if got := awaitMessages(t, far, 1); len(got) != 1 || !strings.Contains(got[0].Content, "Subject: cut") {
		t.Errorf("the answer that came over TCP: %+v", got)
	}

	h.healed.Store(true)
	if _, err := w.applyToQueue(queueOrder{queue.Retry, queue.Selection{}}); err != nil {
		t.Fatal(err)
	}
	if got := awaitMessages(t, far, len(rows)); len(got) != len(rows) {
		t.Errorf("%d arrived, of %d", len(got), len(rows))
	}
	if told, err := filepath.Glob(w.path("mail/example.test/bob@example.test/new/*")); err != nil || len(told) != 0 {
		t.Errorf("the sender was told: %v, %v", told, err)
	}
}

// TestHostileResolverOfStrangers: whatever a resolver does that is no answer, a
// stranger's mail is put off, or taken with a verdict that is temporary; it is never
// refused for good, and nobody waits long.
func TestHostileResolverOfStrangers(t *testing.T) {
	t.Parallel()
	h := &hostileDNS{zone: dnstest.Zone{Records: map[string][]string{}}}
	server := dnstest.Serve(t, h)
	kinds := []string{"silent", "servfail", "refused", "liar", "spoofed", "truncated", "loop", "circle", "endless", "referral", "garbage"}
	lists := make([]string, len(kinds))
	for i, kind := range kinds {
		lists[i] = fmt.Sprintf("{domain = \"%s.test\"}", kind)
	}
	w := newWorld(t).start(t)
	for checks, want := range map[string]string{
		`"reject_unknown_helo_hostname"`:                                       "450 4.7.1 Helo command rejected: Host not found",
		`"reject_unknown_sender_domain"`:                                       "450 4.1.8 Sender address rejected: Domain cannot be looked up now",
		`"spf", "reject_spf_fail", "dkim", "arc", "dmarc", "reject_dmarc"`:     "",
		`"reject_rbl_client"`:                                                  "",
		`"reject_unknown_helo_hostname", "spf", "reject_spf_fail", "greylist"`: "450 4.7.1 ",
	} {
		if err := w.Reload(t.Context(), w.config(t, fmt.Sprintf("dns.servers = [%q]\ndns.timeout = \"100ms\"\npolicy.checks = [%s]\npolicy.dnsbl = [%s]\n", server, checks, strings.Join(lists, ", ")), listeners)); err != nil {
			t.Fatal(err)
		}
		var running sync.WaitGroup
		for _, kind := range kinds {
			running.Go(func() {
				start := time.Now()
				c := gosmtp.NewClient(dial(t, "tcp", w.addr(t, config.MX, config.StartTLS)))
				defer c.Close()
				domain := kind + ".test"
				err := c.Hello(domain)
				if err == nil {
					text := "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=" + domain + "; s=" + kind + "; h=From; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=; b=aGk=\r\n"
					err = c.SendMail("a@"+domain, []string{"alice@example.test"}, strings.NewReader(text+"From: a@"+domain+"\r\nSubject: "+kind+"\r\n\r\n"))
				}
				reply := "250 2.0.0"
				if s, ok := errors.AsType[*gosmtp.SMTPError](err); ok {
					reply = fmt.Sprintf("%d %d.%d.%d %s", s.Code, s.EnhancedCode[0], s.EnhancedCode[1], s.EnhancedCode[2], s.Message)
				} else if err != nil {
					reply = err.Error()
				}
				if !strings.HasPrefix(reply, want) || want == "" && err != nil {
					t.Errorf("%s, %s: %q, want %q", checks, kind, reply, want)
				}
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("%s, %s took %v", checks, kind, took)
				}
			})
		}
		running.Wait()
	}
	files, err := filepath.Glob(w.path("mail/example.test/alice@example.test/new/*"))
	if err != nil || len(files) != 2*len(kinds) {
		t.Fatalf("%d messages, %v", len(files), err)
	}
	judged := 0
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "Authentication-Results:") {
			continue // asked of lists only
		}
		judged++
		for _, want := range []string{"spf=temperror", "dkim=temperror", "dmarc=temperror"} {
			if !strings.Contains(string(text), want) {
				t.Errorf("no %s in\n%s", want, text)
			}
		}
	}
	if judged != len(kinds) {
		t.Errorf("%d were judged", judged)
	}
}
