package maildir

import (
	"errors"
	"io/fs"
	"os"
	"slices"

	"gomaild/internal/durable"
	"gomaild/storage"
	"gomaild/storage/index"
)

// What callers remember of a mailbox (storage.Memo) is kept in a file beside the
// digests (package index has the form), so that webmail's first SORT after a pause
// does not sort 100 000 messages. It is a help and never the truth: written when the
// mailbox is let go, not synced, and read at the first question after that. An order
// counts only while each of its messages that is there has the base name that it was
// of; whatever is damaged is worked out again.
const ordersFile = "gomaild.orders"

// maxOrders bounds the file: what does not fit is not kept, the oldest first.
const maxOrders = 16 << 20 // octets

// recallOrders takes up what was kept, once, when somebody asks.
func (m *mailbox) recallOrders() {
	m.recalled.Do(func() {
		s := m.current()
		if s == nil {
			return
		}
		orders, err := m.readOrders()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			m.complain("read the orders", err)
		}
		var names []uint32 // of s.files
		for _, o := range orders {
			if names == nil {
				names = s.nameSums()
			}
			if s.hasNames(names, o) {
				m.memo.Restore(o.Key, &storage.Kept{UIDs: o.UIDs, Octets: o.Octets})
			}
		}
	})
}

func (m *mailbox) readOrders() ([]index.Order, error) {
	name := m.path(ordersFile)
	info, err := m.store.fs.Stat(name)
	if err != nil || info.Size() > maxOrders {
		return nil, err
	}
	data, err := durable.ReadFile(m.store.fs, name)
	return index.ParseOrders(data), err
}

func (s *state) nameSums() []uint32 {
	names := make([]uint32, len(s.files))
	for i, f := range s.files {
		names[i] = f.nameSum()
	}
	return names
}

// hasNames reports whether the messages of an order are those of the state, as far as
// they are there.
func (s *state) hasNames(names []uint32, o index.Order) bool {
	at, messages := 0, s.view.Messages
	for i, uid := range o.UIDs {
		for at < len(messages) && messages[at].UID < uid {
			at++
		}
		if at < len(messages) && messages[at].UID == uid && names[at] != o.Names[i] {
			return false
		}
	}
	return true
}

// keepOrders writes what is remembered when nobody has the mailbox open any more. It
// is only a help: a failure is said in the log.
func (m *mailbox) keepOrders() {
	s := m.current()
	if s == nil || m.store.beside || m.gone.Load() || !m.store.begin() {
		return
	}
	defer m.store.work.Done()
	orders := m.ordersOf(s)
	if len(orders) == 0 {
		return
	}
	size := 0
	for n, o := range slices.Backward(orders) {
		if size += len(o.Octets) + len(o.Key) + 9*len(o.UIDs) + 32; size > maxOrders {
			orders = orders[n+1:]
			break
		}
	}
	data := index.AppendOrdersHeader(make([]byte, 0, min(size, maxOrders)+32))
	for _, o := range orders {
		data = index.AppendOrder(data, o)
	}
	if err := m.writeOrders(data); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.complain("write the orders", err)
	}
}

// ordersOf are the orders to be written, the oldest first; none if the file has them.
func (m *mailbox) ordersOf(s *state) (orders []index.Order) {
	var names []uint32
	m.memo.Lasting(func(key string, value storage.Lasting) {
		if names == nil {
			names = s.nameSums()
		}
		o := index.Order{Key: key, UIDs: value.Of(), Octets: value.AppendTo(nil)}
		o.Names = make([]uint32, len(o.UIDs))
		at, messages := 0, s.view.Messages
		for i, uid := range o.UIDs {
			for at < len(messages) && messages[at].UID < uid {
				at++
			}
			if at < len(messages) && messages[at].UID == uid {
				o.Names[i] = names[at]
			}
		}
		orders = append(orders, o)
	})
	return orders
}

// writeOrders replaces the file.
func (m *mailbox) writeOrders(data []byte) error {
	temp := m.path(ordersFile + ".tmp")
	f, err := m.store.fs.OpenFile(temp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, fileMode)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	err = errors.Join(err, f.Close(), m.store.own(temp))
	if err == nil {
		err = m.store.fs.Rename(temp, m.path(ordersFile))
	}
	if err != nil {
		return errors.Join(err, m.store.remove(temp))
	}
	return nil
}
