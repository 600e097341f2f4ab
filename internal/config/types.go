package config

import "net/netip"

// Config is the whole configuration. Take it from Default, Load or Parse: the
// zero value has no defaults in it.
type Config struct {
	// The name of this host in greetings, Received fields and message ids; it
	// should be the name that its address resolves to. Empty: what the system
	// calls itself.
	Hostname string `toml:"hostname"`
	// Where the unix sockets of listeners lie that name no other path. It is
	// made when it is missing. `gomaild deliver` looks for the socket of the
	// lda listener here.
	RunDir string `toml:"run_dir"`
	// How long a session may go on with the command or message it is in when
	// the server stops or reloads. Afterwards it is cut off.
	Grace Duration `toml:"grace"`

	// Where the mail lies.
	Storage Storage `toml:"storage"`
	// Where domains, mailboxes and aliases are looked up.
	Accounts Accounts `toml:"accounts"`
	// Where a recipient's mail goes.
	Routing Routing `toml:"routing"`
	// Mail that waits for another try.
	Queue Queue `toml:"queue"`
	// Sending to other hosts.
	Remote Remote `toml:"remote"`
	// Whom names are asked of.
	DNS DNS `toml:"dns"`
	// What is asked about strangers who bring mail to mx.
	Policy Policy `toml:"policy"`
	// Content filters that speak the milter protocol.
	Milter Milter `toml:"milter"`
	// What users who send mail are held to.
	Submission SubmissionOptions `toml:"submission"`
	// Logging in.
	Auth Auth `toml:"auth"`
	// Certificates and TLS.
	TLS TLS `toml:"tls"`
	// What one client may ask for.
	Limits Limits `toml:"limits"`
	// How much an account may hold.
	Quota Quota `toml:"quota"`
	// Sharing mailboxes with other users.
	ACL ACL `toml:"acl"`
	// The users' mail filters.
	Sieve Sieve `toml:"sieve"`
	// What IMAP clients may do.
	IMAP IMAPOptions `toml:"imap"`
	// What POP3 clients see.
	POP3 POP3Options `toml:"pop3"`
	// What is written about it.
	Log Log `toml:"log"`
	// Numbers and health for a monitoring system.
	Metrics Metrics `toml:"metrics"`
	// Addresses to listen on, one table each. Without any there are: mx on
	// port 25, submission on 587 (STARTTLS) and 465 (implicit TLS), imap on
	// 143 (STARTTLS) and 993 (implicit TLS), pop3 on 110 (STARTTLS) and 995
	// (implicit TLS), managesieve on 4190 (STARTTLS), and lmtp and lda on unix sockets in run_dir.
	Listeners []Listener `toml:"listener"`

	source source
}

// Storage is the table [storage].
type Storage struct {
	// The directory below which all mail lies: the mount of the cluster. It
	// must exist. Nothing is written outside it but sockets and the log.
	Root string `toml:"root"`
	// Root must be a mount point, and carry the marker of the cluster: gomaild
	// then refuses to start on the empty directory below a mount that is
	// missing, and ends at once (exit status 74) when the disk fails, becomes
	// read-only, or is unmounted. For the nodes of a cluster.
	Mount bool `toml:"mount"`
	// With mount: how long the disk may leave a read or a synced write unanswered,
	// without an error, before gomaild ends (exit status 74). Longer than the disk
	// may be held up on purpose, as by DRBD while it fences the other node. After
	// half of it the server counts as not ready and pacemaker's monitor fails. "0s":
	// for ever.
	DiskTimeout Duration `toml:"disk_timeout"`
	// The kind of file system that must be mounted there, as `findmnt` calls it
	// (`ext4`, `xfs`). Empty: any.
	FileSystem string `toml:"file_system"`
	// The id of this cluster, the same on every node: up to 64 letters, digits,
	// dots and hyphens. It must be that of the marker in root
	// (.gomaild/cluster), which `gomaild cluster init` writes. Empty: any; without
	// mount the first start makes a marker.
	Cluster string `toml:"cluster"`
	// The directory of an account below root: `{domain}`, `{local}` and
	// `{address}` are the parts of the mailbox's address, `{maildir}` is the
	// column mailbox.maildir as postfixadmin wrote it.
	Path string `toml:"path"`
	// The numeric owner of what is made below root. -1: the user that gomaild
	// runs as.
	UID int `toml:"uid"`
	// The numeric group of what is made below root. -1: the group that gomaild
	// runs as.
	GID int `toml:"gid"`
	// A message up to this size is held in memory while it comes in; a larger
	// one goes to a file in spool.
	SpoolMemory Size `toml:"spool_memory"`
	// The directory for messages that are coming in and are too large for
	// memory, below root. What is left there after a crash is removed at start.
	Spool string `toml:"spool"`
	// The size of the delivery journal below root (.gomaild/journal), in which
	// deliveries become durable together before the files themselves are. After
	// a power cut, or a stop by force, the next program on the mount must be
	// gomaild, which puts back from the journal what the cut took; after a clean
	// stop it can be any. "0B": no journal; each delivery waits twice for the
	// disk, and any program can be the next at any time.
	Journal Size `toml:"journal"`
	// Folders that clients are told to use for a purpose (RFC 6154), by their
	// names; a name left empty is not offered. They are listed and subscribed
	// from the beginning and made when they are first used.
	Special Special `toml:"special"`
}

// Special is the table [storage.special].
type Special struct {
	// Copies of what was sent (`\Sent`).
	Sent string `toml:"sent"`
	// Messages that are being written (`\Drafts`).
	Drafts string `toml:"drafts"`
	// Deleted messages (`\Trash`).
	Trash string `toml:"trash"`
	// Unwanted messages (`\Junk`).
	Junk string `toml:"junk"`
	// Messages put away (`\Archive`).
	Archive string `toml:"archive"`
}

// Accounts is the table [accounts].
type Accounts struct {
	// The database that holds the postfixadmin tables.
	Driver Driver `toml:"driver"`
	// The file of an sqlite database. `gomaild account` makes it.
	Path string `toml:"path"`
	// The MySQL server: `host:port`, or the absolute path of its socket.
	Address string `toml:"address"`
	// The MySQL database.
	Database string `toml:"database"`
	// The MySQL user. It needs SELECT on the tables; `gomaild account` needs to
	// write them.
	User string `toml:"user"`
	// A file whose first line is the password of the MySQL user. Empty: no
	// password.
	PasswordFile string `toml:"password_file"`
	// How long one question to the database may take, a retry on a broken
	// connection included. Then the answer is "try again later".
	Timeout Duration `toml:"timeout"`
	// A connection to MySQL is not used for longer than this. It must be below
	// what ProxySQL or the server allow an idle connection.
	ConnLifetime Duration `toml:"conn_lifetime"`
	// Connections to MySQL at the same time.
	MaxConns int `toml:"max_conns"`
	// A file for a copy of all accounts, on a disk that is there when the
	// database is not: known recipients are accepted and known logins verified
	// from it while the database does not answer; whoever is not in it waits. It
	// holds password hashes and is made with mode 0600. It is kept up to date
	// every minute, and once more below the mail root (.gomaild/accounts), so that
	// the node that takes over has it. A change of this key needs a restart. Empty:
	// no copy.
	Snapshot string `toml:"snapshot"`
	// How old the copy may be: the time since the database was last seen to hold
	// the same. An older one is not used.
	SnapshotAge Duration `toml:"snapshot_age"`
	// The scheme of stored passwords that do not name theirs (`{SCHEME}`),
	// as in Dovecot's default_pass_scheme. docs/passwords.md lists the schemes.
	DefaultScheme string `toml:"default_scheme"`
	// The domain of a login name without one. Empty: such a name is refused.
	DefaultDomain string `toml:"default_domain"`
	// Let an account in with any of its rows in mailbox_app_password too
	// (postfixadmin 4.0 and later).
	AppPasswords bool `toml:"app_passwords"`
	// Sign what users submit with the keys in the tables dkim and dkim_signing
	// (postfixadmin 4.0 and later) too, where the author's domain has no key of
	// gomaild's own. They are read again each minute; a row that is no key is
	// logged and passed over.
	DKIMKeys bool `toml:"dkim_keys"`
	// Answer as the SQL of the replaced deployment did where that ignored what
	// postfixadmin means: inactive alias domains still resolve, an alias domain
	// does not inherit the catch-all, and so on. docs/routing.md lists each
	// difference.
	DeployedAnswers bool `toml:"deployed_answers"`
}

// Routing is the table [routing].
type Routing struct {
	// The character between an address and its detail (alice+lists). Empty:
	// addresses have no detail.
	RecipientDelimiter string `toml:"recipient_delimiter"`
	// Where mail with a detail goes: `inbox`; `existing`, the folder of that
	// name if there is one; `create`, the folder of that name, made and
	// subscribed when it is missing.
	DetailFolder DetailFolder `toml:"detail_folder"`
	// Who gets mail to the bare `<postmaster>` (RFC 5321 section 4.5.1), to
	// postmaster and abuse at hostname, and at a domain here where those lead to
	// nobody: an address here. Empty: such mail is refused, and `gomaild check`
	// warns.
	Postmaster string `toml:"postmaster"`
	// The domain of alias entries that have none (Postfix calls it myorigin).
	// Empty: hostname.
	Origin string `toml:"origin"`
	// The VACATION_DOMAIN of postfixadmin: where an alias entry there names a
	// mailbox (`user#domain@VACATION_DOMAIN`), the message is answered with the
	// user's vacation, set in postfixadmin; vacation.pl is not needed. Empty:
	// there is none, and such entries are mail for another host.
	VacationDomain string `toml:"vacation_domain"`
	// Transport maps in Postfix's text syntax (docs/routing.md): how mail for an
	// address or a domain goes on. Each is `hash:/path` (the text that postmap
	// reads), `regexp:/path`, `pcre:/path`, `inline:{key=value, ...}` or
	// `static:value`; they are asked in order. Values are `smtp:[host]:port`,
	// `relay:`, `lmtp:unix:/path`, `local:`, `discard:`, `error:5.7.1 text`,
	// `retry:4.7.1 text` or `:`. A file that changes is read again at once; one
	// with a fault is told to the log, and what it said before goes on to count.
	TransportMaps []string `toml:"transport_maps"`
	// Let domain.transport of the database count, where it names a host, for
	// domains whose mailboxes are here too; for backup-MX domains it always does.
	DomainTransport bool `toml:"domain_transport"`
	// The recipients of backup-MX domains, as relay_recipient_maps in Postfix:
	// who is in no table, and has no alias row, is refused. Empty: all are taken.
	RelayRecipientMaps []string `toml:"relay_recipient_maps"`
	// Who gets a copy of all mail from an address or `@domain`, as
	// sender_bcc_maps in Postfix.
	SenderBCCMaps []string `toml:"sender_bcc_maps"`
	// Who gets a copy of all mail to an address or `@domain`, as the client named
	// it, as recipient_bcc_maps in Postfix.
	RecipientBCCMaps []string `toml:"recipient_bcc_maps"`
}

// Queue is the table [queue].
type Queue struct {
	// How long to wait after the first, the second ... attempt that did not get
	// through; the last is repeated.
	Schedule []Duration `toml:"schedule"`
	// How long a message is tried before its sender is told that it did not get
	// through (RFC 5321 section 4.5.4.1: at least 4 days).
	Lifetime Duration `toml:"lifetime"`
	// How long a message is tried before its sender is told once that it still
	// waits: where its NOTIFY (RFC 3461) asks for that, or says nothing. "0s": never.
	DelayNotice Duration `toml:"delay_notice"`
	// A file with the words of notifications, as Postfix's bounce_template_file
	// (failure_template, delay_template, success_template). Empty: our own words.
	BounceTemplates string `toml:"bounce_templates"`
	// Attempts at the same time.
	Concurrency int `toml:"concurrency"`
	// Attempts at the same time for one destination. It begins with 5, grows
	// with success up to this and falls with failure.
	PerDestination int `toml:"per_destination"`
}

// Remote is the table [remote].
type Remote struct {
	// Take mail for other hosts from users, aliases and scripts, and send it.
	// false: it is refused.
	Enabled bool `toml:"enabled"`
	// The name of this host to other hosts. Empty: hostname.
	HELO string `toml:"helo"`
	// The address that connections come from: the virtual address of the
	// cluster. Empty: the system chooses.
	Source string `toml:"source"`
	// A host that all mail for others goes through, as Postfix writes it:
	// `[host]:port`, or without brackets a domain whose mail exchangers are
	// meant. Empty: each domain's own mail exchangers.
	RelayHost string `toml:"relay_host"`
	// A file whose first line is the login at relay_host and whose second the
	// password. It is sent within TLS only. Empty: no login.
	RelayLoginFile string `toml:"relay_login_file"`
	// Relay hosts by sender, as sender_dependent_relayhost_maps in Postfix: keys
	// are an address or `@domain`, values as relay_host, or `DUNNO` for none of its
	// own. They come before relay_host; tables as in routing.transport_maps.
	SenderRelayMaps []string `toml:"sender_relay_maps"`
	// Logins, as smtp_sasl_password_maps in Postfix: keys are a sender's address or
	// `@domain`, then the next hop as it is written (`[smtp.example.org]:587`), then its
	// host; values are `name:password`. They are sent within TLS only, and come
	// before relay_login_file.
	PasswordMaps []string `toml:"password_maps"`
	// What TLS must be, in Postfix's words (smtp_tls_security_level): `none`;
	// `may`, where it is offered; `encrypt`, always; `dane`, by signed TLSA
	// records where there are such (needs dns.trusted), else may; `dane-only`, by
	// those always; `verify`, always and with a certificate for the host's name;
	// `secure`, with one for the destination's own name.
	TLS RemoteTLS `toml:"tls"`
	// What TLS must be for single next hops, as smtp_tls_policy_maps in Postfix:
	// keys are the next hop as it is written, or a mail domain, or `.domain` for
	// those below it; values are a level as in tls, or `fingerprint`, and
	// attributes (match=, protocols=).
	TLSPolicyMaps []string `toml:"tls_policy_maps"`
	// Hold hosts to the MTA-STS policies of their domains (RFC 8461), which are
	// kept in .gomaild/mta-sts below storage.root. They are fetched over HTTPS,
	// from addresses of the Internet only.
	MTASTS bool `toml:"mta_sts"`
	// The mail address that reports about TLS are sent from, each day, to domains
	// that ask for them (TLSRPT, RFC 8460). Empty: none are sent.
	TLSReportFrom string `toml:"tls_report_from"`
	// A mail domain whose exchanger this server is. Mail of others that is
	// forwarded to another host is sent with a reverse-path there (SRS), so that
	// SPF asks about us; notifications come back by it. The secrets lie in
	// .gomaild/srs below storage.root, one a line: the first signs, the others
	// are taken for 21 days more. Empty: the reverse-path stays.
	SRSDomain string `toml:"srs_domain"`
	// How long other hosts may take.
	Timeouts RemoteTimeouts `toml:"timeouts"`
}

// RemoteTimeouts is the table [remote.timeouts].
type RemoteTimeouts struct {
	// For a connection to be made. The next address is tried then.
	Connect Duration `toml:"connect"`
	// For the greeting. The defaults of greeting, command, data, block and
	// end_of_data are the least that RFC 5321 section 4.5.3.2 lets a host count
	// on: shorter times give up hosts that are slow, and a short end_of_data sends
	// them messages twice.
	Greeting Duration `toml:"greeting"`
	// For the reply to EHLO, STARTTLS, AUTH, MAIL, RCPT and RSET.
	Command Duration `toml:"command"`
	// For a TLS handshake.
	TLS Duration `toml:"tls"`
	// For the reply to DATA.
	Data Duration `toml:"data"`
	// For a host to take one block of the content.
	Block Duration `toml:"block"`
	// For the reply to the final dot.
	EndOfData Duration `toml:"end_of_data"`
	// For the reply to QUIT.
	Quit Duration `toml:"quit"`
}

// DNS is the table [dns].
type DNS struct {
	// Recursive resolvers, each `address` or `address:port`. Empty: those that
	// /etc/resolv.conf names.
	Servers []string `toml:"servers"`
	// Believe the resolvers when they say that an answer is signed (DNSSEC, the
	// AD bit): they validate, and the way to them is safe, on this host.
	Trusted bool `toml:"trusted"`
	// How long one packet to a resolver may wait for its answer.
	Timeout Duration `toml:"timeout"`
}

// Policy is the table [policy].
type Policy struct {
	// Checks of strangers, in the order in which they are made. What a name
	// says is what Postfix's restriction of that name does:
	// reject_unknown_reverse_client_hostname, reject_unknown_client_hostname,
	// reject_rbl_client, reject_unauth_pipelining, reject_invalid_helo_hostname,
	// reject_non_fqdn_helo_hostname, reject_unknown_helo_hostname,
	// reject_non_fqdn_sender, reject_unknown_sender_domain,
	// reject_non_fqdn_recipient. Besides: greylist puts off who is new; spf, dkim, arc and dmarc find out and write
	// Authentication-Results; reject_spf_fail and reject_dmarc refuse what the
	// domains want refused; check_policy_service asks services. A DNS that does not answer never refuses mail for
	// good. Empty: nobody is asked about.
	Checks []string `toml:"checks"`
	// DNS lists for reject_rbl_client, one table each.
	DNSBL []DNSBL `toml:"dnsbl"`
	// The sum of the weights of the lists that have a client from which on it
	// is refused.
	DNSBLThreshold int `toml:"dnsbl_threshold"`
	// How long greylist puts off a client that is new to a sender and a
	// recipient.
	GreylistDelay Duration `toml:"greylist_delay"`
	// The folder for mail that its domain wants in quarantine (DMARC), made when
	// it is missing. Empty: INBOX.
	JunkFolder string `toml:"junk_folder"`
	// The domain in whose name what is forwarded to other hosts is sealed (ARC, RFC
	// 8617), so that they can see what was found out about it here. It needs the
	// check arc and a key, as `gomaild dkim generate` makes it. What comes by lmtp
	// is believed to have no Authentication-Results of ours that is forged. Empty:
	// nothing is sealed.
	ARCDomain string `toml:"arc_domain"`
	// The domains of forwarders, such as mailing lists, whose seals (ARC) are
	// believed: mail that fails DMARC is taken all the same where one of them saw
	// it pass, and it and all who sealed after it are named here. It needs the
	// check arc.
	ARCTrusted []string `toml:"arc_trusted"`
	// How long mx waits with its banner for clients that talk before it, which
	// no mail server does (RFC 5321 section 3.1): they are sent away. "0s": it
	// does not wait.
	GreetDelay Duration `toml:"greet_delay"`
	// Policy servers for check_policy_service, which speak Postfix's protocol and
	// are asked about each recipient, in order: `host:port` or `unix:/path`.
	Services []string `toml:"services"`
	// How long a policy server may take.
	ServiceTimeout Duration `toml:"service_timeout"`
	// What becomes of a recipient when a policy server does not answer: `defer`
	// puts it off, `accept` goes on without it, `reject` refuses it for good.
	ServiceFailure Failure `toml:"service_failure"`
	// How fast strangers may come.
	Rates Rates `toml:"rates"`
}

// Rates is the table [policy.rates].
type Rates struct {
	// Connections to mx by one client: an IPv4 address, or an IPv6 /64. Each
	// limit is `N/TIME`, such as "60/1m": N in any stretch of that time; what is
	// above it is put off. Several limits count
	// together. Empty: no limit, as with the keys below.
	ClientConnections []Rate `toml:"client_connections"`
	// Messages of one client.
	ClientMessages []Rate `toml:"client_messages"`
	// Recipients named by one client.
	ClientRecipients []Rate `toml:"client_recipients"`
	// Connections from one network: an IPv4 /24, or an IPv6 /48.
	NetworkConnections []Rate `toml:"network_connections"`
	// Messages from one network.
	NetworkMessages []Rate `toml:"network_messages"`
	// Recipients named from one network.
	NetworkRecipients []Rate `toml:"network_recipients"`
	// Messages with one reverse-path, from wherever they come; the null one is
	// not counted.
	SenderMessages []Rate `toml:"sender_messages"`
	// Recipients of mail with one reverse-path.
	SenderRecipients []Rate `toml:"sender_recipients"`
}

// Milter is the table [milter].
type Milter struct {
	// Milters that are asked, in order, about messages that strangers bring:
	// `host:port` or `unix:/path`. They are asked after the checks of [policy],
	// may refuse the client, its HELO, the sender, a recipient and the message,
	// discard and quarantine it, and change header, body, recipients and the
	// reverse-path.
	MX []string `toml:"mx"`
	// Milters that are asked about what users send.
	Submission []string `toml:"submission"`
	// Servers that speak Rspamd's protocol over HTTP (/checkv2), asked after the
	// milters about messages that strangers bring: `host:port`. Action reject is
	// refused, soft reject and greylist are put off, add header and rewrite
	// subject go to policy.junk_folder, and fields are added and taken away as
	// they say. timeout and failure are for them too.
	Rspamd []string `toml:"rspamd"`
	// How long one milter may take for a message, and for what comes before it.
	Timeout Duration `toml:"timeout"`
	// What becomes of a message when a milter does not answer: `defer` puts it
	// off, `accept` goes on without it, `reject` refuses it for good.
	Failure Failure `toml:"failure"`
	// Hold what a milter on mx wants in quarantine in the queue until somebody
	// releases or deletes it (`gomaild queue`), as Postfix does, and not bring it
	// to policy.junk_folder. What users send is always held.
	Hold bool `toml:"hold"`
}

// SubmissionOptions is the table [submission].
type SubmissionOptions struct {
	// How many messages one account may send, such as ["200/1h", "1000/24h"]:
	// N in any stretch of that time. What is above it is
	// put off with 450 and the time when there is room again. A
	// trusted host that sends without a login is held to it by its address. Empty:
	// no limit.
	Messages []Rate `toml:"messages"`
	// How many recipients one account may send to, all messages together.
	Recipients []Rate `toml:"recipients"`
	// How many recipients at other hosts one account may write to that it has not
	// written to before, such as ["100/1h", "300/24h"]. An account that exceeds it
	// is taken for stolen: what it has in the queue and what it sends in the next
	// 24 hours is held until somebody releases or deletes it (`gomaild queue
	// release --account ADDRESS`, and `gomaild queue lift ADDRESS` to end the hold
	// too), and postmaster is told. Empty: no limit.
	NewRecipients []Rate `toml:"new_recipients"`
	// Refuse a message whose From field names an address that the account may
	// not send as, as its reverse-path is refused.
	CheckFrom bool `toml:"check_from"`
	// Name the client's address and what it calls itself in the Received field
	// of what users send. Everybody who gets the message can read it there.
	ShowClient bool `toml:"show_client"`
}

// DNSBL is a table [[policy.dnsbl]].
type DNSBL struct {
	// The domain of the list.
	Domain string `toml:"domain"`
	// What a listing counts; below 0 for a list of the good. 0 counts as 1.
	Weight int `toml:"weight"`
	// Answers that count as a listing, such as "127.0.0.2". Empty: all in
	// 127.0.0.0/8.
	Answers []string `toml:"answers"`
}

// Auth is the table [auth].
type Auth struct {
	// Wrong passwords from one address (IPv4, or an IPv6 /64) before its next
	// tries are made to wait. Trusted networks are not counted.
	ThrottleClient int `toml:"throttle_client"`
	// Wrong passwords for one account from addresses that are new to it, before
	// the next such tries are made to wait.
	ThrottleAccount int `toml:"throttle_account"`
	// The longest that a login is made to wait behind another. The wait doubles
	// with each further wrong password, and wrong passwords are forgotten in
	// time.
	MaxDelay Duration `toml:"max_delay"`
	// How long a verified login is remembered, so that webmail's login for each
	// page costs no password hash. A changed password ends it at once. "0s":
	// nothing is remembered.
	Cache Duration `toml:"cache"`
}

// TLS is the table [tls].
type TLS struct {
	// Certificates, one table each; the client's server name chooses, the first
	// is for clients that name none that fits. They are read again at SIGHUP.
	// Without any, a self-signed certificate for hostname is made and kept in
	// .gomaild/tls below storage.root, which is good for trying things out only.
	Certificates []Certificate `toml:"certificate"`
	// The oldest version of TLS to speak.
	MinVersion TLSVersion `toml:"min_version"`
}

// Certificate is a table [[tls.certificate]].
type Certificate struct {
	// The PEM file with the certificate and its chain.
	Cert string `toml:"cert"`
	// The PEM file with the private key. It may be the same file as cert.
	Key string `toml:"key"`
}

// Limits is the table [limits].
type Limits struct {
	// The largest message, announced as SIZE (RFC 1870) and APPENDLIMIT.
	MessageSize Size `toml:"message_size"`
	// Recipients of one message (RFC 5321 section 4.5.3.1.8: at least 100).
	Recipients int `toml:"recipients"`
	// Received fields in a message that arrives, above which it is refused as
	// caught in a loop. Postfix's default is 50; RFC 5321 section 6.3 asks for
	// 100 where nothing else ends a loop, and Delivered-To does here.
	Hops int `toml:"hops"`
	// Commands of one session that are refused in a row before it is ended.
	Errors int `toml:"errors"`
	// How long an SMTP or LMTP client may be silent (RFC 5321 section 4.5.3.2:
	// at least 5 minutes).
	SMTPTimeout Duration `toml:"smtp_timeout"`
	// How long an IMAP client that has logged in may be silent (RFC 9051
	// section 5.4: at least 30 minutes).
	IMAPTimeout Duration `toml:"imap_timeout"`
	// How many IMAP sessions a user may have at once, from wherever, 0 for any
	// number (max_per_client of a listener limits those of an address). Dovecot's
	// mail_max_userip_connections, but for all addresses together.
	IMAPSessions int `toml:"imap_sessions"`
	// How long a POP3 client that has logged in may be silent (RFC 1939 section
	// 3: at least 10 minutes).
	POP3Timeout Duration `toml:"pop3_timeout"`
	// How long an IMAP or POP3 client may take to log in.
	LoginTimeout Duration `toml:"login_timeout"`
}

// Quota is the table [quota].
type Quota struct {
	// Hold accounts to their column mailbox.quota (octets; 0 and less: no
	// limit): mail to an account that is full is refused at RCPT or at the end of
	// the data, APPEND and COPY with NO [OVERQUOTA]. What accounts hold is kept
	// in their files `maildirsize`, as Dovecot's quota backend `maildir` does.
	// Without it nothing is counted and no such file is kept. Every 10 seconds
	// what has changed is written to the database, where postfixadmin shows it
	// (used_quotas); the user needs INSERT and DELETE on quota2.
	Enabled bool `toml:"enabled"`
	// How many messages an account may hold. 0: as many as fit.
	Messages int `toml:"messages"`
	// By how many percent a delivery may exceed the limits (Dovecot's
	// quota_grace). APPEND and COPY may not.
	Grace int `toml:"grace"`
	// Put mail for a full account off (452 4.2.2) until its sender gives up,
	// instead of refusing it (552 5.2.2). Dovecot's quota_full_tempfail.
	Defer bool `toml:"defer"`
	// Hold the mailboxes of a domain together to domain.quota, with the same
	// grace. The sum is that of quota2 and of what has changed since, so mailboxes
	// that are not in quota2 yet count from their next change on; the messages
	// are not counted. While the database does not answer nobody is refused.
	Domains bool `toml:"domains"`
	// What domain.quota counts in: postfixadmin's quota_multiplier.
	DomainUnit Size `toml:"domain_unit"`
	// Write what a mailbox holds to the table quota, which postfixadmin reads
	// without new_quota_table, and not to quota2.
	OldTable bool `toml:"old_table"`
	// Percentages at which a user gets a warning by mail, such as [80, 95].
	Warnings []int `toml:"warnings"`
}

// ACL is the table [acl]. A change of it needs a restart.
type ACL struct {
	// Hold users to the access control lists of mailboxes, as Dovecot's plugins
	// acl and imap_acl do: files dovecot-acl in the directories of mailboxes,
	// which users change over IMAP. Without it everybody may do everything with
	// his own mailboxes, and nobody sees others'.
	Enabled bool `toml:"enabled"`
	// What the names of other users' mailboxes begin with. "Shared/" makes them
	// Shared/user@domain/Folder, as Dovecot's namespace Shared/%%u/ does.
	Prefix string `toml:"prefix"`
	// The file below storage.root that says who shares something with whom:
	// Dovecot's acl_shared_dict without "file:" and the mail root.
	Dictionary string `toml:"dictionary"`
	// Let users share with everybody (Dovecot's acl_anyone = allow).
	Anyone bool `toml:"anyone"`
	// Lists for the mailboxes of all: what stands in Dovecot's
	// `acl = vfile:PATH`, a file with lines `PATTERN IDENTIFIER RIGHTS`, or a
	// directory with a list in a file of each mailbox's name. They come before
	// those of the mailboxes, and no client can change them. Read again when they
	// change. Empty: none.
	Global string `toml:"global"`
	// The groups of users (`group=` and `group-override=` in lists), in tables as in
	// routing.transport_maps: the key is an address or `@domain`, the value names
	// groups with commas between them, as Dovecot's field acl_groups does.
	GroupMaps []string `toml:"group_maps"`
}

// Sieve is the table [sieve].
type Sieve struct {
	// Run Sieve scripts at delivery: `.dovecot.sieve` in the account's
	// directory, a file or a link into `dir`.
	Enabled bool `toml:"enabled"`
	// The directory of a user's scripts below the account's: Dovecot's sieve_dir
	// without the `~/`, such as `sieve`, which is Dovecot's default. ManageSieve
	// keeps them there, `include` and external lists are looked up there.
	Dir string `toml:"dir"`
	// A script below storage.root that runs before the user's. Empty: none.
	Before string `toml:"before"`
	// A script below storage.root for users who have none. Empty: none.
	Default string `toml:"default"`
	// A script below storage.root that runs after the user's, if the message
	// is kept by then. Empty: none.
	After string `toml:"after"`
	// The directory below storage.root where `include :global` looks for
	// NAME.sieve. Empty: there are none.
	Global string `toml:"global"`
	// Extensions that scripts may not require, with blanks between them, such
	// as `reject ereject`.
	DisableExtensions string `toml:"disable_extensions"`
	// Where the spam filter writes what it thinks of a message, for the tests
	// spamtest and spamtestplus (RFC 5235).
	SpamTest SieveScanner `toml:"spamtest"`
	// Where the virus scanner does, for the test virustest.
	VirusTest SieveScanner `toml:"virustest"`
	// External programs that scripts run.
	Programs SievePrograms `toml:"programs"`
	// Scripts that run when messages come or change in IMAP.
	IMAP SieveIMAP `toml:"imap"`
}

// SievePrograms is the table [sieve.programs]: vnd.dovecot.pipe, vnd.dovecot.filter
// and vnd.dovecot.execute, Pigeonhole's sieve_extprograms. A script names a file
// of a directory. It runs without a shell, as the user of the mail, with HOME,
// USER, HOST, SENDER, RECIPIENT and ORIG_RECIPIENT in its environment and nothing
// else, and with the message on its standard input.
type SievePrograms struct {
	// The directory of programs that `pipe` hands a message to, an absolute path,
	// the same on each node. Empty: scripts may not require vnd.dovecot.pipe.
	Pipe string `toml:"pipe"`
	// The directory of programs that `filter` takes the message from again.
	// Empty: scripts may not require vnd.dovecot.filter.
	Filter string `toml:"filter"`
	// The directory of programs that `execute` runs. Empty: scripts may not
	// require vnd.dovecot.execute.
	Execute string `toml:"execute"`
	// Let the scripts of users run programs. Otherwise only yours do: before,
	// default and after, the rules of [sieve.imap], and what `include :global`
	// finds.
	Users bool `toml:"users"`
	// How long a program may run before it is killed.
	Timeout Duration `toml:"timeout"`
	// How much a program may write before it is killed.
	MaxOutput Size `toml:"max_output"`
}

// SieveIMAP is the table [sieve.imap]: Sieve at events of IMAP (RFC 6785), as
// Dovecot's imap_sieve does it.
type SieveIMAP struct {
	// The ManageSieve server where users keep scripts for IMAP, such as
	// `sieve://mail.example.org`; clients see it as the capability IMAPSIEVE. With
	// it the script that the annotation /shared/imapsieve/script of a mailbox (or
	// of the account) names runs there. Empty: users have none.
	URL string `toml:"url"`
	// Expunge a message at once that a script discards or files elsewhere.
	// Otherwise it is marked `\Deleted`.
	ExpungeDiscarded bool `toml:"expunge_discarded"`
	// Your own scripts, each for some mailboxes.
	Rules []SieveRule `toml:"rule"`
}

// SieveRule is one table [[sieve.imap.rule]]: Dovecot's imapsieve_mailboxN_*.
type SieveRule struct {
	// The mailboxes, by a pattern as of LIST: `*` is anything, `%` anything but
	// the `/` between levels.
	Name string `toml:"name"`
	// The mailboxes that messages come from by COPY or MOVE, a pattern too.
	// Empty: wherever they come from.
	From string `toml:"from"`
	// When: of `APPEND`, `COPY` (MOVE is one) and `FLAG`. Empty: always.
	Causes []string `toml:"causes"`
	// A script below storage.root that runs before the user's. Empty: none.
	Before string `toml:"before"`
	// A script below storage.root that runs after the user's, if the message is
	// kept by then. Empty: none.
	After string `toml:"after"`
}

// SieveScanner is the table [sieve.spamtest] or [sieve.virustest]: Pigeonhole's
// sieve_spamtest_* and sieve_virustest_* settings.
type SieveScanner struct {
	// The header field with the verdict, or `field: REGEX` with a group around
	// the verdict, such as `X-Spamd-Result: default: (True|False)`. Empty: there
	// is no scanner, and the tests read "0", not tested.
	StatusHeader string `toml:"status_header"`
	// What the verdict is: `score`, a number; `strlen`, as many characters as
	// points; `text`, one of text_values. Empty: score.
	StatusType string `toml:"status_type"`
	// The header field with the score that is as bad as can be, in the form of
	// status_header. Empty: max_value says it.
	MaxHeader string `toml:"max_header"`
	// That score, a number. Empty: max_header says it.
	MaxValue string `toml:"max_value"`
	// For status_type `text`: the verdicts of the values 0, 1, 2 ... (spamtest
	// goes to 10, virustest to 5), an empty one where a value has none.
	TextValues []string `toml:"text_values"`
}

// IMAPOptions is the table [imap].
type IMAPOptions struct {
	// Offer UNAUTHENTICATE (RFC 8437), with which webmail uses one connection for
	// one user after the other. Where a proxy in front of this server looks at the
	// first login only, take it away.
	Unauthenticate bool `toml:"unauthenticate"`
}

// POP3Options is the table [pop3].
type POP3Options struct {
	// How the unique-ids of messages look, in the words of Dovecot's
	// pop3_uidl_format: %u is the UID, %v UIDVALIDITY, %f and %g the base name
	// of the file; before the letter a width with leading zeros and X for
	// hexadecimal. Clients fetch everything once more when it changes. Ids that
	// a `P` field of dovecot-uidlist holds stay.
	UniqueIDs string `toml:"unique_ids"`
	// Mark messages as seen that were retrieved, when the session ends with
	// QUIT.
	MarkSeen bool `toml:"mark_seen"`
	// Let one POP3 session at a time into a maildrop (RFC 1939 section 4), as
	// Dovecot does with pop3_lock_session. IMAP is not shut out.
	Lock bool `toml:"lock"`
}

// Log is the table [log].
type Log struct {
	// The least that is written.
	Level LogLevel `toml:"level"`
	// `text` or `json`, one line an event (docs/logging.md); or `postfix`, what
	// Postfix and Dovecot would write, for fail2ban and pflogsumm.
	Format LogFormat `toml:"format"`
	// `stderr`, `stdout`, `syslog` (the socket /dev/log, facility mail), or the
	// absolute path of a file to add to, which is opened again at SIGHUP.
	Destination string `toml:"destination"`
}

// Metrics is the table [metrics].
type Metrics struct {
	// Where HTTP is spoken: `/metrics` for Prometheus, `/healthz/live` (200 as
	// long as the process runs) and `/healthz/ready` (200 when mail is served,
	// else 503). `host:port`, such as "127.0.0.1:9154"; whoever can reach it
	// can read it. Empty: nowhere.
	Address string `toml:"address"`
	// Serve Go's profiles at `/debug/pprof/` too. Only for an address on
	// loopback.
	Pprof bool `toml:"pprof"`
}

// Listener is a table [[listener]].
type Listener struct {
	// What is spoken: `mx` takes mail from anybody for our addresses;
	// `submission` takes mail from users who have logged in; `lmtp` takes mail
	// from another MTA; `lda` is what `gomaild deliver` talks to, on a unix
	// socket; `imap` and `pop3` are for reading; `managesieve` is
	// for editing Sieve scripts.
	Type ListenerType `toml:"type"`
	// `host:port`, `:port` for every address of the host, or `unix:/path`.
	// Empty: the port of the type (25, 587 or with implicit TLS 465, 143 or
	// with implicit TLS 993, 110 or with implicit TLS 995, 4190), or the unix socket
	// run_dir/lmtp or run_dir/lda.
	Address string `toml:"address"`
	// `implicit`: TLS from the first octet; `starttls`: the client may ask for
	// it, and must before it logs in; `none`. Empty: `starttls`, but `none` for
	// lmtp and lda.
	TLS TLSMode `toml:"tls"`
	// Networks that are trusted. On submission they may send without logging
	// in and log in without TLS, on imap, pop3 and managesieve they may log in without TLS; they are
	// exempt from max_per_client. Do not list what strangers can use.
	TrustedNetworks []netip.Prefix `toml:"trusted_networks"`
	// Networks of proxies (HAProxy, nginx) that begin each connection with a
	// PROXY header, version 1 or 2, which says whose it is: limits and the log
	// see the real client. From there a connection without one is closed, from
	// elsewhere a header is refused as garbage.
	ProxyNetworks []netip.Prefix `toml:"proxy_networks"`
	// On mx, submission and lmtp: networks that may use XCLIENT and XFORWARD to
	// say for whom they speak (Postfix's smtpd_authorized_xclient_hosts and
	// smtpd_authorized_xforward_hosts): webmail, content filters. Who is in
	// them can be anybody.
	XClientNetworks []netip.Prefix `toml:"xclient_networks"`
	// Listen on an address that this host has not got yet: a virtual address
	// that comes later, or goes and comes back (IP_FREEBIND).
	FreeBind bool `toml:"free_bind"`
	// Connections at the same time.
	MaxConnections int `toml:"max_connections"`
	// Connections at the same time from one address (IPv4, or an IPv6 /64). 0:
	// no limit.
	MaxPerClient int `toml:"max_per_client"`
	// Permissions of a unix socket, in octal.
	Mode FileMode `toml:"mode"`
}
