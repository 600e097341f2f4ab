package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"time"

	"gomaild/accounts/postfixadmin"
	"gomaild/cluster/control"
	"gomaild/delivery/queue"
	"gomaild/delivery/remote"
	"gomaild/delivery/routing"
	"gomaild/internal/config"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

// Route is the whole way of mail to one address.
type Route struct {
	Address  string      `json:"address"`
	Stranger string      `json:"stranger"` // reply to RCPT from a stranger
	User     string      `json:"user"`     // reply to RCPT from a user of ours
	Aliases  []RouteStep `json:"aliases"`  // in the order in which they are met
	Ends     []RouteEnd  `json:"ends"`
	Copies   []Route     `json:"copies,omitempty"` // by the BCC maps
}

// RouteStep is an alias on the way.
type RouteStep struct {
	Address string   `json:"address"`
	LeadsTo []string `json:"leads_to"`
	More    int      `json:"more,omitempty"` // of them that are not in LeadsTo
}

// Bounds of what is shown of aliases: of one, and altogether.
const (
	maxShownTargets = 100
	maxShownSteps   = 2000
)

// shownSteps are the aliases of a way, without what nobody can read any more.
func shownSteps(steps []routing.Step) []RouteStep {
	var list []RouteStep
	left := maxShownSteps
	for _, s := range steps {
		n := min(len(s.LeadsTo), maxShownTargets, left)
		left -= n
		step := RouteStep{Address: s.Address.String(), More: len(s.LeadsTo) - n}
		for _, a := range s.LeadsTo[:n] {
			step.LeadsTo = append(step.LeadsTo, a.String())
		}
		list = append(list, step)
	}
	return list
}

// RouteEnd is where a way ends.
type RouteEnd struct {
	Address   string   `json:"address"`
	Class     string   `json:"class"`               // mailbox, remote, relay, nobody, discard, refused
	Mailbox   string   `json:"mailbox,omitempty"`   // that takes it
	Directory string   `json:"directory,omitempty"` // of the account
	Detail    string   `json:"detail,omitempty"`
	Vacation  bool     `json:"vacation,omitempty"` // the user's vacation is asked for
	Reply     string   `json:"reply,omitempty"`    // of a transport that refuses
	NextHop   string   `json:"next_hop,omitempty"` // transport:host, a relay host seen to
	Login     string   `json:"login,omitempty"`    // at the next hop
	TLS       string   `json:"tls,omitempty"`      // the level that is asked for
	Hosts     []string `json:"hosts,omitempty"`    // best first, with their addresses
	Fault     string   `json:"fault,omitempty"`    // why the hosts are not known
}

// routeTime is for the look-ups of one Route.
const routeTime = 20 * time.Second

// FindRoute asks the daemon that runs with c for the way of mail to an address,
// or, where none does, finds it as that would. from, where it is not zero, is the
// sender.
func FindRoute(ctx context.Context, c *config.Config, from, to mail.Address) (Route, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*routeTime)
	defer cancel()
	query := url.Values{"to": {to.String()}, "from": {from.String()}}
	body, err := control.Client{Socket: ControlSocket(c)}.Ask(ctx, control.PathRoute+"?"+query.Encode())
	var r Route
	switch {
	case errors.Is(err, control.ErrNotRunning):
		return routeOffline(ctx, c, from, to)
	case err != nil:
		return r, err
	}
	return r, json.Unmarshal(body, &r)
}

// routeOffline is what a daemon under c would answer.
func routeOffline(ctx context.Context, c *config.Config, from, to mail.Address) (r Route, err error) {
	log := slog.New(slog.DiscardHandler)
	name, err := hostname(c)
	if err != nil {
		return r, err
	}
	pc, err := AccountsConfig(c, log)
	if err != nil {
		return r, err
	}
	db, err := postfixadmin.Open(ctx, pc)
	if err != nil {
		return r, c.At("accounts", err, "mend the table [accounts]")
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rc, err := routingConfig(c, db, name, log)
	if err != nil {
		return r, err
	}
	d := &Daemon{log: log, hostname: name}
	agent, err := d.newRemote(c)
	if err != nil {
		return r, err
	}
	if agent != nil {
		defer agent.Close()
	}
	return guide{c, routing.New(rc), agent}.route(ctx, from, to, true)
}

// tellRoute answers on the control socket.
func (d *Daemon) tellRoute(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), routeTime)
	defer cancel()
	from, errFrom := parseOptional(r.URL.Query().Get("from"))
	to, errTo := ParseRouted(r.URL.Query().Get("to"))
	if err := errors.Join(errFrom, errTo); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g, o := d.current.Load(), d.outgoing.Load()
	if g == nil || o == nil {
		http.Error(w, errNotServing.Error(), http.StatusServiceUnavailable)
		return
	}
	agent, done := o.take()
	defer done()
	route, err := guide{g.cfg, g.router, agent}.route(ctx, from, to, true)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(route) // a client that went is no matter
}

// ParseRouted reads an address whose way is asked for: <postmaster> needs no
// domain.
func ParseRouted(s string) (mail.Address, error) {
	if a := (mail.Address{Local: s}); a.IsPostmaster() {
		return a, nil
	}
	return mail.ParseAddress(s)
}

func parseOptional(s string) (mail.Address, error) {
	if s == "" {
		return mail.Address{}, nil
	}
	return mail.ParseAddress(s)
}

// guide knows the ways of one configuration.
type guide struct {
	c      *config.Config
	router *routing.Router
	agent  *remote.Agent // nil: nothing is sent
}

// route is the way of mail to an address; copies are looked at once.
func (g guide) route(ctx context.Context, from, to mail.Address, copies bool) (Route, error) {
	r := Route{Address: to.String()}
	_, err := g.router.Resolve(ctx, to)
	r.Stranger = replyText(err)
	_, err = g.router.Relay(ctx, to)
	r.User = replyText(err)
	steps, list, err := g.router.Explain(ctx, to)
	r.Aliases = shownSteps(steps)
	if err != nil && mail.StatusOf(err) == nil {
		return r, err
	}
	for _, d := range list {
		r.Ends = append(r.Ends, g.end(ctx, from, d))
	}
	if !copies {
		return r, nil
	}
	more, err := g.router.Copies(from, []mail.Address{to})
	if err != nil {
		return r, err
	}
	for _, a := range more {
		one, err := g.route(ctx, from, a, false)
		if err != nil {
			return r, err
		}
		r.Copies = append(r.Copies, one)
	}
	return r, nil
}

func replyText(err error) string {
	if err == nil {
		return "250 2.1.5 Ok"
	}
	s := mail.StatusOf(err)
	return fmt.Sprintf("%d %s %s", s.Code, s.Enhanced, s.Text)
}

// end describes one destination.
func (g guide) end(ctx context.Context, from mail.Address, d routing.Destination) RouteEnd {
	e := RouteEnd{Address: d.Address.String(), Detail: d.Detail, Vacation: d.Vacation}
	switch d.Class {
	case routing.Local:
		e.Class, e.Mailbox = "mailbox", d.Mailbox.Address.String()
		if dir, err := maildir.Home(g.c.Storage.Path, storage.Owner{Address: d.Mailbox.Address, Maildir: d.Mailbox.Maildir}); err == nil {
			e.Directory = filepath.Join(g.c.Storage.Root, dir)
		}
		return e
	case routing.NoUser:
		e.Class = "nobody"
		return e
	case routing.Discard:
		e.Class = "discard"
		return e
	case routing.Refused:
		e.Class, e.Reply = "refused", replyText(d.Transport.Status)
		return e
	case routing.Relay:
		e.Class = "relay"
	default:
		e.Class = "remote"
	}
	to := destination(d.Address, d.Transport)
	e.NextHop = to.String()
	if g.agent == nil {
		e.Fault = "sending to other hosts is switched off (remote.enabled)"
		return e
	}
	way, err := g.agent.Way(ctx, queue.Job{Destination: to, From: mail.ReversePath{Address: from}})
	e.NextHop, e.Login, e.TLS, e.Hosts = way.To.String(), way.Login, way.Level.String(), way.Hosts
	if err != nil {
		e.Fault = replyText(err)
	}
	return e
}
