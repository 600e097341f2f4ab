package maildir

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// TestDovecotCountedTheSame holds that what Dovecot left in maildirsize is what
// we read, and what we count ourselves.
func TestDovecotCountedTheSame(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../testdata/maildir/dovecot.json")
	if err != nil {
		t.Fatal(err)
	}
	var users map[string]struct {
		Quota []string `json:"getquotaroot"`
	}
	if err := json.Unmarshal(data, &users); err != nil {
		t.Fatal(err)
	}
	root := filepath.Join(t.TempDir(), "tree")
	untar(t, "../../testdata/maildir/dovecot.tar.gz", root)
	store, err := New(Config{FS: newRoot(t, filepath.Join(root, "mail")), Hostname: "here.test"})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	said := regexp.MustCompile(`\(STORAGE (\d+) (\d+)\)`)
	compared := 0
	for user, served := range users {
		if len(served.Quota) < 2 {
			continue
		}
		m := said.FindStringSubmatch(served.Quota[1])
		used, _ := strconv.ParseInt(m[1], 10, 64)
		limit, _ := strconv.ParseInt(m[2], 10, 64)
		local, domain, _ := strings.Cut(user, "@")
		o := storage.Owner{Address: mail.Address{Local: local, Domain: domain}}
		o.Limits = storage.Limits{Counted: true, Max: storage.Usage{Bytes: limit << 10}}
		file := filepath.Join(root, "mail", domain, user, usageFile)
		for _, when := range []string{"read", "counted"} {
			a, err := store.Account(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			q, err := a.Quota(t.Context())
			// Files that other programs dropped after Dovecot's count are in ours.
			dropped := when == "counted" && local == "dave"
			if err != nil || (q.Used.Bytes+1023)>>10 != used && !dropped {
				t.Errorf("%s, %s: %+v, %v; Dovecot said %d KiB", user, when, q, err, used)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(file); err != nil {
				t.Error(err)
			}
			compared++
		}
	}
	if compared < 14 {
		t.Errorf("%d comparisons", compared)
	}
}

// TestDovecotSharesUsage holds that a running Dovecot and we believe each
// other's lines.
func TestDovecotSharesUsage(t *testing.T) {
	t.Parallel()
	needDoveadm(t)
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	uid, gid := testUser()
	if err := os.Chown(root, uid, gid); err != nil {
		t.Fatal(err)
	}
	b := newBox(t, Config{FS: newRoot(t, root), Hostname: "here.test", UID: uid, GID: gid})
	defer b.close()
	d := newDovecot(t, root, strings.TrimSuffix(alice, "/"))
	d.set("mail_plugins = quota\nplugin {\n  quota = maildir:User quota\n  quota_rule = *:bytes=100000:messages=50\n}\n")
	o := storagetest.Alice()
	o.Limits = storage.Limits{Counted: true, Max: storage.Usage{Bytes: 100000, Messages: 50}}
	a, err := b.store.Account(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	agree := func(when string) {
		t.Helper()
		q, err := a.Quota(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var got [2]string
		for _, row := range d.table("quota", "get")[1:] {
			switch row[1] {
			case "STORAGE":
				got[0] = row[2]
			case "MESSAGE":
				got[1] = row[2]
			}
		}
		if want := [2]string{fmt.Sprint((q.Used.Bytes + 1023) >> 10), fmt.Sprint(q.Used.Messages)}; got != want {
			t.Errorf("%s: Dovecot counts %q, we %q", when, got, want)
		}
	}
	long := strings.Repeat("a line of text\r\n", 300)
	for range 3 {
		if _, err := b.Append(t.Context(), storage.Draft{Content: strings.NewReader("Subject: a\r\n\r\n" + long)}); err != nil {
			t.Fatal(err)
		}
	}
	agree("after our APPEND")
	d.do("Subject: b\n\n"+strings.ReplaceAll(long, "\r", ""), "save", "-m", "INBOX")
	agree("after Dovecot's APPEND")
	if err := b.Expunge(t.Context(), []storage.UID{1}); err != nil {
		t.Fatal(err)
	}
	agree("after our EXPUNGE")
	d.do("", "expunge", "mailbox", "INBOX", "uid", "2")
	agree("after Dovecot's EXPUNGE")
	d.do("", "quota", "recalc")
	agree("after Dovecot has counted")
	if err := os.Remove(filepath.Join(root, aliceUsage)); err != nil {
		t.Fatal(err)
	}
	agree("after we have counted")
	file, err := os.ReadFile(filepath.Join(root, aliceUsage))
	if err != nil || !strings.HasPrefix(string(file), "100000S,50C\n") {
		t.Errorf("%q, %v", file, err)
	}
}

// set adds settings to Dovecot's configuration.
func (d *dovecot) set(settings string) {
	d.t.Helper()
	f, err := os.OpenFile(d.conf, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(settings); err != nil {
		d.t.Fatal(err)
	}
}
