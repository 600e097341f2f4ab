package imap

import "context"

// namespace is NAMESPACE, RFC 2342: one personal namespace, and with access
// control lists that of other users.
type namespace struct{}

func (namespace) run(_ context.Context, s *session) (reply, error) {
	s.enc.Raw(`* NAMESPACE (("" "/")) `)
	s.printOthersNamespace()
	s.enc.Raw(" NIL\r\n")
	return reply{}, nil
}
