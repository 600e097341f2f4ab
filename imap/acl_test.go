package imap

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/acl"
	"gomaild/storage/memory"
)

// sharedText is an acl.Dictionary for one test.
type sharedText struct{ text chan string }

func (d sharedText) Read(context.Context) (string, error) {
	text := <-d.text
	d.text <- text
	return text, nil
}

func (d sharedText) Edit(_ context.Context, change func(string) ([]byte, error)) error {
	text := <-d.text
	defer func() { d.text <- text }()
	edited, err := change(text)
	if err == nil && edited != nil {
		text = string(edited)
	}
	return err
}

// withACL is a store with access control lists for alice and bob.
func withACL(store storage.Store) storage.Store {
	dict := sharedText{make(chan string, 1)}
	dict.text <- ""
	return acl.New(acl.Config{
		Store: store, Dictionary: dict,
		Owner: func(_ context.Context, a mail.Address) (storage.Owner, error) {
			if a.Domain != "example.test" || a.Local != "alice" && a.Local != "bob" {
				return storage.Owner{}, storage.ErrNoMailbox
			}
			return storage.Owner{Address: a}, nil
		},
	})
}

// withLists is the store that a dialog asks for.
func withLists(store storage.Store, lines []string) storage.Store {
	if slices.Contains(lines, "! acl") {
		return withACL(store)
	}
	return store
}

// samples are commands on alice's mailbox Box, or one in it, as bob gives them.
// %s is that mailbox.
var samples = map[string]string{
	"APPEND":       "APPEND %s {3+}\r\nx\r\n",
	"COPY":         "COPY 1 %s",
	"CREATE":       "CREATE %s/New",
	"DELETE":       "DELETE %s",
	"DELETEACL":    "DELETEACL %s carol",
	"EXAMINE":      "EXAMINE %s",
	"EXPUNGE":      "EXPUNGE",
	"FETCH":        "FETCH 1 FLAGS",
	"GETACL":       "GETACL %s",
	"GETMETADATA":  "GETMETADATA %s /shared/comment",
	"GETQUOTAROOT": "GETQUOTAROOT %s",
	"LIST":         `LIST "" %s`,
	"LISTRIGHTS":   "LISTRIGHTS %s carol",
	"MOVE":         "MOVE 1 %s",
	"MYRIGHTS":     "MYRIGHTS %s",
	"RENAME":       "RENAME %s/Sub %s/Sub2",
	"REPLACE":      "REPLACE 1 %s {3+}\r\nx\r\n",
	"SEARCH":       "SEARCH ALL",
	"SELECT":       "SELECT %s",
	"SETACL":       "SETACL %s carol lr",
	"SETMETADATA":  "SETMETADATA %s (/shared/comment \"x\")",
	"SORT":         "SORT (DATE) UTF-8 ALL",
	"STATUS":       "STATUS %s (MESSAGES)",
	"STORE":        "STORE 1 +FLAGS (\\Seen \\Deleted \\Flagged)",
	"SUBSCRIBE":    "SUBSCRIBE %s",
	"THREAD":       "THREAD REFERENCES UTF-8 ALL",
	"UID COPY":     "UID COPY 1 %s",
	"UID EXPUNGE":  "UID EXPUNGE 1",
	"UID FETCH":    "UID FETCH 1 FLAGS",
	"UID MOVE":     "UID MOVE 1 %s",
	"UID REPLACE":  "UID REPLACE 1 %s {3+}\r\nx\r\n",
	"UID SEARCH":   "UID SEARCH ALL",
	"UID SORT":     "UID SORT (DATE) UTF-8 ALL",
	"UID STORE":    "UID STORE 1 +FLAGS (\\Seen \\Deleted \\Flagged)",
	"UID THREAD":   "UID THREAD REFERENCES UTF-8 ALL",
}

// TestAccess tries every row of commandAccess: the command is done with exactly
// the rights in it, and refused when any one of them is missing from all others.
// Every command of the table has a row, and every row with rights a sample.
func TestAccess(t *testing.T) {
	t.Parallel()
	if len(commandAccess) != len(commands) {
		t.Errorf("%d rows for %d commands", len(commandAccess), len(commands))
	}
	for _, c := range commands {
		row, known := commandAccess[c.name]
		if !known {
			t.Errorf("%s has no row", c.name)
		}
		sample := samples[c.name]
		if (row != access{}) != (sample != "") {
			t.Errorf("%s: row %+v, sample %q", c.name, row, sample)
			continue
		}
		if sample == "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			a := &accessTest{t: t, name: c.name, row: row, sample: sample}
			a.run()
		})
	}
}

type accessTest struct {
	t      *testing.T
	name   string
	row    access
	sample string
}

func (a *accessTest) run() {
	switch {
	case a.row.selected != "":
		some := a.row.some
		if some == "" {
			some = " "
		}
		for _, one := range some {
			a.expect(true, a.row.selected+strings.TrimSpace(string(one)), "lrwstipekxa")
		}
		for _, missing := range a.row.selected {
			if missing != 'r' { // without it the mailbox cannot be selected, and this is another test
				a.expect(false, without(string(missing)), "lrwstipekxa")
			}
		}
		if a.row.some != "" {
			a.expect(false, without(a.row.some), "lrwstipekxa")
		}
		if a.row.into != "" {
			a.expect(true, a.row.selected, a.row.into)
			a.expect(false, "lrwstipekxa", without(a.row.into))
		}
	case a.row.named != "" && a.row.into != "":
		a.expect(true, "r", a.row.named+a.row.into)
		a.expect(false, "r", without(a.row.named))
		a.expect(false, "r", without(a.row.into))
	default:
		needed := a.row.named + a.row.into
		a.expect(true, "r", needed)
		for _, missing := range needed {
			if len(needed) == 1 && !strings.Contains("MYRIGHTS SUBSCRIBE", a.name) { // of these any will do
				a.expect(false, "r", without(string(missing)))
			}
		}
	}
	if a.row.named+a.row.into != "" {
		a.expect(false, "r", "")
	}
}

func without(letters string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(letters, r) {
			return -1
		}
		return r
	}, storage.RightLetters)
}

// expect runs the command with rights to the selected mailbox In and to the one
// that it names, Box.
func (a *accessTest) expect(done bool, selected, named string) {
	a.t.Helper()
	w := newWorldOn(a.t, withACL(&memory.Store{}), func(c *Config) { c.AccessLists = true })
	address := w.listen()
	alice := w.login(address)
	grant := func(mailbox, rights string) {
		alice.do(fmt.Sprintf("SETACL %s bob@example.test %q", mailbox, rights))
	}
	for _, c := range []string{"CREATE In", "CREATE Box", "CREATE Box/Sub", "APPEND In (\\Deleted) {3+}\r\nx\r\n"} {
		alice.do(c)
	}
	grant("In", "lrwstipekxa")
	grant("Box", named)
	grant("Box/Sub", named)
	bob := w.loginAs(address, "bob")
	bob.do("SELECT Shared/alice@example.test/In")
	grant("In", selected)
	answer := bob.do(strings.ReplaceAll(a.sample, "%s", "Shared/alice@example.test/Box"))
	got := strings.HasPrefix(answer[len(answer)-1], "t OK")
	if a.name == "LIST" {
		got = len(answer) > 1 && !strings.Contains(answer[0], "Noselect")
	}
	if got != done {
		a.t.Errorf("with %q selected and %q named: %q", selected, named, answer)
	}
	if !done && !got && a.name != "LIST" && !strings.Contains(answer[len(answer)-1], "NO [NOPERM]") && !strings.Contains(answer[len(answer)-1], "NO [NONEXISTENT]") && !strings.Contains(answer[len(answer)-1], "NO [TRYCREATE]") {
		a.t.Errorf("with %q selected and %q named: %q", selected, named, answer)
	}
}
