package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gomaild/accounts"
	"gomaild/accounts/postfixadmin"
	"gomaild/auth"
	"gomaild/internal/config"
	"gomaild/mail"
)

// AccountsConfig is the table [accounts] as postfixadmin takes it. It reads the
// password file; a fault of that is about the configuration.
func AccountsConfig(c *config.Config, log *slog.Logger) (postfixadmin.Config, error) {
	a := &c.Accounts
	p := postfixadmin.Config{
		Driver:        string(a.Driver),
		Path:          a.Path,
		LookupTimeout: time.Duration(a.Timeout),
		MaxLifetime:   time.Duration(a.ConnLifetime),
		MaxOpen:       a.MaxConns,
		AppPasswords:  a.AppPasswords,
		Deployed:      a.DeployedAnswers,
		OldQuotaTable: c.Quota.OldTable,
		SigningKeys:   a.DKIMKeys,
		Logger:        log,
	}
	if a.Driver != config.MySQL {
		return p, nil
	}
	p.User, p.Database = a.User, a.Database
	if filepath.IsAbs(a.Address) {
		p.Socket = a.Address
	} else {
		host, port, err := net.SplitHostPort(a.Address)
		if err != nil {
			return p, c.At("accounts.address", err, "write host:port")
		}
		p.Host = host
		if p.Port, err = strconv.Atoi(port); err != nil {
			return p, c.At("accounts.address", err, "write host:port")
		}
	}
	if a.PasswordFile == "" {
		return p, nil
	}
	text, err := os.ReadFile(a.PasswordFile)
	if err != nil {
		return p, c.At("accounts.password_file", err, "name a file that holds the password of the MySQL user and that gomaild may read")
	}
	p.Password, _, _ = strings.Cut(string(text), "\n")
	p.Password = strings.TrimSuffix(p.Password, "\r")
	return p, nil
}

// credentials gives package auth what the database knows of an account.
type credentials struct{ db accountSource }

// Credential implements auth.Store.
func (c credentials) Credential(ctx context.Context, login mail.Address) (auth.Credential, error) {
	m, hashes, err := c.db.Passwords(ctx, login)
	if errors.Is(err, accounts.ErrNotFound) {
		return auth.Credential{}, auth.ErrUnknownUser
	}
	if err != nil {
		return auth.Credential{}, err
	}
	return auth.Credential{Account: m.Address, Hashes: hashes, MaySend: m.MaySend}, nil
}
