package maildir

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"gomaild/internal/durable"
	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

var usageFiles = []struct {
	rule  string
	data  string
	limit storage.Usage
	sum   storage.Usage
	lines int
	bad   bool
}{
	{"as Dovecot writes it", "1024000S\n1106219 11\n", storage.Usage{Bytes: 1024000}, storage.Usage{Bytes: 1106219, Messages: 11}, 1, false},
	{"no limit", "0S\n5 1\n", storage.Usage{}, storage.Usage{Bytes: 5, Messages: 1}, 1, false},
	{"both limits, changes", "10S,5C\n7 3\n2 1\n-4 -2\n", storage.Usage{Bytes: 10, Messages: 5}, storage.Usage{Bytes: 5, Messages: 2}, 3, false},
	{"more blanks, as qmail pads", "10S\n           7            3\n", storage.Usage{Bytes: 10}, storage.Usage{Bytes: 7, Messages: 3}, 1, false},
	{rule: "empty", bad: true},
	{rule: "limits only", data: "10S\n", bad: true},
	{rule: "a torn line", data: "10S\n7 3\n2 1", bad: true},
	{rule: "an unknown limit", data: "10X\n7 3\n", bad: true},
	{rule: "a limit below 0", data: "-10S\n7 3\n", bad: true},
	{rule: "one number", data: "10S\n7\n", bad: true},
	{rule: "three numbers", data: "10S\n7 3 4\n", bad: true},
	{rule: "words", data: "10S\nseven 3\n", bad: true},
	{rule: "a sum below 0", data: "10S\n7 3\n-8 -1\n", bad: true},
	{rule: "a number out of all proportion", data: "10S\n9223372036854775807 1\n", bad: true},
	{rule: "the least number", data: "10S\n-9223372036854775808 1\n", bad: true},
}

func TestParseUsage(t *testing.T) {
	t.Parallel()
	for _, tt := range usageFiles {
		got, err := parseUsage(tt.data)
		if errors.Is(err, errUsage) != tt.bad || !tt.bad && got != (usageLines{tt.limit, tt.sum, tt.lines}) {
			t.Errorf("%s: %+v, %v", tt.rule, got, err)
		}
	}
}

func FuzzParseUsage(f *testing.F) {
	for _, tt := range usageFiles {
		f.Add(tt.data)
	}
	f.Fuzz(func(t *testing.T, data string) {
		u, err := parseUsage(data)
		if err != nil || len(data) > maxUsageFile {
			return
		}
		if u.sum.Bytes < 0 || u.sum.Messages < 0 || u.limit.Bytes < 0 || u.limit.Messages < 0 {
			t.Fatalf("%+v", u)
		}
		again, err := parseUsage(string(appendPair(appendLimits(nil, u.limit), u.sum)))
		if u.sum.Bytes <= maxPair && u.sum.Messages <= maxPair && (err != nil || again.sum != u.sum || again.limit != u.limit) {
			t.Fatalf("%+v is written as %+v, %v", u, again, err)
		}
	})
}

// counting opens alice's account with limits; the file says what is there at
// the end.
type counting struct {
	*box
	clock time.Time
}

func newCounting(t *testing.T, most storage.Usage) *counting {
	c := &counting{clock: time.Now()}
	tree := crashfs.New()
	c.box = newBox(t, Config{FS: tree, Hostname: "here", Clock: func() time.Time { return c.clock }})
	t.Cleanup(func() {
		c.close()
		if err := Check(tree, "."); err != nil {
			t.Error(err)
		}
	})
	c.limit(most)
	return c
}

func (c *counting) limit(most storage.Usage) {
	c.t.Helper()
	o := storagetest.Alice()
	o.Limits = storage.Limits{Counted: true, Max: most, Grace: 10}
	a, err := c.store.Account(c.t.Context(), o)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { a.Close() })
}

func (c *counting) used() storage.Usage {
	c.t.Helper()
	q, err := c.account.Quota(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	return q.Used
}

const aliceUsage = alice + usageFile

// TestRecount holds when the file is believed and when everything is counted.
func TestRecount(t *testing.T) {
	t.Parallel()
	one := int64(len(strings.ReplaceAll(storagetest.Text("a"), "\r", "")))
	there := storage.Usage{Bytes: 2 * one, Messages: 2}
	for _, tt := range []struct {
		rule string
		data string
		want storage.Usage
	}{
		{"lines of other programs are believed", "0S\n100 1\n7 7\n", storage.Usage{Bytes: 107, Messages: 8}},
		{"other limits", "5S\n100 1\n", there},
		{"damaged", "0S\n100\n", there},
		{"torn", "0S\n100 1\n7", there},
		{"below 0", "0S\n-100 1\n", there},
		{"too long", "0S\n100 1\n" + strings.Repeat("1 0\n", maxUsageFile/4), there},
		{"missing", "", there},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			c := newCounting(t, storage.Usage{})
			c.append("a")
			c.append("a")
			c.used()
			if err := c.fs.Remove(aliceUsage); err != nil {
				t.Fatal(err)
			}
			if tt.data != "" {
				c.write(aliceUsage, tt.data)
			}
			if got := c.used(); got != tt.want {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			if err := c.fs.Remove(aliceUsage); err != nil { // what other programs say need not be true
				t.Fatal(err)
			}
			c.used()
		})
	}
}

// TestRecountBeforeNo holds that nobody is refused by an old count.
func TestRecountBeforeNo(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule string
		data string
		age  time.Duration
		ok   bool
	}{
		{"one fresh line is believed", "0S,5C\n10 9\n", time.Minute, false},
		{"an old line is not", "0S,5C\n10 9\n", recountAfter + time.Minute, true},
		{"many lines are not", "0S,5C\n10 4\n9 5\n", 0, true},
	} {
		c := newCounting(t, storage.Usage{Messages: 5})
		c.append("a")
		c.write(aliceUsage, strings.ReplaceAll(tt.data, "0S,", ""))
		c.clock = c.clock.Add(tt.age)
		_, err := c.Append(t.Context(), storagetest.Draft("b"))
		if errors.Is(err, storage.ErrQuota) == tt.ok {
			t.Errorf("%s: %v", tt.rule, err)
		}
		c.write(aliceUsage, "count again")
		c.used()
	}
}

// TestUsageFileStaysShort holds that it is written anew, and not counted each
// time: a foreign file that nobody noted stays unnoticed.
func TestUsageFileStaysShort(t *testing.T) {
	t.Parallel()
	c := newCounting(t, storage.Usage{})
	for i := range maxUsageFile / 4 {
		uid := c.append("a")
		if err := c.Expunge(t.Context(), []storage.UID{uid}); err != nil {
			t.Fatal(err)
		}
		data, err := durable.ReadFile(c.fs, aliceUsage)
		if err != nil || len(data) > maxUsageFile+20 {
			t.Fatalf("after %d rounds: %d octets, %v", i, len(data), err)
		}
	}
	if got := c.used(); got != (storage.Usage{}) {
		t.Errorf("%+v", got)
	}
}

// TestRoomIsGivenOnce holds that many who ask at once do not share the last
// room, while others count.
func TestRoomIsGivenOnce(t *testing.T) {
	t.Parallel()
	c := newCounting(t, storage.Usage{Messages: 7})
	var wg sync.WaitGroup
	refused := make(chan error, 100)
	for i := range 20 {
		wg.Go(func() {
			_, err := c.Append(t.Context(), storagetest.Draft(fmt.Sprint(i)))
			refused <- err
		})
		wg.Go(func() {
			if err := c.store.accounts[strings.TrimSuffix(alice, "/")].usage.recount(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	close(refused)
	n := 0
	for err := range refused {
		switch {
		case errors.Is(err, storage.ErrQuota):
			n++
		case err != nil:
			t.Error(err)
		}
	}
	if got := c.used().Messages; got != 7 || n != 13 {
		t.Errorf("%d came, %d were refused", got, n)
	}
}

// TestTakenOver holds that lines may be missing after a power cut.
func TestTakenOver(t *testing.T) {
	t.Parallel()
	c := newCounting(t, storage.Usage{})
	c.append("a")
	c.write(aliceUsage, "0S\n4711 42\n")
	for alone, want := range map[bool]int64{false: 42, true: 1} {
		s, err := New(Config{FS: c.fs, Hostname: "there", Alone: alone})
		if err != nil {
			t.Fatal(err)
		}
		o := storagetest.Alice()
		o.Limits.Counted = true
		a, err := s.Account(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		if q, err := a.Quota(t.Context()); err != nil || q.Used.Messages != want && alone {
			t.Errorf("alone %v: %+v, %v", alone, q, err)
		}
		if err := errors.Join(a.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	c.used()
}

// TestNobodyCounts holds that an old file does not outlive that, as nobody
// would keep it true.
func TestNobodyCounts(t *testing.T) {
	t.Parallel()
	c := newCounting(t, storage.Usage{})
	c.append("a")
	s, err := New(Config{FS: c.fs, Hostname: "there"})
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Account(t.Context(), storagetest.Alice())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.fs.Stat(aliceUsage); err == nil {
		t.Error("the file is still there")
	}
	if err := errors.Join(a.Close(), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestUsageNotWritten holds that a message is not lost for a line.
func TestUsageNotWritten(t *testing.T) {
	t.Parallel()
	c := newCounting(t, storage.Usage{})
	c.append("a")
	c.used()
	if err := errors.Join(c.fs.Remove(aliceUsage), c.fs.Mkdir(aliceUsage, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), storagetest.Draft("b")); err == nil {
		t.Error("room was found without a count")
	}
	if err := c.Expunge(t.Context(), []storage.UID{1}); err != nil {
		t.Error(err)
	}
	if err := ignoreMissing(c.fs.Remove(aliceUsage)); err != nil {
		t.Fatal(err)
	}
	if got := c.used(); got != (storage.Usage{}) {
		t.Errorf("%+v", got)
	}
}

func TestLimitsAllow(t *testing.T) {
	t.Parallel()
	l := func(octets, messages int64) storage.Limits {
		return storage.Limits{Counted: true, Max: storage.Usage{Bytes: octets, Messages: messages}, Grace: 10}
	}
	for _, tt := range []struct {
		rule      string
		limits    storage.Limits
		used, add storage.Usage
		delivery  bool
		want      bool
	}{
		{"nobody counts", storage.Limits{Max: storage.Usage{Bytes: 1}}, storage.Usage{Bytes: 5}, storage.Usage{Bytes: 5}, false, true},
		{"no limit", l(0, -1), storage.Usage{Bytes: math.MaxInt64 - 5}, storage.Usage{Bytes: 5}, false, true},
		{"to the octet", l(100, 0), storage.Usage{Bytes: 90}, storage.Usage{Bytes: 10}, false, true},
		{"one octet more", l(100, 0), storage.Usage{Bytes: 90}, storage.Usage{Bytes: 11}, false, false},
		{"in the grace", l(100, 0), storage.Usage{Bytes: 90}, storage.Usage{Bytes: 20}, true, true},
		{"beyond it", l(100, 0), storage.Usage{Bytes: 90}, storage.Usage{Bytes: 21}, true, false},
		{"messages", l(0, 10), storage.Usage{Messages: 10}, storage.Usage{Messages: 1}, false, false},
		{"what does not grow", l(100, 0), storage.Usage{Bytes: 200}, storage.Usage{Bytes: -1}, false, true},
		{"a huge message", l(100, 0), storage.Usage{Bytes: 1}, storage.Usage{Bytes: math.MaxInt64}, true, false},
		{"a huge limit", l(math.MaxInt64-200, 0), storage.Usage{Bytes: 1}, storage.Usage{Bytes: 1}, false, true},
	} {
		if got := tt.limits.Allows(tt.used, tt.add, tt.delivery); got != tt.want {
			t.Errorf("%s: %v", tt.rule, got)
		}
	}
}
