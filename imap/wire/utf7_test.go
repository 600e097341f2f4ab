package wire

import "testing"

func TestUTF7(t *testing.T) {
	t.Parallel()
	tests := []struct{ rule, wire, name string }{
		{"ASCII stays", "INBOX/a b", "INBOX/a b"},
		{"the ampersand", "R&-D", "R&D"},
		{"RFC 3501's own example", "~peter/mail/&U,BTFw-/&ZeVnLIqe-", "~peter/mail/台北/日本語"},
		{"beyond 16 bits", "&2D3eAA-", "😀"},
		{"shifted runs are joined", "&AOQA9gD8-", "äöü"},
		{"DEL, which Dovecot makes", "ctl&AH8-", "ctl\x7f"},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		if got, err := DecodeUTF7(tt.wire); got != tt.name || err != nil {
			t.Errorf("%s: decode %q = %q, %v; want %q", tt.rule, tt.wire, got, err, tt.name)
		}
		if got := EncodeUTF7(tt.name); got != tt.wire {
			t.Errorf("%s: encode %q = %q, want %q", tt.rule, tt.name, got, tt.wire)
		}
	}
}

func TestUTF7Refused(t *testing.T) {
	t.Parallel()
	tests := []struct{ rule, wire string }{
		{"no end of the shift", "a&AOQ"},
		{"ASCII in the shift", "&AGE-"},
		{"two shifts where one is enough", "&AOQ-&APY-"},
		{"bad base64", "&!!!-"},
		{"half a character", "&AO-"},
		{"bits left over", "&AOR-"},
		{"half a surrogate pair", "&2D0-"},
		{"a control character", "a\x07"},
		{"a shifted line end", "&AAo-"},
		{"octets that are no UTF-8", "a\xff"},
	}
	for _, tt := range tests {
		if got, err := DecodeUTF7(tt.wire); err == nil {
			t.Errorf("%s: decode %q = %q", tt.rule, tt.wire, got)
		}
	}
}

// FuzzUTF7 holds that a name that decodes has that one spelling.
func FuzzUTF7(f *testing.F) {
	f.Add("~peter/mail/&U,BTFw-/&ZeVnLIqe-")
	f.Add("R&-D")
	f.Fuzz(func(t *testing.T, wire string) {
		name, err := DecodeUTF7(wire)
		if err != nil {
			return
		}
		again, err := DecodeUTF7(EncodeUTF7(name))
		if err != nil || again != name {
			t.Errorf("%q is %q, written %q, read %q (%v)", wire, name, EncodeUTF7(name), again, err)
		}
	})
}
