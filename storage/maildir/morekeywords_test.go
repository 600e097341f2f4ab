package maildir

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// manyWords are n keywords, k0 and up.
func manyWords(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("k%d", i))
	}
	return all
}

// wordsOf are the keywords of the message with a subject, sorted; nil if there
// is no such message.
func wordsOf(t *testing.T, m storage.Mailbox, subject string) []string {
	t.Helper()
	v := storagetest.Check(t, m)
	for _, msg := range v.Messages {
		got, err := storagetest.Subject(t.Context(), m, msg.UID)
		if err != nil {
			t.Fatal(err)
		}
		if got == subject {
			names := v.KeywordNames(msg.Keywords)
			slices.Sort(names)
			return append([]string{}, names...)
		}
	}
	return nil
}

func sorted(names []string) []string { return slices.Sorted(slices.Values(names)) }

// TestMoreKeywordsSurvive spoils what lies beside the messages: what is left of
// 40 keywords on a, of the last of them and no other on b.
func TestMoreKeywordsSurvive(t *testing.T) {
	t.Parallel()
	all := manyWords(40)
	for _, tt := range []struct {
		rule  string
		spoil func(f foreign)
		a, b  []string
		log   string
	}{
		{"nothing is wrong", func(foreign) {}, all, []string{"k39"}, ""},
		{"no index, no summaries", func(f foreign) { f.remove(indexFile) }, all, []string{"k39"}, ""},
		{"no uidlist: other UIDs", func(f foreign) { f.remove(uidListFile) }, all, []string{"k39"}, "index is not used"},
		{"flags by another program", func(f foreign) {
			name := f.names("cur")[1]
			f.rename("cur/"+name, "cur/"+name+"a")
		}, all, []string{"k0", "k39"}, ""},
		{"torn", func(f foreign) {
			text := f.read(alice + moreKeywordsFile)
			f.write(alice+moreKeywordsFile, text[:len(text)-3])
		}, all, nil, "keywords could not all be read"},
		{"a line with another octet", func(f foreign) {
			text := f.read(alice + moreKeywordsFile)
			f.write(alice+moreKeywordsFile, strings.Replace(text, "n 30 k30", "n 30 q30", 1))
		}, slices.DeleteFunc(slices.Clone(all), func(k string) bool { return k == "k30" }), []string{"k39"}, "keywords could not all be read"},
		{"no file", func(f foreign) { f.remove(moreKeywordsFile) }, all[:maxKeywords], nil, ""},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			tree := crashfs.New()
			first := newBox(t, Config{FS: tree, Hostname: "here"})
			first.append("a")
			first.append("b")
			_, err := first.SetFlags(t.Context(), []storage.UID{1}, storage.FlagEdit{Op: storage.AddFlags, Keywords: all}, 0)
			if err == nil {
				_, err = first.SetFlags(t.Context(), []storage.UID{2}, storage.FlagEdit{Op: storage.AddFlags, Keywords: []string{"k39"}}, 0)
			}
			if err != nil {
				t.Fatal(err)
			}
			first.close()
			tt.spoil(foreign{first})
			var log bytes.Buffer
			b := newBox(t, Config{FS: tree, Hostname: "here", Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))})
			if got := wordsOf(t, b.Mailbox, "a"); !slices.Equal(got, sorted(tt.a)) {
				t.Errorf("a has %q, want %q", got, sorted(tt.a))
			}
			if got := wordsOf(t, b.Mailbox, "b"); !slices.Equal(got, sorted(tt.b)) {
				t.Errorf("b has %q, want %q", got, tt.b)
			}
			if !strings.Contains(log.String(), tt.log) || tt.log == "" && log.Len() > 0 {
				t.Errorf("log %q, want %q in it", log.String(), tt.log)
			}
			if faults, err := b.account.Check(t.Context()); len(faults) > 0 || err != nil {
				t.Errorf("check says %q, %v", faults, err)
			}
			b.close()
		})
	}
}

// TestMoreKeywordsWithALetter lets another program give a letter to a name that
// had none: it is one keyword, and goes as one.
func TestMoreKeywordsWithALetter(t *testing.T) {
	t.Parallel()
	b := newBox(t, Config{FS: crashfs.New(), Hostname: "here"})
	defer b.close()
	b.append("a")
	b.append("b")
	words := manyWords(30)
	edit := func(uid storage.UID, op storage.FlagOp, names ...string) {
		t.Helper()
		if _, err := b.SetFlags(t.Context(), []storage.UID{uid}, storage.FlagEdit{Op: op, Keywords: names}, 0); err != nil {
			t.Fatal(err)
		}
	}
	edit(1, storage.AddFlags, words...)
	before := storagetest.Check(t, b.Mailbox)
	f := foreign{b}
	f.write(alice+keywordsFile, strings.Replace(f.read(alice+keywordsFile), "3 k3\n", "3 K29\n", 1))
	now := storagetest.Check(t, b.Mailbox)
	want := slices.DeleteFunc(append(slices.Clone(words), "K29"), func(k string) bool { return k == "k3" || k == "k29" })
	if got := wordsOf(t, b.Mailbox, "a"); !slices.Equal(got, sorted(want)) {
		t.Errorf("%q, want %q", got, sorted(want))
	}
	if n := len(now.Keywords); now.Keywords[n-1] != "" || now.Messages[0].ModSeq <= before.HighestModSeq {
		t.Errorf("names %q, MODSEQ %d after %d", now.Keywords, now.Messages[0].ModSeq, before.HighestModSeq)
	}
	edit(2, storage.AddFlags, "k29", "k28")
	if names := f.names("cur"); !strings.HasSuffix(names[1], ":2,d") {
		t.Errorf("the letter is not used: %q", names)
	}
	edit(1, storage.RemoveFlags, "k29")
	edit(1, storage.ReplaceFlags, "k28")
	if got := wordsOf(t, b.Mailbox, "a"); !slices.Equal(got, []string{"k28"}) {
		t.Errorf("%q left", got)
	}
}

// TestMoreKeywordsAreFreed holds that names which no message has give way when
// there is no other room, and that the file does not grow with what is done.
func TestMoreKeywordsAreFreed(t *testing.T) {
	t.Parallel()
	tree := crashfs.New()
	b := newBox(t, Config{FS: tree, Hostname: "here"})
	b.append("a")
	b.append("b")
	edit := func(uid storage.UID, op storage.FlagOp, names ...string) error {
		_, err := b.SetFlags(t.Context(), []storage.UID{uid}, storage.FlagEdit{Op: op, Keywords: names}, 0)
		return err
	}
	words := manyWords(storage.MaxKeywords)
	if err := edit(1, storage.AddFlags, words...); err != nil {
		t.Fatal(err)
	}
	if v := storagetest.Check(t, b.Mailbox); v.MoreKeywords {
		t.Error("there is room for another")
	}
	if err := edit(2, storage.AddFlags, "another"); !errors.Is(err, storage.ErrKeywordLimit) {
		t.Errorf("one too many: %v", err)
	}
	if err := errors.Join(edit(1, storage.RemoveFlags, "k500", "k100"), edit(2, storage.AddFlags, "another")); err != nil {
		t.Errorf("after two were freed: %v", err)
	}
	if err := edit(2, storage.AddFlags, strings.Repeat("l", maxKeywordName+1)); !errors.Is(err, storage.ErrKeywordLimit) {
		t.Errorf("a long one: %v", err)
	}
	for range 300 {
		if err := errors.Join(edit(2, storage.AddFlags, "k400"), edit(2, storage.RemoveFlags, "k400")); err != nil {
			t.Fatal(err)
		}
	}
	for range 1500 {
		if err := errors.Join(edit(1, storage.RemoveFlags, "k400"), edit(1, storage.AddFlags, "k400")); err != nil {
			t.Fatal(err)
		}
	}
	if size := len(foreign{b}.read(alice + moreKeywordsFile)); size > 5<<20 {
		t.Errorf("%d octets for two messages", size)
	}
	b.close()
	b = newBox(t, Config{FS: tree, Hostname: "here"})
	defer b.close()
	if got := wordsOf(t, b.Mailbox, "b"); !slices.Equal(got, []string{"another"}) {
		t.Errorf("b has %q", got)
	}
	if got := wordsOf(t, b.Mailbox, "a"); len(got) != len(words)-2 {
		t.Errorf("a has %d keywords", len(got))
	}
}

// TestMoreKeywordsAfterPowerCut cuts the power after every operation of an
// APPEND, a delivery and a COPY: what was acknowledged has its keywords.
func TestMoreKeywordsAfterPowerCut(t *testing.T) {
	t.Parallel()
	words := manyWords(30)
	for what, do := range map[string]func(*crashed) error{
		"INBOX": func(c *crashed) error {
			d := storagetest.Draft("new")
			d.Keywords = words
			_, err := c.inbox.Append(c.ctx, d)
			return err
		},
		"delivery": func(c *crashed) error {
			d := storagetest.Draft("new")
			d.Keywords = words
			return c.inbox.Deliver(c.ctx, d)
		},
		"Other": func(c *crashed) error {
			d := storagetest.Draft("new")
			d.Keywords = words
			uid, err := c.inbox.Append(c.ctx, d)
			if err != nil {
				return err
			}
			_, err = c.inbox.Copy(c.ctx, []storage.UID{uid}, c.other)
			return err
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			mailbox := strings.Replace(what, "delivery", "INBOX", 1)
			for n, done := int64(0), false; !done && !t.Failed(); n++ {
				c := newCrashed(t, what == "delivery")
				c.fs.CutAfter(n)
				err := do(c)
				done = err == nil
				for _, s := range crashfs.Survivals() {
					after := c.reboot(c.fs.Crash(s))
					m, err := after.account.Open(t.Context(), mailbox)
					after.must(err)
					if got := wordsOf(t, m, "new"); done && !slices.Equal(got, sorted(words)) {
						t.Errorf("after %d operations, %v: %q", n, s, got)
					}
					after.must(m.Close())
					after.check(fmt.Sprintf("after %d operations, %v", n, s), done, nil, nil)
				}
			}
		})
	}
}

// TestMoreKeywordsBesideDovecot lets Dovecot at work on a mailbox with 40
// keywords: it sees the 26 with a letter, and what it does to messages that stay
// where they are leaves the others alone, with its index and without.
func TestMoreKeywordsBesideDovecot(t *testing.T) {
	t.Parallel()
	needDoveadm(t)
	root := t.TempDir()
	uid, gid := testUser()
	d := newDovecot(t, root, "example.org/alice@example.org")
	b := newBox(t, Config{FS: newRoot(t, root), Hostname: "here.test", UID: uid, GID: gid})
	defer b.close()
	words := manyWords(40)
	for _, s := range []string{"a", "b", "c"} {
		b.append(s)
	}
	if _, err := b.SetFlags(t.Context(), []storage.UID{1, 2}, storage.FlagEdit{Op: storage.AddFlags, Keywords: words}, 0); err != nil {
		t.Fatal(err)
	}
	rows := d.table("fetch", "uid flags", "mailbox", "INBOX", "ALL")
	if got := sortedFlags(rows[1][1]); got != strings.Join(sorted(words[:maxKeywords]), " ") {
		t.Errorf("Dovecot shows %q", got)
	}
	d.do("", "flags", "remove", "k3", "mailbox", "INBOX", "UID", "1")
	d.do("", "flags", "add", `\Flagged k3`, "mailbox", "INBOX", "UID", "3")
	d.do("", "mailbox", "create", "Theirs")
	d.do("", "move", "Theirs", "mailbox", "INBOX", "UID", "2")
	d.do("", "mailbox", "rename", "Theirs", "Renamed")
	d.removeIndexes(root)
	d.do("", "fetch", "uid flags", "mailbox", "INBOX", "ALL")
	want := sorted(slices.DeleteFunc(slices.Clone(words), func(k string) bool { return k == "k3" }))
	if got := wordsOf(t, b.Mailbox, "a"); !slices.Equal(got, want) {
		t.Errorf("a has %q, want %q", got, want)
	}
	if got := wordsOf(t, b.Mailbox, "c"); !slices.Equal(got, []string{"k3"}) {
		t.Errorf("c has %q", got)
	}
	theirs, err := b.account.Open(t.Context(), "Renamed")
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if got := wordsOf(t, theirs, "b"); !slices.Equal(got, sorted(words[:maxKeywords])) {
		t.Errorf("what Dovecot moved has %q", got)
	}
}

func FuzzParseMoreKeywords(f *testing.F) {
	whole := appendSetLine(appendNameLine(nil, 26, "late"), "1.h,S=1", storage.KeywordsOf(26, 511))
	f.Add(string(whole))
	f.Add(string(whole[:len(whole)-1]))
	f.Add(string(appendSetLine(nil, "a b", "")))
	f.Add(string(appendLine(nil, "n 512 x")))
	f.Fuzz(func(t *testing.T, data string) {
		k := parseMoreKeywords(data)
		if len(k.names) > maxMoreKeywords {
			t.Fatalf("%d names", len(k.names))
		}
		text, lines := k.format()
		again := parseMoreKeywords(string(text))
		if again.broken || again.lines != lines {
			t.Fatalf("%q was written as %q", data, text)
		}
		if b, _ := again.format(); !bytes.Equal(b, text) {
			t.Fatalf("%q and then %q", text, b)
		}
	})
}
