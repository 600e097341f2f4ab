package gate

import "sync"

// Drains wakes the idle sessions when their listener drains. Its zero
// value is ready, and it is safe for concurrent use. One goroutine
// waits for each drain channel, not one for each session: thousands of idle
// sessions are the normal state.
type Drains struct {
	mu     sync.Mutex
	groups map[<-chan struct{}]*drainGroup
}

type drainGroup struct {
	wakers map[int]func()
	next   int
	quit   chan struct{} // closed when the last session has left
	done   chan struct{} // closed when the goroutine has ended
}

// Join calls wake once when drain closes. The session leaves with leave, which
// ends the group's goroutine with its last session.
func (d *Drains) Join(drain <-chan struct{}, wake func()) (leave func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.groups[drain]
	if g == nil {
		g = &drainGroup{wakers: map[int]func(){}, quit: make(chan struct{}), done: make(chan struct{})}
		if d.groups == nil {
			d.groups = map[<-chan struct{}]*drainGroup{}
		}
		d.groups[drain] = g
		go d.watch(drain, g)
	}
	id := g.next
	g.next++
	g.wakers[id] = wake
	return func() { d.leave(drain, g, id) }
}

func (d *Drains) watch(drain <-chan struct{}, g *drainGroup) {
	defer close(g.done)
	select {
	case <-g.quit:
		return
	case <-drain:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, wake := range g.wakers {
		wake()
	}
}

func (d *Drains) leave(drain <-chan struct{}, g *drainGroup, id int) {
	d.mu.Lock()
	delete(g.wakers, id)
	last := len(g.wakers) == 0
	if last {
		delete(d.groups, drain)
	}
	d.mu.Unlock()
	if last {
		close(g.quit)
		<-g.done
	}
}
