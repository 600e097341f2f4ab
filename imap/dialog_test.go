package imap

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"gomaild/storage"
	"gomaild/storage/memory"
)

// TestDialogs runs the files of testdata/dialogs/imap. A file is a dialog with
// a new server that knows alice; its lines are
//
//	# text        a comment
//	! raw         do not log in and read the greeting first (at the top)
//	! no-plain    passwords are not allowed (at the top)
//	! no-unauthenticate   UNAUTHENTICATE is switched off (at the top)
//	! memory      needs what only the store in memory has (at the top)
//	! quota N M   accounts may hold N octets and M messages (at the top)
//	! acl         mailboxes have access control lists (at the top)
//	! user N U    client N is the user U, not alice (at the top)
//	! limit N     largest message of APPEND (at the top)
//	! message M   the lines up to "! end" are a message in mailbox M
//	C: text       the client sends a line; C2: is a second client
//	Cq: "text"    the client sends exactly this Go string
//	S: text       the server sends this line; S2: to the second client
//	S/ regex      the server sends a line that matches all of this; what a
//	              group (?P<name>...) matches is ${name} in lines that follow
//	S...          any lines may come before the next one expected
//	S. closed     the server closes the connection
//	D: text, ! dovecot text   are of TestDialogsOnDovecot
//
// Every line that the server sends must be expected. Each dialog runs on the
// store in memory and on Maildirs.
func TestDialogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../testdata/dialogs/imap/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		for kind, open := range map[string]func(testing.TB) storage.Store{
			"memory":  func(testing.TB) storage.Store { return &memory.Store{} },
			"maildir": maildirStore,
		} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				if kind != "memory" && strings.Contains(string(text), "\n! memory\n") {
					t.Skip("this dialog is for the store in memory")
				}
				d := &dialog{t: t, lines: strings.Split(string(text), "\n"), clients: map[string]*client{}, vars: map[string]string{}, users: map[string]string{}}
				d.run(open(t))
			})
		}
	}
}

type dialog struct {
	t       *testing.T
	lines   []string
	at      int // index of the present line
	raw     bool
	world   *world
	address string
	clients map[string]*client
	vars    map[string]string // what groups matched
	skip    bool              // after "S..."
	users   map[string]string // of clients, alice where none is named
}

func (d *dialog) run(store storage.Store) {
	store = withLists(limited(d.t, store, d.lines), d.lines)
	d.world = newWorldOn(d.t, store, func(c *Config) {
		for d.option(c, d.lines[d.at]) {
			d.at++
		}
	})
	d.address = d.world.listen()
	for ; d.at < len(d.lines); d.at++ {
		d.step(d.lines[d.at])
	}
	for _, c := range d.clients {
		c.conn.Close()
	}
}

// option reads a line of the top of the file; false is its end.
func (d *dialog) option(c *Config, line string) bool {
	verb, arg, _ := strings.Cut(strings.TrimPrefix(line, "! "), " ")
	switch {
	case strings.HasPrefix(line, "#"):
	case verb == "memory" || verb == "quota" || verb == "dovecot":
	case verb == "acl":
		c.AccessLists = true
	case verb == "user":
		client, name, _ := strings.Cut(arg, " ")
		d.users[client] = name
	case verb == "raw":
		d.raw = true
	case verb == "no-unauthenticate":
		c.NoUnauthenticate = true
	case verb == "no-plain":
		c.PlaintextAuth = false
	case verb == "limit":
		n, err := strconv.ParseInt(arg, 10, 64)
		if err != nil {
			d.fatalf("%v", err)
		}
		c.Limits.Message = n
	default:
		return false
	}
	return true
}

func (d *dialog) step(line string) {
	for name, value := range d.vars {
		line = strings.ReplaceAll(line, "${"+name+"}", value)
	}
	verb, arg, _ := strings.Cut(line, " ")
	switch {
	case line == "" || strings.HasPrefix(line, "#") || verb == "D:" || verb == "D":
	case strings.HasPrefix(line, "! message "):
		d.message(strings.TrimPrefix(line, "! message "))
	case strings.HasSuffix(verb, "..."):
		d.skip = true
	case strings.HasPrefix(verb, "Cq"):
		text, err := strconv.Unquote(arg)
		if err != nil {
			d.fatalf("not a Go string: %v", err)
		}
		d.client(verb).send(text)
	case verb[0] == 'C':
		d.client(verb).send(arg + "\r\n")
	case verb[0] == 'S':
		d.expect(verb, arg)
	default:
		d.fatalf("what is %q?", line)
	}
}

func (d *dialog) fatalf(format string, args ...any) {
	d.t.Helper()
	d.t.Fatalf("line %d: "+format, append([]any{d.at + 1}, args...)...)
}

// client finds the connection of a verb by its digit.
func (d *dialog) client(verb string) *client {
	name := strings.Trim(verb, "CSq:/.")
	c := d.clients[name]
	if c == nil {
		if d.raw {
			c = d.world.dial(d.address)
		} else {
			c = d.world.loginAs(d.address, cmp.Or(d.users[name], "alice"))
		}
		d.clients[name] = c
	}
	return c
}

func (d *dialog) expect(verb, want string) {
	d.t.Helper()
	c := d.client(verb)
	if verb[len(verb)-1] == '.' {
		for line := c.line(); line != "" || !c.ended(); line = c.line() {
			if !d.skip {
				d.fatalf("connection should be closed, got %q", line)
			}
		}
		return
	}
	matches := func(got string) bool { return got == want }
	if verb[len(verb)-1] == '/' {
		re := regexp.MustCompile("^(?:" + want + ")$")
		matches = func(got string) bool { return d.capture(re, got) }
	}
	got := c.line()
	for d.skip && !matches(got) && (got != "" || !c.ended()) {
		got = c.line()
	}
	d.skip = false
	if !matches(got) {
		d.fatalf("got  %q\nwant %q\nlog:\n%s", got, want, d.world.log)
	}
}

// capture reports whether re matches and keeps what its groups matched.
func (d *dialog) capture(re *regexp.Regexp, got string) bool {
	found := re.FindStringSubmatch(got)
	for i, name := range re.SubexpNames() {
		if found != nil && name != "" {
			d.vars[name] = found[i]
		}
	}
	return found != nil
}

func (d *dialog) message(mailbox string) {
	var lines []string
	for d.at++; d.lines[d.at] != "! end"; d.at++ {
		lines = append(lines, d.lines[d.at])
	}
	var flags storage.SystemFlag
	d.world.put(mailbox, strings.Join(lines, "\n")+"\n", flags)
}
