package imap

import (
	"testing"

	"gomaild/storage"
)

func TestMessageURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule, link string
		mailbox    string // "": refused
		uid        storage.UID
	}{
		{"a message", "/INBOX/;UID=7", "INBOX", 7},
		{"names are encoded", "/a%20b%2Fc;UIDVALIDITY=5/;UID=7/;SECTION=1.MIME", "a b/c", 7},
		{"any case", "/inbox;uidvalidity=5/;uid=7/;section=header.fields%20(a)/;partial=0.5", "INBOX", 7},
		{"no UID", "/INBOX", "", 0},
		{"UID 0", "/INBOX/;UID=0", "", 0},
		{"UIDVALIDITY 0", "/INBOX;UIDVALIDITY=0/;UID=1", "", 0},
		{"another server", "imap://host/INBOX/;UID=7", "", 0},
		{"a bad escape", "/a%2/;UID=7", "", 0},
		{"an unknown part", "/INBOX/;UID=7/;COLOUR=blue", "", 0},
		{"a bad section", "/INBOX/;UID=7/;SECTION=0", "", 0},
		{"a literal in a section", "/INBOX/;UID=7/;SECTION=HEADER.FIELDS%20(%7B3+%7D", "", 0},
		{"a line end in a section", "/INBOX/;UID=7/;SECTION=1%0D%0A", "", 0},
		{"an endless partial", "/INBOX/;UID=7/;PARTIAL=5", "", 0},
	}
	for _, tt := range tests {
		got, ok := parseMessageURL(tt.link)
		if ok != (tt.mailbox != "") || ok && (got.mailbox != tt.mailbox || got.uid != tt.uid) {
			t.Errorf("%s: %q gives %+v, %v", tt.rule, tt.link, got, ok)
		}
	}
}

// FuzzMessageURL holds that no URL makes the parser panic, and that what it
// takes names a message.
func FuzzMessageURL(f *testing.F) {
	f.Add("/a%20b;UIDVALIDITY=5/;UID=7/;SECTION=1.MIME/;PARTIAL=0.5")
	f.Add("/INBOX/;UID=7")
	f.Fuzz(func(t *testing.T, link string) {
		if got, ok := parseMessageURL(link); ok && got.uid == 0 {
			t.Errorf("%q names no message: %+v", link, got)
		}
	})
}
