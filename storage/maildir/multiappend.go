package maildir

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"strings"

	"gomaild/storage"
)

// Several messages come into a mailbox together or not at all (RFC 3502 section
// 3), over a crash too. A directory has no such operation, so a file says what is
// to be done:
//
//  1. All messages are written to tmp/ and synced, under names.
//  2. appendFile is written: a line "TEMP NAME" for each message. From here on
//     all of them are in the mailbox.
//  3. Each is linked to cur/NAME, and cur/ synced; the uidlist gets its lines.
//  4. appendFile is removed, which is synced, and then the names in tmp/.
//
// Who opens the mailbox after a crash and finds appendFile does what is left of 3
// and 4: a message whose base name is in cur/ or new/ has its link, one that has
// no file in tmp/ either was expunged since. If a step fails, the links go first and
// appendFile after them, so that a crash in between brings all or none, too. It is
// there only while the lock is held, or after a crash.
//
// Until gomaild opens the mailbox, other programs may see a part.

const appendFile = "gomaild.append"

// AppendAll implements storage.Mailbox. One message goes the way of Append.
func (h *handle) AppendAll(ctx context.Context, drafts iter.Seq[storage.Draft]) ([]storage.UID, error) {
	if h.closed.Load() {
		return nil, ErrClosed
	}
	uids, err := h.appendAll(ctx, drafts)
	if err != nil {
		return nil, h.wrap("append to", err)
	}
	return uids, nil
}

// appending is one AppendAll.
type appending struct {
	m     *mailbox
	ready []readyMessage
}

// readyMessage is a message in tmp/ on its way.
type readyMessage struct {
	temp
	draft storage.Draft
	set   storage.KeywordSet
	base  string
	name  string // in cur/
}

func (m *mailbox) appendAll(ctx context.Context, drafts iter.Seq[storage.Draft]) (uids []storage.UID, err error) {
	if err := m.usable(ctx); err != nil {
		return nil, err
	}
	keep := m.store.newKeeper()
	defer m.store.releaseKeeper(keep)
	a := appending{m: m}
	placed := false
	defer func() {
		if failed := a.drop(placed); err == nil && failed != nil {
			m.store.log.Warn("files in tmp stay", "mailbox", m.place().dir, "error", failed) // all are in the mailbox
		} else {
			err = errors.Join(err, failed)
		}
	}()
	for d := range drafts {
		if err := a.write(keep, d); err != nil {
			return nil, err
		}
	}
	switch len(a.ready) {
	case 0:
	case 1:
		uids = make([]storage.UID, 1)
		uids[0], err = m.appendTemp(ctx, a.ready[0].temp, a.ready[0].draft)
		placed = err == nil
	default:
		uids, err = a.place(ctx)
	}
	if err != nil {
		return nil, err
	}
	return uids, nil
}

// write puts a message into tmp/. As long as there is only one it may have no name
// and be in keep; those of several are synced together.
func (a *appending) write(keep *keeper, d storage.Draft) error {
	var t temp
	var err error
	if len(a.ready) == 0 {
		t, err = a.m.writeTempFor(keep, d)
	} else {
		t, err = a.m.writeUnsynced(d)
	}
	if err != nil {
		return err
	}
	d.Content = nil
	a.ready = append(a.ready, readyMessage{temp: t, draft: d})
	return nil
}

// drop removes what is in tmp/, unless the one message was moved away.
func (a *appending) drop(placed bool) error {
	var errs []error
	for _, one := range a.ready {
		errs = append(errs, one.drop(a.m.store, placed))
	}
	return errors.Join(errs...)
}

// place brings all into the mailbox.
func (a *appending) place(ctx context.Context) ([]storage.UID, error) {
	var add storage.Usage
	for _, one := range a.ready {
		add = add.Plus(one.usage())
	}
	room, err := a.m.account.usage.hold(ctx, add, exact)
	if err != nil {
		return nil, err
	}
	defer room.end()
	if err := a.sync(); err != nil {
		return nil, err
	}
	if err := a.m.enter(ctx); err != nil {
		return nil, err
	}
	defer a.m.leave()
	lock, err := a.m.lockOrMend(ctx)
	if err != nil {
		return nil, err
	}
	uids, err := a.placeLocked(ctx, lock, room)
	return uids, errors.Join(err, lock.unlock())
}

// sync makes content and names in tmp/ durable.
func (a *appending) sync() error {
	if first := &a.ready[0].temp; first.name == "" {
		name := a.m.path(path.Join("tmp", a.m.store.names.next()))
		if err := first.file.Link(name); err != nil {
			return err
		}
		if err := first.file.Close(); err != nil {
			return err
		}
		first.name = name
	}
	if len(a.ready) >= shareSync {
		return a.m.store.fs.Barrier()
	}
	for _, one := range a.ready {
		if err := one.sync(a.m.store); err != nil {
			return err
		}
	}
	return a.m.store.fs.SyncDir(a.m.path("tmp"))
}

func (a *appending) placeLocked(ctx context.Context, lock *dotlock, room *room) ([]storage.UID, error) {
	m := a.m
	current := m.isCurrent()
	if err := m.prepare(ctx, lock); err != nil {
		return nil, err
	}
	if err := a.name(ctx); err != nil {
		return nil, err
	}
	room.enter()
	uids, err := a.link(lock)
	if err != nil {
		return nil, errors.Join(err, a.undo())
	}
	room.take()
	if current {
		m.showAppended(a.ready)
	} else {
		m.disk.ours, _ = m.stamps() // a help only
		m.poke()
	}
	return uids, nil
}

// name gives the messages their names in cur/ and their keywords.
func (a *appending) name(ctx context.Context) (err error) {
	more := map[string]storage.KeywordSet{}
	for i := range a.ready {
		one := &a.ready[i]
		if one.set, err = a.m.defineKeywords(ctx, one.draft.Keywords); err != nil {
			return err
		}
		one.base = a.m.store.names.next() + one.tail()
		one.name = one.base + fileFlags{system: one.draft.Flags, keywords: lettersOf(one.set)}.suffix()
		if set := moreOf(one.set); set != "" {
			more[one.base] = set
		}
	}
	return a.m.keepMoreKeywords(more)
}

func (a *appending) link(lock *dotlock) ([]storage.UID, error) {
	m := a.m
	var lines strings.Builder
	bases := make([]string, len(a.ready))
	for i, one := range a.ready {
		bases[i] = one.base
		lines.WriteString(path.Base(one.temp.name) + " " + one.name + "\n")
	}
	if err := m.store.writeFile(m.path(appendFile), []byte(lines.String())); err != nil {
		return nil, err
	}
	for _, one := range a.ready {
		if err := lock.refresh(); err != nil {
			return nil, err
		}
		if err := m.store.linkOrCopy(one.temp.name, m.path(path.Join("cur", one.name))); err != nil {
			return nil, err
		}
	}
	if err := m.store.fs.SyncDir(m.path("cur")); err != nil {
		return nil, err
	}
	uids, err := m.addToList(bases, nil)
	if err != nil {
		return nil, err
	}
	return uids, m.endAppend()
}

// endAppend says that nothing is to be done any more.
func (m *mailbox) endAppend() error {
	if err := m.store.remove(m.path(appendFile)); err != nil {
		return err
	}
	return m.store.fs.SyncDir(m.place().dir)
}

// undo takes back what was linked.
func (a *appending) undo() error {
	m := a.m
	m.disk.settled = false
	for _, one := range a.ready {
		if err := m.store.remove(m.path(path.Join("cur", one.name))); err != nil {
			return err
		}
	}
	if err := m.store.fs.SyncDir(m.path("cur")); err != nil {
		return err
	}
	return m.endAppend()
}

// isCutOff reports whether a crash left something to be done.
func (m *mailbox) isCutOff() bool {
	info, err := m.lstatIfThere(appendFile)
	return err == nil && info != nil
}

// finishAppend does what a crash left of an AppendAll. The lock is held. An error
// is said in the log: the mailbox can be used as it is, and the next who opens it
// tries again.
func (m *mailbox) finishAppend(lock *dotlock) {
	placed, err := m.linkRest(lock)
	if err != nil {
		m.store.log.Error("messages of an APPEND that was cut off are not all in the mailbox", "mailbox", m.place().dir, "error", err)
		return
	}
	m.store.log.Info("finished an APPEND that was cut off", "mailbox", m.place().dir, "messages", placed)
}

func (m *mailbox) linkRest(lock *dotlock) (placed int, err error) {
	data, err := m.store.readFile(m.path(appendFile))
	if err != nil {
		return 0, err
	}
	there := map[string]struct{}{}
	for _, sub := range []string{"cur", "new"} {
		names, err := m.store.fs.ReadDirNames(m.path(sub))
		if err != nil {
			return 0, err
		}
		for _, name := range names {
			base, _ := splitName(name)
			there[base] = struct{}{}
		}
	}
	var temps []string
	for line := range strings.Lines(data) {
		temp, name, err := parseAppendLine(line)
		if err != nil {
			m.store.log.Warn("damaged line", "file", m.path(appendFile), "error", err)
			continue
		}
		temp = m.path(path.Join("tmp", temp))
		temps = append(temps, temp)
		if base, _ := splitName(name); has(there, base) {
			continue
		}
		err = errors.Join(lock.refresh(), m.store.linkOrCopy(temp, m.path(path.Join("cur", name))))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return placed, err
		}
		placed++
	}
	if err := m.store.fs.SyncDir(m.path("cur")); err != nil {
		return placed, err
	}
	if err := m.endAppend(); err != nil {
		return placed, err
	}
	for _, temp := range temps {
		_ = m.store.remove(temp) // else it goes when it is old
	}
	return placed, nil
}

func has(set map[string]struct{}, key string) bool {
	_, there := set[key]
	return there
}

// parseAppendLine reads a line of appendFile, which others can write to, too.
func parseAppendLine(line string) (temp, name string, err error) {
	temp, name, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	base, _ := splitName(name)
	if !ok || !strings.HasSuffix(line, "\n") || !isBaseName(temp) || !isBaseName(base) || path.Base(name) != name {
		return "", "", fmt.Errorf("%q", line)
	}
	return temp, name, nil
}
