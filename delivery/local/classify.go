package local

import (
	"errors"
	"io/fs"
	"syscall"

	"gomaild/mail"
	"gomaild/storage"
)

// classify gives a fault of the store the status that tells a sender and an
// operator most. What it does not know stays as it is, which is temporary.
func (a *Agent) classify(err error) error {
	if errors.Is(err, storage.ErrQuota) {
		return a.full(err)
	}
	if _, ok := errors.AsType[*mail.Status](err); ok || err == nil {
		return err
	}
	switch {
	case isAny(err, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG):
		return &mail.Status{Code: 452, Enhanced: "4.3.1", Text: "Insufficient system storage", Cause: err}
	case isAny(err, syscall.EROFS, syscall.ENOTDIR, syscall.ELOOP, fs.ErrPermission, fs.ErrNotExist,
		storage.ErrReadOnly, storage.ErrPermission, storage.ErrNoMailbox, storage.ErrNoSelect, storage.ErrName):
		return &mail.Status{Code: 451, Enhanced: "4.2.0", Text: "Mailbox cannot be written to now, try again later", Cause: err}
	}
	return err
}

// full is what the sender hears of an account over its quota, in Dovecot's
// words (RFC 3463 section 3.3, X.2.2).
func (a *Agent) full(err error) error {
	s := &mail.Status{Code: 552, Enhanced: "5.2.2", Text: "Quota exceeded (mailbox for user is full)", Cause: err}
	if a.fullDefers {
		s.Code, s.Enhanced = 452, "4.2.2"
	}
	return s
}

func isAny(err error, targets ...error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
