package auth

import (
	"strings"

	"gomaild/mail"
)

// loginName turns what a client sent as its name into the address to look up:
// ASCII letters folded, the default domain added where there is no @. ok is
// false for what cannot be an account: control characters, blanks, more than
// an address may have, no address. Only ASCII folds, and nothing is trimmed,
// so no two different names meet in one account.
func loginName(username, defaultDomain string) (login mail.Address, ok bool) {
	if !strings.Contains(username, "@") && defaultDomain != "" {
		username += "@" + defaultDomain
	}
	login, err := mail.ParseAddress(username)
	if err != nil {
		return mail.Address{}, false
	}
	return login.Fold(), true
}
