package pop3

import "context"

// state is where a session stands (RFC 1939 section 3), a bit each.
type state uint8

const (
	authorization state = 1 << iota
	transaction
	anyState = authorization | transaction
)

func (s state) when() string {
	if s == authorization {
		return "before login"
	}
	return "after login"
}

// arguments is how many words may follow a verb.
type arguments uint8

const (
	noArg  arguments = iota
	maybe            // none or some; the command looks
	oneArg           // the rest of the line, not empty
)

// command is all that is true of a verb besides its work.
type command struct {
	verb   string
	states state
	args   arguments
	run    func(s *session, ctx context.Context, arg string) error
}

// find returns the row of a verb in upper case, nil if there is none.
func find(verb string) *command {
	for i := range commands {
		if commands[i].verb == verb {
			return &commands[i]
		}
	}
	return nil
}

// commands is the table. LAST went with RFC 1460; XTND and APOP never came.
var commands = []command{
	{"AUTH", authorization, maybe, (*session).auth},
	{"CAPA", anyState, noArg, (*session).capa},
	{"DELE", transaction, oneArg, (*session).dele},
	{"LIST", transaction, maybe, (*session).list},
	{"NOOP", transaction, noArg, (*session).noop},
	{"PASS", authorization, oneArg, (*session).pass},
	{"QUIT", anyState, noArg, (*session).quit},
	{"RETR", transaction, oneArg, (*session).retr},
	{"RSET", transaction, noArg, (*session).rset},
	{"STAT", transaction, noArg, (*session).stat},
	{"STLS", authorization, noArg, (*session).stls},
	{"TOP", transaction, oneArg, (*session).top},
	{"UIDL", transaction, maybe, (*session).uidl},
	{"USER", authorization, oneArg, (*session).userName},
	{"UTF8", authorization, noArg, (*session).utf8Mode},
}
