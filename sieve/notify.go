package sieve

import (
	"cmp"
	"net/url"
	"slices"
	"strings"

	"gomaild/message"
)

// maxNotified is how many addresses one notification may have.
const maxNotified = 8

// Notification is what a Notify action sends: a mailto URI taken apart (RFC
// 5436, RFC 6068).
type Notification struct {
	From       string // "" for the recipient
	Importance string // "1" is high, "3" low
	Message    string // "" for the default text
	To, Cc     []Correspondent
	Bcc        []Correspondent
	Subject    string
	Body       string
	Fields     [][2]string // name and value of more header fields
	FCC        *Action     // where a copy goes, nil: nowhere
	id         string      // of the old notify, for denotify
	isOld      bool        // of the old notify
}

// Correspondent is somebody who is notified.
type Correspondent struct {
	Address string
	Text    string // as the header has it: the address, maybe with a name
}

func joined(list []Correspondent) string {
	var out []string
	for _, c := range list {
		out = append(out, c.Text)
	}
	return strings.Join(out, ", ")
}

// parseMailto reads a mailto URI; ok is false for anything else.
func parseMailto(uri string) (n Notification, ok bool) {
	rest, isMailto := cutFold(uri, "mailto:")
	if !isMailto {
		return n, false
	}
	path, query, _ := strings.Cut(rest, "?")
	if !n.addresses(&n.To, path) {
		return n, false
	}
	for pair := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(pair, "=")
		decoded, ok := unescape(value)
		if !ok {
			return n, false
		}
		valid := true
		switch strings.ToLower(key) {
		case "to":
			valid = n.addresses(&n.To, value)
		case "cc":
			valid = n.addresses(&n.Cc, value)
		case "bcc":
			valid = n.addresses(&n.Bcc, value)
		case "subject":
			n.Subject = decoded
		case "body":
			n.Body = decoded
		case "":
			valid = value == ""
		default:
			valid = n.field(key, decoded)
		}
		if !valid {
			return n, false
		}
	}
	count := len(n.To) + len(n.Cc) + len(n.Bcc)
	return n, count > 0 && count <= maxNotified
}

// unescape decodes what may stand in the parts of a mailto URI: RFC 6068 section 2.
func unescape(s string) (string, bool) {
	for i := range len(s) {
		if c := s[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte("-.~!$'()*+,;:@%/?", c) < 0 {
			return "", false
		}
	}
	decoded, err := url.PathUnescape(s)
	return decoded, err == nil
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func (n *Notification) addresses(to *[]Correspondent, list string) bool {
	decoded, ok := unescape(list)
	if !ok {
		return false
	}
	for _, one := range splitMailboxes(decoded) {
		if one != "" && !n.add(to, one) {
			return false
		}
	}
	return true
}

// add takes in who is not told already; false is for what is no address.
func (n *Notification) add(to *[]Correspondent, text string) bool {
	a, err := parseMailbox(text)
	if err != nil {
		return false
	}
	c := Correspondent{a.String(), a.String()}
	if strings.HasSuffix(text, ">") {
		c.Text = text
	}
	if !slices.ContainsFunc(slices.Concat(n.To, n.Cc, n.Bcc), c.is) {
		*to = append(*to, c)
	}
	return true
}

// is reports the same mailbox; nobody has two that differ in case alone.
func (c Correspondent) is(other Correspondent) bool {
	return strings.EqualFold(c.Address, other.Address)
}

// notifyOnce takes from each notification those whom an earlier one tells: RFC 5436
// section 2.7 wants no two to the same address from one run. What tells nobody
// then is left out.
func (m *machine) notifyOnce() {
	var told []Correspondent
	m.result.Actions = slices.DeleteFunc(m.result.Actions, func(a Action) bool {
		n := a.Notification
		if a.Kind != Notify {
			return false
		}
		for _, list := range []*[]Correspondent{&n.To, &n.Cc, &n.Bcc} {
			*list = slices.DeleteFunc(*list, func(c Correspondent) bool { return slices.ContainsFunc(told, c.is) })
		}
		told = slices.Concat(told, n.To, n.Cc, n.Bcc)
		return len(n.To)+len(n.Cc)+len(n.Bcc) == 0
	})
}

// maxNotifiedFields is how many fields a URI may add.
const maxNotifiedFields = 16

// field adds a field that the URI asks for, but for those that are the
// notification's own (RFC 5436 section 2.7). A name that no field can have makes
// the URI a wrong one.
func (n *Notification) field(key, value string) bool {
	name, ok := unescape(key)
	if !ok || !isFieldName(name) {
		return false
	}
	switch strings.ToLower(name) {
	case "from", "sender", "reply-to", "return-path", "date", "message-id", "received", "auto-submitted",
		"x-sieve", "x-priority", "importance":
		return true
	}
	if !isMIMEField(name) && len(n.Fields) < maxNotifiedFields {
		n.Fields = append(n.Fields, [2]string{name, value})
	}
	return true
}

// notify is RFC 5435 section 3.
type notify struct {
	pos        Pos
	method     text
	from       *text
	message    *text
	importance string
	fcc        *fileinto
}

func buildNotify(c *checker, n *call) any {
	if c.required["notify"] {
		return buildOldNotify(c, n)
	}
	if n.args[0].kind == argNone {
		c.errorf(n.pos, "the notify command requires 1 positional argument(s), but 0 are specified")
		return nil
	}
	t := &notify{pos: n.pos, method: c.string(n.args[0]), from: c.optional(n, "from"), message: c.optional(n, "message"), importance: "2", fcc: c.fcc(n)}
	if a, ok := n.tags["importance"]; ok {
		t.importance = a.strs[0].text
		if t.importance != "1" && t.importance != "2" && t.importance != "3" {
			c.errorf(a.pos, "invalid importance value for notify command: %s", shorten(t.importance))
		}
	}
	if t.from != nil {
		if s, ok := t.from.constant(); ok {
			if _, err := parseMailbox(s); err != nil {
				c.errorf(t.from.pos, "specified :from address '%s' is invalid for the mailto method: %v", shorten(s), err)
			}
		}
	}
	c.notifyOptions(n)
	if s, ok := t.method.constant(); ok {
		if _, valid := parseMailto(s); !valid {
			c.errorf(t.method.pos, "notify command: invalid or unsupported notification method '%s'", shorten(s))
		}
	}
	return t
}

// notifyOptions holds :options against RFC 5435 section 3.6. The mailto method has
// none (RFC 5436 section 2.5), so that is all that is done with them.
func (c *checker) notifyOptions(n *call) {
	for _, s := range n.tags["options"].strs {
		option, isConstant := c.text(s).constant()
		name, value, found := strings.Cut(option, "=")
		if isConstant && (!found || !isOptionName(name) || strings.ContainsAny(value, "\r\n")) {
			c.errorf(s.pos, "notify command: invalid option '%s' specified: it is no name=value", shorten(option))
		}
	}
}

// isOptionName is optionname: a letter or digit, then also ".", "-" and "_".
func isOptionName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (!isAlpha(c) || c == '_') && !isDigit(c) && (i == 0 || strings.IndexByte(".-_", c) < 0) {
			return false
		}
	}
	return s != ""
}

func (t *notify) exec(m *machine) error {
	uri, err := t.method.value(m)
	if err != nil {
		return err
	}
	n, ok := parseMailto(uri)
	if !ok {
		return m.failAt(t.pos, "notify action: invalid or unsupported notification method '%s'", shorten(uri))
	}
	n.Importance = t.importance
	if n.From, err = m.optional(t.from); err != nil {
		return err
	}
	if _, err := parseMailbox(n.From); err != nil {
		n.From = "" // RFC 5436 section 2.7: one that is not valid counts as none
	}
	if n.Message, err = m.optional(t.message); err != nil {
		return err
	}
	if n.FCC, err = m.fcc(t.fcc); err != nil {
		return err
	}
	return m.add(Action{Kind: Notify, Pos: t.pos, Notification: &n})
}

// buildValidNotifyMethod is RFC 5435 section 4.
func buildValidNotifyMethod(c *checker, n *call) any {
	return allOf(c.texts(n.args[0]), func(_ *machine, uri string) bool {
		_, ok := parseMailto(uri)
		return ok
	})
}

// buildNotifyCapability is RFC 5435 section 5: whether somebody is online is
// not known of an address. For fcc the scheme is enough (RFC 8580 section 6.1).
func buildNotifyCapability(c *checker, n *call) any {
	uri, name := c.string(n.args[0]), c.string(n.args[1])
	match := c.match(n, n.args[2])
	return asks(func(m *machine) (bool, error) {
		u, err := uri.value(m)
		if err != nil {
			return false, err
		}
		item, err := name.value(m)
		if err != nil {
			return false, err
		}
		_, isMailto := cutFold(u, "mailto:")
		_, valid := parseMailto(u)
		answer := ""
		switch {
		case strings.EqualFold(item, "fcc") && isMailto:
			answer = "yes"
		case strings.EqualFold(item, "online") && valid:
			answer = "maybe"
		default:
			return false, nil
		}
		return match.over(m, func(yield func(string) bool) error { yield(answer); return nil })
	})
}

// Send is what the notification sends, or nil and why it may not: never about
// mail that was itself sent by a machine (RFC 5436 section 2.2).
func (n *Notification) Send(env *Env) (*Outgoing, string) {
	c := newContent(env.Message)
	if _, err := c.header(); err != nil {
		return nil, err.Error()
	}
	if v := strings.ToLower(c.first("Auto-Submitted")); v != "" && !strings.HasPrefix(v, "no") {
		return nil, "the message was sent automatically"
	}
	o := &Outgoing{FCC: n.FCC}
	for _, c := range slices.Concat(n.To, n.Cc, n.Bcc) {
		o.To = append(o.To, c.Address)
	}
	if env.From != "" && pathOf(env.From) != "" { // RFC 5436 section 2.7: a null path for a null path
		o.From = env.source(env.Answers.NotifyFrom, n.sender(env))
	}
	o.Content = n.compose(env, c)
	return o, ""
}

// sender is the envelope sender of a notification: that of :from, else the
// notification system's.
func (n *Notification) sender(env *Env) string {
	if a, err := parseMailbox(n.From); err == nil {
		return a.String()
	}
	return pathOf(env.postmaster())
}

func (n *Notification) compose(env *Env, c *content) []byte {
	var b headerWriter
	from, subject, text := n.From, n.Subject, n.Body
	if from == "" {
		from = pathOf(env.postmaster())
	}
	if n.Message != "" {
		subject = n.Message
	}
	if subject == "" {
		subject = cmp.Or(message.DecodeHeader(c.first("Subject")), "New message from "+c.first("From"))
	}
	if text == "" {
		text = "New message: " + c.first("Subject")
	}
	b.field("From", from)
	if len(n.To) > 0 {
		b.field("To", joined(n.To))
	}
	if len(n.Cc) > 0 {
		b.field("Cc", joined(n.Cc))
	}
	b.field("Subject", subject)
	b.field("Date", env.now().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	b.field("Message-ID", messageID(env, from, text))
	auto := "auto-notified; owner-email=\"" + pathOf(env.To) + "\""
	if n.isOld {
		auto = "auto-generated (notify)"
	}
	b.field("Auto-Submitted", auto)
	b.field("X-Sieve", "gomaild")
	priority := map[string][2]string{"1": {"1 (Highest)", "High"}, "2": {"3 (Normal)", "Normal"}, "3": {"5 (Lowest)", "Low"}}[n.Importance]
	b.field("X-Priority", priority[0])
	b.field("Importance", priority[1])
	for _, f := range n.Fields {
		b.field(f[0], f[1])
	}
	b.field("MIME-Version", "1.0")
	b.WriteString(textHeader + crlf(text))
	if !strings.HasSuffix(b.String(), "\r\n") {
		b.WriteString("\r\n")
	}
	return []byte(b.String())
}
