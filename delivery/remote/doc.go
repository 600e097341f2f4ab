// Package remote is the delivery agent for other hosts: it finds the hosts of a
// destination (RFC 5321 section 5), connects to them in turn, and makes one
// transaction over SMTP or LMTP.
//
// Rules: a fault of the DNS, of the network or of a host is temporary, and says
// nothing about the next host; only "no such domain", "takes no mail" and a
// 5xx about the message or a recipient are final. Once a host may have the
// whole message no other one is tried in the same attempt. TLS is used wherever
// it is offered; where a policy asks for more, there is no way around it.
package remote
