package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"gomaild/daemon"
	"gomaild/delivery/queue"
	"gomaild/internal/config"
	"gomaild/mail"
)

func (a *app) queueCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "queue",
		Short: "Look into the queue of outgoing mail, and change it",
		Long: `queue is for mail that waits to be sent, as mailq, postqueue and postsuper are
with Postfix. The running server answers, and does what is said, over the control
socket in run_dir. Where none runs the mail root is read and changed itself, and
nobody can start while it is changed.`,
		Args: cobra.NoArgs,
	}
	c.AddCommand(
		a.queueListCommand(),
		a.queueShowCommand(),
		a.queueChangeCommand(queue.Retry, "flush", "Try all that waits again now", `flush makes the next attempt of every message at once, or of those that are
selected. Messages on hold stay there.`),
		a.queueChangeCommand(queue.Retry, "retry", "Try messages again now", "retry makes the next attempt of the messages at once, unless they are on hold."),
		a.queueChangeCommand(queue.Hold, "hold", "Keep messages until they are released", "hold puts messages aside: no attempt is made, and nobody is told of a delay."),
		a.queueChangeCommand(queue.Release, "release", "Release messages from hold", "release ends a hold, and makes an attempt at once."),
		a.queueLiftCommand(),
		a.queueChangeCommand(queue.Delete, "delete", "Delete messages and tell nobody", `delete removes messages, and nobody is told. One that is damaged goes only when
its queue ID is given.`),
	)
	return c
}

// selectionFlags are the flags that choose messages.
func selectionFlags(c *cobra.Command, s *queue.Selection) {
	c.Flags().StringVar(&s.From, "from", "", "messages of this `SENDER`; <> for the null one, @domain for a whole domain")
	c.Flags().StringVar(&s.Account, "account", "", "messages that this `ACCOUNT` submitted, under whatever sender")
	c.Flags().StringVar(&s.To, "to", "", "messages still owed to this `RECIPIENT`, or @domain")
	c.Flags().StringVar(&s.Destination, "destination", "", "messages whose next hop is this `HOST` or domain")
	c.Flags().DurationVar(&s.Age, "older", 0, "messages that have waited at least this `TIME`, such as 24h")
}

func (a *app) queueListCommand() *cobra.Command {
	var path string
	var asJSON bool
	var s queue.Selection
	c := &cobra.Command{
		Use:   "list [ID...]",
		Short: "List what waits",
		Long:  "list prints the messages that wait, with those whom they are still owed to, in order\nof arrival.",
		RunE: func(c *cobra.Command, args []string) error {
			s.IDs = args
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			return a.listQueue(daemon.ListQueue(c.Context(), cfg, s), asJSON)
		},
	}
	configFlag(c, &path)
	selectionFlags(c, &s)
	c.Flags().BoolVar(&asJSON, "json", false, "one JSON object a line")
	return c
}

func (a *app) listQueue(list iter.Seq2[*queue.Envelope, error], asJSON bool) error {
	show := func(e *queue.Envelope) error { return printQueued(a.out, e) }
	if asJSON {
		show = func(e *queue.Envelope) error { return json.NewEncoder(a.out).Encode(queuedJSON(e)) }
	}
	var faults []error
	n, octets := 0, int64(0)
	for e, err := range list {
		if err != nil {
			faults = append(faults, err) // the other messages are whole
			continue
		}
		if err := show(e); err != nil {
			return err
		}
		n++
		octets += e.Size
	}
	if !asJSON {
		fmt.Fprintf(a.out, "%d messages, %d octets\n", n, octets)
	}
	return errors.Join(faults...)
}

func printQueued(w io.Writer, e *queue.Envelope) error {
	held := ""
	if e.Held {
		held = "  on hold"
	}
	account := ""
	if !e.Account.IsZero() && e.Account.Fold() != e.From.Address.Fold() {
		account = " by account " + e.Account.String()
	}
	_, err := fmt.Fprintf(w, "%s  %s  %d octets  from %s%s%s\n", e.ID, e.Arrived.Format(time.DateTime), e.Size, e.From, account, held)
	for _, r := range e.To {
		fmt.Fprintf(w, "    to <%s> by %s", r.Address, r.Destination)
		if r.Attempts > 0 {
			fmt.Fprintf(w, ", %d attempts, next %s\n        %s", r.Attempts, r.Next.Format(time.DateTime), r.Last)
		}
		_, err = fmt.Fprintln(w)
	}
	return err
}

// queued and owed are what --json prints: names that stay.
type queued struct {
	ID         string    `json:"id"`
	From       string    `json:"from"`
	Account    string    `json:"account,omitempty"` // that submitted it
	Arrived    time.Time `json:"arrived"`
	Size       int64     `json:"size"` // octets
	Held       bool      `json:"held"`
	Recipients []owed    `json:"recipients"`
}

type owed struct {
	Address  string    `json:"address"`
	NextHop  string    `json:"next_hop"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next"`
	Reply    string    `json:"reply"` // of the last attempt
}

func queuedJSON(e *queue.Envelope) queued {
	q := queued{ID: e.ID, From: e.From.Address.String(), Arrived: e.Arrived, Size: e.Size, Held: e.Held}
	if !e.Account.IsZero() {
		q.Account = e.Account.String()
	}
	for _, r := range e.To {
		q.Recipients = append(q.Recipients, owed{r.Address.String(), r.Destination.String(), r.Attempts, r.Next, r.Last})
	}
	return q
}

// errNotQueued is for a message that show does not find.
var errNotQueued = errors.New("no such message in the queue")

func (a *app) queueShowCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "show ID",
		Short: "Print one message, envelope and content",
		Long:  "show prints a message that waits: its envelope, an empty line, and its content as it\nis sent.",
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			e, content, err := daemon.ReadQueued(c.Context(), cfg, args[0])
			switch {
			case errors.Is(err, fs.ErrNotExist):
				return errNotQueued
			case err != nil:
				return err
			case asJSON:
				return json.NewEncoder(a.out).Encode(queuedJSON(e))
			}
			if err := printQueued(a.out, e); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "\n%s", content)
			return err
		},
	}
	configFlag(c, &path)
	c.Flags().BoolVar(&asJSON, "json", false, "the envelope only, as a JSON object")
	return c
}

// queueChangeCommand is for what changes the queue. flush alone may be meant for
// all: the others want to be told for which.
func (a *app) queueChangeCommand(action queue.Action, verb, short, long string) *cobra.Command {
	var path string
	var asJSON, all bool
	var s queue.Selection
	c := &cobra.Command{
		Use:   verb + " [ID...]",
		Short: short,
		Long:  long,
		RunE: func(c *cobra.Command, args []string) error {
			s.IDs = args
			isAll := len(args) == 0 && s.From == "" && s.Account == "" && s.To == "" && s.Destination == "" && s.Age == 0
			if isAll && !all && verb != "flush" {
				fmt.Fprintln(a.err, "gomaild: say which messages, or --all")
				return exitStatus(exitUsage)
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			n, err := daemon.ChangeQueue(c.Context(), cfg, action, s)
			return errors.Join(a.sayChanged(verb, n, asJSON), err)
		},
	}
	configFlag(c, &path)
	selectionFlags(c, &s)
	c.Flags().BoolVar(&all, "all", false, "all messages")
	c.Flags().BoolVar(&asJSON, "json", false, "a JSON object")
	return c
}

func (a *app) sayChanged(verb string, n int, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.out).Encode(map[string]any{"action": verb, "messages": n})
	}
	_, err := fmt.Fprintf(a.out, "%s: %d messages\n", verb, n)
	return err
}

func (a *app) queueLiftCommand() *cobra.Command {
	var path string
	var asJSON bool
	c := &cobra.Command{
		Use:   "lift ACCOUNT",
		Short: "End the hold of an account",
		Long: `lift ends the hold of an account that wrote to more new recipients than
submission.new_recipients allows, and releases what waits of it. It may write to
as many new recipients as at first. release alone sends what waits and leaves the
account on hold.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			account, err := mail.ParseAddress(args[0])
			if err != nil {
				fmt.Fprintf(a.err, "gomaild: %v\n", err)
				return exitStatus(exitUsage)
			}
			cfg, err := config.Load(path)
			if err != nil {
				return err
			}
			l, err := daemon.Lift(c.Context(), cfg, account)
			return errors.Join(a.sayLifted(account, l, asJSON), err)
		},
	}
	configFlag(c, &path)
	c.Flags().BoolVar(&asJSON, "json", false, "a JSON object")
	return c
}

func (a *app) sayLifted(account mail.Address, l daemon.Lifted, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(a.out).Encode(l)
	}
	was := "was not on hold"
	if l.WasHeld {
		was = "is on hold no more"
	}
	_, err := fmt.Fprintf(a.out, "%s %s, %d messages released\n", account, was, l.Messages)
	return err
}
