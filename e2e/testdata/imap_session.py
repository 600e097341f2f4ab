"""Python's imaplib against gomaild. Arguments: host, IMAP port, IMAPS port, user, password, expected number of messages in INBOX.
Prints "ok" at the end."""
import imaplib
import ssl
import sys

host, port, ports, user, password, expected = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:6], int(sys.argv[6])
tls = ssl.create_default_context()
tls.check_hostname = False
tls.verify_mode = ssl.CERT_NONE


def ok(result):
    assert result[0] == "OK", result
    return result[1]


plain = imaplib.IMAP4(host, port, timeout=20)
assert "LOGINDISABLED" in plain.capabilities, plain.capabilities
try:
    plain.login(user, password)
    raise SystemExit("a login went through without TLS")
except imaplib.IMAP4.error:
    pass
plain.starttls(tls)
plain.login(user, password)
plain.logout()

c = imaplib.IMAP4_SSL(host, ports, ssl_context=tls, timeout=20)
try:
    c.login(user, "wrong")
    raise SystemExit("a wrong password logged in")
except imaplib.IMAP4.error as e:
    assert "AUTHENTICATIONFAILED" in str(e), e
c.login(user, password)
assert int(ok(c.select("INBOX"))[0]) == expected
uids = ok(c.uid("SEARCH", None, "ALL"))[0].split()
assert len(uids) == expected, uids
ok(c.uid("STORE", uids[0], "+FLAGS", r"(\Flagged $Forwarded)"))
data = ok(c.uid("FETCH", uids[0], "(FLAGS RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[])"))
assert b"$Forwarded" in data[0][0] and rb"\Flagged" in data[0][0], data[0][0]
size = int(data[0][0].split(b"RFC822.SIZE ")[1].split()[0].rstrip(b")"))
assert size == len(data[0][1]), (size, len(data[0][1]))

ok(c.create("Archive/2026"))
ok(c.subscribe("Archive/2026"))
ok(c.append("Archive/2026", r"(\Seen)", None, b"Subject: appended\r\n\r\nbody\r\n"))
ok(c.uid("COPY", uids[0], "Archive/2026"))
assert int(ok(c.select("Archive/2026"))[0]) == 2
ok(c.store("1", "+FLAGS", r"(\Deleted)"))
assert ok(c.expunge()) == [b"1"]
ok(c.close())
ok(c.rename("Archive/2026", "Archive/Old"))
names = [line.decode().rsplit(" ", 1)[1].strip('"') for line in ok(c.list())]
assert "Archive/Old" in names and "Archive/2026" not in names, names
ok(c.delete("Archive/Old"))
assert c.select("Nowhere")[0] == "NO"
c.logout()
print("ok")
