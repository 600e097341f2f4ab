package auth

import (
	"container/list"
	"time"
)

// table is a map with a bound and an age: entries end after life, and when
// there are more than size of them the one that was longest untouched goes. It
// is not safe for concurrent use; its owner has a lock.
type table[K comparable, V any] struct {
	size    int
	life    time.Duration
	entries map[K]*list.Element
	order   *list.List // of *entry[K, V], the last touched at the back
}

type entry[K comparable, V any] struct {
	key   K
	value V
	until time.Time
}

func newTable[K comparable, V any](size int, life time.Duration) *table[K, V] {
	return &table[K, V]{size: size, life: life, entries: make(map[K]*list.Element), order: list.New()}
}

// look finds a live entry and leaves its age and place as they are.
func (t *table[K, V]) look(now time.Time, k K) (v V, ok bool) {
	e, ok := t.entries[k]
	if !ok {
		return v, false
	}
	found := e.Value.(*entry[K, V])
	if !now.Before(found.until) {
		t.remove(e)
		return v, false
	}
	return found.value, true
}

// set stores v; its life begins anew.
func (t *table[K, V]) set(now time.Time, k K, v V) {
	until := now.Add(t.life)
	if e, ok := t.entries[k]; ok {
		*e.Value.(*entry[K, V]) = entry[K, V]{k, v, until}
		t.order.MoveToBack(e)
		return
	}
	t.entries[k] = t.order.PushBack(&entry[K, V]{k, v, until})
	// All lives are equal, so what ends first stands at the front.
	for first := t.order.Front(); first != nil; first = t.order.Front() {
		if len(t.entries) <= t.size && now.Before(first.Value.(*entry[K, V]).until) {
			return
		}
		t.remove(first)
	}
}

func (t *table[K, V]) drop(k K) {
	if e, ok := t.entries[k]; ok {
		t.remove(e)
	}
}

func (t *table[K, V]) remove(e *list.Element) {
	t.order.Remove(e)
	delete(t.entries, e.Value.(*entry[K, V]).key)
}
