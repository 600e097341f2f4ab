package daemon

import (
	"strings"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/delivery/local"
	"gomaild/internal/config"
	"gomaild/sieve"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

// filter is what runs the accounts' Sieve scripts and answers for users who are
// away, nil where both are off.
func (d *Daemon) filter(c *config.Config, away accounts.Vacations) local.Filter {
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
		Global:    s.Global,
		Off:       strings.Fields(s.DisableExtensions),
		Delimiter: c.Routing.RecipientDelimiter,
		Spam:      scanner(&s.SpamTest), Virus: scanner(&s.VirusTest),
		Hostname: d.hostname, Version: d.version,
		NoScripts: !s.Enabled,
		Logger:    d.log,
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
