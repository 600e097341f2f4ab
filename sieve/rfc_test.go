package sieve_test

import (
	"strings"
	"testing"

	"gomaild/sieve"
)

// TestWhatIsNoScript holds rules of the RFCs about what must not compile; each
// script is one change away from one that does.
func TestWhatIsNoScript(t *testing.T) {
	t.Parallel()
	e := sieve.New(sieve.Config{Place: sieve.Anywhere})
	for _, tt := range []struct{ rule, good, bad string }{
		{"RFC 5228 2.1: no NUL", `discard; # a`, "discard; # \x00"},
		{"RFC 5228 2.4.1: numbers have no sign", `if size :over 1 { stop; }`, `if size :over -1 { stop; }`},
		{"RFC 5228 2.4.2.4: no surrogate", `require "encoded-character"; keep; if header "a" "${unicode:D7FF}" { stop; }`, `require "encoded-character"; keep; if header "a" "${unicode:DF01}" { stop; }`},
		{"RFC 5228 2.4.2.4: no character above 10FFFF", `require "encoded-character"; if header "a" "${unicode:10FFFF}" { stop; }`, `require "encoded-character"; if header "a" "${unicode:200000}" { stop; }`},
		{"RFC 5228 2.6: a tag once", `if header :is "a" "b" { stop; }`, `if header :is :is "a" "b" { stop; }`},
		{"RFC 5228 2.6.2: tags come first", `if header :is "a" "b" { stop; }`, `if header "a" :is "b" { stop; }`},
		{"RFC 5228 2.7.1: one match type", `if header :contains "a" "b" { stop; }`, `if header :contains :matches "a" "b" { stop; }`},
		{"RFC 5228 2.7.3: a comparator that knows substrings", `require "comparator-i;ascii-numeric"; if header :is :comparator "i;ascii-numeric" "a" "1" { stop; }`, `require "comparator-i;ascii-numeric"; if header :contains :comparator "i;ascii-numeric" "a" "1" { stop; }`},
		{"RFC 5228 2.7.3: comparators are required", `require "comparator-i;ascii-numeric"; if header :comparator "i;ascii-numeric" "a" "1" { stop; }`, `if header :comparator "i;ascii-numeric" "a" "1" { stop; }`},
		{"RFC 5228 2.7.4: one part of an address", `if address :domain "from" "x" { stop; }`, `if address :domain :all "from" "x" { stop; }`},
		{"RFC 5228 2.10.5: extensions are required", `require "fileinto"; fileinto "a";`, `fileinto "a";`},
		{"RFC 5228 3.1: elsif follows if", `if true { keep; } elsif false { stop; }`, `keep; elsif false { stop; }`},
		{"RFC 5228 3.1: nothing follows else", `if true { keep; } else { stop; }`, `if true { keep; } else { stop; } else { stop; }`},
		{"RFC 5228 3.1: no else if", `if true { keep; } else { if false { stop; } }`, `if true { keep; } else if false { stop; }`},
		{"RFC 5228 3.2: require comes first", `require "copy"; keep;`, `keep; require "copy";`},
		{"RFC 5228 2.4.2.3: an address", `redirect "Bart <bart@x.test>";`, `redirect "friends: bart@x.test;";`},
		{"RFC 5228 2.4.2.3: without a route", `redirect "bart@x.test";`, `redirect "<@y.test:bart@x.test>";`},
		{"RFC 5228 5.4: parts of the envelope", `require "envelope"; if envelope "FROM" "x" { stop; }`, `require "envelope"; if envelope "size" "x" { stop; }`},
		{"RFC 5228 5.9: over or under", `if size :over 1 { stop; }`, `if size 1 { stop; }`},
		{"RFC 5228 5.9: not both", `if size :under 1 { stop; }`, `if size :over :under 1 { stop; }`},
		{"RFC 5229 3: namespaces are required", `require ["variables", "include"]; redirect "${global.a}@x.test";`, `require "variables"; redirect "${global.a}@x.test";`},
		{"RFC 5229 4: match variables are not set", `require "variables"; set "a" "b";`, `require "variables"; set "1" "b";`},
		{"RFC 5229 4: the name is constant", `require "variables"; set "a" "${b}";`, `require "variables"; set "${b}" "a";`},
		{"RFC 5229 4.1: unknown modifiers", `require "variables"; set :lower "a" "b";`, `require "variables"; set :slower "a" "b";`},
		{"RFC 5229 4.1: one modifier of a precedence", `require "variables"; set :lower :upperfirst "a" "b";`, `require "variables"; set :lower :upper "a" "b";`},
		{"RFC 5229 6: too high an index", `require "variables"; redirect "${9}@x.test";`, `require "variables"; redirect "${99999}@x.test";`},
		{"RFC 5230 4.3: a valid :from", `require "vacation"; vacation :from "a@x.test" "b";`, `require "vacation"; vacation :from "a@@x" "b";`},
		{"RFC 5231 4: relations", `require "relational"; if header :value "gt" "a" "b" { stop; }`, `require "relational"; if header :value "is" "a" "b" { stop; }`},
		{"RFC 5260 4.1: one zone", `require "date"; if date :zone "+0100" "date" "hour" "1" { stop; }`, `require "date"; if date :zone "+0100" :originalzone "date" "hour" "1" { stop; }`},
		{"RFC 5260 4.1: the form of a zone", `require "date"; if date :zone "-0130" "date" "hour" "1" { stop; }`, `require "date"; if date :zone "01:30" "date" "hour" "1" { stop; }`},
		{"RFC 5260 6: :last goes with :index", `require "index"; if header :last :index 1 "a" "b" { stop; }`, `require "index"; if header :last "a" "b" { stop; }`},
		{"RFC 5293 4: names of fields", `require "editheader"; addheader "A" "b";`, `require "editheader"; addheader "A:" "b";`},
		{"RFC 5293 5: :last goes with :index", `require "editheader"; deleteheader :index 1 :last "a";`, `require "editheader"; deleteheader :last "a";`},
		{"RFC 5435 3.3: importance", `require "enotify"; notify :importance "1" "mailto:a@x.test";`, `require "enotify"; notify :importance "4" "mailto:a@x.test";`},
		{"RFC 5435 3.1: methods", `require "enotify"; notify "mailto:a@x.test";`, `require "enotify"; notify "tel:+1";`},
		{"RFC 5463 4: ihave takes constants", `require ["variables", "ihave"]; if ihave "copy" { stop; }`, `require ["variables", "ihave"]; if ihave "${a}" { stop; }`},
		{"RFC 5703 3: break in a loop", `require "foreverypart"; foreverypart { break; }`, `require "foreverypart"; break;`},
		{"RFC 5703 3: break a loop of that name", `require "foreverypart"; foreverypart :name "a" { break :name "a"; }`, `require "foreverypart"; foreverypart :name "a" { break :name "b"; }`},
		{"RFC 5703 4.1: :anychild goes with :mime", `require "mime"; if exists :mime :anychild "a" { stop; }`, `require "mime"; if exists :anychild "a" { stop; }`},
		{"RFC 5703 4.2: addresses of any field with :mime", `require "mime"; if address :mime "content-from" "a" { stop; }`, `require "mime"; if address "content-from" "a" { stop; }`},
		{"RFC 6131 2: days or seconds", `require "vacation-seconds"; vacation :seconds 0 "a";`, `require "vacation-seconds"; vacation :days 1 :seconds 1 "a";`},
		{"RFC 6609 3.2: the name is constant", `require ["include", "variables"]; include :optional "a";`, `require ["include", "variables"]; include :optional "${a}";`},
		{"RFC 6609 3.2: one place", `require "include"; include :personal :optional "a";`, `require "include"; include :personal :global :optional "a";`},
		{"RFC 6609 3.4.1: global goes with variables", `require ["include", "variables"]; global "a";`, `require "include"; global "a";`},
		{"RFC 6609 3.4.1: not of what was set", `require ["include", "variables"]; global "a"; set "a" "b";`, `require ["include", "variables"]; set "a" "b"; global "a";`},
		{"RFC 6609 3.4.2: no namespace in global", `require ["include", "variables"]; set "global.a" "b";`, `require ["include", "variables"]; set "global.a.b" "c";`},
		{"RFC 6609 4: hostile names", `require "include"; include :optional "a";`, `require "include"; include :optional "./../..//etc/passwd";`},
		{"RFC 7352 3.1: one source", `require "duplicate"; if duplicate :header "a" { stop; }`, `require "duplicate"; if duplicate :header "a" :uniqueid "b" { stop; }`},
		{"RFC 8580 7: no copy of a refusal", `require ["fcc", "reject"]; reject "a";`, `require ["fcc", "reject"]; reject :fcc "b" "a";`},
		{"RFC 9042 4.2: id or use", `require ["fileinto", "mailboxid", "special-use"]; fileinto :mailboxid "F1" "a";`, `require ["fileinto", "mailboxid", "special-use"]; fileinto :mailboxid "F1" :specialuse "\\Junk" "a";`},
	} {
		if _, err := e.Compile("good", []byte(tt.good), nil); err != nil {
			t.Errorf("%s: refused %s: %v", tt.rule, tt.good, err)
		}
		if _, err := e.Compile("bad", []byte(tt.bad), nil); err == nil {
			t.Errorf("%s: took %s", tt.rule, tt.bad)
		}
	}
}

// TestErrorsUndoEdits is RFC 5293 section 7: after an error the message is kept
// with the header that it came with.
func TestErrorsUndoEdits(t *testing.T) {
	t.Parallel()
	e := sieve.New(sieve.Config{})
	s, err := e.Compile("main", []byte(`require ["editheader", "ihave"]; deleteheader "subject"; error "no";`), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := e.Run(t.Context(), &sieve.Env{Message: strings.NewReader("Subject: a\r\n\r\n")}, s)
	if err == nil || !r.ImplicitKeep || r.Content != nil {
		t.Errorf("%+v, %v", r, err)
	}
}
