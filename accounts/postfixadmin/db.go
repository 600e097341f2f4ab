package postfixadmin

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"
	_ "modernc.org/sqlite" // registers "sqlite"

	"gomaild/accounts"
)

// DB is PostfixAdmin's database. It implements accounts.Lookup and is safe for
// concurrent use. Close it.
type DB struct {
	sql    *sql.DB
	config Config
	log    *slog.Logger

	turns  *semaphore.Weighted // one for each connection, first come, first served
	cache  *cache
	base   context.Context // of look-ups that callers share; ends with Close
	cancel context.CancelFunc

	probes singleflight.Group // of the schema

	mu       sync.Mutex
	schema   *schema              // guarded by mu; nil until it was probed
	prepared map[string]*sql.Stmt // of SQLite; guarded by mu; the database's to close
}

var _ accounts.Lookup = (*DB)(nil)

// Open checks the configuration and returns the database without asking it
// anything: a server that is down now is asked again at each look-up. Use
// Check to know. The values of ctx are kept for shared look-ups; its end is
// not.
func Open(ctx context.Context, c Config) (*DB, error) {
	c = c.withDefaults()
	pool, err := openPool(c)
	if err != nil {
		return nil, fmt.Errorf("postfixadmin: %w", err)
	}
	pool.SetMaxOpenConns(c.MaxOpen)
	pool.SetMaxIdleConns(c.MaxOpen)
	pool.SetConnMaxIdleTime(idleTime)
	pool.SetConnMaxLifetime(c.lifetime())
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	return &DB{
		sql:    pool,
		config: c,
		log:    c.Logger,
		turns:  semaphore.NewWeighted(int64(c.MaxOpen)),
		cache:  newCache(c.CacheTTL, c.CacheSize, time.Now),
		base:   base,
		cancel: cancel,
	}, nil
}

func openPool(c Config) (*sql.DB, error) {
	switch c.Driver {
	case MySQL:
		m, err := c.mysqlConfig()
		if err != nil {
			return nil, err
		}
		connector, err := mysql.NewConnector(m)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(connector), nil
	case SQLite:
		dsn, err := c.sqliteDSN()
		if err != nil {
			return nil, err
		}
		return sql.Open("sqlite", dsn)
	}
	return nil, fmt.Errorf("unknown driver %q: %q and %q exist", c.Driver, MySQL, SQLite)
}

// Ping asks whether the database answers.
func (db *DB) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, db.config.LookupTimeout)
	defer cancel()
	if err := db.sql.PingContext(ctx); err != nil {
		return fmt.Errorf("postfixadmin: ping: %w", err)
	}
	return nil
}

// Close ends the look-ups in progress, waits for them and closes the
// connections.
func (db *DB) Close() error {
	db.cancel()
	db.cache.wait()
	return db.sql.Close()
}
