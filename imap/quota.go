package imap

import (
	"context"

	"gomaild/storage"
)

// quotaRoot is the one root that an account has if its use is counted, by the
// name that clients know from Dovecot.
const quotaRoot = "User quota"

// getQuota is GETQUOTA, RFC 9208 section 4.1.1.
type getQuota struct{ root string }

func parseGetQuota(g *grammar) request {
	g.SP()
	r := getQuota{g.AString()}
	g.End()
	return r
}

func (r getQuota) run(ctx context.Context, s *session) (reply, error) {
	q, err := s.account.Quota(ctx)
	switch {
	case err != nil:
		return reply{}, err
	case r.root != quotaRoot || !q.Counted:
		return reply{}, no("NONEXISTENT", "No such quota root")
	}
	s.printQuota(q)
	return reply{}, nil
}

// getQuotaRoot is GETQUOTAROOT, RFC 9208 section 4.1.2. The mailbox need not
// exist: the client may ask before it creates it.
type getQuotaRoot struct{ mailbox string }

func parseGetQuotaRoot(g *grammar) request {
	g.SP()
	r := getQuotaRoot{g.Mailbox()}
	g.End()
	return r
}

func (r getQuotaRoot) run(ctx context.Context, s *session) (reply, error) {
	q, err := s.account.Quota(ctx)
	if err != nil {
		return reply{}, err
	}
	if s.isOthers(r.mailbox) {
		switch rights, err := s.rightsOf(ctx, r.mailbox); {
		case err != nil:
			return reply{}, err
		case !rights.Has(storage.RightRead):
			return reply{}, errNoPermission
		}
		q = storage.Quota{} // it counts against its owner's, which is told to nobody else
	}
	s.enc.Raw("* QUOTAROOT ")
	s.enc.Mailbox(r.mailbox)
	if q.Counted {
		s.enc.Byte(' ')
		s.enc.AString(quotaRoot)
	}
	s.enc.CRLF()
	if q.Counted {
		s.printQuota(q)
	}
	return reply{}, nil
}

// printQuota prints the resources that have a limit, RFC 9208 section 4.2.1.
// STORAGE is in units of 1024 octets (section 5.1): a limit is rounded down and
// use up, so that nothing looks as if it would fit.
func (s *session) printQuota(q storage.Quota) {
	s.enc.Raw("* QUOTA ")
	s.enc.AString(quotaRoot)
	s.enc.Raw(" (")
	if q.Max.Bytes > 0 {
		s.printResource("STORAGE", q.Used.Bytes>>10+min(q.Used.Bytes&1023, 1), q.Max.Bytes>>10)
	}
	if q.Max.Messages > 0 {
		if q.Max.Bytes > 0 {
			s.enc.Byte(' ')
		}
		s.printResource("MESSAGE", q.Used.Messages, q.Max.Messages)
	}
	s.enc.Byte(')')
	s.enc.CRLF()
}

func (s *session) printResource(name string, used, most int64) {
	s.enc.Raw(name + " ")
	s.enc.Number(uint64(max(used, 0)))
	s.enc.Byte(' ')
	s.enc.Number(uint64(most))
}

// setQuota is SETQUOTA, RFC 9208 section 4.1.3. Limits are the administrator's,
// so QUOTASET is not advertised and the answer is no.
type setQuota struct{}

func parseSetQuota(g *grammar) request {
	g.SP()
	g.AString()
	g.SP()
	g.List(func() {
		g.Word()
		g.SP()
		g.Number()
	})
	g.End()
	return setQuota{}
}

func (setQuota) run(context.Context, *session) (reply, error) {
	return reply{}, no("NOPERM", "Limits are set by the administrator")
}

// deletedStorage is DELETED-STORAGE of STATUS: octets that EXPUNGE would free
// (RFC 9208 section 5.1).
func (q *statusQuery) deletedStorage(ctx context.Context) (string, error) {
	deleted := *q.view
	deleted.Messages = nil
	for _, m := range q.view.Messages {
		if m.Flags&storage.Deleted != 0 {
			deleted.Messages = append(deleted.Messages, m)
		}
	}
	of := statusQuery{mailbox: q.mailbox, view: &deleted}
	return of.size(ctx)
}
