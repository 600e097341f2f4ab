// Package local is the local delivery agent: it writes a message into the
// mailbox of one recipient, durably, before it returns.
package local

import (
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
}

// Recipient is one mailbox to deliver to.
type Recipient struct {
	Mailbox     accounts.Mailbox
	DeliveredTo mail.Address // the address as the client gave it; zero: no Delivered-To field
	Detail      string       // +detail, names a folder where that is configured
	Folder      string       // explicit folder (deliver -m), "" for INBOX
	ReturnPath  bool         // write Return-Path (false when the MTA before us did)
}
