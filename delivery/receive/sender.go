package receive

import (
	"context"
	"errors"

	"gomaild/mail"
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

// lookupFault is the reply when the accounts could not be asked. An error that
// has a status keeps it.
func lookupFault(err error) error {
	if _, ok := errors.AsType[*mail.Status](err); ok {
		return err
	}
	return &mail.Status{Code: 451, Enhanced: "4.3.0", Text: "Temporary lookup failure", Cause: err}
}
