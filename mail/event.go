package mail

// Names of the events in the log, one line each, which stay as they are: what
// counts them, or prints them as another program would, reads them by name.
// docs/logging.md lists their fields.
const (
	EventAccepted  = "accepted"  // a message: we answer for it from here on
	EventDelivered = "delivered" // a recipient: in a mailbox, or taken by the next host
	EventQueued    = "queued"    // a recipient elsewhere: the queue answers for it from here on
	EventDeferred  = "deferred"  // a 4xx reply of ours, or an attempt that will be made again
	EventRejected  = "rejected"  // a 5xx reply of ours
	EventDiscarded = "discarded" // a recipient: answered 250 and kept nowhere, as a filter wants
	EventBounced   = "bounced"   // a recipient of an accepted message that we gave up
	EventFiltered  = "filtered"  // a recipient: what its Sieve scripts decided, other than to keep the message

	EventLogin            = "login"
	EventLoginRefused     = "login refused"
	EventLoginUnavailable = "login unavailable" // the accounts could not be asked
)

// Refused is the name of the event that s is as a reply of ours.
func (s *Status) Refused() string {
	if s.Temporary() {
		return EventDeferred
	}
	return EventRejected
}
