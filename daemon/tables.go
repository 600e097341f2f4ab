package daemon

import (
	"log/slog"

	"gomaild/accounts"
	"gomaild/delivery/routing"
	"gomaild/internal/config"
	"gomaild/internal/tables"
	"gomaild/mail"
)

// openTables reads the lookup tables of a key.
func openTables(c *config.Config, path string, specs []string, check func(string) error, log *slog.Logger) (*tables.List, error) {
	l, err := tables.Open(specs, tables.Options{Logger: log, Check: check})
	if err != nil {
		return nil, c.At(path, err, "mend the table, or name another")
	}
	return l, nil
}

// routingConfig is what c says about where mail goes.
func routingConfig(c *config.Config, db accounts.Lookup, hostname string, log *slog.Logger) (routing.Config, error) {
	r := &c.Routing
	rc := routing.Config{
		Lookup:          db,
		Delimiter:       delimiter(c),
		Deployed:        c.Accounts.DeployedAnswers,
		Origin:          r.Origin,
		SystemDomains:   []string{hostname},
		VacationDomain:  r.VacationDomain,
		DomainTransport: r.DomainTransport,
	}
	if rc.Origin == "" {
		rc.Origin = hostname
	}
	if a, err := mail.ParseAddress(r.Postmaster); err == nil {
		rc.Postmaster = a
	}
	for _, m := range []struct {
		path  string
		specs []string
		check func(string) error
		to    **tables.List
	}{
		{"routing.transport_maps", r.TransportMaps, routing.CheckTransport, &rc.Transports},
		{"routing.relay_recipient_maps", r.RelayRecipientMaps, nil, &rc.RelayRecipients},
		{"routing.sender_bcc_maps", r.SenderBCCMaps, routing.CheckCopy, &rc.SenderCopies},
		{"routing.recipient_bcc_maps", r.RecipientBCCMaps, routing.CheckCopy, &rc.RecipientCopies},
	} {
		if len(m.specs) == 0 {
			continue
		}
		l, err := openTables(c, m.path, m.specs, m.check, log)
		if err != nil {
			return rc, err
		}
		*m.to = l
	}
	return rc, nil
}
