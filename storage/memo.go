package storage

import (
	"slices"
	"sync"
)

// maxMemos is how many things are remembered of a mailbox.
const maxMemos = 8

// Memo remembers what callers worked out of the messages of a mailbox, which do
// not change, and want again: the order of a large mailbox by subject. What is in
// it is shared and never changed. The zero value works; it is safe for
// concurrent use.
type Memo struct {
	mu     sync.Mutex
	values map[string]any
	keys   []string // the one stored last at the end
}

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
