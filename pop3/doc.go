// Package pop3 is the POP3 engine (RFC 1939): a command table, one file a
// group of commands. It reads accounts through package storage and knows no
// Maildir.
//
// A session sees the INBOX as it was at login: numbers never shift, a message
// that another client removes meanwhile is answered with -ERR. Nothing is
// changed before QUIT, and a connection that is lost changes nothing (RFC 1939
// section 6).
//
// Spoken besides RFC 1939: CAPA, PIPELINING, RESP-CODES (RFC 2449), STLS (RFC
// 2595), AUTH with SASL (RFC 5034), AUTH-RESP-CODE and SYS/TEMP (RFC 3206),
// UTF8 (RFC 6856). APOP needs passwords in the clear and is not spoken.
package pop3
