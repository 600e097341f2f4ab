package imap

import (
	"context"
	"errors"
	"slices"
	"strings"

	"gomaild/storage"
)

// events is a set of the events of RFC 5465 section 5.
type events uint8

const (
	messageNew events = 1 << iota
	messageExpunge
	flagChange
	mailboxName
	subscriptionChange
	mailboxMetadata
	serverMetadata

	messageEvents = messageNew | messageExpunge | flagChange
)

// polled are the events that other programs cause without anybody telling.
const polled = mailboxName | subscriptionChange | mailboxMetadata | serverMetadata

// eventNames are those that are supported. AnnotationChange is not, as the
// ANNOTATE extension is not.
var eventNames = []string{
	"MessageNew", "MessageExpunge", "FlagChange", "MailboxName", "SubscriptionChange", "MailboxMetadataChange", "ServerMetadataChange",
}

// The mailbox specifiers of RFC 5465 section 6.
const (
	filterSelected   = "SELECTED"
	filterDelayed    = "SELECTED-DELAYED"
	filterInboxes    = "INBOXES"
	filterPersonal   = "PERSONAL"
	filterSubscribed = "SUBSCRIBED"
	filterSubtree    = "SUBTREE"
	filterMailboxes  = "MAILBOXES"
)

// eventGroup says which events of which mailboxes a client wants to hear of.
type eventGroup struct {
	filter string
	names  []string
	events events
	fetch  *fetch // what is told of new messages of the selected mailbox, nil for nothing
}

// notify is NOTIFY, RFC 5465 section 3.1.
type notify struct {
	set    bool // NOTIFY SET; else NONE
	status bool
	groups []eventGroup
}

func parseNotify(g *grammar) request {
	var r notify
	g.SP()
	switch g.Word() {
	case "NONE":
		g.End()
		return r
	case "SET":
		r.set = true
	default:
		g.Fail("SET or NONE expected")
	}
	g.SP()
	if g.Peek() != '(' {
		if r.status = g.Word() == "STATUS"; !r.status {
			g.Fail("event group expected")
		}
		g.SP()
	}
	r.parseGroup(g)
	for g.Accept(' ') && !g.AtEnd() {
		r.parseGroup(g)
	}
	g.End()
	return r
}

func (r *notify) parseGroup(g *grammar) {
	var e eventGroup
	g.Expect('(')
	e.filter = g.Word()
	switch e.filter {
	case filterSubtree, filterMailboxes:
		g.SP()
		add := func() { e.names = append(e.names, g.Mailbox()) }
		if g.Peek() == '(' {
			g.List(add)
		} else {
			add()
		}
	case filterSelected, filterDelayed, filterInboxes, filterPersonal, filterSubscribed:
	default:
		g.Fail("unknown mailbox specifier")
	}
	g.SP()
	if g.Peek() == '(' {
		g.List(func() { e.parseEvent(g) })
	} else if g.Word() != "NONE" {
		g.Fail("events in parentheses, or NONE, expected")
	}
	g.Expect(')')
	e.check(g)
	if e.isSelected() && slices.ContainsFunc(r.groups, eventGroup.isSelected) {
		g.Fail("the selected mailbox is specified twice")
	}
	r.groups = append(r.groups, e)
	if len(r.groups) > g.limits.NotifyMailboxes || len(e.names) > g.limits.NotifyMailboxes {
		g.FailCode("NOTIFICATIONOVERFLOW", "More is asked for than this server notifies of")
	}
}

func (e *eventGroup) parseEvent(g *grammar) {
	word := g.Word()
	i := slices.IndexFunc(eventNames, func(name string) bool { return strings.EqualFold(name, word) })
	if i < 0 {
		g.FailCode("BADEVENT ("+strings.Join(eventNames, " ")+")", "event is not supported")
		return
	}
	event := events(1) << i
	e.events |= event
	if event == messageNew && g.PeekFold(" (") {
		g.SP()
		e.fetch = new(fetch)
		g.List(func() { e.fetch.parseItem(g) })
		if !e.isSelected() {
			g.Fail("message attributes are for the selected mailbox")
		}
	}
}

func (e eventGroup) isSelected() bool { return e.filter == filterSelected || e.filter == filterDelayed }

// check holds what RFC 5465 section 5 says of events that go together.
func (e *eventGroup) check(g *grammar) {
	const both = messageNew | messageExpunge
	switch {
	case e.isSelected() && e.events&^messageEvents != 0:
		g.Fail("only message events are for the selected mailbox")
	case e.events&both != 0 && e.events&both != both:
		g.Fail("MessageNew and MessageExpunge go together")
	case e.events&flagChange != 0 && e.events&both != both:
		g.Fail("FlagChange needs MessageNew and MessageExpunge")
	}
}

// matches reports whether a mailbox that is not selected is meant.
func (e *eventGroup) matches(s *session, info storage.MailboxInfo) bool {
	switch e.filter {
	case filterInboxes, filterPersonal: // mail may be delivered to any of one's own
		return !s.isOthers(info.Name)
	case filterSubscribed:
		return info.Subscribed
	case filterSubtree:
		return slices.ContainsFunc(e.names, func(n string) bool { return info.Name == n || strings.HasPrefix(info.Name, n+"/") })
	case filterMailboxes:
		return slices.Contains(e.names, info.Name)
	}
	return false
}

func (r notify) run(ctx context.Context, s *session) (reply, error) {
	n := &notification{s: s, boxes: map[string]*watched{}}
	for _, e := range r.groups {
		if e.isSelected() {
			n.selected = e
			continue
		}
		n.groups = append(n.groups, e)
		n.wanted |= e.events
	}
	if err := n.look(ctx, false); err != nil {
		n.close()
		if errors.Is(err, errOverflow) {
			err = no("NOTIFICATIONOVERFLOW", "More is asked for than this server notifies of")
		}
		return reply{}, err
	}
	s.stopNotify()
	s.listen()
	s.notify = n
	s.warn("look at annotations", n.lookAtNotes(ctx, true, false))
	if r.status {
		n.printAll()
	}
	return reply{}, nil
}
