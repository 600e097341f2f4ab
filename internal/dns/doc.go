// Package dns asks the Domain Name System through recursive resolvers that the
// operator names.
//
// Rules: "there is none" (ErrNotExist, ErrNoData) is an answer; everything else
// that goes wrong is a fault, and mail waits. An answer counts only if it is
// for the question that was asked. What was signed is believed only from a
// resolver that is configured as trusted (RFC 7672 section 2.2: the AD bit
// means nothing on a path that others can write to). Every question costs a
// bounded time, a bounded number of packets and a bounded chain of aliases,
// whatever the resolver says.
package dns
