// Package client is the client's end of SMTP and LMTP: one connection, one
// step at a time. Whom to connect to, what to trust and when to try again is
// its caller's business.
//
// Rules: nothing of an address or a parameter can end a line (mail.Address
// quotes, everything else is xtext or is checked); replies are bounded
// (package reply); each step has the time that RFC 5321 section 4.5.3.2 gives
// it, for the whole reply and not for each octet of it; after anything
// unexpected the connection is closed, since nobody knows where the next reply
// begins. Until the server has answered the final dot with 250 the message is
// ours: a connection lost before costs a duplicate at most.
package client
