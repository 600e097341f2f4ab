package imap

import (
	"cmp"
	"context"
	"slices"
	"time"

	"gomaild/imap/wire"
	"gomaild/message"
	"gomaild/storage"
)

// What it costs to match a key, so that of several the cheap ones decide
// first.
const (
	costFlags  = iota // the View knows
	costFacts         // the store keeps it
	costHeader        // so it does, in the digest, or the header is read
	costInfo          // the store looks at the file
	costBody          // the message is read
)

// searchKey is a condition on one message.
type searchKey struct {
	cost  int
	match func(ctx context.Context, c *candidate) (bool, error)
}

// nothing stands where a key could not be parsed.
var nothing = searchKey{costFlags, func(context.Context, *candidate) (bool, error) { return false, nil }}

// candidate is a message being looked at. What is asked of the store is kept
// for the next key.
type candidate struct {
	box    *selected
	index  int
	msg    storage.Message
	known  storage.Reader
	digest message.Digest
	facts  storage.Facts
	read   bool // digest and facts are the message's
	opened storage.Content
	whole  []byte // the message, if it was read at once
	room   []byte // for it
}

// kept is the digest.
func (c *candidate) kept(ctx context.Context) (*message.Digest, error) {
	if c.read {
		return &c.digest, nil
	}
	var err error
	c.digest, c.facts, err = c.known.Digest(ctx, c.msg.UID)
	c.read = err == nil
	return &c.digest, err
}

func (c *candidate) info(ctx context.Context) (storage.Info, error) {
	return c.box.mailbox.Info(ctx, c.msg.UID)
}

func (c *candidate) content(ctx context.Context) (storage.Content, error) {
	if c.opened != nil {
		return c.opened, nil
	}
	content, err := c.box.mailbox.Content(ctx, c.msg.UID)
	if err != nil {
		return nil, err
	}
	c.opened = content
	return content, nil
}

// text is the message as it is stored, nil if it is not small or not what the
// digest is of.
func (c *candidate) text(ctx context.Context) ([]byte, error) {
	size := c.facts.StoredSize
	if c.whole != nil || !c.read || size > searchAtOnce {
		return c.whole, nil
	}
	if int64(len(c.room)) <= size {
		c.room = make([]byte, max(size+1, 16<<10))
	}
	n, err := c.known.Whole(ctx, c.msg.UID, c.room[:size+1])
	if err != nil || int64(n) != size {
		return nil, err
	}
	c.whole = c.room[:n]
	return c.whole, nil
}

// structure is the MIME tree, of the file as it is now.
func (c *candidate) structure(ctx context.Context) (*message.Part, error) {
	content, err := c.content(ctx)
	if err != nil {
		return nil, err
	}
	digest, err := c.kept(ctx)
	if err != nil {
		return nil, err
	}
	if content.Size() == c.facts.StoredSize {
		return digest.Structure()
	}
	summary, err := message.Parse(content)
	if err != nil {
		return nil, err
	}
	return &summary.Root, nil
}

// setKey is a sequence set or UID set.
type setKey struct {
	set   wire.NumSet
	byUID bool
	where positions
}

func (k *setKey) bind(b *selected) (err error) {
	k.where, err = b.resolve(b.known, k.set, k.byUID)
	return err
}

// fix makes the set one of UIDs, those of the messages that were found in v.
func (k *setKey) fix(v *storage.View) {
	if k.byUID && (len(k.set) == 0 || !k.set[0].Saved) {
		return
	}
	k.byUID, k.set = true, nil
	for _, p := range k.where {
		k.set = append(k.set, wire.Range{First: uint32(v.Messages[p[0]].UID), Last: uint32(v.Messages[p[1]-1].UID)})
	}
}

func (k *setKey) match(_ context.Context, c *candidate) (bool, error) {
	return k.where.has(c.index), nil
}

// allOf is the AND of keys, cheap ones first.
func allOf(keys []searchKey) searchKey {
	if len(keys) == 1 {
		return keys[0]
	}
	slices.SortStableFunc(keys, func(a, b searchKey) int { return cmp.Compare(a.cost, b.cost) })
	most := costFlags
	for _, k := range keys {
		most = max(most, k.cost)
	}
	return searchKey{most, func(ctx context.Context, c *candidate) (bool, error) {
		for _, k := range keys {
			if ok, err := k.match(ctx, c); !ok || err != nil {
				return false, err
			}
		}
		return true, nil
	}}
}

func anyOf(a, b searchKey) searchKey {
	if b.cost < a.cost {
		a, b = b, a
	}
	return searchKey{b.cost, func(ctx context.Context, c *candidate) (bool, error) {
		if ok, err := a.match(ctx, c); ok || err != nil {
			return ok, err
		}
		return b.match(ctx, c)
	}}
}

func noneOf(k searchKey) searchKey {
	return searchKey{k.cost, func(ctx context.Context, c *candidate) (bool, error) {
		ok, err := k.match(ctx, c)
		return !ok && err == nil, err
	}}
}

// byFlags is a condition on what the session knows of the message.
func byFlags(cond func(c *candidate) bool) searchKey {
	return searchKey{costFlags, func(_ context.Context, c *candidate) (bool, error) { return cond(c), nil }}
}

func byInfo(cond func(info storage.Info) bool) searchKey {
	return searchKey{costInfo, func(ctx context.Context, c *candidate) (bool, error) {
		info, err := c.info(ctx)
		return err == nil && cond(info), err
	}}
}

// byFacts is a condition on sizes and arrival.
func byFacts(cond func(facts storage.Facts) bool) searchKey {
	return searchKey{costFacts, func(ctx context.Context, c *candidate) (bool, error) {
		if c.read {
			return cond(c.facts), nil
		}
		facts, err := c.known.Facts(ctx, c.msg.UID)
		return err == nil && cond(facts), err
	}}
}

func flagKey(f storage.SystemFlag, set bool) searchKey {
	return byFlags(func(c *candidate) bool { return c.msg.Flags&f != 0 == set })
}

func keywordKey(name string, set bool) searchKey {
	return byFlags(func(c *candidate) bool {
		i := keywordBit(c.box.known, name)
		return (i >= 0 && c.msg.Keywords.Has(i)) == set
	})
}

func isRecent(c *candidate) bool {
	_, recent := c.box.recent[c.msg.UID]
	return recent
}

// plainKeys are the keys without arguments, RFC 3501 section 6.4.4.
var plainKeys = map[string]searchKey{
	"ALL":               byFlags(func(*candidate) bool { return true }),
	"ANSWERED":          flagKey(storage.Answered, true),
	"DELETED":           flagKey(storage.Deleted, true),
	"DRAFT":             flagKey(storage.Drafted, true),
	"FLAGGED":           flagKey(storage.Flagged, true),
	"SEEN":              flagKey(storage.Seen, true),
	"UNANSWERED":        flagKey(storage.Answered, false),
	"UNDELETED":         flagKey(storage.Deleted, false),
	"UNDRAFT":           flagKey(storage.Drafted, false),
	"UNFLAGGED":         flagKey(storage.Flagged, false),
	"UNSEEN":            flagKey(storage.Seen, false),
	"SAVEDATESUPPORTED": byFlags(func(*candidate) bool { return true }), // RFC 8514 section 4.3
	"RECENT":            byFlags(isRecent),
	"OLD":               byFlags(func(c *candidate) bool { return !isRecent(c) }),
	"NEW":               byFlags(func(c *candidate) bool { return isRecent(c) && unseen(c.msg) }),
}

// headerKeys are the keys that stand for a header field.
var headerKeys = map[string]bool{"BCC": true, "CC": true, "FROM": true, "SUBJECT": true, "TO": true}

// dateKeys compare the day of a message with the day given: the sign of the
// comparison must be among those listed.
var dateKeys = map[string]struct {
	sent  bool // the Date field, not INTERNALDATE
	signs []int
}{
	"BEFORE":     {false, []int{-1}},
	"ON":         {false, []int{0}},
	"SINCE":      {false, []int{0, 1}},
	"SENTBEFORE": {true, []int{-1}},
	"SENTON":     {true, []int{0}},
	"SENTSINCE":  {true, []int{0, 1}},
}

// keyParser finds how the arguments of a key are read.
func (p *searchParser) keyParser(word string) (func() searchKey, bool) {
	if k, ok := plainKeys[word]; ok {
		return func() searchKey { return k }, true
	}
	if headerKeys[word] {
		return func() searchKey { return headerKey(word, p.text()) }, true
	}
	if d, ok := dateKeys[word]; ok {
		return func() searchKey { return p.date(d.sent, d.signs) }, true
	}
	if signs, ok := saveDateKeys[word]; ok {
		return func() searchKey { return p.saved(signs) }, true
	}
	parse, ok := map[string]func() searchKey{
		"BODY":      func() searchKey { return textKey(p.text(), false) },
		"TEXT":      func() searchKey { return textKey(p.text(), true) },
		"HEADER":    func() searchKey { name := p.fieldName(); return headerKey(name, p.text()) },
		"KEYWORD":   func() searchKey { return keywordKey(p.flag(), true) },
		"UNKEYWORD": func() searchKey { return keywordKey(p.flag(), false) },
		"LARGER": func() searchKey {
			n := p.number()
			return byFacts(func(f storage.Facts) bool { return f.WireSize > n })
		},
		"SMALLER": func() searchKey {
			n := p.number()
			return byFacts(func(f storage.Facts) bool { return f.WireSize < n })
		},
		"MODSEQ":   p.modSeqKey,
		"EMAILID":  func() searchKey { return p.objectIDKey(func(i storage.Info) string { return i.EmailID }) },
		"THREADID": func() searchKey { return p.objectIDKey(func(i storage.Info) string { return i.ThreadID }) },
		"OLDER":    func() searchKey { return p.within(func(age, n int64) bool { return age >= n }) },
		"YOUNGER":  func() searchKey { return p.within(func(age, n int64) bool { return age <= n }) },
		"NOT":      func() searchKey { p.g.SP(); return noneOf(p.key()) },
		"OR":       p.or,
		"UID":      func() searchKey { p.g.SP(); return p.set(p.g.NumSet(), true) },
	}[word]
	return parse, ok
}

func (p *searchParser) or() searchKey {
	p.g.SP()
	a := p.key()
	p.g.SP()
	return anyOf(a, p.key())
}

func (p *searchParser) flag() string {
	p.g.SP()
	return p.g.Flag()
}

func (p *searchParser) number() int64 {
	p.g.SP()
	return p.g.Number()
}

// within is OLDER and YOUNGER, RFC 5032: whole seconds since INTERNALDATE.
func (p *searchParser) within(holds func(age, n int64) bool) searchKey {
	p.g.SP()
	n := p.g.Number32()
	if n == 0 {
		p.g.Fail("interval of no seconds")
	}
	now := time.Now().Unix()
	return byFacts(func(f storage.Facts) bool { return holds(now-f.InternalDate.Unix(), int64(n)) })
}

// onDay reads a day and compares times with it.
func (p *searchParser) onDay(signs []int) func(time.Time) bool {
	p.g.SP()
	day := p.g.Date()
	return func(t time.Time) bool { return slices.Contains(signs, dayOf(t).Compare(day)) }
}

func (p *searchParser) saved(signs []int) searchKey {
	matches := p.onDay(signs)
	return byInfo(func(i storage.Info) bool { return matches(saveDate(i)) })
}

func (p *searchParser) date(sent bool, signs []int) searchKey {
	matches := p.onDay(signs)
	if !sent {
		return byFacts(func(f storage.Facts) bool { return matches(f.InternalDate) })
	}
	return searchKey{costHeader, func(ctx context.Context, c *candidate) (bool, error) {
		t, err := c.sentDate(ctx)
		return err == nil && !t.IsZero() && matches(t), err
	}}
}

// dayOf is the date of t where it was written, at midnight UTC: "disregarding
// time and timezone".
func dayOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}
