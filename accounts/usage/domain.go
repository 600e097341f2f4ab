package usage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gomaild/mail"
)

// Hold keeps back room for add octets in what the accounts of a domain may hold
// together, with grace percent above the limit: ErrDomainFull if there is none.
// Two who ask at once do not both get the last of it. giveBack is called when
// Changed has told of them, or they do not come. A database that does not answer
// refuses nothing.
func (k *Keeper) Hold(ctx context.Context, name string, add int64, grace int) (giveBack func(), err error) {
	add = max(add, 0)
	ok, known := k.tryHold(name, add, grace)
	if !known {
		if err := k.ask(ctx, name); err != nil {
			k.config.Logger.Debug("what a domain holds is not known", "domain", name, "error", err)
			return func() {}, nil
		}
		if ok, known = k.tryHold(name, add, grace); !known {
			return func() {}, nil // there is no database
		}
	}
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, ErrDomainFull)
	}
	return sync.OnceFunc(func() { k.giveBackRoom(name, add) }), nil
}

// tryHold is not known if what the domain holds was not asked lately.
func (k *Keeper) tryHold(name string, add int64, grace int) (ok, known bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.isKnown(name) {
		return false, false
	}
	d := k.domains[name]
	if d.Max > 0 && add > 0 && d.Bytes+d.change+k.held[name] > d.Max+d.Max/100*int64(grace)-add {
		return false, true
	}
	k.held[name] += add
	return true, true
}

func (k *Keeper) giveBackRoom(name string, add int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.held[name] -= add; k.held[name] == 0 {
		delete(k.held, name)
	}
}

// isKnown reports whether what a domain holds was asked lately. k.mu is held.
func (k *Keeper) isKnown(name string) bool {
	d := k.domains[name]
	return d != nil && time.Since(d.asked) <= sumLife
}

// ask writes what has changed and asks for the sum. What changes meanwhile is
// not in it and counts as the change since.
func (k *Keeper) ask(ctx context.Context, name string) error {
	k.writing.Lock()
	defer k.writing.Unlock()
	k.mu.Lock()
	known := k.isKnown(name)
	k.mu.Unlock()
	db := k.config.Database()
	if known || db == nil {
		return nil // another has asked, or there is nobody to ask
	}
	next, begun := new(domain), time.Now()
	k.mu.Lock()
	k.domains[name] = next
	k.mu.Unlock()
	k.flush(ctx)
	sum, err := db.DomainUsage(ctx, name)
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		delete(k.domains, name)
		return err
	}
	next.DomainUsage, next.asked = sum, begun
	k.countLater(sum.Unwritten)
	return nil
}

// countLater lets Run count mailboxes. k.mu is held.
func (k *Keeper) countLater(all []mail.Address) {
	if k.config.Count == nil {
		return
	}
	for _, a := range all {
		failed, unable := k.unable[a]
		if _, waits := k.asking[a]; waits || unable && time.Since(failed) < countPause {
			continue
		}
		select {
		case k.count <- a:
			k.asking[a] = struct{}{}
		default:
			return // another time
		}
	}
}

// countOne takes note of what an account holds, unless that is noted already: it
// has changed, or the store told when it counted.
func (k *Keeper) countOne(ctx context.Context, a mail.Address) {
	u, err := k.config.Count(ctx, a)
	if err != nil {
		k.config.Logger.Debug("what an account holds is not known", "account", a.String(), "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.asking, a)
	if err != nil {
		k.unable[a] = time.Now() // one entry an account at most
		return
	}
	delete(k.unable, a)
	if _, changed := k.dirty[a]; !changed {
		k.dirty[a] = u
	}
	if d := k.domains[a.Domain]; d != nil {
		d.asked = time.Time{} // the sum is asked for again, with this in it
	}
}
