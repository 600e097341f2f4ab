package receive

import (
	"context"
	"errors"

	"gomaild/mail"
	"gomaild/message"
	"gomaild/smtp"
)

// admitSender decides about MAIL.
func (r *receiver) admitSender(ctx context.Context, c smtp.Client, from mail.ReversePath) error {
	switch {
	case c.Identity == nil && r.needsLogin:
		return &mail.Status{Code: 530, Enhanced: "5.7.0", Text: "Authentication required"}
	case c.Identity == nil:
		return nil
	case !c.Identity.MaySend:
		return &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "This account may not send mail"}
	case from.IsNull():
		return nil
	}
	owned, err := r.Router.MaySendAs(ctx, c.Identity.Account, from.Address)
	switch {
	case err != nil:
		return lookupFault(err)
	case !owned:
		return &mail.Status{Code: 553, Enhanced: "5.7.1", Text: from.String() + ": Sender address rejected: not owned by user " + c.Identity.Account.String()}
	}
	return nil
}

// maxAuthors is how many addresses a user's From may have.
const maxAuthors = 20

// admitAuthors wants each address in From to be one that the login may send
// as. A message without From, or with names that are no addresses, deceives
// nobody by it.
func (t *transaction) admitAuthors(ctx context.Context, c Content) error {
	account := t.client.Identity.Account
	for f, err := range message.Fields(c, message.Span{Len: c.Size()}) {
		if err != nil {
			return err
		}
		if !f.Is("From") {
			continue
		}
		authors := message.ParseAddressList(f.Text(), maxAuthors+1)
		if len(authors) > maxAuthors {
			return &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "From has too many addresses"}
		}
		for _, a := range authors {
			if a.Domain == "" {
				continue
			}
			if err := t.r.admitAuthor(ctx, account, a.Local+"@"+a.Domain); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *receiver) admitAuthor(ctx context.Context, account mail.Address, author string) error {
	refusal := &mail.Status{Code: 550, Enhanced: "5.7.1", Text: "From address rejected: not owned by user " + account.String()}
	a, err := mail.ParseAddress(author)
	if err != nil {
		return refusal
	}
	owned, err := r.Router.MaySendAs(ctx, account, a)
	switch {
	case err != nil:
		return lookupFault(err)
	case !owned:
		return refusal
	}
	return nil
}

// lookupFault is the reply when the accounts could not be asked. An error that
// has a status keeps it.
func lookupFault(err error) error {
	if _, ok := errors.AsType[*mail.Status](err); ok {
		return err
	}
	return &mail.Status{Code: 451, Enhanced: "4.3.0", Text: "Temporary lookup failure", Cause: err}
}
