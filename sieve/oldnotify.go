package sieve

import (
	"slices"
	"strconv"
	"strings"
)

// The notify extension is the draft before RFC 5435, which old scripts require:
// the method and the addresses are tags. Of its methods mailto is known.

// oldNotifyTags are its tags; the priorities are denotify's, too.
func oldNotifyTags() []tagSpec {
	return []tagSpec{
		{name: "method", ext: "notify", kind: kindString}, {name: "id", ext: "notify", kind: kindString},
		{name: "low", ext: "notify", group: "priority"}, {name: "normal", ext: "notify", group: "priority"}, {name: "high", ext: "notify", group: "priority"},
	}
}

// oldNotify is its notify command.
type oldNotify struct {
	pos         Pos
	options     texts
	id, message *text
	importance  string
}

func buildOldNotify(c *checker, n *call) any {
	if n.args[0].kind != argNone {
		c.errorf(n.pos, "the notify command of the notify extension takes no positional arguments")
		return nil
	}
	if a, ok := n.tags["method"]; ok && !strings.EqualFold(a.strs[0].text, "mailto") {
		c.errorf(a.pos, "notify command: unsupported notification method '%s'", shorten(a.strs[0].text))
	}
	t := &oldNotify{pos: n.pos, id: c.optional(n, "id"), message: c.optional(n, "message"), importance: priority(n)}
	a, ok := n.tags["options"]
	if !ok {
		c.errorf(n.pos, "notify command: the mailto method requires the addresses in :options")
		return nil
	}
	t.options = c.texts(a)
	for _, o := range t.options {
		if s, ok := o.constant(); ok && !isMailbox(s) {
			c.errorf(o.pos, "notify command: invalid address '%s' in :options", shorten(s))
		}
	}
	return t
}

// priority is the importance that a tag names; "" without one.
func priority(n *call) string {
	for tag, importance := range map[string]string{"high": "1", "normal": "2", "low": "3"} {
		if n.has(tag) {
			return importance
		}
	}
	return ""
}

func (t *oldNotify) exec(m *machine) error {
	addresses, err := t.options.values(m)
	if err != nil {
		return err
	}
	n := &Notification{Importance: t.importance, isOld: true}
	if n.Importance == "" {
		n.Importance = "2"
	}
	for _, s := range addresses {
		if !n.add(&n.To, s) {
			return m.failAt(t.pos, "notify action: invalid address '%s'", shorten(s))
		}
	}
	if len(n.To) == 0 || len(n.To) > maxNotified {
		return m.failAt(t.pos, "notify action: %d addresses are too few or too many (max %d)", len(n.To), maxNotified)
	}
	if n.id, err = m.optional(t.id); err != nil {
		return err
	}
	text := "$from$: $subject$"
	if t.message != nil {
		if text, err = t.message.value(m); err != nil {
			return err
		}
	}
	if n.Body, err = m.expandNotice(text); err != nil {
		return err
	}
	return m.add(Action{Kind: Notify, Pos: t.pos, Notification: n})
}

// expandNotice puts what the message says for $from$, $env-from$, $subject$,
// $text$ and $text[n]$ (the first n octets).
func (m *machine) expandNotice(s string) (string, error) {
	if _, err := m.msg.header(); err != nil {
		return "", m.fault(m.at, err)
	}
	var b strings.Builder
	for b.Len() <= m.limits.Text {
		before, rest, found := strings.Cut(s, "$")
		b.WriteString(before)
		name, after, closed := strings.Cut(rest, "$")
		if !found || !closed {
			b.WriteString(s[len(before):])
			return b.String(), nil
		}
		value, known, err := m.noticeValue(strings.ToLower(name))
		if err != nil {
			return "", err
		}
		if !known {
			b.WriteString("$" + name)
			s = "$" + after
			continue
		}
		b.WriteString(value)
		s = after
	}
	return "", m.failAt(m.at, "notify action: the message grows beyond %d bytes", m.limits.Text)
}

func (m *machine) noticeValue(name string) (value string, known bool, err error) {
	limit := uint64(1000)
	if n, ok := strings.CutPrefix(name, "text["); ok {
		if limit, err = strconv.ParseUint(strings.TrimSuffix(n, "]"), 10, 16); err != nil {
			return "", false, nil
		}
		name = "text"
	}
	switch name {
	case "from":
		fields, err := m.msg.named("From")
		if err != nil || len(fields) == 0 {
			return "", true, err
		}
		return fields[0].value(), true, nil
	case "env-from":
		return m.env.From, true, nil
	case "subject":
		return m.msg.subjectOr(""), true, nil
	case "text":
		err = m.eachText(func(s string) bool { value = cutRunes(s, limit); return false })
		return value, true, err
	}
	return "", false, nil
}

// buildDenotify takes notifications back: those of a priority, of an id that
// matches, or all.
func buildDenotify(c *checker, n *call) any {
	var match *match
	if n.args[0].kind != argNone {
		x := c.match(n, n.args[0])
		match = &x
	}
	importance := priority(n)
	return does(func(m *machine) error {
		var failed error
		m.result.Actions = slices.DeleteFunc(m.result.Actions, func(a Action) bool {
			if a.Kind != Notify || importance != "" && a.Notification.Importance != importance || failed != nil {
				return false
			}
			if match == nil {
				return true
			}
			hit, err := match.over(m, func(yield func(string) bool) error { yield(a.Notification.id); return nil })
			failed = err
			return hit
		})
		return failed
	})
}
