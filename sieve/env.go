package sieve

import (
	"time"

	"gomaild/message"
)

// Env is what a run may know. Message is required; the zero of everything else
// works.
type Env struct {
	Message message.Content
	From    string // envelope sender, without brackets; "" is the null path
	To      string // envelope recipient, final
	OrigTo  string // envelope recipient as the client gave it; "": To
	Auth    string // who logged in to submit the message
	Now     time.Time
}
