// Package local is the local delivery agent: it writes a message into the
// mailboxes of its recipients, durably, before it returns.
//
// Which mailbox: INBOX, the folder that the recipient names (deliver -m), made
// and subscribed when it is missing, or the one of the address's +detail. A
// name that cannot be a mailbox falls back to INBOX: mail is not lost for it.
//
// What is written: Return-Path, Delivered-To, the trace fields, the content.
// Whether a message that has this very Delivered-To already has come back in a
// loop is for the way in to say (delivery/receive): only an MTA judges that.
//
// Each entry of a call is a delivery of its own: a mailbox that is listed twice
// gets two copies, as it may be listed for two folders or two addresses. Who
// wants one (delivery/receive does) merges them before.
//
// A mailbox that cannot be reached is a fault for now (4xx): that the account
// exists was decided before, so the answer here is never "no such user".
package local

import (
	"net/netip"

	"gomaild/accounts"
	"gomaild/mail"
	"gomaild/message"
)

// Message is what to deliver. It is read once for each recipient, so Content
// is random access.
type Message struct {
	From    mail.ReversePath
	Trace   []byte          // header fields to put first in wire form (Received), may be empty
	Content message.Content // wire form (CRLF)
	Client  netip.Addr      // who brought it, for filters; zero: not known
	ID      string          // in the log, for filters
}

// Recipient is one mailbox to deliver to.
type Recipient struct {
	Mailbox     accounts.Mailbox
	DeliveredTo mail.Address // the address as the client gave it; zero: no Delivered-To field
	Detail      string       // +detail, names a folder where that is configured
	Folder      string       // explicit folder (deliver -m), "" for INBOX
	Vacation    bool         // the user may be away: a Filter asks and answers
	ReturnPath  bool         // write Return-Path (false when the MTA before us did); receive has taken out what the sender wrote as one
}
