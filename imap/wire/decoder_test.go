package wire

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

var testLimits = Limits{Line: 100, Literal: 50, Command: 200, Discard: 1000}

func newDecoder(input string, proceeded *int) *Decoder {
	return NewDecoder(strings.NewReader(input), testLimits, func() error {
		if proceeded != nil {
			*proceeded++
		}
		return nil
	})
}

// TestFraming holds that a command takes exactly its octets off the
// connection, whatever is wrong with it.
func TestFraming(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule  string
		input string
		tags  string // of all commands found
		err   error  // that ends it
	}{
		{"lines end in CRLF or LF", "a X\r\nb X\n", "a b", io.EOF},
		{"an empty line is a command without a tag", "\r\nb X\r\n", " b", io.EOF},
		{"a refused {n+} is read past", "a X {6+}\r\nE F\r\n\r\nb X\r\n", "a b", io.EOF},
		{"and those that follow it", "a X {3+}\r\nE F {4+}\r\nE G\n {2+}\r\n\r\n\r\nb X\r\n", "a b", io.EOF},
		{"a refused {n} never comes", "a X {6}\r\nb X\r\n", "a b", io.EOF},
		{"a long line is read past", "a " + strings.Repeat("x", 300) + "\r\nb X\r\n", "a b", io.EOF},
		{"a long line may announce a literal", "a " + strings.Repeat("x", 300) + "{6+}\r\nE F\r\n\r\nb X\r\n", "a b", io.EOF},
		{"digits before } are no literal", "a 12}\r\nb X\r\n", "a b", io.EOF},
		{"nor is {+}", "a {+}\r\nb X\r\n", "a b", io.EOF},
		{"more than Discard ends all", "a X {1001+}\r\nE F\r\n", "a", ErrDiscard},
		{"so does a size beyond 64 bits", "a X {99999999999999999999+}\r\nE F\r\n", "a", ErrDiscard},
		{"and one longer than what is kept of a long line", "a " + strings.Repeat("9", 300) + "+}\r\nE F\r\n", "a", ErrDiscard},
		{"and an endless line", "a " + strings.Repeat("x", 5000), "", ErrDiscard},
		{"half a line is no command", "a X", "", io.ErrUnexpectedEOF},
		{"half a literal is none", "a X {9+}\r\nhalf", "a", io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			d := newDecoder(tt.input, nil)
			var tags []string
			for {
				tag, err := d.Next()
				if err == nil {
					tags = append(tags, tag)
					err = d.Finish()
				}
				if err != nil {
					if !errors.Is(err, tt.err) || strings.Join(tags, " ") != tt.tags {
						t.Errorf("commands %q, then %v; want %q, then %v", tags, err, tt.tags, tt.err)
					}
					return
				}
			}
		})
	}
}

func TestStrings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule, input string
		want        string // each argument and "|"; or the error
		proceeded   int
	}{
		{"atoms and quoted strings", `a ab] "c \"d\\" ""`, `ab]|c "d\||`, 0},
		{"both kinds of literal", "a {3}\r\nx\ny {2+}\r\n\r\n", "x\ny|\r\n|", 1},
		{"an empty literal", "a {0}\r\n x", "|x|", 1},
		{"a literal over its limit", "a {51}\r\n", "TOOBIG literal is too long here", 0},
		{"literals over the command's limit", "a {50+}\r\n" + strings.Repeat("y", 50) + " {50+}\r\n" + strings.Repeat("y", 50) +
			" {50+}\r\n" + strings.Repeat("y", 50) + " {50+}\r\n", "TOOBIG literal is too long here", 0},
		{"NUL in a literal", "a {1+}\r\n\x00", " NUL in a literal", 0},
		{"NUL in quotes", "a \"\x00\"", " bad octet in a quoted string", 0},
		{"CR in quotes", "a \"\r\"", " bad octet in a quoted string", 0},
		{"a quoted string without end", `a "x`, " quoted string has no end", 0},
		{"a bad escape", `a "\n"`, " bad escape in a quoted string", 0},
		{"two spaces", "a  x", " string expected", 0},
		{"a parenthesis", "a (", " string expected", 0},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			proceeded := 0
			d := newDecoder(tt.input+"\r\n", &proceeded)
			if _, err := d.Next(); err != nil {
				t.Fatal(err)
			}
			got := ""
			for d.Err() == nil && !d.AtEnd() {
				d.SP()
				got += d.AString() + "|"
			}
			var syntax *SyntaxError
			if errors.As(d.Err(), &syntax) {
				got = syntax.Code + " " + syntax.Text
			}
			if got != tt.want || proceeded != tt.proceeded {
				t.Errorf("got %q with %d continuations, want %q with %d", got, proceeded, tt.want, tt.proceeded)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	tests := []struct {
		rule, input string
		read        func(d *Decoder) any
		want        string
	}{
		{"the largest number", "9223372036854775807", func(d *Decoder) any { return d.Number() }, "9223372036854775807"},
		{"one more", "9223372036854775808", func(d *Decoder) any { return d.Number() }, "error: number is too large"},
		{"no number", "x", func(d *Decoder) any { return d.Number() }, "error: number expected"},
		{"32 bits", "4294967295", func(d *Decoder) any { return d.Number32() }, "4294967295"},
		{"33 bits", "4294967296", func(d *Decoder) any { return d.Number32() }, "error: number is too large"},
		{"a set stays as it is written", "1:4294967295,*:1,7,*", func(d *Decoder) any { return d.NumSet() }, "[{1 4294967295 false} {0 1 false} {7 7 false} {0 0 false}]"},
		{"zero is no number of a message", "0:*", func(d *Decoder) any { return d.NumSet() }, "error: message numbers begin with 1"},
		{"a set ends with a number", "1,", func(d *Decoder) any { return d.NumSet() }, "error: number expected"},
		{"flags", `(\Seen $Junk a.b)`, func(d *Decoder) any { return d.FlagList() }, `[\Seen $Junk a.b]`},
		{"no flags", `()`, func(d *Decoder) any { return d.FlagList() }, `[]`},
		{"a list without end", `(a`, func(d *Decoder) any { return d.FlagList() }, `error: space expected`},
		{"a date-time with a blank", `" 3-Feb-2026 04:05:06 -0800"`, func(d *Decoder) any { return d.DateTime().Format(time.RFC3339) }, "2026-02-03T04:05:06-08:00"},
		{"no such day", `"30-Feb-2026 04:05:06 -0800"`, func(d *Decoder) any { return d.DateTime() }, "error: bad date"},
		{"a date in any case", `1-FEB-2026`, func(d *Decoder) any { return d.Date().Format(time.DateOnly) }, "2026-02-01"},
		{"NIL", `nil`, func(d *Decoder) any { _, ok := d.NString(); return ok }, "false"},
		{"INBOX in any case", `inBox/A`, func(d *Decoder) any { return d.Mailbox() }, "INBOX/A"},
		{"modified UTF-7", `"Entw&APw-rfe"`, func(d *Decoder) any { return d.Mailbox() }, "Entwürfe"},
		{"a name that is none", `"&x"`, func(d *Decoder) any { return d.Mailbox() }, "error: mailbox name is not in modified UTF-7"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			d := newDecoder("a "+tt.input+"\r\n", nil)
			if _, err := d.Next(); err != nil {
				t.Fatal(err)
			}
			d.SP()
			got := fmt.Sprint(tt.read(d))
			d.End()
			if d.Err() != nil {
				got = "error: " + d.Err().Error()
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestStream(t *testing.T) {
	t.Parallel()
	tests := []struct{ rule, input, want string }{
		{"the octets and the end", "a {5+}\r\nhello\r\nb X\r\n", "hello, b"},
		{"text after the literal", "a {5+}\r\nhello EVIL\r\nb X\r\n", "hello, error: end of command expected, b"},
		{"the connection ends", "a {5+}\r\nhel", "hel, error: unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			t.Parallel()
			d := newDecoder(tt.input, nil)
			d.Next()
			d.SP()
			if n := d.LiteralSize(); n != 5 {
				t.Fatalf("size %d", n)
			}
			content, err := io.ReadAll(d.Stream(func() error { d.End(); return d.Err() }))
			got := string(content)
			if err != nil {
				got += ", error: " + err.Error()
			}
			if d.Finish() == nil {
				tag, _ := d.Next()
				got += ", " + tag
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestStreamLeftUnread holds that a store that stops reading early does not
// make the rest of a message commands.
func TestStreamLeftUnread(t *testing.T) {
	t.Parallel()
	d := newDecoder("a {21}\r\nx\r\nEVIL CREATE evil\r\n\r\nb X\r\n", nil)
	d.Next()
	d.SP()
	d.LiteralSize()
	if _, err := d.Stream(func() error { return nil }).Read(make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	if tag, err := d.Next(); tag != "b" {
		t.Errorf("next command is %q (%v)", tag, err)
	}
}

// FuzzDecoder holds that nothing makes the decoder stand still, read past its
// limits or find a command inside a literal that was announced with {n+}.
func FuzzDecoder(f *testing.F) {
	for _, seed := range []string{
		"a LOGIN {3}\r\nabc {3+}\r\nabc\r\n", "\r\n", "a X {6+}\r\nE F\r\n\r\nb X\r\n",
		"a SEARCH (OR 1:* \"x\\\"\") &AB-\r\n", "a (()) {99999999999999999999+}\r\n",
	} {
		f.Add([]byte(seed), "literal")
	}
	f.Fuzz(func(t *testing.T, input []byte, inner string) {
		d := newDecoder(string(input), nil)
		for {
			if _, err := d.Next(); err != nil {
				break
			}
			for i := 0; d.Err() == nil && !d.AtEnd(); i++ {
				d.SP()
				switch i % 6 {
				case 0:
					d.Mailbox()
				case 1:
					d.NumSet()
				case 2:
					d.FlagList()
				case 3:
					d.Date()
				case 4:
					d.NString()
				case 5:
					d.ListMailbox()
				}
			}
			if d.Finish() != nil {
				break
			}
		}
		if len(inner) > 500 {
			return
		}
		d = newDecoder(fmt.Sprintf("a NONSENSE {%d+}\r\n%s\r\nb X\r\n", len(inner), inner), nil)
		d.Next()
		d.Fail("refused")
		if err := d.Finish(); err != nil {
			t.Fatalf("finish: %v", err)
		}
		if tag, _ := d.Next(); tag != "b" {
			t.Fatalf("command %q found inside a literal", tag)
		}
	})
}

// TestStreamLeftAtItsEnd holds that a reader who leaves a stream when its last
// octet was read, and before its end was, leaves nothing to be run as commands.
func TestStreamLeftAtItsEnd(t *testing.T) {
	t.Parallel()
	d := newDecoder("a {3+}\r\nabc {4+}\r\nEVIL\r\nb NOOP\r\n", nil)
	if _, err := d.Next(); err != nil {
		t.Fatal(err)
	}
	d.SP()
	if size := d.LiteralSize(); size != 3 {
		t.Fatalf("size %d", size)
	}
	content := make([]byte, 3)
	if _, err := io.ReadFull(d.Stream(func() error { return nil }), content); err != nil || string(content) != "abc" {
		t.Fatalf("%q, %v", content, err)
	}
	if err := d.Finish(); err != nil {
		t.Fatal(err)
	}
	if tag, err := d.Next(); tag != "b" || err != nil {
		t.Errorf("next command %q, %v", tag, err)
	}
}

// TestWaitBare holds that a wait without a buffer loses nothing of what ends it,
// and does not wait for what is there already.
func TestWaitBare(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	d := NewDecoder(r, Limits{Line: 100, Literal: 100, Command: 100, Discard: 100}, nil)
	go func() {
		for _, part := range []string{"a NO", "OP\r\nb NOOP\r\n", "c NOOP\r\n"} {
			if _, err := io.WriteString(w, part); err != nil {
				t.Error(err)
			}
		}
		w.Close()
	}()
	for _, want := range []string{"a", "b", "c"} {
		if err := d.WaitBare(); err != nil {
			t.Fatal(err)
		}
		tag, err := d.Next()
		d.SP()
		if word := d.Word(); err != nil || tag != want || word != "NOOP" {
			t.Errorf("%q %q, %v", tag, word, err)
		}
		d.End()
		if err := d.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.WaitBare(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}
