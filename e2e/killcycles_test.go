package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"

	"gomaild/internal/peertest"
)

var killCycles = flag.Int("kill-cycles", 20, "how often TestKillCycles kills the server (make drill-kill: 1000)")

// TestKillCycles kills the server again and again, at random moments of its work
// and of its start, while messages come in, go out, are appended, flagged and
// expunged. After each start: what was answered for is there, once; what an IMAP
// client was shown has the UID it had, and its flag; what was expunged stays away;
// UIDVALIDITY is the same and HIGHESTMODSEQ is not lower. At the end the mail on the
// disk has no fault, and all that was taken for another host has arrived there.
func TestKillCycles(t *testing.T) {
	t.Parallel()
	far, addr := newCounter(t)
	far.shy = 4
	close(far.released)
	_, farPort, _ := net.SplitHostPort(addr)
	out := peertest.FreePort(t)
	w := newWorld(t, fmt.Sprintf("dns.servers = [\"127.0.0.1:1\"]\nremote.relay_host = \"[%s]:%s\"\nqueue.schedule = [\"1s\"]\n"+
		"[[listener]]\ntype = \"submission\"\naddress = \"%s:%d\"\ntls = \"none\"\ntrusted_networks = [\"127.0.0.0/8\"]\nmax_per_client = 0\n",
		host, farPort, host, out))
	c := &cycles{w: w, out: out, toFar: newClaims(), seed: rand.Uint64()}
	for _, user := range []string{"alice@example.test", "bob@example.test"} {
		c.readers = append(c.readers, newReader(user))
	}
	r := rand.New(rand.NewPCG(c.seed, 0)) //nolint:gosec // moments, not secrets
	begun := time.Now()
	for i := range *killCycles {
		cycle := time.Now()
		if r.IntN(5) == 0 { // not even the start is left in peace
			w.launch(t)
			pause(time.Duration(r.Int64N(int64(60 * time.Millisecond))))
			w.kill(t)
		}
		w.start(t)
		c.load(t, i, time.Duration(r.Int64N(int64(300*time.Millisecond))))
		if took := time.Since(cycle); took > longestCycle {
			t.Errorf("it took %v: what was killed holds up what comes after it", took)
		}
		if t.Failed() {
			t.Fatalf("in cycle %d of seed %d", i, c.seed)
		}
		if (i+1)%100 == 0 {
			t.Logf("%d cycles, %v each", i+1, (time.Since(begun) / time.Duration(i+1)).Round(time.Millisecond))
		}
	}
	each := time.Since(begun) / time.Duration(*killCycles)

	w.start(t)
	for _, reader := range c.readers {
		if err := reader.lookThrough(t.Context(), w.addr(w.imaps)); err != nil {
			t.Error(err)
		}
	}
	twice := c.arrived(t, far)
	w.stop(t)
	if found, errs, err := peertest.Try(t, "", gomaild(t), "account", "check", "-c", w.config); err != nil {
		t.Errorf("account check: %v\n%s%s", err, found, errs)
	}
	var delivered, shown, expunged int
	for _, reader := range c.readers {
		delivered += reader.owed.count
		shown += len(reader.uids)
		expunged += len(reader.gone)
	}
	t.Logf("%d cycles, %v each: %d messages answered for in mailboxes, %d shown, %d expunged; %d for the other host, %d of them there twice",
		*killCycles, each.Round(time.Millisecond), delivered, shown, expunged, c.toFar.count, twice)
	if delivered < *killCycles || expunged == 0 && *killCycles >= 20 || c.toFar.count < *killCycles {
		t.Error("there was not much load")
	}
}

// pause waits for a moment that nothing announces.
func pause(d time.Duration) { <-time.After(d) }

// claims are the ids of messages that the server has answered for.
type claims struct {
	mu    sync.Mutex
	all   map[string]bool // without those that were settled
	count int
}

func newClaims() *claims { return &claims{all: map[string]bool{}} }

func (c *claims) add(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[id] = true
	c.count++
}

// open are those that are to be looked for.
func (c *claims) open() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.all))
}

// settle forgets one that was found, whose UID is looked after from now on.
func (c *claims) settle(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, id)
}

// cycles is what lasts from one kill to the next.
type cycles struct {
	w       *world
	out     int // port of submission
	readers []*reader
	toFar   *claims
	seed    uint64
}

// load keeps the server busy and kills it after d of that. What it showed before
// is looked for first, beside the load.
func (c *cycles) load(t *testing.T, cycle int, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var running, looking sync.WaitGroup
	send := func(port int, to string, owed *claims) {
		for i := range 2 {
			running.Go(func() { c.w.sendUntilKilled(ctx, port, to, owed, fmt.Sprintf("%d.%d.%d", cycle, port, i)) })
		}
	}
	for _, r := range c.readers {
		send(c.w.mx, r.user, r.owed)
		looked := make(chan struct{})
		looking.Go(func() { <-looked })
		running.Go(func() {
			err := r.lookThrough(ctx, c.w.addr(c.w.imaps))
			close(looked)
			if err != nil {
				t.Error(err)
				return
			}
			if err := r.work(ctx, c.w.addr(c.w.imaps), cycle); err != nil {
				t.Error(err)
			}
		})
	}
	send(c.out, "x@far.test", c.toFar)
	looking.Wait()
	pause(d)
	c.w.kill(t)
	cancel()
	running.Wait()
	for line := range strings.Lines(c.w.readLog(t)) {
		if strings.Contains(line, "level=ERROR") {
			t.Errorf("the server says %s", line)
		}
	}
}

// most is how many messages one sender has in a cycle, so that a mailbox does not
// grow faster than its reader empties it.
const most = 60

// sendUntilKilled sends small messages, each with an id of its own.
func (w *world) sendUntilKilled(ctx context.Context, port int, to string, owed *claims, name string) {
	s, err := dialSMTP(ctx, w.addr(port))
	if err != nil {
		return // killed meanwhile
	}
	defer s.conn.Close()
	for n := 0; ctx.Err() == nil && n < most; n++ {
		id := fmt.Sprintf("%s.%d.%d", name, port, n)
		if s.send(to, append([]byte("X-Id: "+id+"\r\n"), content(800)...)) != nil {
			return
		}
		owed.add(id)
	}
}

// arrived waits until all is at the other host; twice is what came more often.
func (c *cycles) arrived(t *testing.T, far *counter) (twice int) {
	t.Helper()
	limit := time.After(2 * time.Minute)
	for id := range c.toFar.all {
		for far.has(id) == 0 {
			select {
			case <-far.came:
			case <-limit:
				t.Fatalf("%s was answered 250 and did not arrive; %d did", id, far.len())
			}
		}
		if far.has(id) > 1 {
			twice++
		}
	}
	return twice
}

// reader is an IMAP client with a memory. One goroutine has it at a time.
type reader struct {
	user     string
	validity uint32
	modSeq   uint64
	owed     *claims
	ids      map[imap.UID]string // as shown, but for those that are gone
	uids     map[string]imap.UID // of all
	flagged  map[imap.UID]bool   // answered OK
	going    map[imap.UID]bool   // to be expunged
	gone     map[imap.UID]bool   // answered OK
}

func newReader(user string) *reader {
	return &reader{
		user: user, owed: newClaims(), ids: map[imap.UID]string{}, uids: map[string]imap.UID{},
		flagged: map[imap.UID]bool{}, going: map[imap.UID]bool{}, gone: map[imap.UID]bool{},
	}
}

func (r *reader) open(ctx context.Context, addr string) (*imapclient.Client, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := imapclient.New(tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}), nil) //nolint:gosec // its own
	if err := c.Login(r.user, password).Wait(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	box, err := c.Select("INBOX", &imap.SelectOptions{CondStore: true}).Wait()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if r.validity == 0 {
		r.validity = box.UIDValidity
	}
	if box.UIDValidity != r.validity || box.HighestModSeq < r.modSeq {
		return nil, errors.Join(fmt.Errorf("%s: UIDVALIDITY %d, was %d; HIGHESTMODSEQ %d, was %d", r.user, box.UIDValidity, r.validity, box.HighestModSeq, r.modSeq), c.Close())
	}
	r.modSeq = box.HighestModSeq
	return c, nil
}

// lookThrough holds that all is there that has to be, and nothing else, and
// removes what is too much.
func (r *reader) lookThrough(ctx context.Context, addr string) error {
	owed := r.owed.open() // before the mailbox is opened
	c, err := r.open(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	there, err := r.fetch(c, 1)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range owed {
		if r.uids[id] == 0 {
			errs = append(errs, fmt.Errorf("%s: %s was answered for and is not there", r.user, id))
			continue
		}
		r.owed.settle(id)
	}
	for uid, id := range r.ids {
		flags, found := there[uid]
		switch {
		case !found && r.going[uid]:
			r.forget(uid)
		case !found:
			errs = append(errs, fmt.Errorf("%s: %s (UID %d) was shown and is not there", r.user, id, uid))
		case r.flagged[uid] && !slices.Contains(flags, imap.FlagFlagged):
			errs = append(errs, fmt.Errorf("%s: %s (UID %d) has lost its flag", r.user, id, uid))
		}
	}
	if len(errs) == 0 {
		return r.expunge(c) // also where the kills never let work come so far
	}
	return errors.Join(errs...)
}

// fetch is what there is from a UID on, with its flags. An error is one of the
// connection, or a UID or message that is not what it was.
func (r *reader) fetch(c *imapclient.Client, from imap.UID) (map[imap.UID][]imap.Flag, error) {
	section := &imap.FetchItemBodySection{Specifier: imap.PartSpecifierHeader, HeaderFields: []string{"X-Id"}, Peek: true}
	found, err := c.Fetch(imap.UIDSet{{Start: from, Stop: 0}}, &imap.FetchOptions{UID: true, Flags: true, BodySection: []*imap.FetchItemBodySection{section}}).Collect()
	if err != nil {
		return nil, err
	}
	there := make(map[imap.UID][]imap.Flag, len(found))
	for _, m := range found {
		_, id, _ := bytes.Cut(m.FindBodySection(section), []byte(": "))
		if err := r.shown(m.UID, strings.TrimSpace(string(id))); err != nil {
			return nil, err
		}
		there[m.UID] = m.Flags
	}
	return there, nil
}

// errMixed is a UID that means another message now, or a message that is there
// twice.
var errMixed = errors.New("not what it was")

func (r *reader) shown(uid imap.UID, id string) error {
	if r.gone[uid] {
		return fmt.Errorf("%s: UID %d (%s) was expunged and is back: %w", r.user, uid, id, errMixed)
	}
	if was, known := r.ids[uid]; known && was != id {
		return fmt.Errorf("%s: UID %d is %s, was %s: %w", r.user, uid, id, was, errMixed)
	}
	if was := r.uids[id]; was != 0 && was != uid {
		return fmt.Errorf("%s: %s has UID %d, and had %d: %w", r.user, id, uid, was, errMixed)
	}
	r.ids[uid], r.uids[id] = id, uid
	return nil
}

// longestCycle is far below the two minutes after which a lock of nobody is
// broken.
const longestCycle = 30 * time.Second

// forget notes that a message was expunged.
func (r *reader) forget(uid imap.UID) {
	r.gone[uid] = true
	delete(r.ids, uid)
	delete(r.going, uid)
	delete(r.flagged, uid)
}

const keep = 150 // messages that stay in a mailbox

// work reads, appends, flags and expunges until the server is killed, which is no
// error.
func (r *reader) work(ctx context.Context, addr string, cycle int) error {
	c, err := r.open(ctx, addr)
	if err != nil {
		return nil //nolint:nilerr // it was killed
	}
	defer c.Close()
	last := imap.UID(1)
	for uid := range r.ids {
		last = max(last, uid)
	}
	for n := 0; ctx.Err() == nil; n++ {
		there, err := r.fetch(c, last)
		if errors.Is(err, errMixed) {
			return err
		}
		if err != nil || r.append(c, fmt.Sprintf("%s.%d.a%d", r.user, cycle, n)) != nil || r.flag(c, there) != nil || r.expunge(c) != nil {
			return nil //nolint:nilerr // it was killed
		}
		for uid := range there {
			last = max(last, uid)
		}
	}
	return nil
}

func (r *reader) append(c *imapclient.Client, id string) error {
	text := append([]byte("X-Id: "+id+"\r\n"), content(500)...)
	cmd := c.Append("INBOX", int64(len(text)), nil)
	if _, err := cmd.Write(text); err != nil {
		return err
	}
	if err := cmd.Close(); err != nil {
		return err
	}
	done, err := cmd.Wait()
	if err != nil {
		return err
	}
	r.owed.add(id)
	return r.shown(done.UID, id)
}

// flag flags one of them.
func (r *reader) flag(c *imapclient.Client, there map[imap.UID][]imap.Flag) error {
	for uid := range there {
		if r.going[uid] {
			continue
		}
		if err := c.Store(imap.UIDSetNum(uid), &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagFlagged}}, nil).Close(); err != nil {
			return err
		}
		r.flagged[uid] = true
		return nil
	}
	return nil
}

// expunge removes the oldest that are more than keep.
func (r *reader) expunge(c *imapclient.Client) error {
	if len(r.ids) <= keep {
		return nil
	}
	here := slices.Collect(maps.Keys(r.ids))
	slices.Sort(here)
	old := here[:len(here)-keep/2] // the newest stay
	for _, uid := range old {
		r.going[uid] = true
	}
	set := imap.UIDSetNum(old...)
	if err := c.Store(set, &imap.StoreFlags{Op: imap.StoreFlagsAdd, Silent: true, Flags: []imap.Flag{imap.FlagDeleted}}, nil).Close(); err != nil {
		return err
	}
	if err := c.UIDExpunge(set).Close(); err != nil {
		return err
	}
	for _, uid := range old {
		r.forget(uid)
	}
	return nil
}
