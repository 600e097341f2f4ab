package routing

import (
	"errors"

	"gomaild/mail"
)

// ErrNotLocal is the cause of the 554 for a domain that is none of ours. A
// submission from one of our users takes it as "remote" and goes on.
var ErrNotLocal = errors.New("not a domain of ours")

// ErrExpansion is the cause of the 451 for an alias that leads round in a
// circle or to more addresses than the limits allow.
var ErrExpansion = errors.New("alias loop or too many addresses")

// typed is the address as Postfix shows it in replies: without quotes.
func typed(a mail.Address) string {
	if a.Domain == "" {
		return a.Local
	}
	return a.Local + "@" + a.Domain
}

// The replies are Postfix's, word for word: people and log analysers know them.

func unknownUser(a mail.Address, table string) *mail.Status {
	return &mail.Status{Code: 550, Enhanced: "5.1.1", Text: "<" + typed(a) + ">: Recipient address rejected: User unknown in " + table + " table"}
}

func relayDenied(a mail.Address) *mail.Status {
	return &mail.Status{Code: 554, Enhanced: "5.7.1", Text: "<" + typed(a) + ">: Relay access denied"}
}

func notQualified(a mail.Address) *mail.Status {
	return &mail.Status{Code: 504, Enhanced: "5.5.2", Text: "<" + typed(a) + ">: Recipient address rejected: need fully-qualified address"}
}

func expansionError() *mail.Status {
	return &mail.Status{Code: 451, Enhanced: "4.6.0", Text: "Alias expansion error", Cause: ErrExpansion}
}
