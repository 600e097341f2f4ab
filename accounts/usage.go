package accounts

import "gomaild/mail"

// Usage is what a mailbox holds.
type Usage struct {
	Address  mail.Address
	Bytes    int64
	Messages int64
}

// DomainUsage is what the mailboxes of a domain hold together, by what was
// written of each of them, and may hold.
type DomainUsage struct {
	Bytes int64
	Max   int64 // 0: no limit
	// Unwritten are mailboxes of the domain of which nothing was written, some of
	// them if there are many, none where there is no limit.
	Unwritten []mail.Address
}
