package routing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gomaild/accounts"
	"gomaild/mail"
)

// Resolve decides about a recipient that a stranger names, and says where its
// mail goes. The error is, for errors.As, one of these *mail.Status:
//
//	504 5.5.2  the domain is missing or has no dot
//	554 5.7.1  the domain is none of ours (errors.Is ErrNotLocal), or the
//	           local part asks us to relay (user%other.example)
//	550 5.1.1  nobody has the address
//	451 4.6.0  its aliases go round in a circle or exceed a limit
//	451 4.3.5  a table says what cannot be read
//	any        what the transport error: says
//
// or, without a status, a fault of the account database: mail waits. NoUser
// destinations are in the result only beside others (a list with a member who
// has left) or, with Config.Deployed, alone, where the deployment accepted the
// recipient and bounced the message later.
func (r *Router) Resolve(ctx context.Context, to mail.Address) ([]Destination, error) {
	if to.IsPostmaster() {
		return r.postmaster(ctx, to)
	}
	if err := r.admit(ctx, to); err != nil {
		return nil, err
	}
	if r.isSystem(to.Domain) {
		return r.postmaster(ctx, to)
	}
	if r.config.Deployed {
		if err := r.exists(ctx, to); err != nil {
			return nil, err
		}
		return r.Expand(ctx, to)
	}
	list, err := r.Expand(ctx, to)
	if err != nil {
		return nil, err
	}
	if !leadsNowhere(list) {
		return list, refusal(to, list)
	}
	if isRole(to) && !r.config.Postmaster.IsZero() {
		return r.postmaster(ctx, to)
	}
	if domain, err := r.lookup.Domain(ctx, to.Domain); err == nil && domain.Class == accounts.Relay {
		return nil, unknownUser(to, relayTable)
	}
	return nil, unknownUser(to, virtualTable)
}

// Relay is Resolve for who may send to other hosts too: an address elsewhere
// leads there.
func (r *Router) Relay(ctx context.Context, to mail.Address) ([]Destination, error) {
	list, err := r.Resolve(ctx, to)
	if !errors.Is(err, ErrNotLocal) {
		return list, err
	}
	if list, err = r.Expand(ctx, to); err != nil {
		return nil, err
	}
	return list, refusal(to, list)
}

// refusal is the reply where everything that a recipient leads to is refused by
// its transport, the first of them; nil else.
func refusal(to mail.Address, list []Destination) error {
	for _, d := range list {
		if d.Class != Refused && d.Class != NoUser {
			return nil
		}
	}
	for _, d := range list {
		if s := d.Transport.Status; s != nil {
			return &mail.Status{Code: s.Code, Enhanced: s.Enhanced, Text: "<" + typed(to) + ">: Recipient address rejected: " + s.Text}
		}
	}
	return nil
}

// Verify is the answer to RCPT alone, with the errors of Resolve. They differ
// only with Config.Deployed, where a recipient whose aliases make a loop was
// accepted at RCPT and refused at the end of DATA.
func (r *Router) Verify(ctx context.Context, to mail.Address) error {
	_, err := r.Resolve(ctx, to)
	if r.config.Deployed && errors.Is(err, ErrExpansion) {
		return nil
	}
	return err
}

// The tables that Postfix names in its replies.
const (
	virtualTable = "virtual mailbox"
	localTable   = "local recipient"
	relayTable   = "relay recipient"
)

// admit makes the checks that stand before any look-up of the address: it is
// qualified, its domain is ours, and it is not a request to relay.
func (r *Router) admit(ctx context.Context, to mail.Address) error {
	if !strings.ContainsAny(to.Domain, ".[") {
		return notQualified(to)
	}
	if r.isSystem(to.Domain) {
		return nil
	}
	domain, err := r.lookup.Domain(ctx, to.Domain)
	switch {
	case errors.Is(err, accounts.ErrNotFound) || err == nil && domain.Class == accounts.StrayAlias:
		return relayDenied(to).WithCause(ErrNotLocal)
	case err != nil:
		return fmt.Errorf("route %s: %w", to, err)
	case !isRouted(to):
		return nil
	}
	return r.rules.admitRouted(ctx, to)
}

// isRouted reports a local part with an operator by which hosts once asked
// one another to relay: user%host, host!user, user@host.
func isRouted(a mail.Address) bool { return strings.ContainsAny(a.Local, "%!@") }

// exists is the deployment's whole question at RCPT: some alias or mailbox
// row, wherever it leads. All of a relay domain exists where no list is known.
func (r *Router) exists(ctx context.Context, to mail.Address) error {
	domain, err := r.lookup.Domain(ctx, to.Domain)
	if err != nil {
		return fmt.Errorf("route %s: %w", to, err)
	}
	if domain.Class == accounts.Relay {
		class, err := r.relayed(ctx, to)
		if err == nil && class == NoUser {
			return unknownUser(to, relayTable)
		}
		return err
	}
	next, err := r.rules.next(ctx, to)
	if err != nil || len(next) > 0 {
		return err
	}
	_, _, err = table{r.config}.mailbox(ctx, to)
	if errors.Is(err, accounts.ErrNotFound) {
		return unknownUser(to, virtualTable)
	}
	return err
}

// postmaster is where mail goes for the addresses that every mail host must
// have (RFC 5321 section 4.5.1).
func (r *Router) postmaster(ctx context.Context, to mail.Address) ([]Destination, error) {
	if !isRole(to) || r.config.Postmaster.IsZero() {
		return nil, unknownUser(to, localTable)
	}
	list, err := r.Expand(ctx, r.config.Postmaster)
	if err == nil && leadsNowhere(list) {
		return nil, unknownUser(to, localTable)
	}
	return list, err
}

func leadsNowhere(list []Destination) bool {
	return !slices.ContainsFunc(list, func(d Destination) bool { return d.Class != NoUser })
}
