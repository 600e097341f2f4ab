package storage

import (
	"slices"
	"sync"
)

// maxMemos is how many things are remembered of a mailbox.
const maxMemos = 8

// Memo remembers what callers worked out of the messages of a mailbox, which do
// not change, and want again: the order of a large mailbox by subject. What is in
// it is shared and never changed. A store may keep what is Lasting. The zero value
// works; it is safe for concurrent use.
type Memo struct {
	mu     sync.Mutex
	values map[string]any
	keys   []string // the one stored last at the end
	news   bool
}

// Lasting is a value that a store may keep on disk, and give back as Kept when the
// mailbox was not in memory meanwhile.
type Lasting interface {
	// Of are the messages that it was worked out of, ascending.
	Of() []UID
	// AppendTo adds its octets to dst.
	AppendTo(dst []byte) []byte
}

// Kept is a Lasting value as a store gives it back: of the same messages, and perhaps
// of some that are gone.
type Kept struct {
	UIDs   []UID
	Octets []byte
}

// Of implements Lasting.
func (k *Kept) Of() []UID { return k.UIDs }

// AppendTo implements Lasting.
func (k *Kept) AppendTo(dst []byte) []byte { return append(dst, k.Octets...) }

// Load is what was stored under a key, or nil.
func (m *Memo) Load(key string) any {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.values[key]
}

// Store remembers a value in place of that of the same key, or of the one that
// was stored first.
func (m *Memo) Store(key string, value any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, value)
	m.news = true
}

// Restore is Store of what a store keeps already.
func (m *Memo) Restore(key string, value any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.put(key, value)
}

func (m *Memo) put(key string, value any) {
	if m.values == nil {
		m.values = map[string]any{}
	}
	m.keys = append(slices.DeleteFunc(m.keys, func(k string) bool { return k == key }), key)
	if len(m.keys) > maxMemos {
		delete(m.values, m.keys[0])
		m.keys = m.keys[1:]
	}
	m.values[key] = value
}

// Lasting calls visit for the values that can be kept, the one stored first at first,
// if there are any that a store does not keep yet. visit must not use the Memo.
func (m *Memo) Lasting(visit func(key string, value Lasting)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.news {
		return
	}
	m.news = false
	for _, key := range m.keys {
		if value, ok := m.values[key].(Lasting); ok {
			visit(key, value)
		}
	}
}
