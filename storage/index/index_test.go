package index

import (
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"gomaild/storage"
)

func example() *Index {
	return &Index{
		View: storage.View{
			MailboxID: "0123456789abcdef0123456789abcdef", UIDValidity: 7, UIDNext: 400, HighestModSeq: 1 << 50,
			Messages: []storage.Message{
				{UID: 1, ModSeq: 1, Flags: storage.Seen},
				{UID: 300, ModSeq: 1 << 50, Keywords: storage.KeywordsOf(2, 511)},
			},
			Keywords: []string{"$Forwarded", "", "x"},
		},
		History: storage.History{Since: 5, Gone: []storage.Gone{{UID: 9, ModSeq: 6}, {UID: 3, ModSeq: 6}, {UID: 2, ModSeq: 1 << 49}}},
		Foreign: "a stamp",
	}
}

func TestFormatAndParse(t *testing.T) {
	t.Parallel()
	want := example()
	got, err := Parse(want.Format())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// No file that lacks octets or has wrong ones is believed.
func TestDamage(t *testing.T) {
	t.Parallel()
	whole := example().Format()
	for n := range whole {
		if _, err := Parse(whole[:n]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut at %d: %v", n, err)
		}
		bent := append([]byte(nil), whole...)
		bent[n] ^= 0x20
		if _, err := Parse(bent); !errors.Is(err, ErrDamaged) {
			t.Errorf("octet %d bent: %v", n, err)
		}
	}
}

// Numbers that contradict each other are damage even under a right checksum.
func TestContradictions(t *testing.T) {
	t.Parallel()
	for rule, bend := range map[string]func(*Index){
		"a UID at UIDNEXT":                 func(x *Index) { x.View.UIDNext = 300 },
		"a UID twice":                      func(x *Index) { x.View.Messages[1].UID = 1 },
		"MODSEQ 0":                         func(x *Index) { x.View.Messages[0].ModSeq = 0 },
		"MODSEQ above the highest":         func(x *Index) { x.View.Messages[0].ModSeq = 1<<50 + 1 },
		"more keywords than there can be":  func(x *Index) { x.View.Messages[1].Keywords = storage.KeywordsOf(512) },
		"a set with an octet for nothing":  func(x *Index) { x.View.Messages[1].Keywords += "\x00" },
		"vanished before the history":      func(x *Index) { x.History.Since = 7 },
		"a history that began too late":    func(x *Index) { x.History.Since = 1<<50 + 1 },
		"a MODSEQ that no client can hold": func(x *Index) { x.View.HighestModSeq = 1 << 63 },
	} {
		x := example()
		bend(x)
		if _, err := Parse(x.Format()); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, x := range []*Index{{}, example()} {
		data := x.Format()
		f.Add(data[len(magic) : len(data)-4])
	}
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Fuzz(func(t *testing.T, body []byte) {
		data := append([]byte(magic), body...)
		data = binary.BigEndian.AppendUint32(data, checksum(data))
		x, err := Parse(data)
		if err != nil {
			return
		}
		again, err := Parse(x.Format())
		if err != nil || !reflect.DeepEqual(x, again) {
			t.Errorf("%+v is read again as %+v, %v", x, again, err)
		}
	})
}

// FuzzParseFacts: a line is read as it was written, or not at all.
func FuzzParseFacts(f *testing.F) {
	f.Add(AppendFacts(nil, Facts{UID: 1, Name: 2, Offset: 3, Length: 4, Sum: 5, Arrived: -6, Stored: 7, Wire: 8}))
	f.Add(AppendFactsHeader(nil, 7))
	f.Fuzz(func(t *testing.T, line []byte) {
		if facts, ok := ParseFacts(line); ok && string(AppendFacts(nil, facts)) != string(line) {
			t.Errorf("%q is read as %+v", line, facts)
		}
		if g, err := FactsGeneration(line); err == nil && string(AppendFactsHeader(nil, g)) != string(line) {
			t.Errorf("%q is of generation %d", line, g)
		}
	})
}
