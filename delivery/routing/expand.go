package routing

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gomaild/accounts"
	"gomaild/mail"
)

// Expand follows the aliases of an address to their ends, without the checks
// against strangers: a remote address leads to itself. Destinations are
// distinct, in the order in which they were met. Errors are 451 4.6.0 (errors.Is
// ErrExpansion) and faults of the account database.
//
// An address that lists itself is kept and the rest of its row followed, which
// is how postfixadmin forwards and keeps a copy. An address that comes back to
// itself by way of others is a loop.
func (r *Router) Expand(ctx context.Context, a mail.Address) ([]Destination, error) {
	e := expansion{r: r, met: make(map[mail.Address]progress), final: make(map[mail.Address]bool)}
	return e.run(ctx, a)
}

func (e *expansion) run(ctx context.Context, a mail.Address) ([]Destination, error) {
	if err := e.visit(ctx, e.r.qualify(a), 0); err != nil {
		return nil, fmt.Errorf("expand %s: %w", a, err)
	}
	for i := range e.list {
		e.list[i].Vacation = e.away[e.list[i].Mailbox.Address.Fold()]
	}
	return e.list, nil
}

// Step is an alias on the way of an address.
type Step struct {
	Address mail.Address
	LeadsTo []mail.Address
}

// Explain is Expand with the aliases that were followed, in the order in which
// they were met, also where it ends in an error.
func (r *Router) Explain(ctx context.Context, a mail.Address) ([]Step, []Destination, error) {
	if a.IsPostmaster() || r.isSystem(a.Domain) && isRole(a) {
		a = r.config.Postmaster
	}
	e := expansion{r: r, met: make(map[mail.Address]progress), final: make(map[mail.Address]bool), steps: new([]Step)}
	list, err := e.run(ctx, a)
	return *e.steps, list, err
}

// qualify gives an address without a domain the origin's (myorigin).
func (r *Router) qualify(a mail.Address) mail.Address {
	if a.Domain == "" {
		a.Domain = r.config.Origin
	}
	return a
}

type progress int

const (
	unmet progress = iota
	open           // on the path to the address being visited
	done
)

// expansion is the state of one Expand. Addresses in its maps are folded.
type expansion struct {
	r     *Router
	met   map[mail.Address]progress
	final map[mail.Address]bool
	list  []Destination
	away  map[mail.Address]bool // whose vacation is asked for
	steps *[]Step               // nil: nobody asks
}

func (e *expansion) visit(ctx context.Context, a mail.Address, depth int) error {
	key := a.Fold()
	if e.met[key] == done {
		return nil
	}
	if e.met[key] == open || depth > e.r.config.MaxDepth || len(e.met) >= e.r.config.MaxExpansion {
		return expansionError()
	}
	e.met[key] = open
	next, err := e.next(ctx, a)
	if err != nil {
		return err
	}
	if e.steps != nil && next != nil {
		*e.steps = append(*e.steps, Step{a, next})
	}
	if next == nil || contains(next, key) {
		e.met[key] = done // before the others, which may lead back here
		if err := e.end(ctx, a); err != nil {
			return err
		}
	}
	for _, n := range next {
		if n.Fold() == key {
			continue
		}
		if err := e.visit(ctx, n, depth+1); err != nil {
			return err
		}
	}
	e.met[key] = done
	return nil
}

// next is where a leads, qualified; nil if a is an end.
func (e *expansion) next(ctx context.Context, a mail.Address) ([]mail.Address, error) {
	if a.Domain == "" {
		return nil, nil
	}
	if e.r.isSystem(a.Domain) {
		return e.r.systemAlias(a), nil
	}
	next, err := e.r.rules.next(ctx, a)
	if err != nil {
		return nil, err
	}
	for i := range next {
		next[i] = e.r.qualify(next[i])
	}
	return next, nil
}

// systemAlias is where an address at this host itself leads: the roles to the
// postmaster, all others nowhere.
func (r *Router) systemAlias(a mail.Address) []mail.Address {
	if !isRole(a) || r.config.Postmaster.IsZero() {
		return nil
	}
	return []mail.Address{r.config.Postmaster}
}

// end adds the destination a, which leads no further.
func (e *expansion) end(ctx context.Context, a mail.Address) error {
	if v := e.r.config.VacationDomain; v != "" && a.Domain == v {
		e.vacation(a)
		return nil
	}
	if e.final[a.Fold()] {
		return nil
	}
	e.final[a.Fold()] = true
	d, err := e.r.destination(ctx, a)
	if err != nil {
		return err
	}
	e.list = append(e.list, d)
	return nil
}

// vacation notes whose vacation an address at the vacation domain asks for:
// bob#example.com is bob@example.com.
func (e *expansion) vacation(a mail.Address) {
	i := strings.LastIndexByte(a.Local, '#')
	if i < 0 {
		return
	}
	if e.away == nil {
		e.away = map[mail.Address]bool{}
	}
	e.away[mail.Address{Local: a.Local[:i], Domain: mail.FoldASCII(a.Local[i+1:])}.Fold()] = true
}

// destination classifies an address that leads no further.
func (r *Router) destination(ctx context.Context, a mail.Address) (Destination, error) {
	if a.Domain == "" || r.isSystem(a.Domain) {
		return Destination{Class: NoUser, Address: a}, nil
	}
	domain, err := r.lookup.Domain(ctx, a.Domain)
	if err != nil && !errors.Is(err, accounts.ErrNotFound) {
		return Destination{}, err
	}
	d := Destination{Class: Remote, Address: a}
	switch {
	case err != nil || domain.Class == accounts.StrayAlias:
	case domain.Class == accounts.Relay:
		if d.Class, err = r.relayed(ctx, a); err != nil || d.Class == NoUser {
			return d, err
		}
	default:
		if d, err = r.housed(ctx, a); err != nil || d.Class == NoUser {
			return d, err
		}
	}
	t, err := r.transport(a, domain)
	if err != nil {
		return Destination{}, err
	}
	return carried(d, t), nil
}

// housed is the destination of an address in a domain of ours.
func (r *Router) housed(ctx context.Context, a mail.Address) (Destination, error) {
	box, detail, err := r.rules.deliverTo(ctx, a)
	switch {
	case errors.Is(err, accounts.ErrNotFound):
		return Destination{Class: NoUser, Address: a}, nil
	case err != nil:
		return Destination{}, err
	}
	return Destination{Class: Local, Address: a, Mailbox: box, Detail: detail}, nil
}

// relayed says whether an address exists in a relay domain, as far as a list is
// known: the table, and alias rows, which lead to the address itself by now.
func (r *Router) relayed(ctx context.Context, a mail.Address) (Class, error) {
	if r.config.RelayRecipients == nil {
		return Relay, nil
	}
	if _, ok := r.config.RelayRecipients.Find(r.addressKeys(a)...); ok {
		return Relay, nil
	}
	row, err := r.rules.next(ctx, a)
	if err != nil {
		return NoUser, err
	}
	if row != nil {
		return Relay, nil
	}
	return NoUser, nil
}

func contains(list []mail.Address, key mail.Address) bool {
	for _, a := range list {
		if a.Fold() == key {
			return true
		}
	}
	return false
}
