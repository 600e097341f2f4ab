package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io/fs"

	"gomaild/accounts"
	"gomaild/delivery/receive"
	"gomaild/delivery/routing"
	"gomaild/delivery/srs"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/message"
)

// srsSecrets holds the secrets of the reverse-paths we make, one a line.
const srsSecrets = ownDir + "/srs"

// newRewriter makes the rewriter of what is forwarded, nil if that is off. The
// secrets are read again with each reload.
func (d *Daemon) newRewriter(c *config.Config) (*srs.Rewriter, error) {
	if c.Remote.SRSDomain == "" {
		return nil, nil
	}
	text, err := durable.ReadFile(d.mail.fs, srsSecrets)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte(rand.Text() + "\n")
		err = durable.WriteFile(d.mail.fs, srsSecrets, text, 0o600)
	}
	if err != nil {
		return nil, c.At("storage.root", err, "look after the disk: %s cannot be read", srsSecrets)
	}
	r, err := srs.New(srs.Config{Domain: c.Remote.SRSDomain, Secrets: bytes.Fields(text)})
	if err != nil {
		return nil, c.At("remote.srs_domain", err, "mend it, or the file %s below the mail root", srsSecrets)
	}
	return r, nil
}

// forwarding is the router of a configuration, and its way into the queue, with
// the reverse-paths of what is forwarded.
type forwarding struct {
	*routing.Router
	o        *outgoing
	srs      *srs.Rewriter // nil: what is forwarded keeps its reverse-path
	accounts accounts.Lookup
}

// Resolve implements receive.Router: what comes back by a reverse-path of ours
// goes on to whom it stands for.
func (f forwarding) Resolve(ctx context.Context, to mail.Address) ([]routing.Destination, error) {
	if f.srs == nil {
		return f.Router.Resolve(ctx, to)
	}
	origin, err := f.srs.Reverse(to)
	switch {
	case errors.Is(err, srs.ErrNotSRS):
		return f.Router.Resolve(ctx, to)
	case err != nil:
		return nil, &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "<" + to.String() + ">: Recipient address rejected: User unknown", Cause: err}
	}
	return f.Router.Relay(ctx, origin)
}

// owe is outgoing.owe with the reverse-path that others see.
func (f forwarding) owe(ctx context.Context, from mail.ReversePath, to []receive.Owed, c message.Content) (queueID string, err error) {
	from.Address = f.rewritten(ctx, from.Address, to)
	return f.o.owe(from, to, c, false)
}

// hold is owe for a message that waits for a person.
func (f forwarding) hold(ctx context.Context, from mail.ReversePath, to []receive.Owed, c message.Content) (queueID string, err error) {
	from.Address = f.rewritten(ctx, from.Address, to)
	id, err := f.o.owe(from, to, c, true)
	if err == nil {
		f.o.d.log.WarnContext(ctx, "message held", "queue_id", id, "from", from.Address.String(), "recipients", len(to))
	}
	return id, err
}

// rewritten is the reverse-path for mail of others that goes to others: not for
// users of ours, nor for the relay domains that we are a mail exchanger of.
func (f forwarding) rewritten(ctx context.Context, from mail.Address, to []receive.Owed) mail.Address {
	isForwarded := false
	for _, r := range to {
		isForwarded = isForwarded || !r.Here && !r.Relay
	}
	if f.srs == nil || !isForwarded || from.IsZero() {
		return from
	}
	if _, err := f.accounts.Domain(ctx, from.Domain); err == nil {
		return from
	} // and where the database does not answer: what comes back finds its way all the same
	rewritten, err := f.srs.Forward(from)
	if err != nil {
		f.o.d.log.WarnContext(ctx, "reverse-path not rewritten", "from", from.String(), "error", err)
		return from
	}
	return rewritten
}
