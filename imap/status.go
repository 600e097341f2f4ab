package imap

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"gomaild/storage"
)

// statusQuery is a mailbox that is asked for its items.
type statusQuery struct {
	mailbox storage.Mailbox
	view    *storage.View
	box     *selected // if it is the one that this session has selected
	limits  *Limits
}

// statusItems are the items of STATUS, RFC 3501 section 6.3.10, SIZE of
// RFC 8438, DELETED and DELETED-STORAGE of RFC 9208, MAILBOXID of RFC 8474 and APPENDLIMIT of RFC 7889. \Recent messages of a mailbox that
// this session has not selected are some other session's: there are none here.
var statusItems = map[string]func(ctx context.Context, q *statusQuery) (string, error){
	"MESSAGES": func(_ context.Context, q *statusQuery) (string, error) {
		return decimal(uint64(len(q.view.Messages))), nil
	},
	"UIDNEXT": func(_ context.Context, q *statusQuery) (string, error) { return decimal(uint64(q.view.UIDNext)), nil },
	"UIDVALIDITY": func(_ context.Context, q *statusQuery) (string, error) {
		return decimal(uint64(q.view.UIDValidity)), nil
	},
	"UNSEEN": func(_ context.Context, q *statusQuery) (string, error) { return decimal(countUnseen(q.view)), nil },
	"RECENT": func(_ context.Context, q *statusQuery) (string, error) { return decimal(q.recent()), nil },
	"SIZE":   func(ctx context.Context, q *statusQuery) (string, error) { return q.size(ctx) },
	"HIGHESTMODSEQ": func(_ context.Context, q *statusQuery) (string, error) {
		return decimal(uint64(q.view.HighestModSeq)), nil // RFC 7162 section 3.1.7
	},
	"MAILBOXID":       func(_ context.Context, q *statusQuery) (string, error) { return "(" + q.view.MailboxID + ")", nil },
	"DELETED":         func(_ context.Context, q *statusQuery) (string, error) { return decimal(countDeleted(q.view)), nil },
	"DELETED-STORAGE": func(ctx context.Context, q *statusQuery) (string, error) { return q.deletedStorage(ctx) },
	"APPENDLIMIT":     func(_ context.Context, q *statusQuery) (string, error) { return decimal(uint64(q.limits.Message)), nil },
}

func decimal(n uint64) string { return strconv.FormatUint(n, 10) }

func (q *statusQuery) recent() uint64 {
	if q.box == nil {
		return 0
	}
	return uint64(len(q.box.recent))
}

// size is the sum of RFC822.SIZE.
func (q *statusQuery) size(ctx context.Context) (string, error) {
	entries, err := q.mailbox.Maildrop(ctx, q.view)
	var sum uint64
	for _, e := range entries {
		sum += uint64(e.WireSize)
	}
	return decimal(sum), err
}

func countUnseen(v *storage.View) uint64 {
	var n uint64
	for _, m := range v.Messages {
		if unseen(m) {
			n++
		}
	}
	return n
}

// mailboxStatus is STATUS.
type mailboxStatus struct {
	name  string
	items []string
}

func parseStatus(g *grammar) request {
	var r mailboxStatus
	g.SP()
	r.name = g.Mailbox()
	g.SP()
	r.items = parseStatusItems(g)
	g.End()
	return r
}

func parseStatusItems(g *grammar) []string {
	var items []string
	g.List(func() {
		item := g.Word()
		if statusItems[item] == nil {
			g.Fail("unknown STATUS item")
		}
		items = append(items, item)
	})
	if len(items) == 0 || len(items) > 2*len(statusItems) {
		g.Fail("STATUS items expected")
	}
	return items
}

func (r mailboxStatus) run(ctx context.Context, s *session) (reply, error) {
	if slices.Contains(r.items, "HIGHESTMODSEQ") {
		s.useModSeq()
	}
	status, err := s.status(ctx, r.name, r.items)
	if err == nil {
		s.printStatusLine(r.name, status)
	}
	return reply{}, err
}

// printStatusLine prints the STATUS response of a mailbox.
func (s *session) printStatusLine(name, status string) {
	s.enc.Raw("* STATUS ")
	s.enc.Mailbox(name)
	s.enc.Raw(" (" + status + ")\r\n")
}

// status is the items of a mailbox with their values.
func (s *session) status(ctx context.Context, name string, items []string) (string, error) {
	mailbox, err := s.account.Open(ctx, name)
	if err != nil {
		return "", err
	}
	defer func() { s.warn("close mailbox", mailbox.Close()) }()
	view, err := mailbox.View(ctx)
	if err != nil {
		return "", err
	}
	q := &statusQuery{mailbox: mailbox, view: view, limits: &s.limits}
	if s.box != nil && s.box.mailbox.Name() == mailbox.Name() {
		q.box = s.box
	}
	var text strings.Builder
	for i, item := range items {
		value, err := statusItems[item](ctx, q)
		if err != nil {
			return "", err
		}
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(item + " " + value)
	}
	return text.String(), nil
}
