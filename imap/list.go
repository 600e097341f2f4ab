package imap

import (
	"context"
	"errors"
	"slices"
	"strings"

	"gomaild/storage"
)

// maxPatterns is far more than any client sends in one LIST.
const maxPatterns = 100

// list is LIST, RFC 3501 section 6.3.8, with the options of RFC 5258
// (LIST-EXTENDED), RFC 6154 (SPECIAL-USE) and RFC 5819 (LIST-STATUS).
type list struct {
	patterns []string // with the reference before each
	asked    int      // patterns, also those that are not in the list
	empty    bool     // "" is among them
	extended bool

	subscribed, recursive, special  bool // select these
	returnSubscribed, returnSpecial bool
	status                          []string
	myRights                        bool // RFC 8440
}

func parseList(g *grammar) request {
	var r list
	g.SP()
	if g.Peek() == '(' {
		r.parseSelection(g)
		g.SP()
	}
	reference := g.ListMailbox()
	g.SP()
	add := func() { r.addPattern(g, reference) }
	if g.Peek() == '(' {
		r.extended = true
		g.List(add)
	} else {
		add()
	}
	if g.Accept(' ') {
		r.parseReturn(g)
	}
	g.End()
	return r
}

// addPattern leaves out what no name can match: RFC 9051 section 6.3.9 wants no
// error for it.
func (r *list) addPattern(g *grammar, reference string) {
	pattern := g.ListMailbox()
	if r.asked++; r.asked > maxPatterns {
		g.Fail("more than %d patterns", maxPatterns)
	}
	if pattern == "" {
		r.empty = true
		return
	}
	if name, ok := g.Pattern(reference + pattern); ok {
		r.patterns = append(r.patterns, name)
	}
}

// parseSelection: RFC 5258 section 3.1.
func (r *list) parseSelection(g *grammar) {
	r.extended = true
	g.List(func() {
		switch g.Word() {
		case "SUBSCRIBED":
			r.subscribed, r.returnSubscribed = true, true
		case "RECURSIVEMATCH":
			r.recursive = true
		case "REMOTE":
		case "SPECIAL-USE":
			r.special, r.returnSpecial = true, true
		default:
			g.Fail("unknown LIST selection option")
		}
	})
	if r.recursive && !r.subscribed {
		g.Fail("RECURSIVEMATCH needs another selection option")
	}
}

// parseReturn: RFC 5258 section 3.2.
func (r *list) parseReturn(g *grammar) {
	r.extended = true
	if g.Word() != "RETURN" {
		g.Fail("RETURN expected")
	}
	g.SP()
	g.List(func() {
		switch g.Word() {
		case "SUBSCRIBED":
			r.returnSubscribed = true
		case "CHILDREN": // told always
		case "SPECIAL-USE":
			r.returnSpecial = true
		case "MYRIGHTS":
			r.parseMyRightsOption(g)
		case "STATUS":
			g.SP()
			r.status = parseStatusItems(g)
		default:
			g.Fail("unknown LIST return option")
		}
	})
}

func (r list) run(ctx context.Context, s *session) (reply, error) {
	if r.empty && !r.extended {
		s.enc.Raw(`* LIST (\Noselect) "/" ""` + "\r\n") // asks for the separator; RFC 5258 section 3: only there
		return reply{}, nil
	}
	if slices.Contains(r.status, "HIGHESTMODSEQ") {
		s.useModSeq()
	}
	tree, err := s.mailboxTree(ctx, r.subscribed)
	if err != nil {
		return reply{}, err
	}
	isAsked := func(name string) bool {
		return slices.ContainsFunc(r.patterns, func(p string) bool { return matches(p, name) })
	}
	var hidden map[string]bool
	if r.recursive {
		hidden = tree.hiddenBelow(isAsked)
	}
	for _, info := range tree.infos {
		if !isAsked(info.Name) {
			continue
		}
		childInfo := r.recursive && tree.subscribedBelow[info.Name]
		// RFC 5258 section 3.5: for the sake of what is below, unless all of that is told anyway.
		if r.subscribed && !info.Subscribed && !(childInfo && hidden[info.Name]) || r.special && info.SpecialUse == "" {
			continue
		}
		listed, status := info, ""
		if isChosen := !r.subscribed || info.Subscribed; isChosen { // RFC 5819 section 2: none for what is told for the sake of others
			status = r.statusOf(ctx, s, &listed)
		}
		s.printMailbox("LIST", info.Name, r.attributes(listed, tree), childInfo)
		if r.myRights {
			s.printListedRights(ctx, info)
		}
		if status != "" {
			s.printStatusLine(info.Name, status)
		}
	}
	return reply{}, nil
}

// statusOf is the status of a mailbox that is listed, "" where none is told. One
// that cannot be opened is listed as \Noselect (RFC 5819 section 2).
func (r list) statusOf(ctx context.Context, s *session, info *storage.MailboxInfo) string {
	if r.status == nil || info.NoSelect {
		return ""
	}
	status, err := s.status(ctx, info.Name, r.status)
	if err == nil {
		return status
	}
	info.NoSelect = isUnread(err) || errors.Is(err, storage.ErrNoMailbox) || errors.Is(err, storage.ErrNoSelect)
	s.warnUnless(info.NoSelect, "status of "+info.Name, err) // LIST goes on
	return ""
}

func (r list) attributes(info storage.MailboxInfo, tree *mailboxTree) []string {
	var attrs []string
	switch {
	case info.NoSelect && info.NonExist && r.extended:
		attrs = append(attrs, `\NonExistent`)
	case info.NoSelect:
		attrs = append(attrs, `\Noselect`)
	}
	if tree.parents[info.Name] {
		attrs = append(attrs, `\HasChildren`)
	} else {
		attrs = append(attrs, `\HasNoChildren`)
	}
	if info.NewMail {
		attrs = append(attrs, `\Marked`)
	}
	if r.returnSubscribed && info.Subscribed {
		attrs = append(attrs, `\Subscribed`)
	}
	// RFC 6154 section 2: a plain LIST may tell them too; Dovecot does, and
	// clients that do not ask find their folders by it.
	if info.SpecialUse != "" && (r.returnSpecial || !r.extended) {
		attrs = append(attrs, info.SpecialUse)
	}
	return attrs
}

func (s *session) printMailbox(verb, name string, attrs []string, childInfo bool) {
	s.enc.Raw("* " + verb + " (" + strings.Join(attrs, " ") + `) "/" `)
	s.enc.Mailbox(name)
	if childInfo {
		s.enc.Raw(` ("CHILDINFO" ("SUBSCRIBED"))`)
	}
	s.enc.CRLF()
}

// mailboxTree is all mailboxes with what depends on others.
type mailboxTree struct {
	infos           []storage.MailboxInfo // sorted
	parents         map[string]bool
	subscribedBelow map[string]bool
}

// mailboxTree lists the account; with subscriptions, names that are
// subscribed and do not exist are in it too.
func (s *session) mailboxTree(ctx context.Context, subscriptions bool) (*mailboxTree, error) {
	infos, err := s.account.Mailboxes(ctx)
	if err != nil {
		return nil, err
	}
	infos = slices.Clone(infos)
	t := &mailboxTree{infos: infos, parents: map[string]bool{}, subscribedBelow: map[string]bool{}}
	if subscriptions {
		names, err := s.account.Subscriptions(ctx)
		if err != nil {
			return nil, err
		}
		t.addMissing(names)
	}
	for _, info := range t.infos {
		for parent := range ancestors(info.Name) {
			if !info.NonExist {
				t.parents[parent] = true
			}
			if info.Subscribed {
				t.subscribedBelow[parent] = true
			}
		}
	}
	return t, nil
}

// hiddenBelow are the names above subscribed ones that nobody asked for.
func (t *mailboxTree) hiddenBelow(isAsked func(string) bool) map[string]bool {
	hidden := map[string]bool{}
	for _, info := range t.infos {
		if info.Subscribed && !isAsked(info.Name) {
			for parent := range ancestors(info.Name) {
				hidden[parent] = true
			}
		}
	}
	return hidden
}

func (t *mailboxTree) addMissing(names []string) {
	known := make(map[string]bool, len(t.infos))
	for _, info := range t.infos {
		known[info.Name] = true
	}
	for _, name := range names {
		if !known[name] {
			t.infos = append(t.infos, storage.MailboxInfo{Name: name, NoSelect: true, NonExist: true, Subscribed: true})
		}
	}
	slices.SortFunc(t.infos, func(a, b storage.MailboxInfo) int { return strings.Compare(a.Name, b.Name) })
}

// ancestors goes over the names above a name, nearest first.
func ancestors(name string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name[:i], '/') {
			if !yield(name[:i]) {
				return
			}
		}
	}
}
