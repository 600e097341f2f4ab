package imap

import "gomaild/storage"

// speakUTF8 makes the session's names of mailboxes UTF-8 instead of modified
// UTF-7 once IMAP4rev2 (RFC 9051 section 5.1) or UTF8=ACCEPT (RFC 6855 section
// 3) is enabled.
func (s *session) speakUTF8() {
	on := s.enabled&(imap4rev2|utf8Accept) != 0
	s.dec.UTF8, s.enc.UTF8 = on, on
}

// forgetRecent: IMAP4rev2 has no \Recent (RFC 9051 appendix E).
func (s *session) forgetRecent() {
	if s.box != nil && s.enabled&imap4rev2 != 0 {
		clear(s.box.recent)
	}
}

// printRecent prints RECENT for clients that know it.
func (s *session) printRecent() {
	if s.enabled&imap4rev2 == 0 {
		s.printNumber(len(s.box.recent), "RECENT")
	}
}

// printSelectedName is the LIST response of SELECT in IMAP4rev2 (RFC 9051
// section 6.3.2).
func (s *session) printSelectedName(name string) {
	if s.enabled&imap4rev2 != 0 {
		s.printMailbox("LIST", name, nil, false)
	}
}

// inRev2 makes the result of a search without RETURN an ESEARCH response, the
// only one that IMAP4rev2 has (RFC 9051 section 7.3.4).
func (r *results) inRev2() {
	if !r.extended {
		r.extended, r.returns = true, returnAll
	}
}

func countDeleted(v *storage.View) uint64 {
	var n uint64
	for _, m := range v.Messages {
		if m.Flags&storage.Deleted != 0 {
			n++
		}
	}
	return n
}
