package daemon

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gomaild/accounts"
	"gomaild/policy/dkim/keys"
)

// TestDatabaseKeys: mail that a user submits is signed with the keys in the
// database's tables, where the mount has none; a row that is no key is logged;
// `dkim list` shows what signs.
func TestDatabaseKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	text := testKeyPEM(t)
	w.sql(t, "INSERT INTO dkim (id, domain_name, selector, private_key) VALUES (1, 'example.test', 'db', '"+text+"'), (2, 'example.test', 'bad', 'no key')")
	w.sql(t, "INSERT INTO dkim_signing (author, dkim_id) VALUES ('*@example.test', 1), ('*@example.test', 2)")
	var log bytes.Buffer
	c := w.config(t, "accounts.dkim_keys = true\n", listeners)
	d, err := New(c, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	w.Daemon = d
	if err := w.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.submitTo(t, "alice@example.test", "signed"); err != nil {
		t.Fatal(err)
	}
	if got := w.awaitFile(t, "alice", "", "Subject: signed"); strings.Count(got, "DKIM-Signature:") != 1 || !strings.Contains(got, "d=example.test; s=db;") {
		t.Errorf("not signed:\n%s", got)
	}
	if err := w.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "selector=bad") {
		t.Errorf("nothing is said of the bad key:\n%s", &log)
	}
	table, err := DatabaseKeys(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil || len(table.Keys()) != 1 || table.Keys()[0].RecordName() != "db._domainkey.example.test" {
		t.Errorf("listed: %v, %v", table, err)
	}
}

// TestDatabaseKeysKept: a database that stops answering leaves the keys as they
// were; one that never answered makes mail wait.
func TestDatabaseKeysKept(t *testing.T) {
	t.Parallel()
	rows, fault := []accounts.SigningKey{{Author: "a.test", Domain: "a.test", Selector: "s", PEM: testKeyPEM(t)}}, errors.New("down")
	asked := 0
	k := &databaseKeys{ctx: t.Context(), log: slog.New(slog.DiscardHandler), read: func(context.Context) ([]accounts.SigningKey, error) {
		asked++
		if fault != nil {
			return nil, fault
		}
		return rows, nil
	}}
	now := time.Unix(1e9, 0)
	step := func(rule string, wantErr bool, wantKeys, wantAsked int) {
		t.Helper()
		table, err := k.table(now)
		if (err != nil) != wantErr || asked != wantAsked || err == nil && len(table.Keys()) != wantKeys {
			t.Errorf("%s: %v, %v, asked %d", rule, table, err, asked)
		}
	}
	step("never answered", true, 0, 1)
	fault = nil
	step("answers", false, 1, 2)
	step("is not asked each time", false, 1, 2)
	now, fault = now.Add(keysEvery), errors.New("down")
	step("is down: the keys stay", false, 1, 3)
	now, fault, rows = now.Add(keysEvery), nil, nil
	step("the key is gone", false, 0, 4)
	s := &signer{ring: &keys.Ring{}, db: k}
	if f, err := s.Sign(strings.NewReader("From: x@a.test\r\n\r\nx\r\n")); err != nil || len(f) != 0 {
		t.Errorf("%s, %v", f, err)
	}
}

// testKeyPEM is a small key.
func testKeyPEM(t *testing.T) string {
	t.Helper()
	k, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}))
}
