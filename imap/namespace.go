package imap

import "context"

// namespace is NAMESPACE, RFC 2342: one personal namespace.
type namespace struct{}

func (namespace) run(_ context.Context, s *session) (reply, error) {
	s.enc.Raw(`* NAMESPACE (("" "/")) NIL NIL` + "\r\n")
	return reply{}, nil
}
