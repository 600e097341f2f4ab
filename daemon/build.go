package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin"
	"gomaild/auth"
	"gomaild/delivery/filter"
	"gomaild/delivery/local"
	"gomaild/delivery/receive"
	"gomaild/delivery/routing"
	"gomaild/delivery/srs"
	"gomaild/imap"
	"gomaild/internal/config"
	"gomaild/internal/listener"
	"gomaild/managesieve"
	"gomaild/message"
	"gomaild/policy"
	"gomaild/policy/dkim/keys"
	"gomaild/pop3"
	"gomaild/smtp"
	"gomaild/storage"
)

// build makes the generation of c. It opens connections to nobody: a database
// that is down now is asked again at each look-up, and mail waits.
func (d *Daemon) build(c *config.Config) (*generation, error) {
	pc, err := AccountsConfig(c, d.log)
	if err != nil {
		return nil, err
	}
	if _, err := uniqueIDs(c); err != nil {
		return nil, err
	}
	judge, err := d.policy(c)
	if err != nil {
		return nil, err
	}
	ring, err := keys.Load(d.mail.fs, KeysDir)
	if err != nil {
		return nil, c.At("storage.root", err, "mend or remove the file below %s/%s", c.Storage.Root, KeysDir)
	}
	seal, err := d.sealer(c, ring)
	if err != nil {
		return nil, err
	}
	rewriter, err := d.newRewriter(c)
	if err != nil {
		return nil, err
	}
	templates, err := readTemplates(c)
	if err != nil {
		return nil, err
	}
	db, err := postfixadmin.Open(d.base, pc)
	if err != nil {
		return nil, c.At("accounts", err, "mend the table [accounts]")
	}
	g := newGeneration(c, db)
	source := d.accountsOf(c, db)
	p, err := d.parts(c, source, db)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	p.policy, p.keys, p.seal, p.srs = judge, &signer{ring: ring}, seal, rewriter
	if c.Accounts.DKIMKeys {
		p.keys.db = &databaseKeys{ctx: d.base, read: source.SigningKeys, log: d.log}
	}
	g.policy, g.last = judge, d.flushUsage
	find := p.sharer
	d.mail.sharing.find.Store(&find)
	d.mail.ledger.domains.Store(c.Quota.Domains)
	g.templates, g.keys = templates, p.keys
	g.own, g.router = p.receiveConfig(), p.router
	for _, l := range places(c) {
		g.handlers[l.key] = p.handler(&l.Listener)
	}
	return g, nil
}

// parts is what the handlers of one generation share.
type parts struct {
	d      *Daemon
	c      *config.Config
	db     accountSource
	auth   *auth.Auth
	router *routing.Router
	srs    *srs.Rewriter // nil: what is forwarded keeps its reverse-path
	local  *local.Agent
	filter *filter.Filter                        // nil: no scripts, nobody is away
	policy *policy.Policy                        // nil: nobody is judged
	keys   *signer                               // nil: nothing is signed
	seal   func(message.Content) ([]byte, error) // nil: nothing is sealed
}

func (d *Daemon) parts(c *config.Config, db accountSource, away accounts.Vacations) (*parts, error) {
	p := &parts{d: d, c: c, db: db}
	rc, err := routingConfig(c, db, d.hostname, d.log)
	if err != nil {
		return nil, err
	}
	p.auth = auth.New(p.authConfig())
	p.router = routing.New(rc)
	lc := local.Config{Store: d.mail.store, Detail: detailFolder(c), Owner: p.owner, FullDefers: c.Quota.Defer, Logger: d.log}
	if p.filter = d.filter(c, away); p.filter != nil {
		lc.Filter = p.filter
	}
	p.local = local.New(lc)
	return p, nil
}

func (p *parts) authConfig() auth.Config {
	a := &p.c.Auth
	c := auth.Config{
		Store:         credentials{p.db},
		DefaultScheme: p.c.Accounts.DefaultScheme,
		DefaultDomain: p.c.Accounts.DefaultDomain,
		CacheLife:     time.Duration(a.Cache),
		Throttle: auth.Throttle{
			FreePerClient: a.ThrottleClient, FreePerAccount: a.ThrottleAccount,
			MaxPace: time.Duration(a.MaxDelay), Exempt: trustedNetworks(p.c),
		},
		Logger: p.d.log,
	}
	if a.Cache == 0 {
		c.CacheEntries = -1
	}
	return c
}

// trustedNetworks are those of all listeners: webmail logs in for everybody.
func trustedNetworks(c *config.Config) []netip.Prefix {
	var all []netip.Prefix
	for _, l := range c.Listeners {
		all = append(all, l.TrustedNetworks...)
	}
	return slices.Clip(all)
}

// detailFolder is what local delivery does with a +detail.
func detailFolder(c *config.Config) local.DetailFolder {
	switch c.Routing.DetailFolder {
	case config.DetailExisting:
		return local.DetailExisting
	case config.DetailCreate:
		return local.DetailCreate
	default:
		return local.DetailInbox
	}
}

func delimiter(c *config.Config) byte {
	if d := c.Routing.RecipientDelimiter; d != "" {
		return d[0]
	}
	return 0
}

// handler is what a listener of the configuration speaks.
func (p *parts) handler(l *config.Listener) listener.Handler {
	switch l.Type {
	case config.IMAP:
		return imap.New(p.imapConfig(l))
	case config.POP3:
		return pop3.New(p.pop3Config(l))
	case config.ManageSieve:
		return managesieve.New(p.manageSieveConfig(l))
	}
	return smtp.New(p.smtpConfig(l))
}

func (p *parts) smtpConfig(l *config.Listener) smtp.Config {
	m := &p.c.Limits
	c := smtp.Config{
		Hostname: p.d.hostname,
		Receiver: p.receiver(l),
		Limits: smtp.Limits{
			MaxMessageSize: int64(m.MessageSize),
			MaxRecipients:  m.Recipients,
			MaxErrors:      m.Errors,
			CommandTimeout: time.Duration(m.SMTPTimeout),
		},
		LMTP:            l.Type == config.LMTP || l.Type == config.LDA,
		XClientNetworks: l.XClientNetworks,

		Logger: p.d.log.With("listener", string(l.Type)),
	}
	if l.TLS != config.NoTLS {
		c.TLS = p.d.serverTLS(p.c)
	}
	if l.Type == config.MX {
		c.GreetDelay = time.Duration(p.c.Policy.GreetDelay)
		if p.policy != nil {
			c.Admit = func(ctx context.Context, who smtp.Client) error { return p.policy.Connect(ctx, who.Addr) }
		}
	}
	if l.Type == config.Submission {
		c.Auth, c.RequireAuth, c.TrustedNetworks = p.auth, true, l.TrustedNetworks
	}
	return c
}

func (p *parts) receiver(l *config.Listener) smtp.Receiver {
	c := p.receiveConfig()
	c.Filters = p.filters(l)
	switch l.Type {
	case config.Submission:
		if p.keys != nil {
			c.Sign = p.keys.Sign
		}
		c.Brakes, c.CheckFrom, c.ShowClient = p.brakes(), p.c.Submission.CheckFrom, p.c.Submission.ShowClient
		// Strangers are kept out by smtp's RequireAuth, which knows the client.
		c.Trusted = len(l.TrustedNetworks) > 0
		return receive.NewSubmission(c)
	case config.LMTP:
		return receive.NewLMTP(c)
	case config.LDA:
		return receive.NewLDA(c)
	default:
		return receive.NewMX(c)
	}
}

func (p *parts) receiveConfig() receive.Config {
	c := receive.Config{
		Hostname:    p.d.hostname,
		Router:      p.router,
		Local:       p.local,
		Spool:       p.d.mail.read,
		Mailboxes:   p.db,
		Room:        p.local.Admit,
		Delimiter:   delimiter(p.c),
		Policy:      p.policy,
		JunkFolder:  p.c.Policy.JunkFolder,
		Seal:        p.seal,
		Fence:       p.d.mail.fence,
		MaxReceived: p.c.Limits.Hops,
		Logger:      p.d.log,
	}
	if o := p.d.outgoing.Load(); o != nil {
		f := forwarding{Router: p.router, o: o, srs: p.srs, accounts: p.db}
		c.Router, c.Owe, c.Hold, c.Elsewhere, c.Delivered, c.Expanded = f, f.owe, f.hold, p.d.sends(p.c), o.delivered, o.expanded
	}
	return c
}

func (p *parts) imapConfig(l *config.Listener) imap.Config {
	c := imap.Config{
		Hostname:         p.d.hostname,
		Auth:             p.auth,
		Accounts:         p.openAccount,
		AccessLists:      p.c.ACL.Enabled,
		Event:            p.imapEvents(),
		SieveURL:         p.c.Sieve.IMAP.URL,
		Changes:          &p.d.changes,
		TrustedNetworks:  l.TrustedNetworks,
		NoUnauthenticate: !p.c.IMAP.Unauthenticate,
		Limits: imap.Limits{
			Message:      int64(p.c.Limits.MessageSize),
			LoginTimeout: time.Duration(p.c.Limits.LoginTimeout),
			IdleTimeout:  time.Duration(p.c.Limits.IMAPTimeout),
			UserSessions: p.c.Limits.IMAPSessions,
		},
		Logger: p.d.log.With("listener", string(l.Type)),
	}
	if l.TLS != config.NoTLS {
		c.TLS = p.d.serverTLS(p.c)
	}
	return c
}

func (p *parts) pop3Config(l *config.Listener) pop3.Config {
	o := &p.c.POP3
	c := pop3.Config{
		Hostname:        p.d.hostname,
		Auth:            p.auth,
		Accounts:        p.openAccount,
		TrustedNetworks: l.TrustedNetworks,
		MarkSeen:        o.MarkSeen,
		Lock:            o.Lock,
		Limits: pop3.Limits{
			LoginTimeout: time.Duration(p.c.Limits.LoginTimeout),
			IdleTimeout:  time.Duration(p.c.Limits.POP3Timeout),
		},
		Logger: p.d.log.With("listener", string(l.Type)),
	}
	if f, err := uniqueIDs(p.c); err == nil { // build has looked at it
		c.UniqueIDs = f
	}
	if l.TLS != config.NoTLS {
		c.TLS = p.d.serverTLS(p.c)
	}
	return c
}

func uniqueIDs(c *config.Config) (pop3.UniqueIDFormat, error) {
	f, err := pop3.ParseUniqueIDFormat(c.POP3.UniqueIDs)
	if err != nil {
		return f, c.At("pop3.unique_ids", err, "write %q, or what pop3_uidl_format in Dovecot says", pop3.DefaultUniqueIDs)
	}
	return f, nil
}

// openAccount opens the home of a login.
func (p *parts) openAccount(ctx context.Context, id auth.Identity) (storage.Account, error) {
	m, err := p.db.Mailbox(ctx, id.Account)
	if err != nil {
		return nil, fmt.Errorf("open the account of %s: %w", id.Account, err)
	}
	return p.d.mail.store.Account(ctx, p.owner(m))
}
