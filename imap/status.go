package imap

import (
	"context"

	"gomaild/storage"
)

// statusItems are the items of STATUS, RFC 3501 section 6.3.10. \Recent
// messages of a mailbox that this session has not selected are some other
// session's: there are none here.
var statusItems = map[string]func(v *storage.View, box *selected) uint64{
	"MESSAGES":    func(v *storage.View, _ *selected) uint64 { return uint64(len(v.Messages)) },
	"UIDNEXT":     func(v *storage.View, _ *selected) uint64 { return uint64(v.UIDNext) },
	"UIDVALIDITY": func(v *storage.View, _ *selected) uint64 { return uint64(v.UIDValidity) },
	"UNSEEN":      func(v *storage.View, _ *selected) uint64 { return countUnseen(v) },
	"RECENT": func(_ *storage.View, box *selected) uint64 {
		if box == nil {
			return 0
		}
		return uint64(len(box.recent))
	},
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
	return reply{}, s.printStatus(ctx, r.name, r.items)
}

// printStatus prints the STATUS response of a mailbox.
func (s *session) printStatus(ctx context.Context, name string, items []string) error {
	mailbox, err := s.account.Open(ctx, name)
	if err != nil {
		return err
	}
	defer func() { s.warn("close mailbox", mailbox.Close()) }()
	view, err := mailbox.View(ctx)
	if err != nil {
		return err
	}
	box := s.box
	if box != nil && box.mailbox.Name() != mailbox.Name() {
		box = nil
	}
	s.enc.Raw("* STATUS ")
	s.enc.Mailbox(name)
	s.enc.Raw(" (")
	for i, item := range items {
		if i > 0 {
			s.enc.Byte(' ')
		}
		s.enc.Raw(item)
		s.enc.Byte(' ')
		s.enc.Number(statusItems[item](view, box))
	}
	s.enc.Byte(')')
	s.enc.CRLF()
	return nil
}
