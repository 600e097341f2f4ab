package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"

	"gomaild/cluster/control"
	"gomaild/delivery/queue"
	"gomaild/internal/config"
	"gomaild/internal/durable"
)

// queueOrder is what the control socket takes, and queueAnswer what it says.
type queueOrder struct {
	Action    queue.Action    `json:"action"`
	Selection queue.Selection `json:"selection"`
}

type queueAnswer struct {
	Messages int    `json:"messages"` // that were meant
	Error    string `json:"error,omitempty"`
}

// maxOrder bounds an order, in octets: some ten thousand queue IDs.
const maxOrder = 1 << 20

// tellQueue carries out an order for the running queue.
func (d *Daemon) tellQueue(w http.ResponseWriter, r *http.Request) {
	var order queueOrder
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&order); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	n, err := d.applyToQueue(order)
	if errors.Is(err, errNotServing) {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	answer := queueAnswer{Messages: n}
	if err != nil {
		answer.Error = err.Error()
	}
	d.log.InfoContext(r.Context(), "queue changed by hand", "action", order.Action, "messages", answer.Messages, "error", answer.Error)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // a client that went is no matter
}

func (d *Daemon) applyToQueue(order queueOrder) (n int, err error) {
	o := d.outgoing.Load()
	if o == nil {
		return 0, errNotServing
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed {
		return 0, errNotServing
	}
	return o.queue.Apply(order.Action, order.Selection)
}

// openQueue opens the queue's directory to be read, beside whoever has it;
// fs.ErrNotExist where there is none yet. Call done at the end.
func openQueue(c *config.Config) (dir durable.FS, done func() error, err error) {
	root, err := OpenMailRoot(c)
	if err != nil {
		return nil, nil, err
	}
	dir, err = root.Sub(queueDir)
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	return dir, func() error { return errors.Join(dir.Close(), root.Close()) }, nil
}

// ChangeQueue does a to the messages that s means, through the daemon that runs
// with c, or, where none does, in the mail root itself, which it takes for that
// time. n is how many there were, also with an error.
func ChangeQueue(ctx context.Context, c *config.Config, a queue.Action, s queue.Selection) (n int, err error) {
	order, err := json.Marshal(queueOrder{a, s})
	if err != nil {
		return 0, err
	}
	body, err := control.Client{Socket: ControlSocket(c)}.Tell(ctx, control.PathQueue, order)
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return changeOffline(c, a, s)
	case err != nil:
		return 0, err
	}
	var answer queueAnswer
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, err
	}
	if answer.Error != "" {
		err = errors.New(answer.Error)
	}
	return answer.Messages, err
}

func changeOffline(c *config.Config, a queue.Action, s queue.Selection) (n int, err error) {
	err = withRoot(c, func(root durable.FS) error {
		n, err = applyIn(root, a, s)
		return err
	})
	return n, err
}

// applyIn does a in a mail root that no daemon has; no queue is an empty one.
func applyIn(root durable.FS, a queue.Action, s queue.Selection) (n int, err error) {
	dir, err := root.Sub(queueDir)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	return queue.Apply(dir, a, s)
}
