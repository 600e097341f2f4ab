package sieve_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gomaild/internal/peertest"
	"gomaild/sieve"
	"gomaild/sieve/program"
)

// crossScripts run here and in Debian's Pigeonhole.
var crossScripts = map[string]string{
	"empty":         ``,
	"keep":          `keep;`,
	"discard":       `discard;`,
	"stop":          `if true { stop; } discard;`,
	"fileinto":      `require "fileinto"; fileinto "a"; fileinto "a"; fileinto "b";`,
	"copy":          `require ["fileinto","copy"]; fileinto :copy "a"; redirect :copy "cd@example.com";`,
	"flags":         `require ["fileinto","imap4flags"]; setflag "\\Seen"; addflag ["$a","\\Flagged"]; removeflag "\\seen"; fileinto "a"; fileinto :flags "x" "b"; keep;`,
	"flags keep":    `require "imap4flags"; addflag "\\Deleted";`,
	"redirect":      `redirect "cd@example.com"; redirect "CD@example.com"; redirect "ef@example.com";`,
	"redirects":     `redirect "a@e.com"; redirect "b@e.com"; redirect "c@e.com"; redirect "d@e.com"; redirect "e@e.com";`,
	"reject":        `require "reject"; reject "no";`,
	"conflict":      `require ["reject","fileinto"]; fileinto "a"; reject "no";`,
	"vacation":      `require "vacation"; vacation "away";`,
	"subject":       `require "fileinto"; if header :contains "subject" "café" { fileinto "cafe"; } elsif header :matches "subject" "*[*]*" { fileinto "list"; } else { fileinto "other"; }`,
	"octets":        `require "fileinto"; if header :comparator "i;octet" :contains "subject" "Hello" { fileinto "a"; }`,
	"address":       `require "fileinto"; if address :domain :is ["to","cc"] "example.net" { fileinto "net"; } if address :localpart "from" "ann" { fileinto "ann"; } if address :all :contains "cc" "@" { fileinto "cc"; }`,
	"subaddress":    `require ["fileinto","subaddress","envelope","variables"]; if envelope :detail :matches "to" "*" { fileinto "d-${1}"; } if address :user "to" "bob" { fileinto "user"; }`,
	"envelope":      `require ["fileinto","envelope"]; if envelope :is "from" "ann@example.org" { fileinto "ann"; } if envelope :domain "to" "example.net" { fileinto "net"; }`,
	"exists, size":  `require "fileinto"; if exists ["from","to"] { fileinto "e"; } if not exists "x-nothing" { fileinto "n"; } if size :over 300 { fileinto "big"; }`,
	"variables":     `require ["fileinto","variables"]; if header :matches "subject" "*[*]*" { set :lower "l" "${2}"; fileinto "lists.${l}"; } set :length "n" "${1}"; fileinto "n${n}";`,
	"capture":       `require ["fileinto","variables"]; if header :matches "from" "*?*" { fileinto "${1}-${2}-${3}"; }`,
	"regex":         `require ["fileinto","variables","regex"]; if header :regex "subject" "\\[([[:alnum:]-]+)\\] *(.*)" { fileinto "${1}"; } if header :regex "subject" "(l|li|list)" { fileinto "r${1}"; }`,
	"relational":    `require ["fileinto","relational","comparator-i;ascii-numeric"]; if header :count "ge" :comparator "i;ascii-numeric" "received" "2" { fileinto "hops"; } if header :value "gt" :comparator "i;ascii-numeric" "x-spam" "5" { fileinto "spam"; }`,
	"date":          `require ["fileinto","date","relational"]; if date :zone "+0000" "date" "year" "2026" { fileinto "2026"; } if date :originalzone :value "ge" "date" "hour" "12" { fileinto "late"; } if date :originalzone "date" "weekday" "1" { fileinto "monday"; }`,
	"index":         `require ["fileinto","index","variables"]; if header :index 1 :matches "received" "*from * by*" { fileinto "${2}"; } if header :index 1 :last :contains "received" "two" { fileinto "last"; }`,
	"body":          `require ["fileinto","body"]; if body :text :contains "Grüße" { fileinto "text"; } if body :raw :contains "=C3=BC" { fileinto "raw"; } if body :content "application" :contains "secret" { fileinto "app"; }`,
	"editheader":    `require ["fileinto","editheader"]; addheader "X-A" "1"; deleteheader "subject"; if not exists "subject" { fileinto "gone"; } if header "x-a" "1" { fileinto "new"; }`,
	"mime":          `require ["fileinto","mime","foreverypart","variables"]; foreverypart { if header :mime :param "filename" :matches "Content-Disposition" "*.exe" { fileinto "exe"; break; } } if header :mime :anychild :subtype "content-type" "plain" { fileinto "plain"; }`,
	"ihave":         `require ["fileinto","ihave"]; if ihave "vnd.unknown" { nonsense; } else { fileinto "no"; }`,
	"string":        `require ["fileinto","variables"]; set "a" "Abc"; if string "${a}" "abc" { fileinto "fold"; } if string :contains "${a}" "bc" { fileinto "bc"; }`,
	"hex":           `require ["fileinto","encoded-character"]; if header :contains "subject" "${hex: 68 65}" { fileinto "he"; }`,
	"runtime error": `require ["fileinto","variables"]; fileinto "a"; fileinto "${nothing}";`,
	"unknown":       `require "vnd.nothing";`,

	"replace":              `require ["fileinto","replace","foreverypart","mime","body"]; replace "new text"; if body :contains "new text" { fileinto "new"; } if header :contains "subject" "e" { fileinto "subject"; }`,
	"replace part":         `require ["fileinto","replace","foreverypart","mime","body","variables"]; foreverypart { if header :mime :subtype "content-type" "x-thing" { replace "gone"; } } if body :raw :contains "gone" { fileinto "gone"; } if body :raw :contains "c2VjcmV0" { fileinto "there"; }`,
	"enclose":              `require ["fileinto","enclose","body"]; enclose :subject "outer" "a note"; if header "subject" "outer" { fileinto "outer"; } if body :raw :contains "a note" { fileinto "note"; }`,
	"old notify":           `require "notify"; notify :method "mailto" :options "ann@example.org" :message "$from$: $subject$";`,
	"old notify, two":      `require "notify"; notify :low :id "a" :options "a@example.org"; notify :high :id "b" :options "b@example.org"; denotify :is "a";`,
	"old notify, none":     `require "notify"; notify :options "a@example.org"; denotify;`,
	"enotify":              `require "enotify"; notify :importance "1" :message "news" "mailto:ann@example.org?subject=x";`,
	"execute":              `require ["fileinto","variables","vnd.dovecot.execute"]; execute :output "o" "echo" ["a","b c"]; fileinto "${o}";`,
	"execute input":        `require ["fileinto","variables","vnd.dovecot.execute"]; execute :input "text" :output "o" "upper"; fileinto "${o}"; if execute "fails" { fileinto "yes"; } else { fileinto "no"; } if execute "nothing" { fileinto "there"; }`,
	"execute message":      `require ["fileinto","variables","vnd.dovecot.execute"]; if execute :pipe :output "o" "from" { fileinto "${o}"; }`,
	"execute nothing":      `require ["fileinto","vnd.dovecot.execute"]; fileinto "a"; execute "nothing";`,
	"filter":               `require ["fileinto","vnd.dovecot.filter"]; filter "subject" "other"; if header "subject" "other" { fileinto "other"; } filter "fails"; if filter "fails" { fileinto "yes"; } else { fileinto "no"; }`,
	"filter nothing":       `require ["fileinto","vnd.dovecot.filter"]; fileinto "a"; filter "nothing";`,
	"pipe":                 `require ["vnd.dovecot.pipe","copy","fileinto"]; pipe :copy "reads"; fileinto "a";`,
	"pipe tried":           `require ["vnd.dovecot.pipe","copy","fileinto"]; pipe :copy :try "nothing"; fileinto "a";`,
	"pipe twice":           `require ["vnd.dovecot.pipe","copy"]; pipe :copy "reads"; pipe :copy "reads";`,
	"pipe reject":          `require ["vnd.dovecot.pipe","reject"]; pipe "reads"; reject "no";`,
	"pipe path":            `require ["vnd.dovecot.pipe"]; pipe "../reads";`,
	"pipe variable":        `require ["vnd.dovecot.pipe","variables"]; pipe "${x}";`,
	"include missing":      `require "include"; include "nothing";`,
	"duplicate":            `require ["duplicate","fileinto"]; if duplicate { fileinto "again"; } else { fileinto "first"; }`,
	"extracttext":          `require ["fileinto","extracttext","foreverypart","mime","variables"]; foreverypart { if header :mime :subtype "content-type" "plain" { extracttext :first 4 "t"; fileinto "t-${t}"; } }`,
	"environment":          `require ["fileinto","environment","variables"]; if environment :matches "vnd.nothing" "*" { fileinto "no"; } if environment :matches "name" "?*" { fileinto "name"; } if not environment "phase" "pre" { fileinto "phase"; }`,
	"mailbox":              `require ["fileinto","mailbox"]; if mailboxexists "nowhere" { fileinto "yes"; } else { fileinto "no"; }`,
	"ereject":              `require "ereject"; ereject "no";`,
	"unicode":              `require ["fileinto","variables","comparator-i;unicode-casemap"]; if header :comparator "i;unicode-casemap" :contains "subject" "CAFÉ" { fileinto "cafe"; }`,
	"case":                 `require ["fileinto","variables"]; set :upper "a" "aé"; fileinto "${a}"; set :lowerfirst "a" "ÉA"; fileinto "${a}"; set :upperfirst :lower "a" "éAB"; fileinto "${a}";`,
	"question mark":        `require "fileinto"; if header :matches "subject" "Caf? hello" { fileinto "one"; } if header :matches "subject" "Caf?? hello" { fileinto "two"; } if header :matches "subject" "h????*" { fileinto "ascii"; }`,
	"hasflag, two":         `require ["fileinto","imap4flags","relational","comparator-i;ascii-numeric"]; addflag "a" ["x","y"]; addflag "b" ["y","z"]; if hasflag :count "eq" :comparator "i;ascii-numeric" ["a","b"] "4" { fileinto "four"; } if hasflag ["a","b"] "z" { fileinto "z"; }`,
	"dates":                `require ["fileinto","date","relational","variables","comparator-i;ascii-numeric"]; if date :zone "+0000" :matches "date" "iso8601" "*" { fileinto "i ${1}"; } if date :zone "+0230" :matches "date" "iso8601" "*" { fileinto "i ${1}"; } if date :matches "x-none" "day" "*" { fileinto "n ${1}"; } if date :matches "x-leap" "day" "*" { fileinto "l ${1}"; } if date :count "eq" :comparator "i;ascii-numeric" "received" "day" "1" { fileinto "first"; } if date :zone "+0000" "received" "hour" "11" { fileinto "second"; } if date :zone "+0000" :matches "date" "julian" "*" { fileinto "j ${1}"; }`,
	"index over names":     `require ["fileinto","index","variables"]; if header :index 3 :matches ["received","to"] "*" { fileinto "3 ${1}"; } if header :index 1 :last :matches ["to","subject"] "*" { fileinto "last ${1}"; } if address :index 2 :matches ["to","cc"] "*" { fileinto "a ${1}"; }`,
	"body, containers":     `require ["fileinto","body"]; if body :content "multipart" :contains "before" { fileinto "before"; } if body :content "multipart" :contains "behind" { fileinto "behind"; } if body :content "multipart" :contains "Hi" { fileinto "inside"; } if body :content "message/rfc822" :contains "inner subject" { fileinto "header"; } if body :content "message" :contains "inner text" { fileinto "body"; } if body :content "text" :contains "inner text" { fileinto "text"; } if body :content ["/","text/"] :contains "" { fileinto "odd"; } if body :raw :contains "" { fileinto "any"; }`,
	"ihave, grammar":       `require ["fileinto","ihave"]; if ihave "variables" { fileinto "v"; } if ihave "encoded-character" { fileinto "e"; } if ihave ["copy","relational"] { fileinto "c"; }`,
	"parameters":           `require ["fileinto","mime","variables"]; if header :mime :anychild :param "filename" :matches "content-disposition" "*" { fileinto "f ${1}"; } if header :mime :anychild :subtype :matches "content-type" "x-*" { fileinto "s ${1}"; } if header :mime :anychild :type :matches "content-disposition" "*" { fileinto "t ${1}"; } if header :mime :anychild :contenttype "content-type" "message/rfc822" { fileinto "m"; }`,
	"null count":           `require ["fileinto","envelope","relational","comparator-i;ascii-numeric"]; if envelope :count "eq" :comparator "i;ascii-numeric" ["from","to"] "2" { fileinto "two"; }`,
	"environment, unknown": `require ["fileinto","environment","relational","comparator-i;ascii-numeric"]; if environment :contains "item" "" { fileinto "item"; } if environment :contains "name" "" { fileinto "name"; } if environment :count "eq" :comparator "i;ascii-numeric" "name" "1" { fileinto "one"; }`,
	"methods":              `require ["fileinto","enotify","variables"]; if valid_notify_method ["mailto:a@example.org","tel:1"] { fileinto "both"; } if valid_notify_method "mailto:a@example.org" { fileinto "mailto"; } if notify_method_capability "mailto:a@example.org" "Online" "maybe" { fileinto "maybe"; } if notify_method_capability "mailto:a@example.org" "other" "" { fileinto "other"; } set :encodeurl "u" "a b&c"; fileinto "${u}";`,
	"syntax":               `if header "a" { keep; }`,
	"missing":              `fileinto "a";`,
}

// crossPrograms are what scripts run, as shell scripts.
var crossPrograms = map[string]string{
	"echo":    `printf '%s-%s' "$1" "$2"`,
	"upper":   `tr a-z A-Z`,
	"fails":   `cat >/dev/null 2>&1; echo output; exit 1`,
	"from":    `sed -n 's/^From: .*/has a sender/p' | head -n 1 | tr -d '\r\n'`,
	"subject": `sed "s/^Subject:.*/Subject: $1/"`,
	"reads":   `cat >/dev/null`,
}

var crossMessages = map[string]string{
	"plain":    "From: Ann <ann@example.org>\nTo: bob@example.net\nSubject: Hello there\nDate: Mon, 02 Mar 2026 13:00:00 +0100\n\nHi\n",
	"list":     "Received: from one by a; Mon, 02 Mar 2026 13:00:00 +0100\nReceived: from two by b; Mon, 02 Mar 2026 12:00:00 +0100\nFrom: x@example.com\nTo: go@lists.example.org\nCc: \"B\" <bob+go@example.net>\nSubject: [Go-Nuts] list of things\nX-Spam: 12\nDate: Sun, 1 Mar 2026 23:59:59 -0500\n\nHi\n",
	"words":    "From: =?utf-8?q?J=C3=B6rg?= <j@example.org>\nTo: bob@example.net\nSubject: =?iso-8859-1?q?Caf=E9?=\n =?utf-8?b?IGhlbGxv?=\nX-Spam: 2\n\nHi\n",
	"mime":     "From: a@example.org\nTo: bob@example.net\nSubject: parts\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\npre\n--b\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\nGr=C3=BC=C3=9Fe\n--b\nContent-Type: application/x-thing\nContent-Disposition: attachment; filename=\"a.exe\"\nContent-Transfer-Encoding: base64\n\nc2VjcmV0\n--b--\n",
	"nested":   "Received: from a by b; Sat, 28 Feb 2026 23:30:00 -0500\nReceived: from c by d; Mon, 02 Mar 2026 12:59:59 +0130\nDate: Mon, 02 Mar 2026 14:05:09 +0130\nX-None: 31 Feb 2026 10:00:00 +0000\nX-Leap: Sun, 29 Feb 2026 10:00:00 +0000\nFrom: a@example.org\nTo: bob@example.net\nTo: second@example.net\nSubject: nested\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=o\n\nbefore\n--o\nContent-Type: multipart/alternative; boundary=i\n\n--i\nContent-Type: text/plain\n\nHi\n--i--\n\nbehind\n--o\nContent-Type: message/rfc822\n\nSubject: inner subject\n\ninner text\n--o\nContent-Type: application/x-thing\nContent-Disposition: attachment; filename*0=\"impor\"; filename*1=\"tant.COM\"\n\nx\n--o--\n",
	"bodiless": "From: a@example.org\nTo: bob@example.net\n",
	"strange":  "From: \nTo: undisclosed-recipients:;\nSubject:\n",
}

// noSuch are extensions that can be compared with nobody.
const noSuch = "Debian's Pigeonhole does not have it"

// differences are the scripts, or scripts with a message, whose results are not
// the same, and who is right.
var differences = map[string]string{
	"replace":           noSuch,
	"replace part":      noSuch,
	"enclose":           noSuch,
	"ereject":           noSuch,
	"unicode":           noSuch,
	"extracttext, mime": "RFC 5703 section 7: :first counts characters; Pigeonhole counts octets",
	"old notify, two":   "the draft has denotify take back the notification of that id; Pigeonhole sends it all the same",

	"runtime error": "Pigeonhole takes the empty name of a mailbox and fails when it stores; to us it is an error of the script at once. Both keep (RFC 5228 section 2.10.6)",
}

// TestPigeonhole runs the same scripts over the same messages here and in
// Debian's sieve-test: the same actions, in the same order.
func TestPigeonhole(t *testing.T) {
	t.Parallel()
	sieveTest := peertest.Need(t, "sieve-test", "dovecot-sieve")
	p := newPigeonhole(t)
	extensions := []string{"vnd.dovecot.pipe", "vnd.dovecot.filter", "vnd.dovecot.execute"}
	engine := sieve.New(sieve.Config{Programs: extensions})
	dirs := map[string]string{}
	for _, x := range extensions {
		dirs[x] = p.programs()
	}
	runner := program.New(program.Config{Dirs: dirs})
	for name, script := range crossScripts {
		file := p.write(name+".sieve", script)
		compiled, compileErr := engine.Compile(name, []byte(script), nil)
		for msgName, msg := range crossMessages {
			path := p.write(msgName+".eml", msg)
			out, errOut, err := peertest.Try(t, "", sieveTest, "-c", p.conf, "-f", "ann@example.org", "-a", "bob+go@example.net", "-r", "bob+go@example.net", file, path)
			theirs := theirActions(out)
			if err != nil && len(theirs) == 0 {
				theirs = []string{"refused"}
			}
			ours := []string{"refused"}
			if compileErr == nil {
				ours = ourActions(t, engine, runner, compiled, msg)
			}
			key := name + ", " + msgName
			why := differences[name] + differences[key]
			if known := why != ""; known == slices.Equal(ours, theirs) {
				t.Errorf("%s (%s): ours %q, Pigeonhole %q\n%s", key, why, ours, theirs, errOut)
			}
		}
	}
}

type pigeonhole struct {
	t         *testing.T
	dir, conf string
}

func newPigeonhole(t *testing.T) *pigeonhole {
	t.Helper()
	p := &pigeonhole{t: t, dir: t.TempDir()}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 65534, 65534 // it refuses to run as root
		if err := os.Chown(p.dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Dir(p.dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.conf = p.write("dovecot.conf", fmt.Sprintf(`mail_location = maildir:%[1]s/mail
mail_uid = %[2]d
mail_gid = %[3]d
first_valid_uid = 1
log_path = /dev/stderr
plugin {
  sieve_plugins = sieve_extprograms
  sieve_extensions = +editheader +vacation-seconds +notify +vnd.dovecot.pipe +vnd.dovecot.filter +vnd.dovecot.execute
  sieve_pipe_bin_dir = %[1]s/programs
  sieve_filter_bin_dir = %[1]s/programs
  sieve_execute_bin_dir = %[1]s/programs
  recipient_delimiter = +
}
`, p.dir, uid, gid))
	if err := os.Mkdir(p.programs(), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range crossPrograms {
		peertest.WriteProgram(p.t, filepath.Join(p.programs(), name), []byte("#!/bin/sh\n"+text+"\n"))
	}
	return p
}

func (p *pigeonhole) programs() string { return filepath.Join(p.dir, "programs") }

func (p *pigeonhole) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// theirActions reads what sieve-test prints.
func theirActions(out string) []string {
	var list []string
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "* store message in folder: "):
			list = append(list, "store "+line[len("* store message in folder: "):])
		case strings.HasPrefix(line, "+ add IMAP flags: "):
			flags := strings.Fields(strings.ToLower(line[len("+ add IMAP flags: "):]))
			slices.Sort(flags)
			list[len(list)-1] += " " + strings.Join(flags, " ")
		case strings.HasPrefix(line, "* redirect message to: "):
			list = append(list, "redirect "+strings.ToLower(strings.Trim(line[len("* redirect message to: "):], "<>")))
		case strings.HasPrefix(line, "* reject message"):
			list = append(list, "reject")
		case strings.HasPrefix(line, "* pipe message to external program '"):
			list = append(list, "pipe "+strings.Trim(line[len("* pipe message to external program '"):], "':"))
		case strings.HasPrefix(line, "* send notification"), strings.HasPrefix(line, "* send (deprecated) notification"):
			list = append(list, "notify")
		case strings.HasPrefix(line, "* send vacation"):
			list = append(list, "vacation")
		case line == "* discard":
			list = append(list, "discard")
		}
	}
	return list
}

func ourActions(t *testing.T, e *sieve.Engine, runner *program.Runner, s *sieve.Script, msg string) []string {
	t.Helper()
	r, err := e.Run(t.Context(), &sieve.Env{
		Message: strings.NewReader(msg), From: "ann@example.org", To: "bob+go@example.net", Now: time.Now(), Program: runner.Run,
	}, s)
	if err != nil {
		return []string{"refused"} // sieve-test fails then, and whoever runs it keeps
	}
	var list []string
	for _, a := range r.Actions {
		switch a.Kind {
		case sieve.Keep:
			list = append(list, stored("INBOX", a.Flags))
		case sieve.FileInto:
			list = append(list, stored(a.Mailbox, a.Flags))
		case sieve.Redirect:
			list = append(list, "redirect "+strings.ToLower(a.Address))
		case sieve.Pipe:
			list = append(list, "pipe "+a.Program.Name)
		default:
			list = append(list, a.Kind.String())
		}
	}
	if r.ImplicitKeep {
		list = append(list, stored("INBOX", r.Flags))
	}
	return list
}

func stored(folder string, flags []string) string {
	lower := strings.Fields(strings.ToLower(strings.Join(flags, " ")))
	slices.Sort(lower)
	return strings.TrimSpace("store " + folder + " " + strings.Join(lower, " "))
}
