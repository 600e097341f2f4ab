package remote_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gomaild/delivery/queue"
	"gomaild/delivery/remote"
	"gomaild/internal/dns"
	"gomaild/internal/dns/dnstest"
	"gomaild/internal/durable/crashfs"
	"gomaild/mail"
	"gomaild/message"
	"gomaild/smtp/client"
)

// lastReplies remembers what each attempt said.
type lastReplies struct {
	queue.Agent
	reply atomic.Value // string
	took  atomic.Int64 // of the first attempt
}

func (l *lastReplies) Deliver(ctx context.Context, job queue.Job) []queue.Result {
	begun := time.Now()
	results := l.Agent.Deliver(ctx, job)
	l.took.CompareAndSwap(0, int64(time.Since(begun)))
	if s := mail.StatusOf(results[0].Err); s != nil {
		l.reply.Store(s.Error())
	}
	return results
}

// TestHostsThatHang: a host that says nothing, or too little, at any step costs an
// attempt the time of RFC 5321 section 4.5.3.2 and not more; the message waits with
// words that say which host it was, and arrives when the host has come to its
// senses.
func TestHostsThatHang(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	for _, tt := range []struct {
		rule  string
		evil  map[string]string
		tls   bool
		took  time.Duration
		reply string
	}{
		{"no greeting", map[string]string{"GREETING": "HANG"}, false, 5 * time.Minute, "451 4.4.1 Host mx1.y.test could not be spoken to"},
		{"half a greeting", map[string]string{"GREETING": "220-mx1HANG"}, false, 5 * time.Minute, "451 4.4.1 Host mx1.y.test could not be spoken to"},
		{"silent after EHLO", map[string]string{"EHLO": "HANG"}, false, 5 * time.Minute, "451 4.4.1 Host mx1.y.test could not be spoken to"},
		{"silent after STARTTLS", map[string]string{"STARTTLS": "HANG"}, true, 5 * time.Minute, "451 4.7.5 Host mx1.y.test has no TLS as the policy wants it"},
		{"silent in the handshake", map[string]string{"STARTTLS": "220 go\r\nHANG"}, true, time.Minute, "451 4.7.5 Host mx1.y.test has no TLS as the policy wants it"},
		{"silent after MAIL", map[string]string{"MAIL": "HANG"}, false, 5 * time.Minute, "451 4.4.2 Connection with mx1.y.test was lost"},
		{"silent after RCPT", map[string]string{"RCPT": "HANG"}, false, 5 * time.Minute, "451 4.4.2 Connection with mx1.y.test was lost"},
		{"silent after DATA", map[string]string{"DATA": "HANG"}, false, 2 * time.Minute, "451 4.4.2 Connection with mx1.y.test was lost"},
		{"silent in the content", map[string]string{"DATA": "354 go\r\nHANG"}, false, 10 * time.Minute, "451 4.4.2 Connection with mx1.y.test was lost"},
		{"silent after the final dot", map[string]string{".": "HANG"}, false, 10 * time.Minute, "451 4.4.2 Connection with mx1.y.test was lost"},
		{"half a reply to the final dot", map[string]string{".": "250-2.0.0 QueHANG"}, false, 10 * time.Minute, "451 4.4.2 Connection with mx1.y.test was lost"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			delete(w.sinks, "192.0.2.2")
			s := w.sinks["192.0.2.1"]
			s.Replies = tt.evil
			a := w.agent(t, func(c *remote.Config) {
				if tt.tls {
					c.Policy = func(mail.NextHop) (remote.Policy, error) { return remote.Policy{Level: remote.Encrypt}, nil }
				}
			})
			if tt.tls {
				s.TLS, s.Extensions = ca.server(t, false, "mx1.y.test"), []string{"STARTTLS"}
			}
			l := &lastReplies{Agent: a}
			q, err := queue.Open(t.Context(), queue.Config{FS: crashfs.New(), Agent: l, Settings: queue.Settings{Schedule: []time.Duration{time.Hour}},
				Tell: func(context.Context, queue.Notice, queue.Envelope, message.Content, []queue.Outcome) error {
					t.Errorf("%s: the sender was told", tt.rule)
					return nil
				}})
			if err != nil {
				t.Fatal(err)
			}
			defer q.Close()
			j := job("y.test", "b")
			if _, err := q.Add(queue.Envelope{From: j.From, To: []queue.Recipient{{Recipient: j.To[0], Destination: j.Destination}}}, strings.NewReader(content)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Minute)
			synctest.Wait()
			reply, _ := l.reply.Load().(string)
			if took := time.Duration(l.took.Load()); took != tt.took || !strings.HasPrefix(reply, tt.reply) {
				t.Fatalf("%s: the attempt took %v and says %q; want %v, %q", tt.rule, took, reply, tt.took, tt.reply)
			}
			evil := s.Sessions()
			s.Replies = nil // nobody is spoken to now
			time.Sleep(time.Hour)
			synctest.Wait()
			if n := q.Stats().Messages; n != 0 {
				t.Errorf("%s: the message waits still", tt.rule)
			}
			if got := s.Messages(); len(got) != 1 || evil != 1 {
				t.Errorf("%s: %d arrived, after %d sessions", tt.rule, len(got), evil)
			}
		})
	}
}

// slowZone takes its time for addresses, and does not answer when ctx ends.
type slowZone struct {
	dnstest.Zone
	slow map[string]time.Duration
}

func (z slowZone) Query(ctx context.Context, name string, qtype uint16) (dns.Answer, error) {
	select {
	case <-time.After(z.slow[name]):
		return z.Zone.Query(ctx, name, qtype)
	case <-ctx.Done():
		return dns.Answer{}, ctx.Err()
	}
}

// TestManySilentExchangers: a domain whose exchangers nobody can look up costs an
// attempt two minutes, whether there is a good one among them or not; mail waits
// and does not bounce.
func TestManySilentExchangers(t *testing.T) {
	t.Parallel()
	for good, want := range map[bool]string{true: "ok mx1.y.test", false: "4.4.3"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			z := slowZone{w.zone, map[string]time.Duration{}}
			var list []string
			for i := range 20 {
				name := fmt.Sprintf("slow%d.test", i)
				z.slow[name] = 20 * time.Second
				list = append(list, fmt.Sprintf("MX %d %s.", 10+i, name))
			}
			if good {
				list = append(list, "MX 5 mx1.y.test.")
			}
			w.zone.Records["many.test"] = list
			a := w.agent(t, func(c *remote.Config) { c.Resolver = z })
			begun := time.Now()
			got := outcomes(a.Deliver(t.Context(), job("many.test", "b")))[0]
			if took := time.Since(begun); got != want || took != 2*time.Minute {
				t.Errorf("%s after %v, want %s", got, took, want)
			}
		})
	}
}

// TestTimeouts: other times than those of RFC 5321 are kept to, and a host that
// does not take the connection costs Connect.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		evil map[string]string // nil: it does not answer at all
		took time.Duration
	}{
		{"no connection", nil, 7 * time.Second},
		{"no greeting", map[string]string{"GREETING": "HANG"}, time.Minute},
		{"silent after MAIL", map[string]string{"MAIL": "HANG"}, 2 * time.Minute},
		{"silent after DATA", map[string]string{"DATA": "HANG"}, 3 * time.Minute},
		{"silent after the final dot", map[string]string{".": "HANG"}, 20 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			delete(w.sinks, "192.0.2.2")
			w.sinks["192.0.2.1"].Replies = tt.evil
			dialed := time.Duration(1) // addresses that cost the time
			if tt.evil == nil {
				dialed = 0
			}
			a := w.agent(t, func(c *remote.Config) {
				c.Connect = 7 * time.Second
				c.Timeouts = client.Timeouts{Greeting: time.Minute, Command: 2 * time.Minute, Data: 3 * time.Minute, EndOfData: 20 * time.Minute}
				if tt.evil == nil {
					c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
						dialed++
						<-ctx.Done()
						return nil, ctx.Err()
					}
				}
			})
			begin := time.Now()
			results := a.Deliver(t.Context(), job("y.test", "b"))
			if took := time.Since(begin); took != tt.took*dialed || !mail.StatusOf(results[0].Err).Temporary() {
				t.Errorf("%s: %v after %v, want %v", tt.rule, results[0].Err, took, tt.took)
			}
		})
	}
}
