package daemon

import (
	"context"
	"strings"
	"time"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/imap"
	"gomaild/internal/config"
	"gomaild/sieve"
	"gomaild/sieve/program"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

// filter is what runs the accounts' Sieve scripts and answers for users who are
// away, nil where both are off.
func (d *Daemon) filter(c *config.Config, away accounts.Vacations) *filter.Filter {
	if !c.Sieve.Enabled && c.Routing.VacationDomain == "" {
		return nil
	}
	fc := d.filterConfig(c)
	if c.Routing.VacationDomain != "" {
		fc.Vacations = away
	}
	if d.sends(c) {
		fc.Submit = d.outgoing.Load().submit
	}
	return filter.New(fc)
}

// filterConfig is all that scripts need to run, but what sends and answers.
func (d *Daemon) filterConfig(c *config.Config) filter.Config {
	s := &c.Sieve
	return filter.Config{
		FS:   d.mail.fs,
		Root: c.Storage.Root,
		UID:  c.Storage.UID, GID: c.Storage.GID,
		Home:      func(o storage.Owner) (string, error) { return maildir.Home(c.Storage.Path, o) },
		Before:    script(s.Before),
		Default:   s.Default,
		After:     script(s.After),
		Dir:       s.Dir,
		Global:    s.Global,
		Off:       strings.Fields(s.DisableExtensions),
		Delimiter: c.Routing.RecipientDelimiter,
		Spam:      scanner(&s.SpamTest), Virus: scanner(&s.VirusTest),
		Hostname: d.hostname, Version: d.version,
		NoScripts: !s.Enabled,
		Program:   d.programs(c).Run,
		Programs:  programExtensions(s), Reserved: reserved(s),
		IMAP:   imapRules(&s.IMAP),
		Logger: d.log,
	}
}

// programs runs the external programs of scripts.
func (d *Daemon) programs(c *config.Config) *program.Runner {
	p := &c.Sieve.Programs
	return program.New(program.Config{
		Dirs:    map[string]string{"vnd.dovecot.pipe": p.Pipe, "vnd.dovecot.filter": p.Filter, "vnd.dovecot.execute": p.Execute},
		Timeout: time.Duration(p.Timeout), Output: int(p.MaxOutput),
		UID: c.Storage.UID, GID: c.Storage.GID, Logger: d.log,
	})
}

// programExtensions are those that have programs.
func programExtensions(s *config.Sieve) []string {
	var list []string
	for _, e := range []struct{ name, dir string }{
		{"vnd.dovecot.pipe", s.Programs.Pipe}, {"vnd.dovecot.filter", s.Programs.Filter}, {"vnd.dovecot.execute", s.Programs.Execute},
	} {
		if e.dir != "" {
			list = append(list, e.name)
		}
	}
	return list
}

// reserved are the extensions that scripts of users may not require.
func reserved(s *config.Sieve) []string {
	if s.Programs.Users {
		return nil
	}
	return programExtensions(s)
}

func imapRules(c *config.SieveIMAP) filter.IMAP {
	m := filter.IMAP{Users: c.URL != "", Expunge: c.ExpungeDiscarded}
	for _, r := range c.Rules {
		m.Rules = append(m.Rules, filter.Rule{Name: r.Name, From: r.From, Causes: r.Causes, Before: r.Before, After: r.After})
	}
	return m
}

// imapEvents is what IMAP tells events to, nil where no script could run.
func (p *parts) imapEvents() func(context.Context, imap.Event) {
	m := &p.c.Sieve.IMAP
	if p.filter == nil || !p.c.Sieve.Enabled || m.URL == "" && len(m.Rules) == 0 {
		return nil
	}
	return func(ctx context.Context, e imap.Event) {
		of, err := p.db.Mailbox(ctx, e.Identity.Account)
		if err != nil {
			p.d.log.WarnContext(ctx, "sieve in IMAP: look up the account; no script runs", "account", e.Identity.Account.String(), "error", err)
			return
		}
		told := filter.Event{
			Account: e.Account, Of: of, User: e.Identity.Account.String(),
			Cause: string(e.Cause), Mailbox: e.Mailbox, From: e.From,
		}
		for _, m := range e.Messages {
			told.Messages = append(told.Messages, filter.Changed{UID: m.UID, Flags: m.Flags})
		}
		p.filter.Event(ctx, told)
	}
}

func scanner(s *config.SieveScanner) sieve.Scanner {
	texts := map[int]string{}
	for value, text := range s.TextValues {
		if text != "" {
			texts[value] = text
		}
	}
	return sieve.Scanner{Type: s.StatusType, StatusHeader: s.StatusHeader, MaxHeader: s.MaxHeader, MaxValue: s.MaxValue, Texts: texts}
}

// script is a list of one, or of none.
func script(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}
