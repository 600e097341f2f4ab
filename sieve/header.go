package sieve

import (
	"strings"

	"gomaild/mail"
)

// selection is what :index and :last choose: RFC 5260 section 6.
type selection struct {
	index int // 0: every one
	last  bool
}

func (c *checker) selection(n *call) selection {
	s := selection{last: n.has("last")}
	if a, ok := n.tags["index"]; ok {
		s.index = int(min(a.num, 1<<30))
		if s.index == 0 {
			c.errorf(a.pos, "the :index tag for the %s %s cannot be zero", n.name, n.spec.kind())
		}
	}
	if _, given := n.tags["index"]; s.last && !given {
		c.errorf(n.pos, "the :last tag for the %s %s cannot be specified without the :index tag", n.name, n.spec.kind())
	}
	return s
}

// choose is the part of list that is chosen.
func choose[T any](s selection, list []T) []T {
	switch {
	case s.index == 0:
		return list
	case s.index > len(list):
		return nil
	case s.last:
		return list[len(list)-s.index:][:1]
	}
	return list[s.index-1 : s.index]
}

// header is RFC 5228 section 5.7.
type header struct {
	names texts
	match match
	which selection
	mime  *mimeOption
}

func buildHeader(c *checker, n *call) any {
	c.headerNames(n, n.args[0])
	return &header{names: c.texts(n.args[0]), match: c.match(n, n.args[1]), which: c.selection(n), mime: c.mimeOption(n)}
}

// headerNames complains of names that no field can have.
func (c *checker) headerNames(n *call, a arg) {
	for _, s := range a.strs {
		if fixed, ok := c.text(s).constant(); ok && !isFieldName(fixed) {
			c.warnf(s.pos, "specified header field name '%s' is invalid", shorten(fixed))
		}
	}
	_ = n
}

// isFieldName is ftext of RFC 5322 section 3.6.8.
func isFieldName(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

// eval has its own loop, as address has: most rules of most scripts are one of
// these two, and a delivery asks each of them.
func (t *header) eval(m *machine) (bool, error) {
	x, err := t.match.begin(m)
	if err != nil {
		return false, err
	}
	parts, err := t.mime.fields(m)
	if err != nil {
		return false, err
	}
	for i := range t.names {
		fields, err := m.chosen(t.names, i, t.which, t.mime, parts)
		if err != nil {
			return false, err
		}
		for _, f := range fields {
			if found, err := t.field(&x, f); found || err != nil {
				return found, err
			}
		}
	}
	return x.end()
}

// field tries what the test asks of one field.
func (t *header) field(x *matching, f *field) (bool, error) {
	if t.mime == nil || t.mime.what == "" {
		return x.field(f)
	}
	values, err := t.mime.values(x.m, f)
	if err != nil {
		return false, err
	}
	for _, v := range values {
		if found, err := x.value(v); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// chosen is the fields of the name at i. With :index the fields of all names are
// one list (RFC 5260 section 6), and the one chosen comes with the last name.
func (m *machine) chosen(names texts, i int, which selection, o *mimeOption, parts []*field) ([]*field, error) {
	switch {
	case which.index == 0:
		return m.fieldsOf(&names[i], o, parts)
	case i < len(names)-1:
		return nil, nil
	}
	var list []*field
	for i := range names {
		more, err := m.fieldsOf(&names[i], o, parts)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	return choose(which, list), nil
}

// fieldsOf is the fields of a name: of the message or, with :mime, of parts.
func (m *machine) fieldsOf(name *text, o *mimeOption, parts []*field) ([]*field, error) {
	n, fixed := name.constant()
	if !fixed {
		var err error
		if n, err = name.value(m); err != nil {
			return nil, err
		}
	}
	if o != nil {
		return namedIn(parts, n), nil
	}
	fields, err := m.msg.named(n)
	if err != nil {
		return nil, m.fault(name.pos, err)
	}
	return fields, nil
}

// exists is RFC 5228 section 5.5: all of them.
type exists struct {
	names texts
	mime  *mimeOption
}

func buildExists(c *checker, n *call) any {
	c.headerNames(n, n.args[0])
	return &exists{names: c.texts(n.args[0]), mime: c.mimeOption(n)}
}

func (t *exists) eval(m *machine) (bool, error) {
	parts, err := t.mime.fields(m)
	if err != nil {
		return false, err
	}
	for i := range t.names {
		fields, err := m.fieldsOf(&t.names[i], t.mime, parts)
		if err != nil || len(fields) == 0 {
			return false, err
		}
	}
	return true, nil
}

// size is RFC 5228 section 5.9.
type size struct {
	limit uint64
	over  bool
}

func buildSize(c *checker, n *call) any {
	if !n.has("over") && !n.has("under") {
		c.errorf(n.pos, "the size test requires either the :under or the :over tag to be specified")
	}
	return &size{limit: n.args[0].num, over: n.has("over")}
}

func (t *size) eval(m *machine) (bool, error) {
	now, err := m.current(m.at)
	if err != nil {
		return false, err
	}
	if now == nil {
		now = m.msg.src
	}
	n := uint64(now.Size())
	if t.over {
		return n > t.limit, nil
	}
	return n < t.limit, nil
}

// addressPart chooses part of an address: RFC 5228 section 2.7.4, RFC 5233.
type addressPart func(delimiter string, local, domain string) (string, bool)

func (c *checker) addressPart(n *call) addressPart {
	switch {
	case n.has("localpart"):
		return func(_ string, local, _ string) (string, bool) { return local, true }
	case n.has("domain"):
		return func(_ string, _, domain string) (string, bool) { return domain, true }
	case n.has("user"):
		return func(delimiter string, local, _ string) (string, bool) {
			user, _, _ := cutDetail(local, delimiter)
			return user, true
		}
	case n.has("detail"):
		return func(delimiter string, local, _ string) (string, bool) {
			_, detail, ok := cutDetail(local, delimiter)
			return detail, ok
		}
	}
	return func(_ string, local, domain string) (string, bool) { return whole(local, domain), true }
}

// isWhole reports a call without an address part, or with :all.
func isWhole(n *call) bool {
	return !n.has("localpart") && !n.has("domain") && !n.has("user") && !n.has("detail")
}

// whole is the address with the quotes that its local part needs, but for dots at
// odd places, which are written without.
func whole(local, domain string) string {
	if strings.ContainsAny(local, ` "(),:;<>@[\]`) && domain != "" {
		local = quoteLocal(local)
	}
	if domain == "" {
		return local
	}
	return local + "@" + domain
}

func quoteLocal(local string) string { return `"` + quote(local, `"\`, 2*len(local)) + `"` }

func cutDetail(local, delimiters string) (user, detail string, ok bool) {
	for i := range len(local) {
		for j := range len(delimiters) {
			if local[i] == delimiters[j] {
				return local[:i], local[i+1:], true
			}
		}
	}
	return local, "", false
}

// address is RFC 5228 section 5.1.
type address struct {
	names texts
	match match
	part  addressPart
	all   bool // part is the whole
	which selection
	mime  *mimeOption
}

func buildAddress(c *checker, n *call) any {
	for _, s := range n.args[0].strs {
		if n.has("mime") { // RFC 5703 section 4.2: any field, read as addresses
			break
		}
		if fixed, ok := c.text(s).constant(); ok && !holdsAddresses[mail.FoldASCII(fixed)] {
			c.errorf(s.pos, "specified header '%s' is not allowed for the address test", shorten(fixed))
		}
	}
	return &address{names: c.texts(n.args[0]), match: c.match(n, n.args[1]), part: c.addressPart(n), all: isWhole(n), which: c.selection(n), mime: c.mimeOption(n)}
}

// holdsAddresses are fields whose value is a list of addresses; a script that
// asks for another is wrong (RFC 5228 section 5.1: "MUST restrict").
var holdsAddresses = map[string]bool{
	"from": true, "to": true, "cc": true, "bcc": true, "sender": true, "reply-to": true,
	"resent-from": true, "resent-sender": true, "resent-to": true, "resent-cc": true, "resent-bcc": true,
	"resent-reply-to": true, "return-path": true, "delivered-to": true, "x-original-to": true,
	"envelope-to": true, "x-envelope-to": true, "errors-to": true, "disposition-notification-to": true,
	"approved": true, "original-recipient": true, "mail-reply-to": true, "mail-followup-to": true,
	"abuse-reports-to": true, "x-complaints-to": true, "x-report-abuse": true, "for-approval": true,
	"for-handling": true, "for-comment": true, "apparently-to": true, "delivery-receipt-to": true,
	"return-receipt-to": true, "x-delivered-to": true, "x-forwarded-to": true, "x-beenthere": true,
	"x-loop": true, "x-return-path": true, "x-envelope-from": true, "x-apparently-to": true,
	"read-receipt-to": true, "x-confirm-reading-to": true, "return-receipt-requested": true,
	"registered-mail-reply-requested-by": true, "mail-copies-to": true, "x-admin": true,
}

func (t *address) eval(m *machine) (bool, error) {
	x, err := t.match.begin(m)
	if err != nil {
		return false, err
	}
	parts, err := t.mime.fields(m)
	if err != nil {
		return false, err
	}
	for i := range t.names {
		fields, err := m.chosen(t.names, i, t.which, t.mime, parts)
		if err != nil {
			return false, err
		}
		for _, f := range fields {
			if found, err := t.field(&x, f); found || err != nil {
				return found, err
			}
		}
	}
	return x.end()
}

// field tries the part of each address of one field.
func (t *address) field(x *matching, f *field) (bool, error) {
	boxes := f.addresses()
	for i := range boxes {
		box := &boxes[i]
		if box.GroupStart || box.GroupEnd || box.Local == "" && box.Domain == "" {
			continue
		}
		if (box.Local == "" || box.Domain == "") && !t.all {
			continue // RFC 5228 section 2.7.4: it is no address
		}
		v, ok := t.part(x.m.engine.delimiter, box.Local, box.Domain)
		if !ok {
			continue
		}
		if found, err := x.value(v); found || err != nil {
			return found, err
		}
	}
	return false, nil
}
