package daemon

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"net/http"
	"sync"
	"time"

	"gomaild/delivery/remote"
	"gomaild/delivery/remote/mtasts"
	"gomaild/delivery/remote/tlsrpt"
	"gomaild/internal/config"
	"gomaild/internal/dns"
	"gomaild/internal/durable"
	"gomaild/mail"
)

// What is kept about TLS with other hosts, below the mail root.
const (
	stsDir        = ownDir + "/mta-sts" // policies of other domains
	tlsReportFile = ownDir + "/tlsrpt"  // counts for reports
)

// reportEvery is how often reports that are due are looked for; reportOld is when
// one that cannot be sent is forgotten.
const (
	reportEvery = time.Hour
	reportOld   = 3 * 24 * time.Hour
)

// openSTS opens the directory of policies.
func (d *Daemon) openSTS() error {
	const how = "name a directory that gomaild may write"
	if err := durable.MkdirAll(d.mail.fs, stsDir, 0o700); err != nil {
		return d.cfg.At("storage.root", err, how)
	}
	dir, err := d.mail.fs.Sub(stsDir)
	if err != nil {
		return d.cfg.At("storage.root", err, how)
	}
	d.sts = dir
	d.undo.push("close the policies", func(context.Context) error { return dir.Close() })
	data, err := durable.ReadFile(d.mail.fs, tlsReportFile)
	if err == nil {
		err = d.tlsReports.Load(data)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Warn("counts for TLS reports are lost", "error", err)
	}
	// After the sessions: what hangs on the disk must not keep the doors open.
	d.undo.push("keep the counts for TLS reports", func(context.Context) error { return d.saveTLSReports() })
	return nil
}

// reportsAndPolicies lets an agent ask for MTA-STS policies and tell how TLS went.
func (d *Daemon) reportsAndPolicies(c *config.Config, r dns.Resolver, rc *remote.Config) {
	if c.Remote.MTASTS {
		cache := mtasts.New(mtasts.Config{Resolver: r, FS: d.sts, HTTP: &http.Client{Transport: d.https(r)}})
		rc.STS = func(ctx context.Context, domain string) remote.STS { return d.policyOf(ctx, cache, domain) }
	}
	if c.Remote.TLSReportFrom != "" {
		rc.Report = func(t remote.TLSResult) { d.tlsReports.Add(time.Now(), tlsrpt.Result(t)) }
	}
}

// policyOf is the MTA-STS policy of a domain that counts now.
func (d *Daemon) policyOf(ctx context.Context, cache *mtasts.Cache, domain string) remote.STS {
	p, found, err := cache.Policy(ctx, domain)
	if err != nil {
		d.log.DebugContext(ctx, "MTA-STS policy", "domain", domain, "error", err)
	}
	switch {
	case !found:
		return remote.STS{Failure: mtasts.FailureType(err)}
	case p.Mode == mtasts.Off:
		return remote.STS{}
	}
	return remote.STS{Allows: p.Allows, Testing: p.Mode == mtasts.Testing, Lines: p.Lines, MX: p.Hosts}
}

// startTLSReports sends what is due, each hour, until the sessions end.
func (d *Daemon) startTLSReports() {
	ctx, cancel := context.WithCancel(d.base)
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(reportEvery)
		defer tick.Stop()
		for {
			if err := d.sendTLSReports(ctx, time.Now()); err != nil && ctx.Err() == nil {
				d.log.Warn("TLS reports", "error", err)
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
	d.undo.push("end the TLS reports", func(context.Context) error {
		cancel()
		running.Wait()
		return nil
	})
}

func (d *Daemon) saveTLSReports() error {
	data, err := d.tlsReports.Save()
	if err != nil {
		return err
	}
	if string(data) == "{}" { // nothing was counted
		if err := d.mail.fs.Remove(tlsReportFile); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return durable.WriteFile(d.mail.fs, tlsReportFile, data, 0o600)
}

// sendTLSReports sends the reports of the days that are over. A domain whose DNS
// does not answer is asked again.
func (d *Daemon) sendTLSReports(ctx context.Context, now time.Time) error {
	g, o := d.current.Load(), d.outgoing.Load()
	if g == nil || o == nil {
		return nil
	}
	r, err := resolver(g.cfg)
	if err != nil {
		return err
	}
	days, domains := d.tlsReports.Due(now)
	for _, day := range days {
		start, err := time.Parse(time.DateOnly, day)
		isOld := err != nil || now.Sub(start) > reportOld
		for _, domain := range domains[day] {
			records, err := dns.LookupTXT(ctx, r, "_smtp._tls."+domain)
			if err != nil && !dns.IsNone(err) && !isOld {
				continue
			}
			done, err := d.sendTLSReport(ctx, tlsReport{g, o, d.https(r), day, domain, now}, records)
			if err != nil {
				return err
			}
			if done || isOld {
				d.tlsReports.Drop(day, domain)
			}
		}
	}
	return d.saveTLSReports()
}

// tlsReport is one report on its way.
type tlsReport struct {
	g           *generation
	o           *outgoing
	https       http.RoundTripper
	day, domain string
	now         time.Time
}

// sendTLSReport brings a report to all that the domain's records name. It is done
// when one of them has it, or there are none.
func (d *Daemon) sendTLSReport(ctx context.Context, r tlsReport, records []string) (done bool, err error) {
	from, err := mail.ParseAddress(r.g.cfg.Remote.TLSReportFrom)
	mails, posts := tlsrpt.Recipients(records)
	if err != nil || len(mails)+len(posts) == 0 {
		return true, nil // reports were switched off since, or are not wanted
	}
	s := tlsrpt.Sender{Organization: d.hostname, Contact: from.String(), Addr: r.g.cfg.Remote.Source}
	report, id, err := d.tlsReports.JSON(s, r.day, r.domain)
	if err != nil {
		return false, err
	}
	for _, uri := range posts {
		if err := tlsrpt.Post(ctx, r.https, uri, report); err != nil {
			d.log.Warn("TLS report", "domain", r.domain, "to", uri, "error", err)
			continue
		}
		d.log.Info("TLS report", "domain", r.domain, "to", uri, "day", r.day)
		done = true
	}
	for _, recipient := range mails {
		to, err := mail.ParseAddress(recipient)
		if err != nil {
			d.log.Warn("a domain wants TLS reports sent to what is no address", "domain", r.domain)
			done = done || len(posts) == 0
			continue
		}
		text, err := tlsrpt.Message(s, to.String(), r.day, r.domain, id, report, r.now)
		if err != nil {
			return done, err
		}
		if err := d.mailTLSReport(ctx, r, from, to, text); err != nil {
			return done, err
		}
		done = true
	}
	return done, nil
}

func (d *Daemon) mailTLSReport(ctx context.Context, r tlsReport, from, to mail.Address, text []byte) error {
	if r.g.keys != nil { // RFC 8460 section 5.3: signed
		fields, err := r.g.keys.Sign(bytes.NewReader(text))
		if err != nil {
			return err
		}
		text = append(fields, text...)
	}
	d.log.Info("TLS report", "domain", r.domain, "to", to.String(), "day", r.day)
	return r.o.submit(ctx, "", mail.ReversePath{Address: from}, []mail.Address{to}, bytes.NewReader(text))
}
