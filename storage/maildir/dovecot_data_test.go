package maildir

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// The tree testdata/maildir/dovecot.tar.gz was made by Dovecot, other programs
// and hands that broke things; dovecot.json is what Dovecot then served of it.

// served is what Dovecot showed of one user. Keys of Folders are in modified
// UTF-7.
type served struct {
	Folders        map[string]servedFolder `json:"folders"`
	List           []string                `json:"list"`
	ListSubscribed []string                `json:"list_subscribed"`
	POP3           struct {
		List []string `json:"list"`
		UIDL []string `json:"uidl"`
	} `json:"pop3"`
}

type servedFolder struct {
	Messages    []servedMessage `json:"messages"`
	UIDNext     storage.UID     `json:"uidnext"`
	UIDValidity uint32          `json:"uidvalidity"`
	Exists      *int            `json:"exists"` // nil: it could not be opened
}

type servedMessage struct {
	UID          storage.UID `json:"uid"`
	Flags        []string    `json:"flags"`
	InternalDate string      `json:"internaldate"`
	Size         int64       `json:"size"`
	BodySHA256   string      `json:"body_sha256"`
}

func TestDovecotServedTheSame(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../testdata/maildir/dovecot.json")
	if err != nil {
		t.Fatal(err)
	}
	var users map[string]served
	if err := json.Unmarshal(data, &users); err != nil {
		t.Fatal(err)
	}
	if len(users) != 9 {
		t.Fatalf("%d users", len(users))
	}
	root := filepath.Join(t.TempDir(), "tree")
	untar(t, "../../testdata/maildir/dovecot.tar.gz", root)
	store, err := New(Config{FS: newRoot(t, filepath.Join(root, "mail")), Hostname: "here.test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	for user, want := range users {
		t.Run(user, func(t *testing.T) {
			c := comparison{t: t, user: user, want: want}
			local, domain, _ := strings.Cut(user, "@")
			c.root = filepath.Join(root, "mail", domain, user)
			a, err := store.Account(t.Context(), storage.Owner{Address: mail.Address{Local: local, Domain: domain}})
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			c.account = a
			c.noteUIDLists()
			c.list()
			c.subscriptions()
			for _, name := range slices.Sorted(maps.Keys(want.Folders)) {
				c.folder(name, want.Folders[name])
			}
			c.maildrop()
		})
	}
}

// comparison holds us against what Dovecot showed of one user.
type comparison struct {
	t       *testing.T
	user    string
	root    string
	want    served
	account storage.Account
	hadList map[string]bool // folders that have a UIDVALIDITY in the tree
}

// noteUIDLists tells folders with a UIDVALIDITY from those to which Dovecot
// gave one when it first opened them, in its order, and we in ours.
func (c *comparison) noteUIDLists() {
	c.hadList = map[string]bool{}
	for coded := range c.want.Folders {
		name, _ := decodeUTF7(coded)
		folder, err := folderOf(name)
		if err != nil {
			continue
		}
		_, err = os.Stat(filepath.Join(c.root, folder, uidListFile))
		c.hadList[name] = err == nil
	}
}

// leftOut are names that Dovecot listed and we do not, with the reason.
func leftOut(name string) string {
	switch {
	case strings.HasPrefix(name, "Shared"):
		return "mailboxes of other users are another namespace"
	case name == "sieve", name == "dovecot", name == "dovecot/sieve":
		return "directories of Sieve scripts are no mailboxes"
	case name == "&AOk", name == "bad&name", name == "rawé":
		return "not modified UTF-7 on disk: Dovecot lists them and cannot open them"
	case name == "Linked":
		return "a link to another mailbox, as mailbox_alias makes; not listed, can be opened"
	}
	return ""
}

var quotedName = regexp.MustCompile(`^\* LIST \(([^)]*)\) "/" (.*)$`)

// listed reads "* LIST (flags) "/" name" lines.
func (c *comparison) listed(lines []string) map[string]string {
	all := map[string]string{}
	for _, line := range lines {
		m := quotedName.FindStringSubmatch(line)
		if m == nil {
			c.t.Fatalf("line %q", line)
		}
		name := m[2]
		if strings.HasPrefix(name, `"`) {
			name = strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(name[1 : len(name)-1])
		}
		plain, ok := decodeUTF7(name)
		if !ok {
			c.t.Fatalf("name %q", name)
		}
		all[plain] = m[1]
	}
	return all
}

func (c *comparison) list() {
	infos, err := c.account.Mailboxes(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	want := c.listed(c.want.List)
	for _, info := range infos {
		flags, there := want[info.Name]
		delete(want, info.Name)
		if !there {
			c.t.Errorf("%q is listed, not by Dovecot", info.Name)
			continue
		}
		if info.NoSelect != strings.Contains(flags, `\NonExistent`) || info.Subscribed != strings.Contains(flags, `\Subscribed`) {
			c.t.Errorf("%+v, Dovecot: %s", info, flags)
		}
		if info.SpecialUse != "" && !strings.Contains(flags, info.SpecialUse) || info.SpecialUse == "" && regexp.MustCompile(`Sent|Trash|Junk|Drafts`).MatchString(flags) {
			c.t.Errorf("%+v, Dovecot: %s", info, flags)
		}
	}
	for name := range want {
		if leftOut(name) == "" {
			c.t.Errorf("%q is not listed", name)
		}
	}
}

func (c *comparison) subscriptions() {
	got, err := c.account.Subscriptions(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	want := slices.Sorted(maps.Keys(c.listed(c.want.ListSubscribed)))
	want = slices.DeleteFunc(want, func(n string) bool { return leftOut(n) != "" })
	if !slices.Equal(got, want) {
		c.t.Errorf("subscribed to %q, Dovecot: %q", got, want)
	}
}

// maildrop holds sizes and unique-ids as POP3 clients saw them, in the
// deployment's format where no `P` field says otherwise.
func (c *comparison) maildrop() {
	if c.user == "frank@example.com" {
		return // a damaged uidlist: the folder's comparison says what differs and why
	}
	box, err := c.account.Open(c.t.Context(), "INBOX")
	if err != nil {
		c.t.Fatal(err)
	}
	defer box.Close()
	v, err := box.View(c.t.Context())
	if err != nil {
		c.t.Fatal(err)
	}
	list, err := box.Maildrop(c.t.Context(), v)
	if err != nil {
		c.t.Fatal(err)
	}
	validity := v.UIDValidity
	if !c.hadList["INBOX"] {
		validity = c.want.Folders["INBOX"].UIDValidity
	}
	var sizes, ids []string
	for i, e := range list {
		id := e.UniqueID
		if id == "" {
			id = fmt.Sprintf("%08x%08x", e.UID, validity)
		}
		sizes = append(sizes, fmt.Sprintf("%d %d", i+1, e.WireSize))
		ids = append(ids, fmt.Sprintf("%d %s", i+1, id))
	}
	if !slices.Equal(sizes, c.want.POP3.List) || !slices.Equal(ids, c.want.POP3.UIDL) {
		c.t.Errorf("POP3: %q %q\nDovecot: %q %q", sizes, ids, c.want.POP3.List, c.want.POP3.UIDL)
	}
}

func (c *comparison) folder(coded string, want servedFolder) {
	name, ok := decodeUTF7(coded)
	if !ok {
		c.t.Fatalf("name %q", coded)
	}
	if reason := leftOut(name); reason != "" && name != "Linked" {
		if m, err := c.account.Open(c.t.Context(), name); err == nil {
			c.t.Errorf("%q was opened", name)
			m.Close()
		}
		return
	}
	m, err := c.account.Open(c.t.Context(), name)
	if err != nil {
		c.t.Fatal(err)
	}
	defer m.Close()
	v := storagetest.Check(c.t, m)
	if c.hadList[name] && v.UIDValidity != want.UIDValidity {
		c.t.Errorf("%s: UIDVALIDITY %d, Dovecot: %d", name, v.UIDValidity, want.UIDValidity)
	}
	if c.user == "frank@example.com" && name == inbox {
		c.frank(m, v, want)
		return
	}
	// Dovecot stepped UIDNEXT on when it found the S= and W= of one message wrong
	// and gave it another UID; we count ourselves and keep the UID.
	next := want.UIDNext
	if c.user == "dave@example.com" && name == inbox {
		next--
	}
	if got := max(v.UIDNext, lastUID(want)+1); got != max(next, lastUID(want)+1) {
		c.t.Errorf("%s: UIDNEXT %d, Dovecot: %d", name, v.UIDNext, want.UIDNext)
	}
	c.messages(m, v, want.Messages)
}

func lastUID(f servedFolder) storage.UID {
	if n := len(f.Messages); n > 0 {
		return f.Messages[n-1].UID
	}
	return 0
}

func (c *comparison) messages(m storage.Mailbox, v *storage.View, want []servedMessage) {
	if len(v.Messages) != len(want) {
		c.t.Errorf("%s: %d messages, Dovecot: %d", m.Name(), len(v.Messages), len(want))
		return
	}
	for i, w := range want {
		if v.Messages[i].UID != w.UID {
			c.t.Errorf("%s: message %d has UID %d, Dovecot: %d", m.Name(), i+1, v.Messages[i].UID, w.UID)
			continue
		}
		c.message(m, v, v.Messages[i], w)
	}
}

func (c *comparison) message(m storage.Mailbox, v *storage.View, got storage.Message, want servedMessage) {
	if f, w := flagNames(v, got), tolerated(want.Flags); !slices.Equal(f, w) {
		c.t.Errorf("%s UID %d: flags %q, Dovecot: %q", m.Name(), got.UID, f, w)
	}
	info, err := m.Info(c.t.Context(), got.UID)
	if err != nil {
		c.t.Fatal(err)
	}
	if date := info.InternalDate.UTC().Format("02-Jan-2006 15:04:05 -0700"); date != want.InternalDate {
		c.t.Errorf("%s UID %d: date %s, Dovecot: %s", m.Name(), got.UID, date, want.InternalDate)
	}
	if want.BodySHA256 == "" {
		return // S= and W= of the name are wrong: Dovecot could not serve it
	}
	if info.WireSize != want.Size {
		c.t.Errorf("%s UID %d: size %d, Dovecot: %d", m.Name(), got.UID, info.WireSize, want.Size)
	}
	if sum := sha256.Sum256([]byte(storagetest.Read(c.t, m, got.UID))); hex.EncodeToString(sum[:]) != want.BodySHA256 {
		c.t.Errorf("%s UID %d: another content", m.Name(), got.UID)
	}
}

// tolerated leaves out \Recent, which each server counts for itself, and the
// keywords above 25, which are in no text file (kw26 to kw29 of ManyKeywords).
func tolerated(flags []string) []string {
	var kept []string
	for _, f := range flags {
		late, err := strconv.Atoi(strings.TrimPrefix(f, "kw"))
		if f == `\Recent` || strings.HasPrefix(f, "kw") && err == nil && late >= maxKeywords {
			continue
		}
		kept = append(kept, f)
	}
	slices.Sort(kept)
	return kept
}

func flagNames(v *storage.View, msg storage.Message) []string {
	names := v.KeywordNames(msg.Keywords)
	for _, f := range []struct {
		flag storage.SystemFlag
		name string
	}{
		{storage.Seen, `\Seen`},
		{storage.Answered, `\Answered`},
		{storage.Flagged, `\Flagged`},
		{storage.Deleted, `\Deleted`},
		{storage.Drafted, `\Draft`},
	} {
		if msg.Flags&f.flag != 0 {
			names = append(names, f.name)
		}
	}
	slices.Sort(names)
	return names
}

// frank compares the mailbox whose uidlist breaks off after UID 2. Both keep
// UIDs 1 and 2 and give new ones to the rest, in the same order. Dovecot goes
// on with 3 and so uses 5 to 8 again for other messages; we go on above every
// number of the broken part, which is 25. The duplicates become messages of
// their own: Dovecot noticed the second of them only at a later look, and lost
// the flags that the second had.
func (c *comparison) frank(m storage.Mailbox, v *storage.View, want servedFolder) {
	uids := []storage.UID{}
	for _, msg := range v.Messages {
		uids = append(uids, msg.UID)
	}
	if !slices.Equal(uids, []storage.UID{1, 2, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35}) || v.UIDNext != 36 {
		c.t.Errorf("UIDs %d, UIDNEXT %d", uids, v.UIDNext)
		return
	}
	for i, w := range want.Messages[:10] {
		got := v.Messages[i]
		got.Flags &^= storage.Flagged // either of dup2 is the first
		if i < 2 && got.UID != w.UID {
			c.t.Errorf("UID %d, Dovecot: %d", got.UID, w.UID)
		}
		c.message(m, v, got, w)
	}
}

func untar(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := untarOne(dir, h, r); err != nil {
			t.Fatal(err)
		}
	}
}

func untarOne(dir string, h *tar.Header, r io.Reader) error {
	name := filepath.Join(dir, h.Name)
	if h.Typeflag == tar.TypeDir {
		return os.MkdirAll(name, 0o700)
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	if h.Typeflag == tar.TypeSymlink {
		return os.Symlink(h.Linkname, name)
	}
	if h.Typeflag == tar.TypeLink {
		return os.Link(filepath.Join(dir, h.Linkname), name)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(h.Mode)&0o777|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close(), os.Chtimes(name, time.Now(), h.ModTime))
}
