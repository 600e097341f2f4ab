package imap

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"gomaild/storage"
)

// notification is what a client hears of at any time, since its last NOTIFY.
type notification struct {
	s        *session
	groups   []eventGroup // but the one of the selected mailbox
	wanted   events       // of all groups
	selected eventGroup   // without events nothing is told of the selected mailbox
	boxes    map[string]*watched
	nextLook time.Time

	fromInbox map[string]bool // mailboxes that were INBOX and nobody was told of

	notes        map[string]storage.Annotations // that the client knows of, by mailbox; "" is the account
	notesVersion string
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
		} else if old := gone[from]; old != nil {
			n.inherit(w, old)
			n.unwatch(old)
			delete(gone, from)
		}
	}
	n.fromInbox = nil
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
	if n.fromInbox[w.info.Name] { // RFC 5465 section 5.4; INBOX itself is still there
		return "INBOX"
	}
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
	if from != "" {
		n.s.printOldName(w.attrs, w.info.Name, from)
		return
	}
	n.s.printMailbox("LIST", w.info.Name, w.attrs, false)
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
	isTime := n.wanted&polled != 0 && !time.Now().Before(n.nextLook)
	names, notes := n.tellNews()
	if names || isTime && n.wanted&(mailboxName|subscriptionChange) != 0 {
		n.lookAgain(ctx)
	}
	if notes || isTime {
		n.nextLook = time.Now().Add(n.s.limits.NotifyPoll)
		n.s.warn("look at annotations", n.lookAtNotes(ctx, notes, true))
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

// tellNews hears what other sessions of the account said, and reports whether
// names of mailboxes, or annotations that are watched, may have changed. Of others
// it tells a client that enabled METADATA.
func (n *notification) tellNews() (names, notes bool) {
	queue, missed := n.s.heard.take()
	if missed {
		n.overflow()
		return false, false
	}
	for _, one := range queue {
		switch {
		case one.entries == nil:
			names = true
			n.noteInbox(one.inboxTo)
		case n.watchesNotes(one.mailbox):
			notes = true
		case n.s.enabled&metadata != 0:
			n.s.printMetadata(one)
		}
	}
	return names && n.wanted != 0, notes
}

// noteInbox remembers what INBOX was renamed to.
func (n *notification) noteInbox(to string) {
	if to == "" {
		return
	}
	if n.fromInbox == nil {
		n.fromInbox = map[string]bool{}
	}
	n.fromInbox[to] = true
}

// watchesNotes reports whether somebody asked for the annotations of a mailbox,
// of the account with "".
func (n *notification) watchesNotes(mailbox string) bool {
	if mailbox == "" {
		return n.wanted&serverMetadata != 0
	}
	w := n.boxes[mailbox]
	return w != nil && w.events&mailboxMetadata != 0
}

// lookAtNotes finds out which of the watched annotations are others than the
// client knows, and with announce tells it (RFC 5465 sections 5.6 and 5.7).
// Without changed it looks no further as long as the version is the same.
func (n *notification) lookAtNotes(ctx context.Context, changed, announce bool) error {
	if n.wanted&(mailboxMetadata|serverMetadata) == 0 {
		return nil
	}
	version, err := n.s.account.AnnotationsVersion(ctx)
	if err != nil || version == n.notesVersion && !changed {
		return err
	}
	now := map[string]storage.Annotations{}
	for _, name := range append([]string{""}, slices.Sorted(maps.Keys(n.boxes))...) {
		if !n.watchesNotes(name) {
			continue
		}
		notes, err := n.s.account.Annotations(ctx, name)
		if err != nil {
			n.s.warnUnless(isUnread(err), "annotations of "+name, err)
			continue
		}
		now[name] = notes
		if old, known := n.notes[name]; announce && known {
			if entries := changedNotes(old, notes); len(entries) > 0 {
				n.s.printMetadata(news{mailbox: name, entries: entries})
			}
		}
	}
	n.notes, n.notesVersion = now, version
	return nil
}

// changedNotes are the entries that are not the same in both, sorted.
func changedNotes(old, now storage.Annotations) []string {
	var entries []string
	for entry, value := range now {
		if was, had := old[entry]; !had || was != value {
			entries = append(entries, entry)
		}
	}
	for entry := range old {
		if _, has := now[entry]; !has {
			entries = append(entries, entry)
		}
	}
	slices.Sort(entries)
	return entries
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
