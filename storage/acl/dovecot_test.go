package acl_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/acl"
	"gomaild/storage/maildir"
)

const dovecotImap = "/usr/lib/dovecot/imap"

// peer is a private Dovecot with its plugins acl and imap_acl, on the same mail
// root as a store of ours.
type peer struct {
	t    *testing.T
	root string
	conf string
}

func newPeer(t *testing.T, global string) *peer {
	if _, err := os.Stat(dovecotImap); err != nil {
		if os.Getuid() == 0 || os.Getenv("CI") != "" {
			t.Fatal("dovecot's imap is missing: install the package dovecot-imapd")
		}
		t.Skip("SKIPPED: dovecot's imap is missing: install the package dovecot-imapd to compare with a real Dovecot")
	}
	dir, err := os.MkdirTemp("", "gomaild-acl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &peer{t: t, root: filepath.Join(dir, "root"), conf: filepath.Join(dir, "dovecot.conf")}
	uid, gid := mailUser()
	for _, d := range []string{dir, p.root} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(d, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	conf := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
ssl = no
protocols =
mail_location = maildir:%[2]s/%%d/%%u
first_valid_uid = 0
first_valid_gid = 0
mail_uid = %[3]d
mail_gid = %[4]d
mail_plugins = acl
namespace inbox {
  inbox = yes
  separator = /
}
namespace shared {
  type = shared
  separator = /
  prefix = Shared/%%%%u/
  location = maildir:%[2]s/%%%%d/%%%%u:INDEX=%[2]s/%%d/%%u/shared/%%%%u
  subscriptions = no
  list = children
}
protocol imap {
  mail_plugins = acl imap_acl
  imap_metadata = yes
}
mail_attribute_dict = file:%[2]s/%%d/%%u/dovecot-attributes
plugin {
  acl = vfile%[5]s
  acl_shared_dict = file:%[2]s/shared-folders/shared-mailboxes.db
  acl_groups = team
}
`, dir, p.root, uid, gid, global)
	if err := os.WriteFile(p.conf, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	return p
}

// mailUser owns the mail: Dovecot refuses to serve root's.
func mailUser() (uid, gid int) {
	if os.Getuid() == 0 {
		return 65534, 65534
	}
	return os.Getuid(), os.Getgid()
}

// session runs commands as a user and returns what Dovecot answers.
func (p *peer) session(user string, commands ...string) []string {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), dovecotImap, "-c", p.conf)
	cmd.Env = []string{"HOME=" + filepath.Join(p.root, "example.org", user), "USER=" + user, "PATH=" + os.Getenv("PATH")}
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\r\n") + "\r\nz LOGOUT\r\n")
	out, err := cmd.Output()
	if err != nil {
		p.t.Fatalf("dovecot: %v\n%s", err, out)
	}
	return strings.Split(strings.ReplaceAll(string(out), "\r\n", "\n"), "\n")
}

// rights asks for MYRIGHTS of each mailbox; "-" where there is none.
func (p *peer) rights(user string, names []string) []string {
	p.t.Helper()
	var commands []string
	for i, name := range names {
		commands = append(commands, fmt.Sprintf("t%d MYRIGHTS %s", i, name))
	}
	lines := p.session(user, commands...)
	answers := make([]string, len(names))
	for i, name := range names {
		answers[i] = "-"
		for _, line := range lines {
			if rest, ok := strings.CutPrefix(line, "* MYRIGHTS "+name+" "); ok {
				r, _ := storage.ParseRights(strings.NewReplacer("c", "", "d", "", `"`, "").Replace(rest))
				answers[i] = r.String()
			}
		}
	}
	return answers
}

// both is a store of ours beside a Dovecot.
type both struct {
	*peer
	fs         durable.FS
	alice, bob storage.Guarded
}

func newBoth(t *testing.T) *both { return newBothWith(t, "") }

// newBothWith is newBoth with global lists in a file or directory.
func newBothWith(t *testing.T, global string) *both {
	var lists *acl.Global
	arg := ""
	if global != "" {
		arg = ":" + global + ":cache_secs=0"
		lists = acl.NewGlobal(os.DirFS(filepath.Dir(global)), filepath.Base(global))
	}
	b := &both{peer: newPeer(t, arg)}
	uid, gid := mailUser()
	root, err := durable.OpenRoot(b.root)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := maildir.New(maildir.Config{FS: root, UID: uid, GID: gid, Special: []maildir.SpecialFolder{}})
	if err != nil {
		t.Fatal(err)
	}
	store := acl.New(acl.Config{
		Store: inner, Dictionary: inner.SharedFile("shared-folders/shared-mailboxes.db"), Owner: ownerOf, Global: lists,
		Groups: func(mail.Address) []string { return []string{"team"} },
	})
	open := func(local string) storage.Guarded {
		a, err := store.Account(t.Context(), storage.Owner{Address: mail.Address{Local: local, Domain: "example.org"}})
		if err != nil {
			t.Fatal(err)
		}
		return a.(storage.Guarded)
	}
	b.fs, b.alice, b.bob = root, open("alice"), open("bob")
	t.Cleanup(func() {
		for _, err := range []error{b.alice.Close(), b.bob.Close(), store.Close(), root.Close()} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return b
}

// ours is what rights asks, of us.
func (b *both) ours(a storage.Guarded, names []string) []string {
	var answers []string
	for _, name := range names {
		r, err := a.Rights(b.t.Context(), name)
		if err != nil {
			answers = append(answers, "-")
		} else {
			answers = append(answers, r.String())
		}
	}
	return answers
}

// randomACL is a list in the syntax of Dovecot, sometimes of a broken one.
func randomACL(r *rand.Rand) string {
	text := randomLines(r)
	switch r.IntN(12) {
	case 0:
		text += "# a comment\n\n"
	case 1:
		text += []string{"nobody lr\n", "owner lrz\n", "owner lrcd\n", "user=x lr junk\n", "\"user=x lr\n"}[r.IntN(5)]
	}
	return text
}

// randomLines are some that can be read.
func randomLines(r *rand.Rand) string {
	ids := []string{"user=alice@example.org", "user=bob@example.org", "user=carol@example.org", "owner", "anyone", "authenticated", "group=team", "group=others", "group-override=team"}
	names := []string{"lookup", "read", "write", "write-seen", "write-deleted", "insert", "post", "expunge", "create", "delete", "admin", "unheard-of"}
	var b strings.Builder
	for range 1 + r.IntN(5) {
		id := ids[r.IntN(len(ids))]
		if r.IntN(4) == 0 {
			id = "-" + id
		}
		if r.IntN(8) == 0 {
			id = `"` + id + `"`
		}
		b.WriteString(id)
		if r.IntN(10) > 0 {
			b.WriteByte(' ')
			for _, letter := range storage.RightLetters {
				if r.IntN(2) == 0 {
					b.WriteRune(letter)
				}
			}
		}
		if r.IntN(4) == 0 {
			fmt.Fprintf(&b, " :%s %s", names[r.IntN(len(names))], names[r.IntN(len(names))])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestDovecotAgrees gives both the same lists, made at random, and asks both
// what the owner and another may do.
func TestDovecotAgrees(t *testing.T) {
	t.Parallel()
	agree(t, newBoth(t), rand.New(rand.NewPCG(4314, 1)))
}

// TestDovecotAgreesOnGlobalLists does the same with lists of the administrator's
// besides: rules in a file, and a directory of lists.
func TestDovecotAgreesOnGlobalLists(t *testing.T) {
	t.Parallel()
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		r := rand.New(rand.NewPCG(4314, 2))
		var rules strings.Builder
		patterns := []string{"F1", "F2*", "F?", "F?3", "F*7", "Shared/alice@example.org/F3*", "\"Shared/*/F4?\"", "Shared/*5", "nothing"}
		for range 20 {
			for line := range strings.Lines(randomLines(r)) {
				rules.WriteString(patterns[r.IntN(len(patterns))] + " " + line)
			}
		}
		file := filepath.Join(sharedDir(t), "global-acls")
		writeShared(t, file, rules.String())
		agree(t, newBothWith(t, file), r)
	})
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		dir := sharedDir(t)
		r := rand.New(rand.NewPCG(4314, 3))
		for i := range 80 {
			writeShared(t, filepath.Join(dir, fmt.Sprintf("F%d", i)), randomACL(r))
			if i%2 == 0 {
				writeShared(t, filepath.Join(dir, fmt.Sprintf("Shared/alice@example.org/F%d", i)), randomACL(r))
			}
		}
		for i := 80; i < 90; i++ {
			writeShared(t, filepath.Join(dir, fmt.Sprintf("F%d/.DEFAULT", i)), randomACL(r))
		}
		agree(t, newBothWith(t, dir), r)
	})
}

// sharedDir is a directory that Dovecot's user may read.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gomaild-acls")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeShared(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func agree(t *testing.T, b *both, r *rand.Rand) {
	t.Helper()
	const n = 150
	var texts, own, others []string
	uid, gid := mailUser()
	for i := range n {
		name := fmt.Sprintf("F%d", i)
		if err := b.alice.Create(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		texts = append(texts, randomACL(r))
		file := filepath.Join(b.root, "example.org/alice@example.org", "."+name, "dovecot-acl")
		if err := os.WriteFile(file, []byte(texts[i]), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(file, uid, gid); err != nil {
			t.Fatal(err)
		}
		own, others = append(own, name), append(others, "Shared/alice@example.org/"+name)
	}
	for _, who := range []struct {
		user  string
		ours  storage.Guarded
		names []string
	}{{"alice@example.org", b.alice, own}, {"bob@example.org", b.bob, others}} {
		theirs, ours := b.rights(who.user, who.names), b.ours(who.ours, who.names)
		for i := range who.names {
			if theirs[i] != ours[i] {
				t.Errorf("%s: Dovecot %q, we %q, with\n%s", who.user, theirs[i], ours[i], texts[i])
			}
		}
	}
}

// TestDovecotInTurn: lists and dictionary go from one to the other and back.
func TestDovecotInTurn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBoth(t)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	bobs := func(rights storage.Rights) storage.Grant {
		return storage.Grant{Kind: storage.GrantUser, Name: "bob@example.org", Rights: rights}
	}
	lr := storage.RightLookup | storage.RightRead
	ok(b.alice.Create(ctx, "Ours"))
	ok(b.alice.Create(ctx, "Theirs"))
	ok(b.alice.Grant(ctx, "Ours", storage.ReplaceFlags, bobs(lr)))
	b.sameNames("after our SETACL", "Shared/alice@example.org/Ours")

	b.session("alice@example.org",
		"a SETACL Theirs bob@example.org lrswk", "b SETACL Theirs -bob@example.org w", `c SETACL Ours "some body" lr`, "d SETACL INBOX bob@example.org l")
	b.sameNames("after Dovecot's SETACL", "Shared/alice@example.org", "Shared/alice@example.org/Ours", "Shared/alice@example.org/Theirs")
	b.sameRights("after Dovecot's SETACL", "Shared/alice@example.org/Ours", "Shared/alice@example.org/Theirs", "Shared/alice@example.org")

	ok(b.alice.Grant(ctx, "Theirs", storage.AddFlags, bobs(storage.RightExpunge)))
	ok(b.alice.Grant(ctx, "Ours", storage.ReplaceFlags, bobs(storage.NoRights)))
	ok(b.bob.Create(ctx, "Shared/alice@example.org/Theirs/Below"))
	b.sameRights("after our changes", "Shared/alice@example.org/Ours", "Shared/alice@example.org/Theirs", "Shared/alice@example.org/Theirs/Below")
	b.sameNames("after our changes", "Shared/alice@example.org", "Shared/alice@example.org/Theirs", "Shared/alice@example.org/Theirs/Below")

	b.session("alice@example.org", "a DELETEACL Theirs bob@example.org", "b DELETE Theirs/Below", "c DELETEACL INBOX bob@example.org")
	ok(b.alice.Revoke(ctx, "Theirs", storage.Grant{Kind: storage.GrantUser, Name: "bob@example.org", Negative: true}))
	b.sameNames("in the end")
	b.sameRights("in the end", "Shared/alice@example.org/Ours", "Shared/alice@example.org/Theirs")
	text, err := durable.ReadFile(b.fs, "shared-folders/shared-mailboxes.db")
	ok(err)
	if strings.Contains(string(text), "user/bob@example.org/") || !strings.Contains(string(text), "user/some body/alice@example.org\n1\n") {
		t.Errorf("dictionary %q", text)
	}
}

// TestPrivateAnnotations: what is private of a shared mailbox each login has for
// itself, in its own account, and Dovecot finds it there.
func TestPrivateAnnotations(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBoth(t)
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const box = "Shared/alice@example.org/F"
	ok(b.alice.Create(ctx, "F"))
	ok(b.alice.Grant(ctx, "F", storage.ReplaceFlags, storage.Grant{Kind: storage.GrantUser, Name: "bob@example.org", Rights: storage.RightLookup | storage.RightRead | storage.RightWrite}))
	set := func(a storage.Guarded, mailbox, private, shared string) {
		t.Helper()
		ok(a.Annotate(ctx, mailbox, map[string]*string{"/private/comment": &private, "/shared/comment": &shared}))
	}
	want := func(a storage.Guarded, mailbox, private, shared string) {
		t.Helper()
		notes, err := a.Annotations(ctx, mailbox)
		if err != nil || notes["/private/comment"] != private || notes["/shared/comment"] != shared {
			t.Errorf("%s: %q, %v; want %q and %q", mailbox, notes, err, private, shared)
		}
	}
	set(b.alice, "F", "alice's", "first")
	want(b.bob, box, "", "first")
	set(b.bob, box, "bob's", "second")
	want(b.alice, "F", "alice's", "second")
	want(b.bob, box, "bob's", "second")
	answer := strings.Join(b.session("bob@example.org", "a GETMETADATA "+box+" /private/comment"), "\n")
	if !strings.Contains(answer, "bob's") {
		t.Errorf("Dovecot says to bob: %s", answer)
	}
	b.session("bob@example.org", "a SETMETADATA "+box+" (/private/comment \"by Dovecot\")")
	want(b.bob, box, "by Dovecot", "second")
	want(b.alice, "F", "alice's", "second")
	ok(b.bob.Annotate(ctx, box, map[string]*string{"/private/comment": nil}))
	want(b.bob, box, "", "second")
	long := strings.Repeat("x", storage.MaxAnnotation+1)
	if err := b.bob.Annotate(ctx, box, map[string]*string{"/private/comment": &long, "/shared/comment": nil}); !errors.Is(err, storage.ErrAnnotationSize) {
		t.Errorf("too long: %v", err)
	}
	want(b.bob, box, "", "second")
}

func (b *both) sameRights(when string, names ...string) {
	b.t.Helper()
	if theirs, ours := b.rights("bob@example.org", names), b.ours(b.bob, names); !slices.Equal(theirs, ours) {
		b.t.Errorf("%s: rights to %q: Dovecot %q, we %q", when, names, theirs, ours)
	}
}

// sameNames holds what both list of alice's for bob, parents apart.
func (b *both) sameNames(when string, want ...string) {
	b.t.Helper()
	listed := regexp.MustCompile(`^\* LIST \(([^)]*)\) "/" (Shared/.*)$`)
	var theirs, ours []string
	for _, line := range b.session("bob@example.org", `a LIST "" Shared/*`) {
		if m := listed.FindStringSubmatch(line); m != nil && !strings.Contains(m[1], "select") && !strings.Contains(m[1], "NonExistent") {
			theirs = append(theirs, m[2])
		}
	}
	infos, err := b.bob.Mailboxes(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, info := range infos {
		if strings.HasPrefix(info.Name, "Shared/") && !info.NoSelect {
			ours = append(ours, info.Name)
		}
	}
	slices.Sort(theirs)
	if !slices.Equal(theirs, want) || !slices.Equal(ours, want) {
		b.t.Errorf("%s: Dovecot lists %q, we %q, want %q", when, theirs, ours, want)
	}
}
