package usage

import (
	"context"
	"fmt"
	"time"

	"gomaild/accounts"
)

// Admits says whether the accounts of a domain may hold add octets more, with
// grace percent above the limit: ErrDomainFull if not. A database that does not
// answer refuses nothing.
func (k *Keeper) Admits(ctx context.Context, name string, add int64, grace int) error {
	d, known := k.known(name)
	if !known {
		var err error
		if d, err = k.ask(ctx, name); err != nil {
			k.config.Logger.Debug("what a domain holds is not known", "domain", name, "error", err)
			return nil
		}
	}
	if d.Max <= 0 || add <= 0 || d.Bytes <= d.Max+d.Max/100*int64(grace)-add {
		return nil
	}
	return fmt.Errorf("%s: %w", name, ErrDomainFull)
}

// known is what a domain holds, if that was asked lately.
func (k *Keeper) known(name string) (accounts.DomainUsage, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.domains[name]
	if d == nil || time.Since(d.asked) > sumLife {
		return accounts.DomainUsage{}, false
	}
	return accounts.DomainUsage{Bytes: d.Bytes + d.change, Max: d.Max}, true
}

// ask writes what has changed and asks for the sum. What changes meanwhile is
// not in it and counts as the change since.
func (k *Keeper) ask(ctx context.Context, name string) (accounts.DomainUsage, error) {
	k.writing.Lock()
	defer k.writing.Unlock()
	if d, known := k.known(name); known {
		return d, nil // another has asked
	}
	db := k.config.Database()
	if db == nil {
		return accounts.DomainUsage{}, nil
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
		return sum, err
	}
	next.DomainUsage, next.asked = sum, begun
	return accounts.DomainUsage{Bytes: sum.Bytes + next.change, Max: sum.Max}, nil
}
