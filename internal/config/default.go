package config

import "time"

// DefaultPath is where the commands look for the file when none is named.
const DefaultPath = "/etc/gomaild/gomaild.toml"

// Default is what an empty file gives, apart from the listeners (see
// Config.Listeners), which Parse adds.
func Default() *Config {
	return &Config{
		RunDir: "/run/gomaild",
		Grace:  Duration(20 * time.Second),
		Storage: Storage{
			DiskTimeout: Duration(30 * time.Second),
			Root:        "/var/mail",
			Path:        "{domain}/{address}",
			UID:         -1,
			GID:         -1,
			SpoolMemory: 256_000,
			Spool:       ".gomaild/spool",
			Journal:     64_000_000,
			Special:     Special{Sent: "Sent", Drafts: "Drafts", Trash: "Trash", Junk: "Junk"},
		},
		Accounts: Accounts{
			Driver:        SQLite,
			Path:          "/var/lib/gomaild/accounts.sqlite",
			Address:       "127.0.0.1:3306",
			Database:      "postfix",
			User:          "postfix",
			Timeout:       Duration(5 * time.Second),
			ConnLifetime:  Duration(3 * time.Minute),
			MaxConns:      16,
			SnapshotAge:   Duration(24 * time.Hour),
			DefaultScheme: "MD5-CRYPT",
		},
		Routing: Routing{RecipientDelimiter: "+", DetailFolder: DetailExisting, DomainTransport: true},
		Queue: Queue{
			Schedule: []Duration{
				Duration(5 * time.Minute), Duration(15 * time.Minute), Duration(30 * time.Minute),
				Duration(time.Hour), Duration(2 * time.Hour), Duration(4 * time.Hour),
			},
			Lifetime: Duration(5 * 24 * time.Hour), DelayNotice: Duration(4 * time.Hour), Concurrency: 100, PerDestination: 20,
		},
		Remote: Remote{Enabled: true, TLS: RemoteMay, MTASTS: true, Timeouts: RemoteTimeouts{
			Connect: Duration(30 * time.Second), Greeting: Duration(5 * time.Minute), Command: Duration(5 * time.Minute), TLS: Duration(time.Minute),
			Data: Duration(2 * time.Minute), Block: Duration(3 * time.Minute), EndOfData: Duration(10 * time.Minute), Quit: Duration(5 * time.Second),
		}},
		DNS:        DNS{Timeout: Duration(3 * time.Second)},
		Policy:     Policy{DNSBLThreshold: 1, GreylistDelay: Duration(5 * time.Minute), JunkFolder: "Junk", ServiceTimeout: Duration(10 * time.Second), ServiceFailure: DeferOnFailure},
		Milter:     Milter{Timeout: Duration(30 * time.Second), Failure: DeferOnFailure},
		Submission: SubmissionOptions{CheckFrom: true},
		Auth: Auth{
			ThrottleClient:  20,
			ThrottleAccount: 10,
			MaxDelay:        Duration(15 * time.Second),
			Cache:           Duration(time.Hour),
		},
		TLS:   TLS{MinVersion: TLS12},
		Quota: Quota{Grace: 10, DomainUnit: 1_024_000},
		ACL:   ACL{Prefix: "Shared/", Dictionary: "shared-folders/shared-mailboxes.db"},
		Sieve: Sieve{Enabled: true, Dir: ".sieve", Programs: SievePrograms{Timeout: Duration(10 * time.Second), MaxOutput: 16 << 20}},
		IMAP:  IMAPOptions{Unauthenticate: true},
		POP3:  POP3Options{UniqueIDs: "%08Xu%08Xv", MarkSeen: true},
		Limits: Limits{
			MessageSize:  50_000_000,
			Recipients:   1000,
			Hops:         50,
			Errors:       20,
			SMTPTimeout:  Duration(5 * time.Minute),
			IMAPTimeout:  Duration(30 * time.Minute),
			IMAPSessions: 100,
			POP3Timeout:  Duration(10 * time.Minute),
			LoginTimeout: Duration(3 * time.Minute),
		},
		Log: Log{Level: LogInfo, Format: TextLog, Destination: "stderr"},
	}
}

// defaultListener is what an empty [[listener]] gives; address and tls depend
// on the type and are filled in later.
func defaultListener() Listener {
	return Listener{MaxConnections: 2000, MaxPerClient: 50, Mode: 0o660}
}

// defaultListeners are those of a file that has none.
func defaultListeners() []Listener {
	var all []Listener
	for _, l := range []struct {
		kind ListenerType
		tls  TLSMode
	}{
		{MX, StartTLS}, {Submission, StartTLS}, {Submission, Implicit},
		{IMAP, StartTLS}, {IMAP, Implicit}, {POP3, StartTLS}, {POP3, Implicit}, {ManageSieve, StartTLS}, {LMTP, NoTLS}, {LDA, NoTLS},
	} {
		one := defaultListener()
		one.Type, one.TLS = l.kind, l.tls
		all = append(all, one)
	}
	return all
}

// isForReading reports that users log in there to read or sort their mail.
func (l *Listener) isForReading() bool {
	return l.Type == IMAP || l.Type == POP3 || l.Type == ManageSieve
}

// complete gives a listener the address and the TLS mode of its type.
func (l *Listener) complete(runDir string) {
	if l.TLS == "" {
		l.TLS = StartTLS
		if l.Type == LMTP || l.Type == LDA {
			l.TLS = NoTLS
		}
	}
	if l.Address == "" {
		l.Address = l.defaultAddress(runDir)
	}
}

func (l *Listener) defaultAddress(runDir string) string {
	implicit := l.TLS == Implicit
	switch l.Type {
	case MX:
		return ":25"
	case Submission:
		if implicit {
			return ":465"
		}
		return ":587"
	case IMAP:
		if implicit {
			return ":993"
		}
		return ":143"
	case ManageSieve:
		return ":4190"
	case POP3:
		if implicit {
			return ":995"
		}
		return ":110"
	default:
		return unixPrefix + runDir + "/" + string(l.Type)
	}
}
