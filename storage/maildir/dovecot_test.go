package maildir

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// nobody owns the mail when the tests run as root: Dovecot refuses to serve
// root's.
const nobody = 65534

// dovecot is a private Dovecot on one account of ours, asked with doveadm: it
// runs the mail storage in that process, without any server.
type dovecot struct {
	t    *testing.T
	dir  string
	conf string
}

// needDoveadm fails where the package should be there, else it skips.
func needDoveadm(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("doveadm"); err == nil {
		return
	}
	if os.Getuid() == 0 || os.Getenv("CI") != "" {
		t.Fatal("doveadm is missing: install the package dovecot-imapd")
	}
	t.Skip("SKIPPED: doveadm is missing: install the package dovecot-imapd to compare with a real Dovecot")
}

// user is who owns mail in these tests.
func testUser() (uid, gid int) {
	if os.Getuid() == 0 {
		return nobody, nobody
	}
	return os.Getuid(), os.Getgid()
}

func newDovecot(t *testing.T, root, account string) *dovecot {
	uid, gid := testUser()
	d := &dovecot{t: t, dir: t.TempDir()}
	d.conf = filepath.Join(d.dir, "dovecot.conf")
	conf := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
ssl = no
protocols =
mail_location = maildir:%[2]s
first_valid_uid = 0
first_valid_gid = 0
mail_uid = %[3]d
mail_gid = %[4]d
namespace inbox {
  inbox = yes
  separator = /
}
`, d.dir, filepath.Join(root, account), uid, gid)
	if err := os.WriteFile(d.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	for dir := root; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil { // so that nobody gets there
			t.Fatal(err)
		}
	}
	if err := os.Chown(d.dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return d
}

// do runs doveadm and returns what it prints.
func (d *dovecot) do(stdin string, args ...string) string {
	d.t.Helper()
	cmd := exec.CommandContext(d.t.Context(), "doveadm", append([]string{"-c", d.conf}, args...)...)
	cmd.Env = []string{"HOME=" + d.dir, "USER=alice", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	cmd.Stdin = strings.NewReader(stdin)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil || strings.Contains(errs.String(), "Error") || strings.Contains(errs.String(), "Warning") {
		d.t.Errorf("doveadm %q: %v\n%s", args, err, errs.String())
	}
	return out.String()
}

// table runs doveadm -f tab; the first row holds the titles.
func (d *dovecot) table(args ...string) [][]string {
	d.t.Helper()
	r := csv.NewReader(strings.NewReader(d.do("", append([]string{"-f", "tab"}, args...)...)))
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		d.t.Fatal(err)
	}
	return rows
}

// agree holds that Dovecot shows of every mailbox what we show.
func (d *dovecot) agree(when string, a storage.Account) {
	d.t.Helper()
	infos, err := a.Mailboxes(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	subscribed, err := a.Subscriptions(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	// This Dovecot has no mailboxes that are subscribed before they exist.
	subscribed = slices.DeleteFunc(subscribed, func(n string) bool { return slices.Contains([]string{"Drafts", "Junk", "Trash"}, n) })
	var names []string
	for _, info := range infos {
		switch {
		case info.NoSelect:
			names = append(names, info.Name)
		case !info.NonExist:
			names = append(names, info.Name)
			d.agreeOn(when, a, info.Name)
		}
	}
	d.sameList(when+": mailboxes", d.do("", "mailbox", "list"), names)
	d.sameList(when+": subscriptions", d.do("", "mailbox", "list", "-s"), subscribed)
}

func (d *dovecot) sameList(what, lines string, want []string) {
	d.t.Helper()
	got := strings.Split(strings.TrimSpace(lines), "\n")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		d.t.Errorf("%s: Dovecot %q, we %q", what, got, want)
	}
}

func (d *dovecot) agreeOn(when string, a storage.Account, name string) {
	d.t.Helper()
	m, err := a.Open(d.t.Context(), name)
	if err != nil {
		d.t.Fatal(err)
	}
	defer m.Close()
	v := storagetest.Check(d.t, m)
	status := d.table("mailbox", "status", "messages uidnext uidvalidity", name)[1]
	want := []string{name, strconv.Itoa(len(v.Messages)), strconv.Itoa(int(v.UIDNext)), strconv.Itoa(int(v.UIDValidity))}
	if !slices.Equal(status, want) {
		d.t.Errorf("%s: status: Dovecot %q, we %q", when, status, want)
	}
	rows := d.table("fetch", "uid flags size.virtual size.physical date.received hdr.subject", "mailbox", name, "ALL")
	var ours [][]string
	for _, msg := range v.Messages {
		ours = append(ours, describe(d.t, m, v, msg))
	}
	for i := range max(len(rows)-1, len(ours)) {
		var theirs, our []string
		if i+1 < len(rows) {
			theirs = rows[i+1]
			theirs[1] = sortedFlags(theirs[1])
		}
		if i < len(ours) {
			our = ours[i]
		}
		if !slices.Equal(theirs, our) {
			d.t.Errorf("%s: %s: Dovecot %q, we %q", when, name, theirs, our)
		}
	}
}

func sortedFlags(flags string) string {
	all := strings.Fields(strings.ReplaceAll(flags, `\Recent`, ""))
	slices.Sort(all)
	return strings.Join(all, " ")
}

func describe(t *testing.T, m storage.Mailbox, v *storage.View, msg storage.Message) []string {
	t.Helper()
	info, err := m.Info(t.Context(), msg.UID)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := storagetest.Subject(t.Context(), m, msg.UID)
	if err != nil {
		t.Fatal(err)
	}
	return []string{
		strconv.Itoa(int(msg.UID)),
		strings.Join(flagNames(v, msg), " "),
		strconv.FormatInt(info.WireSize, 10),
		strconv.FormatInt(info.StoredSize, 10),
		info.InternalDate.UTC().Format(time.DateTime),
		subject,
	}
}

// removeIndexes lets Dovecot begin anew from the files alone.
func (d *dovecot) removeIndexes(root string) {
	d.t.Helper()
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err == nil && (strings.HasPrefix(e.Name(), "dovecot.index") || strings.HasPrefix(e.Name(), "dovecot.list.index")) {
			return os.Remove(name)
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

// TestRealDovecot lets Dovecot look at what we wrote, change it, and us look
// again, while our mailboxes stay open.
func TestRealDovecot(t *testing.T) {
	t.Parallel()
	needDoveadm(t)
	root := t.TempDir()
	uid, gid := testUser()
	d := newDovecot(t, root, "example.org/alice@example.org")
	b := newBox(t, Config{FS: newRoot(t, root), Hostname: "here.test", UID: uid, GID: gid})
	defer b.close()

	writeForDovecot(t, b)
	d.agree("after our first writing", b.account)
	d.removeIndexes(root)
	d.agree("without indexes", b.account)

	d.do("", "flags", "add", `\Flagged \Answered theirs ours`, "mailbox", "INBOX", "UID", "1")
	d.do("", "flags", "remove", `\Seen`, "mailbox", "INBOX", "UID", "4")
	d.do(storagetest.Text("saved by Dovecot"), "save", "-m", "INBOX")
	d.do("", "expunge", "mailbox", "INBOX", "UID", "2")
	d.do("", "mailbox", "create", "-s", "Theirs/日本")
	d.do("", "copy", "Theirs/日本", "mailbox", "INBOX", "UID", "1")
	d.do("", "move", "Theirs/日本", "mailbox", "a/b", "ALL")
	d.do("", "mailbox", "rename", "Sent", "Sent 2020")
	b.afterDovecot(d, root)
}

func writeForDovecot(t *testing.T, b *box) {
	t.Helper()
	ctx := t.Context()
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range []string{"one", "two", "three"} {
		ok(b.Deliver(ctx, storagetest.Draft(s)))
	}
	b.quiet()
	d := storagetest.Draft("four")
	d.Flags, d.Keywords = storage.Seen|storage.Drafted, []string{"ours", "$Junk"}
	d.InternalDate = time.Date(1999, 12, 31, 23, 59, 58, 0, time.UTC)
	_, err := b.Append(ctx, d)
	ok(err)
	ok(b.account.Create(ctx, "a/b"))
	ok(b.account.Subscribe(ctx, "a/b", true))
	sub, err := b.account.Open(ctx, "a/b")
	ok(err)
	defer sub.Close()
	_, err = b.Copy(ctx, []storage.UID{1, 4}, sub)
	ok(err)
	sent, err := b.account.Open(ctx, "Sent")
	ok(err)
	defer sent.Close()
	_, err = b.Move(ctx, []storage.UID{3}, sent)
	ok(err)
	back, err := sent.Move(ctx, []storage.UID{1}, b.Mailbox)
	ok(err)
	if !slices.Equal(back, []storage.UID{5}) {
		t.Errorf("moved back as %d", back)
	}
	_, err = b.SetFlags(ctx, back, storage.FlagEdit{Op: storage.AddFlags, Flags: storage.Deleted, Keywords: []string{"late"}}, 0)
	ok(err)
	last := b.append("gone at once")
	ok(b.Expunge(ctx, []storage.UID{last}))
}

func (b *box) afterDovecot(d *dovecot, root string) {
	b.t.Helper()
	d.agree("after Dovecot's writing", b.account)
	d.removeIndexes(root)
	if err := b.Deliver(b.t.Context(), storagetest.Draft("last")); err != nil {
		b.t.Fatal(err)
	}
	b.append("very last")
	d.agree("in the end", b.account)
	if err := Check(b.fs, "."); err != nil {
		b.t.Error(err)
	}
}
