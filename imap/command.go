package imap

import (
	"context"

	"gomaild/imap/wire"
)

// state is one of the states of RFC 3501 section 3, or a set of them.
type state uint8

const (
	notAuthenticated state = 1 << iota
	authenticated
	selectedState

	anyState   = notAuthenticated | authenticated | selectedState
	afterLogin = authenticated | selectedState
)

// when completes "NAME is not allowed ...".
func (s state) when() string {
	switch s {
	case notAuthenticated:
		return "before login"
	case authenticated:
		return "without a selected mailbox"
	}
	return "now"
}

// grammar is what a command's parser reads from.
type grammar struct {
	*wire.Decoder
	limits  *Limits
	enabled feature
	lists   bool // there are access control lists
}

// request is a parsed command. run prints its untagged responses; the tagged
// one is made of what it returns.
type request interface {
	run(ctx context.Context, s *session) (reply, error)
}

// command is what is true of a command besides its work.
type command struct {
	name   string
	states state
	// usesNumbers: message numbers must not shift before the tagged response,
	// so EXPUNGE waits (RFC 3501 section 7.4.1).
	usesNumbers bool
	parse       func(g *grammar) request
}

// commands is sorted by name.
var commands = []command{
	{"APPEND", afterLogin, false, parseAppend},
	{"AUTHENTICATE", notAuthenticated, false, parseAuthenticate},
	{"CANCELUPDATE", selectedState, false, parseCancelUpdate},
	{"CAPABILITY", anyState, false, bare(capability{})},
	{"CHECK", selectedState, false, bare(noop{})},
	{"CLOSE", selectedState, false, bare(closeMailbox{expunge: true})},
	{"COMPRESS", afterLogin, false, parseCompress},
	{"COPY", selectedState, true, parseCopy(false, false)},
	{"CREATE", afterLogin, false, parseCreate},
	{"DELETE", afterLogin, false, parseDelete},
	{"DELETEACL", afterLogin, false, parseDeleteACL},
	{"ENABLE", afterLogin, false, parseEnable},
	{"EXAMINE", afterLogin, false, parseSelect(true)},
	{"EXPUNGE", selectedState, false, bare(expunge{})},
	{"FETCH", selectedState, true, parseFetch(false)},
	{"GETACL", afterLogin, false, parseGetACL},
	{"GETMETADATA", afterLogin, false, parseGetMetadata},
	{"GETQUOTA", afterLogin, false, parseGetQuota},
	{"GETQUOTAROOT", afterLogin, false, parseGetQuotaRoot},
	{"ID", anyState, false, parseID},
	{"IDLE", afterLogin, false, bare(idle{})},
	{"LIST", afterLogin, false, parseList},
	{"LISTRIGHTS", afterLogin, false, parseListRights},
	{"LOGIN", notAuthenticated, false, parseLogin},
	{"LOGOUT", anyState, false, bare(logout{})},
	{"LSUB", afterLogin, false, parseLsub},
	{"MOVE", selectedState, false, parseCopy(false, true)},
	{"MYRIGHTS", afterLogin, false, parseMyRights},
	{"NAMESPACE", afterLogin, false, bare(namespace{})},
	{"NOOP", anyState, false, bare(noop{})},
	{"NOTIFY", afterLogin, false, parseNotify},
	{"RENAME", afterLogin, false, parseRename},
	{"REPLACE", selectedState, false, parseReplace(false)},
	{"SEARCH", selectedState, true, parseSearch(false)},
	{"SELECT", afterLogin, false, parseSelect(false)},
	{"SETACL", afterLogin, false, parseSetACL},
	{"SETMETADATA", afterLogin, false, parseSetMetadata},
	{"SETQUOTA", afterLogin, false, parseSetQuota},
	{"SORT", selectedState, true, parseSort(false)},
	{"STARTTLS", notAuthenticated, false, bare(startTLS{})},
	{"STATUS", afterLogin, false, parseStatus},
	{"STORE", selectedState, true, parseStore(false)},
	{"SUBSCRIBE", afterLogin, false, parseSubscribe(true)},
	{"THREAD", selectedState, true, parseThread(false)},
	{"UID COPY", selectedState, false, parseCopy(true, false)},
	{"UID EXPUNGE", selectedState, false, parseUIDExpunge},
	{"UID FETCH", selectedState, false, parseFetch(true)},
	{"UID MOVE", selectedState, false, parseCopy(true, true)},
	{"UID REPLACE", selectedState, false, parseReplace(true)},
	{"UID SEARCH", selectedState, false, parseSearch(true)},
	{"UID SORT", selectedState, false, parseSort(true)},
	{"UID STORE", selectedState, false, parseStore(true)},
	{"UID THREAD", selectedState, false, parseThread(true)},
	{"UNAUTHENTICATE", afterLogin, false, bare(unauthenticate{})},
	{"UNSELECT", selectedState, false, bare(closeMailbox{})},
	{"UNSUBSCRIBE", afterLogin, false, parseSubscribe(false)},
}

// bare is the parser of a command without arguments.
func bare(r request) func(*grammar) request {
	return func(g *grammar) request {
		g.End()
		return r
	}
}
