package postfixadmin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// The values of Config.Driver.
const (
	MySQL  = "mysql"
	SQLite = "sqlite"
)

// Config says where the tables are and how patiently to ask. Beside Driver and
// the place, every zero field works.
type Config struct {
	Driver string // MySQL or SQLite

	// For MySQL: a DSN of github.com/go-sql-driver/mysql, or the fields below.
	// A DSN must not set session variables (charset and the like).
	DSN      string
	Host     string      // default 127.0.0.1
	Port     int         // default 3306
	Socket   string      // path of a unix socket, instead of Host and Port
	User     string      //
	Password string      //
	Database string      //
	TLS      *tls.Config // nil for a plaintext connection

	// For SQLite.
	Path   string // the file
	Create bool   // make the file if it is not there (then CreateSchema)

	LookupTimeout  time.Duration // for one look-up with its retry; default 5 s
	ConnectTimeout time.Duration // to connect; default 2 s
	IOTimeout      time.Duration // of one read or write; default 5 s
	MaxOpen        int           // connections; default 16
	MaxLifetime    time.Duration // of a connection, before jitter; default 5 min, keep it below ProxySQL's wait_timeout
	CacheTTL       time.Duration // how long a positive answer is kept; default 2 s, at most 10 s, negative for no cache
	CacheSize      int           // answers kept; default 4096

	AppPasswords bool // accept mailbox_app_password rows as well (PostfixAdmin 4)

	// Deployed asks as the replaced deployment's SQL did: the active flags of
	// alias domains and of backup-MX domains are not looked at, and an alias
	// domain without a row of its own in domain is reported as StrayAlias.
	Deployed bool

	// OldQuotaTable writes usage to the table quota instead of quota2.
	// SigningKeys are dumped too: DKIM keys, which are not to lie about where nobody
	// uses them.
	SigningKeys   bool
	OldQuotaTable bool

	Logger *slog.Logger // default: discard
}

const (
	idleTime    = time.Minute
	maxCacheTTL = 10 * time.Second
	// With no charset parameter the driver names the connection's collation,
	// and so its character set, in the handshake: names arrive unmangled and
	// no SET NAMES is sent.
	collation = "utf8mb4_general_ci"
)

func (c Config) withDefaults() Config {
	c.LookupTimeout = orDefault(c.LookupTimeout, 5*time.Second)
	c.ConnectTimeout = orDefault(c.ConnectTimeout, 2*time.Second)
	c.IOTimeout = orDefault(c.IOTimeout, 5*time.Second)
	c.MaxLifetime = orDefault(c.MaxLifetime, 5*time.Minute)
	c.CacheTTL = min(orDefault(c.CacheTTL, 2*time.Second), maxCacheTTL)
	c.MaxOpen = orDefault(c.MaxOpen, 16)
	c.CacheSize = orDefault(c.CacheSize, 4096)
	c.Port = orDefault(c.Port, 3306)
	c.Host = orDefault(c.Host, "127.0.0.1")
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func orDefault[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}

// lifetime shortens MaxLifetime by up to a fifth, so that nodes that were
// started together do not all reconnect together.
func (c Config) lifetime() time.Duration {
	return c.MaxLifetime - rand.N(c.MaxLifetime/5+1)
}

// mysqlConfig is the driver's configuration: see the package documentation
// for why no parameter may set a session variable.
func (c Config) mysqlConfig() (*mysql.Config, error) {
	m := mysql.NewConfig()
	if c.DSN != "" {
		parsed, err := mysql.ParseDSN(c.DSN)
		if err != nil {
			return nil, fmt.Errorf("mysql DSN: %w", err)
		}
		if len(parsed.Params) > 0 || parsed.MaxAllowedPacket == 0 || strings.Contains(parsed.FormatDSN(), "charset=") {
			return nil, errors.New("mysql DSN: charset, maxAllowedPacket=0 and session variables are not allowed: they end ProxySQL's multiplexing")
		}
		m = parsed
	} else {
		m.User, m.Passwd, m.DBName = c.User, c.Password, c.Database
		m.Net, m.Addr = "tcp", net.JoinHostPort(c.Host, strconv.Itoa(c.Port))
		if c.Socket != "" {
			m.Net, m.Addr = "unix", c.Socket
		}
	}
	if c.TLS != nil {
		m.TLS = c.TLS
	}
	if m.DBName == "" {
		return nil, errors.New("mysql: no database is named")
	}
	m.Timeout = orDefault(m.Timeout, c.ConnectTimeout)
	m.ReadTimeout = orDefault(m.ReadTimeout, c.IOTimeout)
	m.WriteTimeout = orDefault(m.WriteTimeout, c.IOTimeout)
	m.Collation = collation
	m.InterpolateParams = true // one round trip, and nothing prepared in ProxySQL
	m.ClientFoundRows = true   // an UPDATE that changes nothing still found its row
	m.MultiStatements = false
	m.Logger = driverLog{c.Logger}
	return m, nil
}

// sqliteDSN opens the file as a URI, so that no octet of its name is taken for
// a parameter. Without Create a missing file is an error, not an empty database.
func (c Config) sqliteDSN() (string, error) {
	if c.Path == "" {
		return "", errors.New("sqlite: no file is named")
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return "", fmt.Errorf("sqlite: %w", err)
	}
	q := url.Values{"mode": {"rw"}, "_pragma": {fmt.Sprintf("busy_timeout(%d)", c.LookupTimeout.Milliseconds())}, "_txlock": {"immediate"}}
	if c.Create {
		q.Set("mode", "rwc")
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String(), nil
}

// driverLog takes what the driver says about connections it gives up.
type driverLog struct{ log *slog.Logger }

// Print implements mysql.Logger.
func (l driverLog) Print(v ...any) { l.log.Debug("mysql driver", "message", fmt.Sprint(v...)) }
