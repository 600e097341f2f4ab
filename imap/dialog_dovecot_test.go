package imap

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gomaild/internal/durable"
	"gomaild/mail"
	"gomaild/storage"
	"gomaild/storage/maildir"
)

const dovecotImap = "/usr/lib/dovecot/imap"

// TestDialogsOnDovecot runs the dialogs on the machine's Dovecot, command by
// command: make dialogs. Its answers must be ours:
// the same untagged responses in any order, the same kind of tagged one with the
// same response code. Texts, \Recent and what depends on time are left out of the
// comparison. Where they differ the file says why, in a line before the command:
//
//	D: reason     the answer to the command that follows is another
//	D end: reason the rest of the file is not for Dovecot
//	! dovecot reason  the file is not for Dovecot (at the top)
//
// A reason without a difference is an error too.
func TestDialogsOnDovecot(t *testing.T) {
	if !slices.Contains(flag.Args(), "dovecot") {
		t.Skip("run by `make dialogs`")
	}
	files, err := filepath.Glob("../testdata/dialogs/imap/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogs: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			d := &theirDialog{t: t, lines: strings.Split(string(text), "\n"), clients: map[string]*theirClient{}, vars: map[string]string{}, users: map[string]string{}}
			d.run()
		})
	}
}

// theirDialog is a dialog with Dovecot.
type theirDialog struct {
	t       *testing.T
	lines   []string
	at      int
	dir     string
	store   storage.Store
	clients map[string]*theirClient
	vars    map[string]string
	users   map[string]string
	reason  string // of the difference that comes
}

// theirClient is a session of Dovecot, logged in from the beginning.
type theirClient struct {
	in     io.WriteCloser
	lines  chan string
	sent   string   // since the last answer
	wanted []string // lines of the file that are to come
	any    bool     // other lines may come too
	reason string   // why they differ, "" if they must not
	line   int
}

func (d *theirDialog) run() {
	for ; d.at < len(d.lines) && (strings.HasPrefix(d.lines[d.at], "#") || strings.HasPrefix(d.lines[d.at], "! ")) && !strings.HasPrefix(d.lines[d.at], "! message "); d.at++ {
		verb, arg, _ := strings.Cut(strings.TrimPrefix(d.lines[d.at], "! "), " ")
		switch verb {
		case "dovecot":
			d.t.Skip(arg)
		case "raw", "no-plain", "memory", "quota", "limit":
			d.t.Skip("this Dovecot is logged in and has no such setting: " + verb)
		case "user":
			client, name, _ := strings.Cut(arg, " ")
			d.users[client] = name
		}
	}
	d.start()
	for ; d.at < len(d.lines); d.at++ {
		if strings.HasPrefix(d.lines[d.at], "D end: ") {
			break
		}
		d.step(d.lines[d.at])
	}
	for _, c := range d.clients {
		d.settle(c)
	}
}

func (d *theirDialog) start() {
	dir, err := os.MkdirTemp("", "gomaild-dialog")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { os.RemoveAll(dir) })
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 65534, 65534
	}
	d.dir = dir
	for _, sub := range []string{dir, filepath.Join(dir, "root")} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			d.t.Fatal(err)
		}
		if err := os.Chmod(sub, 0o755); err != nil {
			d.t.Fatal(err)
		}
		if err := os.Chown(sub, uid, gid); err != nil {
			d.t.Fatal(err)
		}
	}
	attributes := "mail_attribute_dict = file:%h/dovecot-attributes\n"
	if slices.Contains(d.lines, "! acl") {
		attributes = "" // it would ask a userdb where other users live
	}
	conf := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = /dev/stderr
ssl = no
protocols =
mail_location = maildir:%[1]s/root/%%d/%%u
first_valid_uid = 0
first_valid_gid = 0
mail_uid = %[2]d
mail_gid = %[3]d
mail_plugins = acl
mailbox_list_index = yes
mailbox_idle_check_interval = 1s
%[4]snamespace inbox {
  inbox = yes
  separator = /
}
namespace shared {
  type = shared
  separator = /
  prefix = Shared/%%%%u/
  location = maildir:%[1]s/root/%%%%d/%%%%u:INDEX=%[1]s/root/%%d/%%u/shared/%%%%u
  subscriptions = no
  list = children
}
protocol imap {
  mail_plugins = acl imap_acl
  imap_metadata = yes
}
plugin {
  acl = vfile
  acl_shared_dict = file:%[1]s/root/shared-folders/shared-mailboxes.db
}
`, dir, uid, gid, attributes)
	if !slices.Contains(d.lines, "! acl") {
		i, j := strings.Index(conf, "namespace shared"), strings.Index(conf, "protocol imap")
		conf = strings.ReplaceAll(strings.ReplaceAll(conf[:i]+conf[j:], "mail_plugins = acl imap_acl\n", ""), "mail_plugins = acl\n", "")
	}
	if err := os.WriteFile(filepath.Join(dir, "dovecot.conf"), []byte(conf), 0o644); err != nil {
		d.t.Fatal(err)
	}
	root, err := durable.OpenRoot(filepath.Join(dir, "root"))
	if err != nil {
		d.t.Fatal(err)
	}
	if d.store, err = maildir.New(maildir.Config{FS: root, UID: uid, GID: gid, Special: []maildir.SpecialFolder{}}); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		d.store.Close()
		root.Close()
	})
}

func (d *theirDialog) client(verb string) *theirClient {
	name := strings.Trim(verb, "CSq:/.")
	if c := d.clients[name]; c != nil {
		return c
	}
	user := d.users[name]
	if user == "" {
		user = "alice"
	}
	ctx, cancel := context.WithCancel(d.t.Context())
	cmd := exec.CommandContext(ctx, dovecotImap, "-c", filepath.Join(d.dir, "dovecot.conf"))
	cmd.Env = []string{"HOME=" + filepath.Join(d.dir, "root/example.test", user+"@example.test"), "USER=" + user + "@example.test", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	in, err := cmd.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	c := &theirClient{in: in, lines: make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(c.lines)
		r := bufio.NewReader(out)
		for {
			line, err := r.ReadString('\n')
			if line = strings.TrimRight(line, "\r\n"); line != "" || err == nil {
				select {
				case c.lines <- line:
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	d.t.Cleanup(func() {
		in.Close()
		cancel()
		<-done
		_ = cmd.Wait()
	})
	if greeting, ok := d.read(c); !ok || !strings.HasPrefix(greeting, "* PREAUTH") {
		d.t.Fatalf("greeting %q", greeting)
	}
	d.clients[name] = c
	return c
}

// read is the next line, false when none comes.
func (d *theirDialog) read(c *theirClient) (string, bool) {
	timer := time.NewTimer(4 * time.Second)
	defer timer.Stop()
	select {
	case line, ok := <-c.lines:
		return line, ok
	case <-timer.C:
		return "", false
	}
}

func (d *theirDialog) step(line string) {
	for name, value := range d.vars {
		line = strings.ReplaceAll(line, "${"+name+"}", value)
	}
	verb, arg, _ := strings.Cut(line, " ")
	switch {
	case line == "" || strings.HasPrefix(line, "#"):
	case verb == "D:":
		d.reason = arg
	case strings.HasPrefix(line, "! message "):
		d.message(strings.TrimPrefix(line, "! message "))
	case strings.HasSuffix(verb, "..."):
		d.client(verb).any = true
	case strings.HasPrefix(verb, "Cq"):
		text, err := strconv.Unquote(arg)
		if err != nil {
			d.t.Fatal(err)
		}
		d.send(d.client(verb), text)
	case verb[0] == 'C':
		d.send(d.client(verb), arg+"\r\n")
	case verb[len(verb)-1] == '.':
		c := d.client(verb)
		d.settle(c)
		for _, ok := d.read(c); ok; _, ok = d.read(c) {
		}
	default:
		c := d.client(verb)
		if c.sent == "" && d.reason != "" {
			c.reason, d.reason = d.reason, ""
		}
		c.wanted = append(c.wanted, verb[len(verb)-1:]+arg)
		if isTerminal(arg) {
			d.settle(c)
		}
	}
}

// isTerminal reports whether a response ends what a client waits for.
func isTerminal(line string) bool {
	return regexp.MustCompile(`^(\+|[A-Za-z0-9]+ (OK|NO|BAD|\.\*|\(\?))`).MatchString(line)
}

func (d *theirDialog) send(c *theirClient, text string) {
	if len(c.wanted) > 0 {
		d.settle(c)
	}
	if c.sent == "" {
		c.line = d.at + 1
	}
	c.sent += text
	if d.reason != "" {
		c.reason, d.reason = d.reason, ""
	}
	_, _ = io.WriteString(c.in, text)
}

// settle reads what the client is to hear and compares.
func (d *theirDialog) settle(c *theirClient) {
	if len(c.wanted) == 0 {
		return
	}
	terminal := isTerminal(c.wanted[len(c.wanted)-1][1:])
	var got []string
	for terminal || len(got) < len(c.wanted) {
		line, ok := d.read(c)
		if !ok {
			break
		}
		got = append(got, line)
		if isTerminal(line) && !strings.HasPrefix(line, "* ") {
			break
		}
	}
	different := d.compare(c, got)
	switch {
	case different != "" && c.reason == "":
		d.t.Errorf("line %d: %.200q\n%s", c.line, c.sent, different)
	case different == "" && c.reason != "":
		d.t.Errorf("line %d: %.200q is answered alike, but explained: %s", c.line, c.sent, c.reason)
	}
	c.sent, c.wanted, c.any, c.reason = "", nil, false, ""
}

func (d *theirDialog) compare(c *theirClient, got []string) string {
	left := responses(got)
	var kinds []string // of the wanted responses, "/" for those with a regexp in a line
	var wanted []string
	for _, w := range c.wanted {
		kinds, wanted = append(kinds, w[:1]), append(wanted, w[1:])
	}
	if !slices.Contains(kinds, "/") {
		wanted = responses(wanted)
		kinds = make([]string, len(wanted))
	}
	if slices.ContainsFunc(kinds, func(k string) bool { return k == "/" }) && strings.Contains(strings.Join(wanted, " "), "{") {
		left = got // line by line
	}
	var missing []string
	for n, text := range wanted {
		i := slices.IndexFunc(left, func(line string) bool {
			if kinds[n] == "/" && d.matches(text, line) {
				return true
			}
			return normal(line) == normal(text)
		})
		if i < 0 && ignored(text) {
			continue
		}
		if i < 0 {
			missing = append(missing, text)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if left = slices.DeleteFunc(left, ignored); c.any {
		left = nil
	}
	if len(missing) == 0 && len(left) == 0 {
		return ""
	}
	return fmt.Sprintf("    we:      %s\n    Dovecot: %s", strings.Join(missing, "\n             "), strings.Join(left, "\n             "))
}

// responses joins the lines of a response with literals in it.
func responses(lines []string) []string {
	literal := regexp.MustCompile(`\{(\d+)\}$`)
	var all []string
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		for m := literal.FindStringSubmatch(line); m != nil && i+1 < len(lines); m = literal.FindStringSubmatch(line) {
			size, _ := strconv.Atoi(m[1])
			line += "\n"
			for taken := 0; taken <= size && i+1 < len(lines); {
				i++
				line += lines[i] + "\n"
				taken += len(lines[i]) + 2
			}
			line = strings.TrimSuffix(line, "\n")
		}
		all = append(all, line)
	}
	return all
}

// itemsLast are FETCH items that servers put anywhere in a response.
var itemsLast = regexp.MustCompile(` ?\b(?:UID \d+|FLAGS \([^)]*\)|MODSEQ \(\d+\)|RFC822.SIZE \d+)`)

func (d *theirDialog) matches(pattern, line string) bool {
	re := regexp.MustCompile("^(?:" + pattern + ")$")
	for _, variant := range variants(line) {
		found := re.FindStringSubmatch(variant)
		for i, name := range re.SubexpNames() {
			if found != nil && name != "" {
				d.vars[name] = found[i]
			}
		}
		if found != nil {
			return true
		}
	}
	return false
}

// variants are the ways in which a response says the same.
func variants(line string) []string {
	all := []string{line, regexp.MustCompile(`(MODSEQ \(\d+\)) (FLAGS \([^)]*\))`).ReplaceAllString(line, "$2 $1")}
	for _, one := range all {
		recent := regexp.MustCompile(`FLAGS \(([^)$]*?) ?(\$[^)]*)?\)`).ReplaceAllString(one, `FLAGS ($1 \Recent $2)`)
		all = append(all, strings.NewReplacer("( ", "(", " )", ")").Replace(recent))
	}
	return all
}

// ignored are lines that say nothing about the command.
func ignored(line string) bool {
	return regexp.MustCompile(`^\\?\* (\d+|\\d) RECENT$|^\* OK (Still here|Hurry)|^\\?\* OK \\?\[(MAILBOXID|HIGHESTMODSEQ|UNSEEN)`).MatchString(line)
}

// normal is a line without what may differ.
func normal(line string) string {
	line = strings.ReplaceAll(line, `\\`, `\`)
	if m := regexp.MustCompile(`^([A-Za-z0-9]+ (?:OK|NO|BAD))( \\?\[[A-Z-]+)?`).FindStringSubmatch(line); m != nil {
		code := strings.Trim(m[2], ` [\`)
		switch code {
		case "HIGHESTMODSEQ", "MAILBOXID", "CLIENTBUG":
			code = ""
		}
		return m[1] + " " + code
	}
	if m := regexp.MustCompile(`^\\?\* (OK|NO|BAD|BYE)(?: \\?\[([A-Z-]+))?`).FindStringSubmatch(line); m != nil {
		return "* " + m[1] + " " + m[2]
	}
	line = regexp.MustCompile(` ?\\Recent`).ReplaceAllString(line, "")
	if strings.HasPrefix(line, "* METADATA") {
		line = regexp.MustCompile(`\{\d+\}\n([a-z]+)`).ReplaceAllString(line, `"$1"`)
	}
	line = strings.ReplaceAll(line, "( ", "(")
	if m := regexp.MustCompile(`^(.*FLAGS \()([^)]*)(\).*)$`).FindStringSubmatch(line); m != nil {
		line = m[1] + sorted(m[2]) + m[3]
	}
	if strings.HasPrefix(line, "* ") && strings.Contains(line, " FETCH (") && !strings.Contains(line, `\d`) {
		items := itemsLast.FindAllString(line, -1)
		for i := range items {
			items[i] = strings.TrimSpace(items[i])
		}
		slices.Sort(items)
		line = strings.NewReplacer("( ", "(", "\n ", "\n").Replace(itemsLast.ReplaceAllString(line, "")) + strings.Join(items, " ")
	}
	if m := regexp.MustCompile(`^(\* (?:LIST|LSUB) \()([^)]*)(\).*)$`).FindStringSubmatch(line); m != nil {
		line = m[1] + sorted(m[2]) + m[3]
	}
	if m := regexp.MustCompile(`^(\* STATUS .* \()([^)]*)(\))$`).FindStringSubmatch(line); m != nil {
		var pairs []string
		words := strings.Fields(m[2])
		for i := 0; i+1 < len(words); i += 2 {
			pairs = append(pairs, words[i]+" "+words[i+1])
		}
		slices.Sort(pairs)
		line = m[1] + strings.Join(pairs, " ") + m[3]
	}
	return line
}

func sorted(words string) string {
	all := strings.Fields(words)
	slices.Sort(all)
	return strings.Join(all, " ")
}

func (d *theirDialog) message(mailbox string) {
	var lines []string
	for d.at++; d.lines[d.at] != "! end"; d.at++ {
		lines = append(lines, d.lines[d.at])
	}
	account, err := d.store.Account(d.t.Context(), storage.Owner{Address: mail.Address{Local: "alice", Domain: "example.test"}})
	if err != nil {
		d.t.Fatal(err)
	}
	defer account.Close()
	box, err := account.Open(d.t.Context(), mailbox)
	if err != nil {
		d.t.Fatal(err)
	}
	defer box.Close()
	_, err = box.Append(d.t.Context(), storage.Draft{
		Content:      strings.NewReader(strings.Join(lines, "\r\n") + "\r\n"),
		InternalDate: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC),
	})
	if err != nil {
		d.t.Fatal(err)
	}
}
