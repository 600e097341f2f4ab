package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"gomaild/internal/peertest"
)

// whatComesBack is what testdata/backup.sh prints. The nights are NIGHT.
const whatComesBack = `INBOX: 1 one 2 two 3 three
NIGHT
gomaild-backup: NIGHT is complete, from active
snapshot gone
MESSAGE
INBOX: 2 two 3 three
Restored: 1 one
FOLDER
gomaild-restore: lab.test/alice@lab.test: Restored-NIGHT.Work
Restored: 1 two
2
ACCOUNT
gomaild-restore: lab.test/alice@lab.test is back as it was
INBOX: 1 one 2 two 3 three
same UIDVALIDITY
gomaild-restore: lab.test/alice@lab.test: Restored-NIGHT.Work
gomaild-restore: lab.test/alice@lab.test: Restored-NIGHT
ROWS
INSERT INTO mailbox VALUES ('alice@lab.test','x');
REFUSED
restore ../etc .Restored-x: 64
restore lab.test/alice@lab.test .Work: 64
restore lab.test/alice@lab.test .Restored-/../x: 64
return lab.test/alice@lab.test: 64
return .gomaild/x: 64
rsync --server --sender -a . /etc/: 64
sh: 64
dump; id: 64
: 64
NIGHTS
2
linked: 4
gomaild-backup: no database node gave a whole dump
2
`

// TestBackup: one night, then a message, a folder and an account come back as
// an IMAP client sees it, while gomaild serves; what the key of the backup host
// must not do is refused; old nights go only when a new one is complete.
func TestBackup(t *testing.T) {
	t.Parallel()
	peertest.Need(t, "rsync", "rsync")
	peertest.Need(t, "curl", "curl")
	dir := t.TempDir()
	programs, err := filepath.Abs("ansible/roles/backup/files")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(dir, "programs"), os.DirFS(programs)); err != nil {
		t.Fatal(err)
	}
	script, err := os.ReadFile("testdata/backup.sh")
	if err != nil {
		t.Fatal(err)
	}
	peertest.Run(t, "", "go", "build", "-o", filepath.Join(dir, "gomaild"), "../cmd/gomaild")
	out, ok := insideCopy(t, dir, string(script))
	if !ok {
		return
	}
	night := regexp.MustCompile(`20\d\d-\d\d-\d\d-\d{4}`)
	if got := night.ReplaceAllString(out, "NIGHT"); got != whatComesBack {
		t.Errorf("got:\n%s\nwant:\n%s", got, whatComesBack)
	}
}
