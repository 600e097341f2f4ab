package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"time"

	"gomaild/cluster"
	"gomaild/cluster/control"
	"gomaild/delivery/queue"
	"gomaild/internal/config"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/policy"
	"gomaild/policy/rate"
)

// Lifted is what came of a lift.
type Lifted struct {
	WasHeld  bool   `json:"was_held"`
	Messages int    `json:"messages"` // that were released
	Error    string `json:"error,omitempty"`
}

// tellLift lifts the hold of an account of the running daemon.
func (d *Daemon) tellLift(w http.ResponseWriter, r *http.Request) {
	var name string
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&name)
	account, errName := mail.ParseAddress(name)
	if err = errors.Join(err, errName); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g := d.current.Load()
	if g == nil {
		http.Error(w, errNotServing.Error(), http.StatusServiceUnavailable)
		return
	}
	b := policy.Brakes{NewRecipients: limits(g.cfg.Submission.NewRecipients), Table: d.brakes}
	answer := Lifted{WasHeld: b.Lift(account)}
	if answer.Messages, err = d.applyToQueue(queueOrder{queue.Release, ofAccount(account)}); err != nil {
		answer.Error = err.Error()
	}
	d.log.InfoContext(r.Context(), "hold of an account lifted", "account", account.String(), "was_held", answer.WasHeld, "messages", answer.Messages, "error", answer.Error)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a client that went is no matter
}

// ofAccount is what an account has in the queue, whatever it calls itself there.
func ofAccount(a mail.Address) queue.Selection { return queue.Selection{Account: a.String()} }

// Lift ends the hold that submission.new_recipients put on an account, and
// releases what it has in the queue: in the daemon that runs
// with c, or, where none does, in the mail root.
func Lift(ctx context.Context, c *config.Config, account mail.Address) (l Lifted, err error) {
	order, err := json.Marshal(account.String())
	if err != nil {
		return l, err
	}
	body, err := control.Client{Socket: ControlSocket(c)}.Tell(ctx, control.PathLift, order)
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return liftOffline(c, account)
	case err != nil:
		return l, err
	}
	if err := json.Unmarshal(body, &l); err != nil {
		return l, err
	}
	if l.Error != "" {
		err = errors.New(l.Error)
	}
	return l, err
}

func liftOffline(c *config.Config, account mail.Address) (l Lifted, err error) {
	err = withRoot(c, func(root durable.FS) error {
		table, now := rate.NewTable(0), time.Now()
		text, err := durable.ReadFile(root, brakesFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		table.Restore(now, text)
		b := policy.Brakes{NewRecipients: limits(c.Submission.NewRecipients), Table: table}
		if l.WasHeld = b.Lift(account); err == nil {
			if err := durable.WriteFile(root, brakesFile, table.Text(now), 0o600); err != nil {
				return err
			}
		}
		l.Messages, err = applyIn(root, queue.Release, ofAccount(account))
		return err
	})
	return l, err
}

// withRoot takes the mail root, which no daemon may have, for the time of do.
func withRoot(c *config.Config, do func(root durable.FS) error) (err error) {
	root, err := OpenMailRoot(c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	hold, err := cluster.Take(holdConfig(c, root))
	if err != nil {
		return rootFault(c, err)
	}
	defer func() { err = errors.Join(err, hold.Release()) }()
	return do(root)
}
