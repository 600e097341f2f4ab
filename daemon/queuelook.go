package daemon

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net/http"

	"gomaild/cluster/control"
	"gomaild/delivery/queue"
	"gomaild/internal/config"
	"gomaild/internal/durable"
)

// queueLine is one line of what the control socket says about the queue: an
// envelope, a fault, or the end, without which the answer is not whole.
type queueLine struct {
	Envelope *queue.Envelope `json:"envelope,omitempty"`
	Fault    string          `json:"fault,omitempty"`
	End      bool            `json:"end,omitempty"`
}

// reading runs do while the queue's directory is open, and at most until then: a
// stop waits for it. errNotServing.
func (o *outgoing) reading(do func(dir durable.FS)) error {
	o.mu.RLock()
	defer o.mu.RUnlock()
	if o.closed {
		return errNotServing
	}
	do(o.dir)
	return nil
}

// tellQueueList lists on the control socket. A client that reads slowly, or not
// at all, holds up nobody: the directory is not in use while it is written to.
func (d *Daemon) tellQueueList(w http.ResponseWriter, r *http.Request) {
	var s queue.Selection
	o := d.queueFor(w, r, &s)
	if o == nil {
		return
	}
	out := json.NewEncoder(w)
	next, stop := iter.Pull2(queue.List(o.dir, s))
	defer stop()
	for more := true; more; {
		var line queueLine
		err := o.reading(func(durable.FS) {
			var fault error
			if line.Envelope, fault, more = next(); fault != nil {
				line = queueLine{Fault: fault.Error()}
			}
		})
		if err != nil {
			return // without the end
		}
		if line.End = !more; out.Encode(line) != nil {
			return // the client went
		}
	}
}

// tellQueued shows one message on the control socket.
func (d *Daemon) tellQueued(w http.ResponseWriter, r *http.Request) {
	var id string
	o := d.queueFor(w, r, &id)
	if o == nil {
		return
	}
	var line queueLine
	var text []byte
	err := o.reading(func(dir durable.FS) {
		var err error
		if line.Envelope, text, err = readQueued(dir, id); err != nil {
			line = queueLine{Fault: err.Error()}
		}
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if json.NewEncoder(w).Encode(line) == nil { // else the client went
		_, _ = w.Write(text)
	}
}

// queueFor reads an order and gives the queue it is for; nil where the client was
// told why not.
func (d *Daemon) queueFor(w http.ResponseWriter, r *http.Request, order any) *outgoing {
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(order); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return nil
	}
	o := d.outgoing.Load()
	if o == nil {
		http.Error(w, errNotServing.Error(), http.StatusServiceUnavailable)
	}
	return o
}

// readQueued reads a message whole, so that its file is not open while somebody
// looks at it.
func readQueued(dir durable.FS, id string) (*queue.Envelope, []byte, error) {
	e, content, err := queue.Read(dir, id)
	if err != nil {
		return nil, nil, err
	}
	text, err := io.ReadAll(io.NewSectionReader(content, 0, content.Size()))
	return e, text, errors.Join(err, content.Close())
}

// errCut is an answer without its end.
var errCut = errors.New("gomaild stopped before it had said all")

// ListQueue lists what s means, in order of arrival: the daemon that runs with c
// says it, or, where none serves, the mail root. An error beside a nil envelope is
// about one message, or the end of the list.
func ListQueue(ctx context.Context, c *config.Config, s queue.Selection) iter.Seq2[*queue.Envelope, error] {
	return func(yield func(*queue.Envelope, error) bool) {
		answer, err := askQueue(ctx, c, control.PathQueueList, s)
		switch {
		case notServing(err):
			listOffline(c, s, yield)
			return
		case err != nil:
			yield(nil, err)
			return
		}
		defer answer.Close()
		lines := json.NewDecoder(bufio.NewReader(answer))
		for {
			var line queueLine
			err := lines.Decode(&line)
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = errCut
			}
			switch {
			case err != nil:
				yield(nil, err)
				return
			case line.End:
				return
			case line.Fault != "":
				if !yield(nil, errors.New(line.Fault)) {
					return
				}
			case !yield(line.Envelope, nil):
				return
			}
		}
	}
}

// listOffline lists what lies in the mail root; no queue is an empty one.
func listOffline(c *config.Config, s queue.Selection, yield func(*queue.Envelope, error) bool) {
	dir, done, err := openQueue(c)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		yield(nil, err)
		return
	}
	for e, err := range queue.List(dir, s) {
		if !yield(e, err) {
			break
		}
	}
	_ = done() // nothing was written
}

// ReadQueued is one message in the queue, by whoever ListQueue asks.
// fs.ErrNotExist where there is no queue at all.
func ReadQueued(ctx context.Context, c *config.Config, id string) (*queue.Envelope, []byte, error) {
	answer, err := askQueue(ctx, c, control.PathQueueShow, id)
	switch {
	case notServing(err):
		dir, done, err := openQueue(c)
		if err != nil {
			return nil, nil, err
		}
		e, text, err := readQueued(dir, id)
		return e, text, errors.Join(err, done())
	case err != nil:
		return nil, nil, err
	}
	defer answer.Close()
	in := bufio.NewReader(answer)
	head, err := in.ReadBytes('\n')
	if err != nil {
		return nil, nil, errCut
	}
	var line queueLine
	if err := json.Unmarshal(head, &line); err != nil {
		return nil, nil, fmt.Errorf("gomaild says %.100q: %w", head, err)
	}
	if line.Fault != "" {
		return nil, nil, errors.New(line.Fault)
	}
	var text bytes.Buffer
	if _, err := text.ReadFrom(in); err != nil {
		return nil, nil, err
	}
	if line.Envelope == nil || int64(text.Len()) != line.Envelope.Size {
		return nil, nil, errCut
	}
	return line.Envelope, text.Bytes(), nil
}

func askQueue(ctx context.Context, c *config.Config, path string, order any) (io.ReadCloser, error) {
	text, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	return control.Client{Socket: ControlSocket(c)}.Stream(ctx, path, text)
}

// notServing reports that no daemon has the queue open; to look into it beside
// one that starts or stops does no harm.
func notServing(err error) bool {
	return errors.Is(err, control.ErrNotRunning) || errors.Is(err, control.ErrNo)
}
