package maildir

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"gomaild/internal/durable/crashfs"
	"gomaild/storage"
	"gomaild/storage/storagetest"
)

// TestRecoveries breaks a closed mailbox with the messages a to c, UIDs 1 to 3:
// which UIDs are there afterwards, whether UIDVALIDITY stays, and what the log
// says.
func TestRecoveries(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule     string
		spoil    func(f foreign, list string)
		uids     string
		validity bool   // stays
		log      string // "" for nothing
	}{
		{"nothing is wrong", func(foreign, string) {}, "[1 2 3]", true, ""},
		{"a line that cannot be read", func(f foreign, list string) {
			f.write(alice+uidListFile, strings.Replace(list, "\n2 ", "\ntwo ", 1))
		}, "[1 4 5]", true, "uidlist is damaged, messages from there on get new UIDs\" mailbox=example.org/alice@example.org line=3"},
		{"UIDs that do not ascend", func(f foreign, list string) {
			f.write(alice+uidListFile, strings.Replace(list, "\n3 ", "\n2 ", 1))
		}, "[1 2 3]", true, "line=4"}, // 3 is nowhere any more, so it is the next
		{"a torn last line", func(f foreign, list string) { f.write(alice+uidListFile, strings.TrimSuffix(list, "\n")) }, "[1 2 4]", true, "line=4"},
		{"no header", func(f foreign, list string) { f.write(alice+uidListFile, list[1:]) }, "[1 2 3]", false, "uidlist cannot be read"},
		{"no uidlist", func(f foreign, _ string) { f.remove(uidListFile) }, "[1 2 3]", false, "mailbox has no uidlist, gets a UIDVALIDITY"},
		{"a missing file", func(f foreign, _ string) { f.remove("cur/" + f.names("cur")[1]) }, "[1 3]", true, ""},
		{"two messages with one name", func(f foreign, _ string) {
			f.write(alice+"new/"+strings.TrimSuffix(f.names("cur")[0], ":2,"), strings.ReplaceAll(storagetest.Text("d"), "\r\n", "\n"))
		}, "[1 2 3 4]", true, "two messages have one name"},
		{"letters without a name", func(f foreign, _ string) {
			f.rename("cur/"+f.names("cur")[0], "cur/"+f.names("cur")[0]+"q")
		}, "[1 2 3]", true, "keyword letters without a name"},
		{"no message", func(f foreign, _ string) {
			f.must(f.fs.Mkdir(alice+"cur/full", 0o700))
			f.write(alice+"cur/full/x", "")
		}, "[1 2 3]", true, "not a message"},
		{"a time in the future", func(f foreign, _ string) {
			name := alice + "cur/" + f.names("cur")[0]
			f.must(f.fs.Chtimes(name, time.Now(), time.Now().Add(1000*time.Hour)))
		}, "[1 2 3]", true, ""},
		{"another program's lock from a while ago", func(f foreign, _ string) { f.write(alice+uidListFile+".lock", "1:there") }, "[1 2 3]", true, ""},
	} {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			tree := crashfs.New()
			first := newBox(t, Config{FS: tree, Hostname: "here"})
			for _, s := range []string{"a", "b", "c"} {
				first.append(s)
			}
			before := first.quiet()
			first.close()
			tt.spoil(foreign{first}, first.read(alice+uidListFile))
			var log bytes.Buffer
			b := newBox(t, Config{FS: tree, Hostname: "here", Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if tt.rule == "no message" {
				b.broken = true
			}
			defer b.close()
			v := storagetest.Check(t, b.Mailbox)
			if got := uidsOf(v); got != tt.uids || (v.UIDValidity == before.UIDValidity) != tt.validity {
				t.Errorf("UIDs %s, UIDVALIDITY %d; were %s, %d", got, v.UIDValidity, uidsOf(before), before.UIDValidity)
			}
			if !strings.Contains(log.String(), tt.log) || tt.log == "" && log.Len() > 0 {
				t.Errorf("log %q, want %q in it", log.String(), tt.log)
			}
			said := log.String()
			if again := b.quiet(); uidsOf(again) != tt.uids || log.String() != said {
				t.Errorf("at the next look: UIDs %s, log %q", uidsOf(again), strings.TrimPrefix(log.String(), said))
			}
		})
	}
}

func uidsOf(v *storage.View) string {
	var uids []storage.UID
	for _, m := range v.Messages {
		uids = append(uids, m.UID)
	}
	return fmt.Sprint(uids)
}
