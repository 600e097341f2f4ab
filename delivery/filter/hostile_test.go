package filter_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gomaild/accounts"
	"gomaild/delivery/filter"
	"gomaild/delivery/local"
	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

// hostileNames are folders that a script asks for. Whatever they are, the
// message is stored, once, in the account.
var hostileNames = []string{
	"../../../../etc/cron.d/x",
	"..",
	".",
	"/etc/passwd",
	"/",
	"//",
	"a//b",
	"a/",
	"/a",
	"a/../../../b",
	"../bob2",
	"..DOVECOT-TRASHED",
	"cur",
	"tmp/../../x",
	".sieve",
	"dovecot-uidlist",
	"a.b.c",
	"a\\..\\..\\b",
	"&AC4ALg-/&AC8-x", // modified UTF-7 of ".." and "/"
	"&",
	"~root/x",
	strings.Repeat("a", 5000),
	strings.Repeat("a/", 500) + "b",
	"INBOX/../..",
	"caf\u00e9/\u202e\u0000",
	"\xff\xfe",
	"%2e%2e%2f",
}

// home is bob's directory in a store of its own.
const home = "example.net/bob@example.net"

// TestHostileFolders delivers into each on a real disk and looks at what was
// made: nothing outside of the account, and the message inside.
func TestHostileFolders(t *testing.T) {
	t.Parallel()
	for i, name := range hostileNames {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			root := filepath.Join(top, "mail")
			if err := os.MkdirAll(filepath.Join(root, home), 0o700); err != nil {
				t.Fatal(err)
			}
			// At run time, by a variable: what is plainly wrong in a constant is refused before.
			script := "require [\"fileinto\",\"variables\"];\nset \"n\" text:\n" + name + "\n.\n;\nif string :matches \"${n}\" \"*\r\n\" { fileinto \"${1}\"; }\n"
			if err := os.WriteFile(filepath.Join(root, home, ".dovecot.sieve"), []byte(script), 0o600); err != nil {
				t.Fatal(err)
			}
			deliverOnDisk(t, root, simple)
			stored := 0
			err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				rel, err := filepath.Rel(filepath.Join(root, home), p)
				if err != nil || strings.HasPrefix(rel, "..") && !strings.HasPrefix(rel, "..DOVECOT") {
					t.Errorf("%.60q: there is %s", name, p)
				}
				if filepath.Base(filepath.Dir(p)) == "new" {
					stored++
				}
				return err
			})
			if err != nil || stored != 1 {
				t.Errorf("%.60q: %d copies, %v", name, stored, err)
			}
		})
	}
}

// deliverOnDisk delivers to bob, whose directory is below root.
func deliverOnDisk(t *testing.T, root, msg string) {
	t.Helper()
	disk, err := durable.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	store, err := maildir.New(maildir.Config{FS: disk, Hostname: "mx.example.net", UID: os.Getuid(), GID: os.Getgid()})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	agent := local.New(local.Config{Store: store, Filter: filter.New(filter.Config{
		FS: disk, Root: root, UID: -1, GID: -1,
		Home: func(storage.Owner) (string, error) { return home, nil },
	})})
	m := local.Message{From: mail.ReversePath{Address: mail.Address{Local: "ann", Domain: "example.org"}}, Content: strings.NewReader(msg)}
	if err := agent.Deliver(t.Context(), m, []local.Recipient{{Mailbox: accounts.Mailbox{Address: bob}}})[0]; err != nil {
		t.Errorf("%v", err)
	}
}

// TestRedirectBombs holds that neither one script nor scripts that include each
// other send a message to many.
func TestRedirectBombs(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	for i := range 50 {
		fmt.Fprintf(&many, "redirect \"u%d@example.com\";\n", i)
	}
	w := newWorld(t, nil)
	w.write("bob/.dovecot.sieve", many.String())
	w.want(simple, "")
	if len(w.sent) > 0 {
		t.Errorf("%d were sent by a script over the limit", len(w.sent))
	}
	w.write("bob/.sieve/more.sieve", `redirect "a@example.com"; redirect "b@example.com"; redirect "c@example.com";`)
	w.write("bob/.dovecot.sieve", `require "include"; include "more"; redirect "d@example.com"; redirect "e@example.com";`)
	w.want(simple, "")
	if len(w.sent) > 0 || !strings.Contains(w.log(), "number of redirect actions exceeds policy limit") {
		t.Errorf("%d were sent, the log holds %q", len(w.sent), w.log())
	}
}
