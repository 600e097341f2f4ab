package imap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"gomaild/internal/gate"
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
	if r.status {
		n.printAll()
	}
	return reply{}, nil
}

// notification is what a client hears of at any time, since its last NOTIFY.
type notification struct {
	s        *session
	groups   []eventGroup // but the one of the selected mailbox
	wanted   events       // of all groups
	selected eventGroup   // without events nothing is told of the selected mailbox
	boxes    map[string]*watched
	nextLook time.Time
}

// watched is a mailbox that is listed and that some group means.
type watched struct {
	info    storage.MailboxInfo
	attrs   []string // of LIST
	id      string   // MAILBOXID, where it can be read
	events  events
	mailbox storage.Mailbox // nil without message events
	view    *storage.View
}

// errOverflow: more mailboxes than a session may watch.
var errOverflow = errors.New("too many mailboxes to notify of")

// stopNotify forgets what was asked for.
func (s *session) stopNotify() {
	if s.notify != nil {
		s.notify.close()
		s.notify = nil
	}
}

func (n *notification) close() {
	for _, w := range n.boxes {
		n.unwatch(w)
	}
}

func (n *notification) unwatch(w *watched) {
	if w.mailbox != nil {
		n.s.warn("close mailbox", w.mailbox.Close())
		w.mailbox = nil
	}
}

// look lists the mailboxes and finds those that are watched from now on. With
// announce the client hears of names and subscriptions that are others than
// before.
func (n *notification) look(ctx context.Context, announce bool) error {
	n.nextLook = time.Now().Add(n.s.limits.NotifyPoll)
	if len(n.groups) == 0 {
		return nil
	}
	tree, err := n.s.mailboxTree(ctx, false)
	if err != nil {
		return err
	}
	now := map[string]*watched{}
	for _, info := range tree.infos {
		if info.NoSelect || info.NonExist {
			continue
		}
		var wanted events
		for i := range n.groups {
			if n.groups[i].matches(n.s, info) {
				wanted |= n.groups[i].events
			}
		}
		if wanted != 0 {
			l := list{extended: true, returnSubscribed: true, returnSpecial: true}
			now[info.Name] = &watched{info: info, attrs: l.attributes(info, tree), events: wanted}
		}
	}
	if len(now) > n.s.limits.NotifyMailboxes {
		return errOverflow
	}
	n.take(ctx, now, announce)
	return nil
}

// take puts the mailboxes of now in the place of those before.
func (n *notification) take(ctx context.Context, now map[string]*watched, announce bool) {
	before := n.boxes
	n.boxes = now
	gone := map[string]*watched{}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		w, old := now[name], before[name]
		if w == nil {
			gone[name] = old
			continue
		}
		w.id, w.mailbox, w.view = old.id, old.mailbox, old.view
		if announce && w.events&subscriptionChange != 0 && w.info.Subscribed != old.info.Subscribed {
			n.printList(w, "")
		}
		if w.mailbox == nil {
			n.watch(ctx, w)
			if announce && old.id == noAccess && w.id != noAccess { // RFC 5465 section 5.9
				n.printList(w, "")
			}
		}
	}
	var parents []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if before[name] != nil {
			continue
		}
		w := now[name]
		n.watch(ctx, w)
		from := n.renamedFrom(w, gone)
		if announce && w.events&mailboxName != 0 && !n.movedAlong(name, from) {
			n.printList(w, from)
		}
		if from == "" {
			parents = append(parents, name)
		} else {
			n.inherit(w, gone[from])
			n.unwatch(gone[from])
			delete(gone, from)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(gone)) {
		n.unwatch(gone[name])
		if announce && gone[name].events&mailboxName != 0 {
			n.printGone(name)
			parents = append(parents, name)
		}
	}
	if announce {
		n.printParents(parents, before)
	}
}

// watch opens a mailbox, for its id and, where messages matter, for good. One
// that may not be read is told as \NoAccess (RFC 5465 section 3.1).
func (n *notification) watch(ctx context.Context, w *watched) {
	if w.events&(messageEvents|mailboxName) == 0 {
		return
	}
	mailbox, err := n.s.account.Open(ctx, w.info.Name)
	var view *storage.View
	if err == nil {
		if view, err = mailbox.View(ctx); err != nil {
			n.s.warn("close mailbox", mailbox.Close())
		}
	}
	if err != nil {
		if errors.Is(err, storage.ErrPermission) && w.events&messageEvents != 0 && w.id != noAccess {
			n.s.printMailbox("LIST", w.info.Name, []string{`\NoAccess`}, false)
			w.id = noAccess
		}
		n.s.warnUnless(isUnread(err) || errors.Is(err, storage.ErrNoSelect), "watch "+w.info.Name, err)
		return
	}
	w.id, w.view = view.MailboxID, view
	if w.events&messageEvents == 0 {
		n.s.warn("close mailbox", mailbox.Close())
		return
	}
	w.mailbox = mailbox
}

// noAccess stands for the id of a mailbox that was told as \NoAccess.
const noAccess = "?"

// renamedFrom is the name that a mailbox had before, "" if it is new.
func (n *notification) renamedFrom(w *watched, gone map[string]*watched) string {
	for name, old := range gone {
		if w.id != "" && w.id != noAccess && old.id == w.id {
			return name
		}
	}
	return ""
}

// movedAlong reports whether a mailbox only got its new name with one above it,
// which was told (RFC 5465 section 5.4).
func (n *notification) movedAlong(name, from string) bool {
	at, was := strings.LastIndexByte(name, '/'), strings.LastIndexByte(from, '/')
	if from == "" || at < 0 || was < 0 || name[at:] != from[was:] {
		return false
	}
	return n.boxes[name[:at]] != nil
}

// inherit keeps what the client knows of a mailbox that got another name.
func (n *notification) inherit(w, old *watched) {
	if old.view != nil {
		w.view = old.view
	}
}

// printList tells of a mailbox as it is now, with the name that it had.
func (n *notification) printList(w *watched, from string) {
	s := n.s
	s.enc.Raw("* LIST (" + strings.Join(w.attrs, " ") + `) "/" `)
	s.enc.Mailbox(w.info.Name)
	if from != "" {
		s.enc.Raw(` ("OLDNAME" (`)
		s.enc.Mailbox(from)
		s.enc.Raw("))")
	}
	s.enc.CRLF()
}

func (n *notification) printGone(name string) {
	n.s.printMailbox("LIST", name, []string{`\NonExistent`}, false)
}

// printParents tells of the mailboxes right above those that came or went, if
// they look different now.
func (n *notification) printParents(names []string, before map[string]*watched) {
	for _, name := range names {
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			continue
		}
		parent, old := n.boxes[name[:i]], before[name[:i]]
		if parent != nil && old != nil && parent.events&mailboxName != 0 && !slices.Equal(parent.attrs, old.attrs) {
			old.attrs = parent.attrs // it is told once
			n.printList(parent, "")
		}
	}
}

// printAll is the STATUS indicator of NOTIFY SET.
func (n *notification) printAll() {
	for _, name := range slices.Sorted(maps.Keys(n.boxes)) {
		if w := n.boxes[name]; w.mailbox != nil && !n.isSelected(name) {
			items := []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY"}
			if w.events&flagChange != 0 {
				items = append(items, "UNSEEN", "HIGHESTMODSEQ")
			}
			n.printStatus(w, items)
		}
	}
}

func (n *notification) isSelected(name string) bool {
	return n.s.box != nil && n.s.box.mailbox.Name() == name
}

func (n *notification) printStatus(w *watched, items []string) {
	values := map[string]uint64{
		"MESSAGES": uint64(len(w.view.Messages)), "UIDNEXT": uint64(w.view.UIDNext), "UIDVALIDITY": uint64(w.view.UIDValidity),
		"UNSEEN": countUnseen(w.view), "HIGHESTMODSEQ": uint64(w.view.HighestModSeq),
	}
	n.s.enc.Raw("* STATUS ")
	n.s.enc.Mailbox(w.info.Name)
	before := " ("
	for _, item := range items {
		n.s.enc.Raw(before + item + " ")
		n.s.enc.Number(values[item])
		before = " "
	}
	n.s.enc.Byte(')')
	n.s.enc.CRLF()
}

// tell tells all that happened elsewhere than in the selected mailbox.
func (n *notification) tell(ctx context.Context) {
	if n.tellNews() || n.wanted&(mailboxName|subscriptionChange) != 0 && !time.Now().Before(n.nextLook) {
		n.lookAgain(ctx)
	}
	lost := false
	for _, name := range slices.Sorted(maps.Keys(n.boxes)) {
		w := n.boxes[name]
		switch {
		case w.mailbox == nil:
		case n.isSelected(name):
			w.view = n.s.box.known // told as the selected mailbox
		default:
			lost = !n.tellBox(ctx, w) || lost
		}
	}
	if lost {
		n.lookAgain(ctx)
	}
}

func (n *notification) lookAgain(ctx context.Context) {
	switch err := n.look(ctx, true); {
	case errors.Is(err, errOverflow):
		n.overflow()
	case err != nil:
		n.s.warn("list mailboxes", err)
	}
}

// overflow ends the notifications, RFC 5465 section 5.8.
func (n *notification) overflow() {
	n.close()
	n.boxes, n.groups, n.wanted, n.selected = map[string]*watched{}, nil, 0, eventGroup{}
	n.s.printOK("NOTIFICATIONOVERFLOW", "More happens than this server notifies of")
}

// tellBox tells what changed in a mailbox; false if it is no more.
func (n *notification) tellBox(ctx context.Context, w *watched) bool {
	select {
	case <-w.mailbox.Changed(w.view):
	default:
		return true
	}
	view, err := w.mailbox.View(ctx)
	switch {
	case errors.Is(err, storage.ErrNoMailbox):
		n.unwatch(w)
		return false
	case errors.Is(err, storage.ErrPermission):
		n.unwatch(w)
		n.s.printMailbox("LIST", w.info.Name, []string{`\NoAccess`}, false)
		w.id = noAccess
		return true
	case err != nil:
		n.s.warn("look at "+w.info.Name, err)
		return true
	}
	old := w.view
	w.view = view
	if items := n.items(w, old, view); len(items) > 0 {
		n.printStatus(w, items)
	}
	return true
}

// items are what STATUS has to tell of a change (RFC 5465 sections 5.1 to 5.3).
func (n *notification) items(w *watched, old, now *storage.View) []string {
	var messages, flags bool
	for _, c := range storage.Diff(old, now) {
		flags = flags || c.Kind == storage.Flags
		messages = messages || c.Kind != storage.Flags
	}
	flags = flags && w.events&flagChange != 0
	useModSeq := n.s.enabled&condstore != 0
	var items []string
	add := func(when bool, names ...string) {
		if when {
			items = append(items, names...)
		}
	}
	add(messages, "MESSAGES", "UIDNEXT")
	add(w.events&flagChange != 0 && countUnseen(old) != countUnseen(now), "UNSEEN")
	add(old.UIDValidity != now.UIDValidity || flags && useModSeq, "UIDVALIDITY")
	add(useModSeq && (messages || flags), "HIGHESTMODSEQ")
	return items
}

// tellNews tells what other sessions of the account said, and reports whether
// names of mailboxes may have changed.
func (n *notification) tellNews() (names bool) {
	queue, missed := n.s.heard.take()
	if missed {
		n.overflow()
		return false
	}
	for _, one := range queue {
		switch {
		case one.entries == nil:
			names = true
		case one.mailbox == "" && n.wanted&serverMetadata != 0:
			n.s.printMetadata(one)
		case one.mailbox != "" && n.boxes[one.mailbox] != nil && n.boxes[one.mailbox].events&mailboxMetadata != 0:
			n.s.printMetadata(one)
		case n.s.enabled&metadata != 0:
			n.s.printMetadata(one)
		}
	}
	return names && n.wanted != 0
}

// printMetadata is the unsolicited METADATA response, RFC 5464 section 4.4.2.
func (s *session) printMetadata(n news) {
	s.enc.Raw("* METADATA ")
	s.enc.Mailbox(n.mailbox)
	for _, entry := range n.entries {
		s.enc.Byte(' ')
		s.enc.AString(entry)
	}
	s.enc.CRLF()
}

// did notes what this client did to names of mailboxes: it knows.
func (s *session) did(ctx context.Context) {
	if s.notify != nil && s.notify.wanted != 0 {
		s.warn("list mailboxes", s.notify.look(ctx, false))
	}
	s.tellOthers(news{})
}

// tellChanges tells the client what happened, as far as it wants to hear. With
// hold messages that are gone are held. It reports whether looking again makes
// sense.
func (s *session) tellChanges(ctx context.Context, hold bool) bool {
	ok := true
	switch {
	case s.notify == nil && s.box != nil:
		ok = s.syncOrEnd(ctx, hold)
	case s.notify != nil && s.box != nil && s.notify.selected.events != 0:
		ok = s.syncOrEnd(ctx, hold)
	}
	s.tellNotified(ctx)
	return ok
}

func (s *session) tellNotified(ctx context.Context) {
	switch {
	case s.ended:
	case s.notify != nil:
		s.notify.tell(ctx)
	case s.heard != nil:
		queue, _ := s.heard.take()
		for _, one := range queue {
			if one.entries != nil {
				s.printMetadata(one)
			}
		}
	}
}

// expunging are the commands whose own untagged responses come from looking at
// the mailbox, whatever the client wants to hear of.
var expunging = []string{"EXPUNGE", "MOVE", "NOTIFY", "REPLACE", "UID EXPUNGE", "UID MOVE", "UID REPLACE"}

// afterCommand tells the client what happened until the end of a command.
func (s *session) afterCommand(ctx context.Context, cmd *command) {
	if s.box != nil && s.notify != nil && s.notify.selected.events == 0 && slices.Contains(expunging, cmd.name) {
		s.syncOrEnd(ctx, false)
	}
	s.tellChanges(ctx, cmd.usesNumbers)
}

// awaitCommand waits for the client's next command. A client that used NOTIFY
// hears of events meanwhile.
func (s *session) awaitCommand(ctx context.Context) error {
	deadline := s.idleDeadline()
	if s.notify == nil {
		return s.await(deadline)
	}
	for {
		watch := true
		if s.dec.Buffered() == 0 {
			watch = s.tellChanges(ctx, s.notify.selected.filter == filterDelayed)
		}
		if s.ended {
			return nil
		}
		err := s.awaitChange(s.nextLook(deadline), watch)
		switch {
		case err == gate.ErrWoken && !s.draining():
		case err == gate.ErrDeadline && time.Now().Before(deadline):
		default:
			return err
		}
	}
}

// nextLook is when to look at names of mailboxes again, if that is before the
// deadline: other programs make and remove them too.
func (s *session) nextLook(deadline time.Time) time.Time {
	if s.notify != nil && s.notify.wanted&(mailboxName|subscriptionChange) != 0 && s.notify.nextLook.Before(deadline) {
		return s.notify.nextLook
	}
	return deadline
}

// awaitChange is await that, with watch, a change that the client wants to hear
// of ends too, with gate.ErrWoken. A goroutine waits for the changes meanwhile;
// it has ended on return. Without watch (the store failed just now) the next
// look is at the deadline.
func (s *session) awaitChange(deadline time.Time, watch bool) error {
	var changes []reflect.SelectCase
	if watch {
		changes = s.changes()
	}
	if len(changes) == 0 {
		return s.await(deadline)
	}
	stop := make(chan struct{})
	changes = append(changes, receive(stop))
	var watcher sync.WaitGroup
	watcher.Go(func() {
		if at, _, _ := reflect.Select(changes); at != len(changes)-1 {
			s.gate.Wake()
		}
	})
	err := s.await(deadline)
	close(stop)
	watcher.Wait()
	return err
}

func receive(c <-chan struct{}) reflect.SelectCase {
	return reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(c)}
}

// changes are what wakes the session.
func (s *session) changes() []reflect.SelectCase {
	var all []reflect.SelectCase
	if s.box != nil && (s.notify == nil || s.notify.selected.events != 0) {
		all = append(all, receive(s.box.mailbox.Changed(s.box.base)))
	}
	if s.notify != nil {
		for name, w := range s.notify.boxes {
			if w.mailbox != nil && !s.notify.isSelected(name) {
				all = append(all, receive(w.mailbox.Changed(w.view)))
			}
		}
	}
	if s.heard != nil {
		all = append(all, receive(s.heard.ready))
	}
	return all
}

// printNew tells what the client asked for of new messages of the selected
// mailbox, those apart that it stored itself (RFC 5465 section 5.2).
func (s *session) printNew(ctx context.Context, old *storage.View) {
	if s.notify == nil || s.notify.selected.fetch == nil {
		return
	}
	known := s.box.known
	first, _ := known.Index(old.UIDNext)
	for i := first; i < len(known.Messages); i++ {
		s.printAttributes(ctx, s.notify.selected.fetch, i)
	}
}

func (s *session) printAttributes(ctx context.Context, f *fetch, i int) {
	m := &fetched{number: i + 1, view: s.box.known, msg: s.box.known.Messages[i]}
	if _, own := s.box.own[m.msg.UID]; own {
		return
	}
	if err := f.message(ctx, s, m, false); err != nil && !errors.Is(err, storage.ErrExpunged) {
		s.warn(fmt.Sprintf("tell of message %d", m.msg.UID), err)
	}
}

// stored notes messages that this client put into a mailbox.
func (s *session) stored(mailbox string, uids ...storage.UID) {
	if s.box == nil || s.notify == nil || s.box.mailbox.Name() != mailbox {
		return
	}
	if s.box.own == nil {
		s.box.own = map[storage.UID]struct{}{}
	}
	for _, uid := range uids {
		s.box.own[uid] = struct{}{}
	}
}
