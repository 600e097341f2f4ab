package postfixadmin

import (
	"context"
	"database/sql"
	"fmt"

	"gomaild/accounts"
)

// Bounds of what is read of the tables of keys.
const (
	maxSigningKeys = 10_000
	maxPrivateKey  = 8 << 10 // octets of PEM; an RSA key of 4096 bits has 3.3 KB
)

// SigningKeys are the private keys in PostfixAdmin's tables dkim and dkim_signing,
// none where the schema has no such tables. A key that is too long to be one is
// there without its text. The error is a fault.
func (db *DB) SigningKeys(ctx context.Context) ([]accounts.SigningKey, error) {
	s, err := db.probed(ctx)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, db.config.LookupTimeout)
	defer cancel()
	all, err := db.signingKeys(ctx, s)
	if err != nil {
		db.unprobe(err)
		return nil, fmt.Errorf("postfixadmin: %w", err)
	}
	return all, nil
}

func (db *DB) signingKeys(ctx context.Context, s *schema) ([]accounts.SigningKey, error) {
	if !s.has("dkim_signing", "dkim_id") {
		return nil, nil
	}
	statement := fmt.Sprintf("SELECT s.author, d.domain_name, d.selector, CASE WHEN LENGTH(d.private_key) <= %d THEN d.private_key ELSE '' END"+
		" FROM dkim_signing s JOIN dkim d ON d.id = s.dkim_id ORDER BY s.id LIMIT %d", maxPrivateKey, maxSigningKeys+1)
	var all []accounts.SigningKey
	var author, domain, selector, text sql.NullString
	err := db.each(ctx, statement, []any{&author, &domain, &selector, &text}, func() {
		all = append(all, accounts.SigningKey{Author: author.String, Domain: domain.String, Selector: selector.String, PEM: text.String})
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("keys that sign: %w", err)
	case len(all) > maxSigningKeys:
		return nil, fmt.Errorf("more than %d keys that sign", maxSigningKeys)
	}
	return all, nil
}
