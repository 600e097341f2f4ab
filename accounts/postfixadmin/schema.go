package postfixadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// schema is what the tables of this database hold. Releases are told apart by
// their columns, not by config.version: old databases were upgraded by hand.
type schema struct {
	columns map[string][]string // by table; a missing table has none
}

// needed are the tables and columns without which nothing works. Every
// release since 2.3 has them.
var needed = map[string][]string{
	"domain":  {"domain", "transport", "backupmx", "active"},
	"mailbox": {"username", "password", "name", "maildir", "quota", "local_part", "domain", "active"},
	"alias":   {"address", "goto", "domain", "active"},
}

// optional are the tables and columns that one feature needs, and that
// feature. A table is listed with the column that the feature reads.
var optional = []struct{ table, column, feature string }{
	{"alias_domain", "target_domain", "alias domains"},
	{"mailbox", "smtp_active", "switching off sending for one mailbox (smtp_active)"},
	{"mailbox_app_password", "password_hash", "app passwords"},
	{"mailbox", "password_expiry", "password expiry dates of new mailboxes"},
	{"quota2", "bytes", "usage shown in PostfixAdmin (quota2)"},
	{"dkim_signing", "dkim_id", "DKIM keys in the database"},
	{"vacation", "activefrom", "vacation messages with a period"},
}

// other tables hold rows that DeleteMailbox removes.
var other = []string{"quota", "fetchmail", "vacation_notification"}

func (s *schema) has(table, column string) bool {
	return slices.Contains(s.columns[table], column)
}

// probed is what the tables look like, which the first look-up asks. All who come
// meanwhile wait for its answer: it is a question for each table, and after a
// failover hundreds come at once.
func (db *DB) probed(ctx context.Context) (*schema, error) {
	if s := db.knownSchema(); s != nil {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(ctx, db.config.LookupTimeout)
	defer cancel()
	result := db.probes.DoChan("", func() (any, error) {
		if s := db.knownSchema(); s != nil {
			return s, nil
		}
		return db.learn(db.base)
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*schema), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("probe the schema: %w", context.Cause(ctx))
	}
}

func (db *DB) knownSchema() *schema {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.schema
}

// learn probes the schema and remembers it.
func (db *DB) learn(ctx context.Context) (*schema, error) {
	s, err := db.probe(ctx)
	if err != nil {
		return nil, fmt.Errorf("probe the schema: %w", err)
	}
	db.logSchema(s)
	db.mu.Lock()
	defer db.mu.Unlock()
	db.schema = s
	return s, nil
}

// unprobe forgets the schema when err says that it is no longer so.
func (db *DB) unprobe(err error) {
	if !misfits(err) {
		return
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	db.schema = nil
}

func (db *DB) probe(ctx context.Context) (*schema, error) {
	s := &schema{columns: make(map[string][]string)}
	for _, table := range probedTables() {
		columns, err := db.tableColumns(ctx, table)
		if err != nil {
			return nil, err
		}
		s.columns[table] = columns
	}
	return s, nil
}

// tableColumns are the columns of a table, none if there is no such table.
// An empty result carries them on both engines, which INFORMATION_SCHEMA and
// PRAGMA do not.
func (db *DB) tableColumns(ctx context.Context, table string) ([]string, error) {
	var columns []string
	err := db.retry(ctx, func(ctx context.Context) error {
		rows, err := db.sql.QueryContext(ctx, "SELECT * FROM "+table+" WHERE 1 = 0")
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err = rows.Columns()
		return errors.Join(err, rows.Err())
	})
	if isMissingTable(err) {
		return nil, nil
	}
	return columns, err
}

func probedTables() []string {
	tables := append(slices.Clone(other), "dkim")
	for t := range needed {
		tables = append(tables, t)
	}
	for _, o := range optional {
		tables = append(tables, o.table)
	}
	slices.Sort(tables)
	return slices.Compact(tables)
}

func (db *DB) logSchema(s *schema) {
	for _, o := range optional {
		if !s.has(o.table, o.column) {
			db.log.Info("the schema is older than a feature", "without", o.table+"."+o.column, "off", o.feature)
		}
	}
}

// Finding is one thing that Check has to say about the database.
type Finding struct {
	Fatal bool   // nothing works until it is mended
	Text  string // "table alias is missing"
}

// Check asks the database what it lacks. An error means that it could not be
// asked. Findings that are not fatal name a feature that is off because the
// schema is of an older release.
func (db *DB) Check(ctx context.Context) ([]Finding, error) {
	s, err := db.probe(ctx)
	if err != nil {
		return nil, fmt.Errorf("postfixadmin: check: %w", err)
	}
	var found []Finding
	for _, table := range []string{"domain", "mailbox", "alias"} {
		found = append(found, s.missing(table)...)
	}
	for _, o := range optional {
		if !s.has(o.table, o.column) {
			found = append(found, Finding{Text: fmt.Sprintf("%s.%s is not in this schema: %s is off", o.table, o.column, o.feature)})
		}
	}
	return found, nil
}

func (s *schema) missing(table string) []Finding {
	if len(s.columns[table]) == 0 {
		return []Finding{{Fatal: true, Text: "table " + table + " is missing: this is no PostfixAdmin database"}}
	}
	var lacks []string
	for _, c := range needed[table] {
		if !s.has(table, c) {
			lacks = append(lacks, c)
		}
	}
	if lacks == nil {
		return nil
	}
	return []Finding{{Fatal: true, Text: "table " + table + " lacks " + strings.Join(lacks, ", ")}}
}
