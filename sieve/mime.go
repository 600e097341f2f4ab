package sieve

import (
	"errors"
	"strings"

	"gomaild/message"
)

// mimeTags are those of RFC 5703 section 4.
func mimeTags() []tagSpec {
	return []tagSpec{
		{name: "mime", ext: "mime"},
		{name: "anychild", ext: "mime"},
		{name: "type", ext: "mime", group: "mime option"},
		{name: "subtype", ext: "mime", group: "mime option"},
		{name: "contenttype", ext: "mime", group: "mime option"},
		{name: "param", ext: "mime", kind: kindList, group: "mime option"},
	}
}

// mimeOption is :mime with what stands behind it; nil without.
type mimeOption struct {
	anyChild bool
	what     string // "type", "subtype", "contenttype", "param" or ""
	params   texts
}

func (c *checker) mimeOption(n *call) *mimeOption {
	o := &mimeOption{anyChild: n.has("anychild")}
	for _, what := range []string{"type", "subtype", "contenttype", "param"} {
		if n.has(what) {
			o.what = what
		}
	}
	if a, ok := n.tags["param"]; ok {
		o.params = c.texts(a)
	}
	if n.has("mime") {
		if o.what != "" && n.spec.name != "header" {
			c.errorf(n.pos, "the :%s tag is not for the %s test", o.what, n.name)
		}
		return o
	}
	if o.anyChild || o.what != "" {
		c.errorf(n.pos, "the :anychild, :type, :subtype, :contenttype and :param tags of the %s %s require :mime", n.name, n.spec.kind())
	}
	return nil
}

// fields is the header fields of the part that is meant and, with :anychild,
// of those in it; nothing without :mime.
func (o *mimeOption) fields(m *machine) ([]*field, error) {
	if o == nil {
		return nil, nil
	}
	part := m.part
	if part == nil && !o.anyChild {
		return m.msg.header()
	}
	if part == nil {
		root, err := m.msg.root()
		if err != nil {
			return nil, m.fault(m.at, err)
		}
		part = root
	}
	return o.collect(m, part, nil)
}

func (o *mimeOption) collect(m *machine, p *message.Part, all []*field) ([]*field, error) {
	for f, err := range message.Fields(m.msg.src, p.Header) {
		if err != nil {
			return nil, m.fault(m.at, err)
		}
		if err := m.spend(m.at, 1+len(f.Value)/256); err != nil {
			return nil, err
		}
		all = append(all, &field{name: f.Name, text: f.Text(), span: f.Span})
	}
	if !o.anyChild {
		return all, nil
	}
	for i := range p.Parts {
		var err error
		if all, err = o.collect(m, &p.Parts[i], all); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// values is what of the field is asked for, where it is not the whole: RFC 5703
// section 4.
func (o *mimeOption) values(m *machine, f *field) ([]string, error) {
	main, params := message.ParseParams(f.text)
	var typ, sub string
	switch strings.ToLower(f.name) {
	case "content-type":
		typ, sub, _ = strings.Cut(main, "/")
	case "content-disposition":
		typ = main
	}
	switch o.what {
	case "type":
		return []string{typ}, nil
	case "subtype":
		return []string{sub}, nil
	case "contenttype":
		if sub != "" {
			typ += "/" + sub
		}
		return []string{typ}, nil
	}
	names, err := o.params.values(m)
	var found []string
	for _, name := range names {
		if v, ok := message.ParamText(params, name); ok {
			found = append(found, v)
		}
	}
	return found, err
}

// errBreak ends a loop; name is the loop's, "" for the innermost.
type errBreak struct{ name string }

func (errBreak) Error() string { return "break" }

// maxLoops is how many foreverypart loops may be in each other, the scripts that a
// loop includes counted: as many as with Pigeonhole.
const maxLoops = 4

// foreverypart is RFC 5703 section 3.
type foreverypart struct {
	pos  Pos
	name string
	body block
}

func buildForeverypart(c *checker, n *call) any {
	f := &foreverypart{pos: n.pos, body: n.body}
	if a, ok := n.tags["name"]; ok {
		f.name = a.strs[0].text
	}
	return f
}

// buildBreak is RFC 5703 section 3.
func buildBreak(c *checker, n *call) any {
	name := ""
	if a, ok := n.tags["name"]; ok {
		name = a.strs[0].text
	}
	known := c.loops != nil && (name == "" || contains(c.loops, name))
	if !known {
		c.errorf(n.pos, "the break command is not placed inside a foreverypart loop of that name")
	}
	return does(func(*machine) error { return errBreak{name} })
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func (f *foreverypart) exec(m *machine) error {
	if m.loops == maxLoops {
		return m.failAt(f.pos, "foreverypart loops are nested deeper than %d", maxLoops)
	}
	m.loops++
	outer := m.part
	defer func() { m.part, m.loops = outer, m.loops-1 }()
	start := outer
	if start == nil {
		defer m.settle()
		root, err := m.msg.root()
		if err != nil {
			return m.fault(f.pos, err)
		}
		start = root
		if err := f.once(m, root); err != nil {
			return f.ended(err)
		}
	}
	return f.ended(f.each(m, start))
}

// ended takes away a break that was meant for this loop.
func (f *foreverypart) ended(err error) error {
	if b, ok := errors.AsType[errBreak](err); ok && (b.name == "" || b.name == f.name) {
		return nil
	}
	return err
}

func (f *foreverypart) each(m *machine, p *message.Part) error {
	for i := range p.Parts {
		if m.msg.isGone(p.Body) {
			return nil // RFC 5703 section 5: what is in a part that was replaced is no more
		}
		if err := f.once(m, &p.Parts[i]); err != nil {
			return err
		}
		if err := f.each(m, &p.Parts[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *foreverypart) once(m *machine, p *message.Part) error {
	m.part = p
	if err := m.spend(f.pos, 1); err != nil {
		return err
	}
	return f.body.exec(m)
}

// buildExtracttext is RFC 5703 section 7.
func buildExtracttext(c *checker, n *call) any {
	if !c.required["variables"] {
		c.errorf(n.pos, "the extracttext command requires the variables extension")
		return nil
	}
	if c.loops == nil {
		c.errorf(n.pos, "the extracttext command is not placed inside a foreverypart loop")
	}
	write := c.target(n.args[0].strs[0])
	modifiers := c.modifiers(n)
	first := uint64(maxBody)
	if a, ok := n.tags["first"]; ok {
		first = a.num
	}
	return does(func(m *machine) error {
		s := ""
		if p := m.part; p != nil && !p.IsMultipart() && strings.EqualFold(p.Type, "text") {
			var err error
			if s, err = m.readText(p); err != nil {
				return err
			}
		}
		s = cutRunes(s, first)
		for _, f := range modifiers {
			s = f(m.cut(s), m.limits.VariableSize)
		}
		write(m, s)
		return nil
	})
}

// cutRunes is the first n characters.
func cutRunes(s string, n uint64) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
