package queue

import (
	"context"
	"strconv"
	"strings"
	"time"

	"gomaild/mail"
	"gomaild/message"
)

// Destination is what recipients of one attempt share: the next hop. It is
// comparable; scheduling is per Destination.
type Destination struct {
	Transport string // "smtp", "lmtp"; "local" is routed here, "mailbox" is brought to the mailbox of that address
	Host      string // domain, host name or address literal, in lower case; path of the socket for lmtp on a unix socket; "" for local and mailbox
	Port      uint16 // 0: the transport's own
	NoMX      bool   // Host is a host, not a mail domain: Postfix's [host]
	Direct    bool   `json:",omitempty"` // a transport map names the way: no relay host for all
	Folder    string `json:",omitempty"` // of a mailbox; "" for INBOX
}

// String is the destination as transport maps are written.
func (d Destination) String() string {
	host := d.Host
	switch {
	case d.Transport == "error":
		return d.Transport + ":" + host
	case strings.HasPrefix(host, "/"):
		return d.Transport + ":unix:" + host
	case d.NoMX:
		host = "[" + host + "]"
	}
	if d.Port != 0 {
		host += ":" + strconv.Itoa(int(d.Port))
	}
	return d.Transport + ":" + host
}

// Job is one attempt: one message for recipients that share a Destination.
type Job struct {
	ID          string // queue ID, for logs and the remote's Received
	From        mail.ReversePath
	To          []mail.Recipient
	Destination Destination
	Content     message.Content // wire form, header complete; valid until Deliver returns
	Arrived     time.Time       // when we took responsibility
	Attempt     int             // 1 for the first
	RequireTLS  bool            // REQUIRETLS (RFC 8689)
}

// Result is the outcome of an attempt for one recipient.
type Result struct {
	// Err is nil when the next host has taken responsibility. A *mail.Status
	// with a 5xx code is final; everything else is tried again.
	Err       error
	RemoteMTA string // host name that answered, for the DSN; "" if nobody did
	TookDSN   bool   // the next host promised to send the notifications (RFC 3461 section 5.2.2)
	Alive     bool   // the destination answered, if only to put this recipient off
	Delivered bool   // it is in the recipient's mailbox, not with a host that brings it there
}

// Notice is what a sender may be told about a recipient, in the words of RFC 3464
// section 2.3.3.
type Notice string

// The notices.
const (
	NoticeFailed    Notice = "failed"    // given up
	NoticeDelayed   Notice = "delayed"   // still owed, for longer than Settings.DelayNotice
	NoticeRelayed   Notice = "relayed"   // another host has it, which tells no more
	NoticeDelivered Notice = "delivered" // it is in the mailbox
	NoticeExpanded  Notice = "expanded"  // it goes to each member of an alias
)

// Outcome is a recipient with the result of the last attempt.
type Outcome struct {
	Recipient
	Result
}

// Agent makes one attempt for recipients that share a destination.
type Agent interface {
	// Deliver makes one attempt and returns one Result for each of job.To, in
	// order. It ends soon after ctx does; what was not answered by then is
	// temporary.
	Deliver(ctx context.Context, job Job) []Result
}
