package imap

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostileCommands holds that what cannot be right is refused within
// limits, that nothing hidden in it runs, and that the session goes on.
func TestHostileCommands(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule, command, want string
	}{
		{"a line of 10 MB", strings.Repeat("x", 10<<20), "BAD"},
		{"a long set is cut nowhere", "UID FETCH " + strings.Repeat("100002,", 20000) + "1 FLAGS", "BAD"},
		{"a set of 9 000 numbers is fine", "UID FETCH " + strings.Repeat("10002,", 9000) + "1 FLAGS", "OK"},
		{"a long line that ends in a literal", strings.Repeat("x", 100000) + "{22+}\r\nEVIL CREATE pwned\r\nx\r\n", "BAD"},
		{"10 000 nested keys", "SEARCH " + strings.Repeat("NOT ", 10000) + "ALL", "BAD"},
		{"10 000 parentheses", "SEARCH " + strings.Repeat("(", 10000) + "ALL" + strings.Repeat(")", 10000), "BAD"},
		{"300 nested keys are fine", "SEARCH " + strings.Repeat("OR SEEN ", 300) + "ALL", "OK"},
		{"6 000 keys", "SEARCH" + strings.Repeat(" ALL", 6000), "BAD"},
		{"6 000 sort keys", "SORT (" + strings.Repeat("REVERSE DATE ", 3000) + "DATE) UTF-8 ALL", "BAD"},
		{"51 sort keys", "SORT (" + strings.Repeat("DATE ", 50) + "DATE) UTF-8 ALL", "BAD"},
		{"50 sort keys are fine", "SORT (" + strings.Repeat("DATE ", 49) + "DATE) UTF-8 ALL", "OK"},
		{"an interval beyond 32 bits", "SEARCH OLDER 99999999999999999999", "BAD"},
		{"1 000 items", "FETCH 1 (" + strings.Repeat("BODY.PEEK[] ", 1000) + "UID)", "BAD"},
		{"a deep section", "FETCH 1 BODY[" + strings.Repeat("1.", 5000) + "1]", "BAD"},
		{"many wildcards", `LIST "" "` + strings.Repeat("*%", 1000) + `x"`, "OK"},
		{"many patterns", `LIST "" (` + strings.Repeat("* ", 1000) + "*)", "BAD"},
		{"a 1 GB literal", "LOGIN {1073741824}", "BAD"},
		{"a 1 GB name", "SELECT {1073741824}", "NO"},
		{"a message of 1 GB", "APPEND INBOX {1073741824}", "NO"},
		{"a second message of 1 GB", "APPEND INBOX {3+}\r\nx\r\n {1073741824}", "NO"},
		{"a text of 1 GB", "APPEND INBOX CATENATE (TEXT {1073741824}", "NO"},
		{"a URL of 60 000 octets", "APPEND INBOX CATENATE (URL \"/" + strings.Repeat("a", 60000) + "/;UID=1\")", "NO"},
		{"a section in a URL that is deep", "APPEND INBOX CATENATE (URL \"/INBOX/;UID=1/;SECTION=" + strings.Repeat("1.", 5000) + "1\")", "NO"},
		{"a literal in metadata of 1 GB", "SETMETADATA INBOX (/private/x {1073741824}", "NO"},
		{"200 entries", "GETMETADATA INBOX (" + strings.Repeat("/private/x ", 200) + "/private/x)", "BAD"},
		{"a MODSEQ beyond 63 bits", "SEARCH MODSEQ 18446744073709551615", "BAD"},
		{"a set of everything", "FETCH 1:4294967295,*:1 FLAGS", "OK"},
		{"a set of everything in SEARCH", "SEARCH 1:4294967295,*:1 UID 4294967295:1,*", "OK"},
		{"a set of everything in STORE", "STORE 1:4294967295,*:1 +FLAGS (x)", "OK"},
		{"a set of everything, 5 000 times", "UID FETCH " + strings.Repeat("1:4294967295,*:1,", 3700) + "1 FLAGS", "OK"},
		{"number 0", "FETCH 0 FLAGS", "BAD"},
		{"a number beyond 32 bits", "FETCH 4294967296 FLAGS", "BAD"},
		{"10 000 mailboxes in NOTIFY", "NOTIFY SET (mailboxes (" + strings.Repeat("x ", 10000) + "x) NONE)", "NO"},
		{"10 000 groups in NOTIFY", "NOTIFY SET " + strings.Repeat("(personal NONE) ", 4000) + "(personal NONE)", "NO"},
		{"a right of 1 GB", "SETACL INBOX x {1073741824}", "NO"},
		{"a window of everything", "UID FETCH 1:4294967295,*:1 UID (PARTIAL 4294967295:1)", "OK"},
		{"known UIDs without end", "SELECT INBOX (QRESYNC (1 1 " + strings.Repeat("1:4294967295,", 5000) + "1))", "BAD"},
		{"10 000 keys to sort by", "SORT (DATE) UTF-8 " + strings.Repeat("OR SEEN ", 10000) + "ALL", "BAD"},
		{"a deep search in THREAD", "THREAD REFS UTF-8 " + strings.Repeat("NOT ", 10000) + "ALL", "BAD"},
		{"unbalanced parentheses", "FETCH 1 (FLAGS", "BAD"},
		{"a name that leaves the root", "SELECT ../bob", "NO"},
		{"a name of 8-bit octets", "SELECT \"\xff\xfe\"", "NO"},
		{"too many ID fields", "ID (" + strings.Repeat(`"a" "b" `, 40) + `"a" "b")`, "BAD"},
		{"an empty list of items", "STATUS INBOX ()", "BAD"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			c := w.login(w.listen())
			w.put("INBOX", "Subject: x\n\nx\n", 0)
			c.do("SELECT INBOX")
			start := time.Now()
			lines := c.do(tt.command)
			if got := lines[len(lines)-1]; !strings.HasPrefix(got, "t "+tt.want) {
				t.Errorf("answer %.100q, want %s", got, tt.want)
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			}
			if got := c.do(`LIST "" *`); len(got) != 2 {
				t.Errorf("mailboxes afterwards: %q", got)
			}
		})
	}
}

// nested is a message of messages.
func nested(depth int) string {
	return strings.Repeat("Content-Type: message/rfc822\n\n", depth) + "Subject: x\n\nx\n"
}

// TestHostileMessages holds that no message locks its owner out.
func TestHostileMessages(t *testing.T) {
	t.Parallel()
	tests := []struct{ rule, message string }{
		{"a multipart without parts", "Content-Type: multipart/mixed; boundary=x\n\nno parts\n"},
		{"a multipart without boundary", "Content-Type: multipart/mixed\n\nno parts\n"},
		{"20 000 nested messages", nested(20000)},
		{"1 000 nested multiparts", strings.Repeat("Content-Type: multipart/mixed; boundary=x\n\n--x\n", 1000) + "\nx\n"},
		{"100 000 parts", "Content-Type: multipart/mixed; boundary=x\n\n" + strings.Repeat("--x\n\n\n", 100000) + "--x--\n"},
		{"100 000 fields", strings.Repeat("X-A: b\n", 100000) + "\nx\n"},
		{"a malformed line in the header", "Subject: x\nthis is no field\nFrom: a@b\n\nx\n"},
		{"octets of every kind", "Subject: \x00\x01\xff\"\\\nFrom: \xff <\x80@\x00>\n\n\x00\xff\n"},
		{"no header", "\nx\n"},
		{"nothing but a header", "Subject: x"},
		{"an endless encoded-word", "Subject: " + strings.Repeat("=?utf-8?q?x", 10000) + "\n\nx\n"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			c := w.login(w.listen())
			w.put("INBOX", tt.message, 0)
			c.do("SELECT INBOX")
			for _, command := range []string{
				"FETCH 1 (ENVELOPE BODY BODYSTRUCTURE)", "FETCH 1 (BODY.PEEK[1] BODY[HEADER] BODY[TEXT] BODY[1.1.1.MIME])",
				"FETCH 1 (BODY.PEEK[]<10.100> BODY[HEADER.FIELDS.NOT (Subject)])", "SEARCH TEXT nowhere", "SEARCH SUBJECT x",
			} {
				start := time.Now()
				lines := c.do(command)
				if got := lines[len(lines)-1]; !strings.HasPrefix(got, "t OK") {
					t.Errorf("%s: %.200q", command, lines)
				}
				if took := time.Since(start); took > 20*time.Second {
					t.Errorf("%s took %v", command, took)
				}
			}
		})
	}
}

// TestNULs holds that no literal holds a NUL (RFC 3501 section 9, CHAR8), which
// ends the message for some clients, and the session for others.
func TestNULs(t *testing.T) {
	t.Parallel()
	for rule, text := range map[string]string{
		"small": "Subject: a\x00b\nX-Y: \x00\n\nx\x00y\n",
		"large": "Subject: a\x00b\nX-Y: \x00\n\n" + strings.Repeat("x\x00y\n", 100_000),
	} {
		w := newWorld(t, nil)
		c := w.login(w.listen())
		w.put("INBOX", text, 0)
		c.do("SELECT INBOX")
		for _, item := range []string{
			"BODY.PEEK[]", "RFC822", "RFC822.HEADER", "BODY[TEXT]", "BODY[1]", "BODY[HEADER.FIELDS (Subject)]", "BODY[HEADER.FIELDS.NOT (Subject)]",
			"BODY.PEEK[]<8.5>", "ENVELOPE", "PREVIEW",
		} {
			lines := c.do("FETCH 1 " + item)
			if got := lines[len(lines)-1]; !strings.HasPrefix(got, "t OK") || strings.Contains(strings.Join(lines, ""), "\x00") {
				t.Errorf("%s: FETCH %s: %.200q", rule, item, lines)
			}
		}
	}
}

// TestPipelining holds that commands sent without waiting are answered in
// order.
func TestPipelining(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	c := w.login(w.listen())
	var all strings.Builder
	for i := range 500 {
		fmt.Fprintf(&all, "n%d NOOP\r\n", i)
	}
	c.send(all.String())
	for i := range 500 {
		if got, want := c.line(), fmt.Sprintf("n%d OK NOOP completed", i); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// TestHostileReferences holds that THREAD survives what messages say of each
// other: circles, themselves, and ten thousand others.
func TestHostileReferences(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for i := range 50 {
		var refs strings.Builder
		for k := range 300 {
			fmt.Fprintf(&refs, " <%d@example.test>\n", (i*7+k)%50)
		}
		w.put("INBOX", fmt.Sprintf("Message-ID: <%d@example.test>\nReferences:%s\n", i, refs.String()), 0)
	}
	w.put("INBOX", "References: "+strings.Repeat("<a@b>", 100000)+"\n\n", 0)
	w.put("INBOX", "References: "+strings.Repeat("<", 100000)+"\n\n", 0)
	c := w.login(w.listen())
	c.do("SELECT INBOX")
	for _, command := range []string{"THREAD REFERENCES UTF-8 ALL", "THREAD REFS UTF-8 ALL", "UID THREAD ORDEREDSUBJECT UTF-8 ALL"} {
		start := time.Now()
		lines := c.do(command)
		numbers := strings.FieldsFunc(lines[0], func(r rune) bool { return r < '0' || r > '9' })
		if len(numbers) != 52 || !strings.HasPrefix(lines[1], "t OK") || time.Since(start) > 20*time.Second {
			t.Errorf("%s: %d messages of 52 after %v, %q", command, len(numbers), time.Since(start), lines[1])
		}
	}
}
