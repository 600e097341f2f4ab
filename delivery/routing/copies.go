package routing

import (
	"fmt"

	"gomaild/internal/tables"
	"gomaild/mail"
)

// Copies are the addresses that get a copy of a message by the BCC maps
// (sender_bcc_maps and recipient_bcc_maps of postconf(5)), distinct and without
// those in to. The recipients are those that the client named, before aliases;
// the null reverse-path has no copies of its own. A value that is no address is
// an error, 451: what must be copied is not let through without.
func (r *Router) Copies(from mail.Address, to []mail.Address) ([]mail.Address, error) {
	if r.config.SenderCopies.IsEmpty() && r.config.RecipientCopies.IsEmpty() {
		return nil, nil
	}
	met := make(map[mail.Address]bool, len(to))
	for _, a := range to {
		met[a.Fold()] = true
	}
	var list []mail.Address
	add := func(t *tables.List, key mail.Address) error {
		value, ok := t.Find(r.addressKeys(key)...)
		if !ok {
			return nil
		}
		a, err := r.copyTo(value)
		if err != nil {
			return fmt.Errorf("copy of %s: %w", key, err)
		}
		if !met[a.Fold()] {
			met[a.Fold()] = true
			list = append(list, a)
		}
		return nil
	}
	if !from.IsZero() {
		if err := add(r.config.SenderCopies, from); err != nil {
			return nil, err
		}
	}
	for _, a := range to {
		if err := add(r.config.RecipientCopies, a); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// copyTo reads the value of a BCC map; a name alone gets the origin's domain.
func (r *Router) copyTo(value string) (mail.Address, error) {
	a, err := mail.ParseAddress(value)
	if err != nil {
		if a, err = mail.ParseAddress(value + "@" + r.config.Origin); err != nil {
			return a, &mail.Status{Code: 451, Enhanced: "4.3.5", Text: "A copy of this message cannot be addressed", Cause: err}
		}
	}
	return a, nil
}

// CheckCopy tells what is wrong with a value of a BCC map.
func CheckCopy(value string) error {
	if _, err := mail.ParseAddress(value); err == nil {
		return nil
	}
	_, err := mail.ParseAddress(value + "@origin.invalid")
	return err
}

// addressKeys is the order in which Postfix looks an address up in its maps: the
// address, without its detail, the local part alone at this host, "@domain".
func (r *Router) addressKeys(a mail.Address) []string {
	keys := []string{a.String()}
	base, _, hasDetail := a.CutDetail(r.config.Delimiter)
	if hasDetail {
		keys = append(keys, base.String())
	}
	if r.isSystem(a.Domain) || a.Domain == r.config.Origin {
		keys = append(keys, mail.Address{Local: a.Local}.String())
		if hasDetail {
			keys = append(keys, mail.Address{Local: base.Local}.String())
		}
	}
	return append(keys, "@"+a.Domain)
}
