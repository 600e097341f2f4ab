"""Python's smtplib against gomaild: MX, submission with STARTTLS and with implicit TLS, LMTP.

Arguments: host, MX port, submission port, submissions port, LMTP port, user, password. Prints "ok" at the end.
"""
import smtplib
import ssl
import sys
from email.message import EmailMessage

host, mx, msa, msas, lmtp, user, password = sys.argv[1], *map(int, sys.argv[2:6]), *sys.argv[6:8]
tls = ssl.create_default_context()
tls.check_hostname = False
tls.verify_mode = ssl.CERT_NONE


def message(subject):
    m = EmailMessage()
    m["From"], m["To"], m["Subject"] = user, "bob@example.test", subject
    m.set_content("Grüße aus Python\n.\n..leading dots\n")
    return m


with smtplib.SMTP(host, mx, timeout=20) as s:
    s.ehlo("client.test")
    for feature in ("pipelining", "size", "8bitmime", "smtputf8", "chunking", "dsn", "enhancedstatuscodes", "starttls"):
        assert s.has_extn(feature), feature
    code, text = s.mail("stranger@remote.invalid")
    assert code == 250, (code, text)
    code, text = s.rcpt("nobody@example.test")
    assert code == 550 and b"5.1.1" in text, (code, text)
    code, text = s.rcpt("someone@remote.invalid")
    assert code == 554 and b"5.7.1" in text, (code, text)
    s.rset()
    s.send_message(message("python mx"))

with smtplib.SMTP(host, msa, timeout=20) as s:
    s.ehlo("client.test")
    assert not s.has_extn("auth"), "AUTH is offered without TLS"
    code, _ = s.mail(user)
    assert code == 530, code
    s.starttls(context=tls)
    s.ehlo("client.test")
    try:
        s.login(user, "wrong")
        raise SystemExit("a wrong password logged in")
    except smtplib.SMTPAuthenticationError as e:
        assert e.smtp_code == 535, e
    s.login(user, password)
    code, text = s.mail("bob@example.test")
    assert code == 553, (code, text)
    s.send_message(message("python submission"))

with smtplib.SMTP_SSL(host, msas, context=tls, timeout=20) as s:
    s.login(user, password)
    s.send_message(message("python submissions"))

with smtplib.LMTP(host, lmtp, timeout=20) as s:
    refused = s.send_message(message("python lmtp"), user, ["bob@example.test", "nobody@example.test"])
    assert list(refused) == ["nobody@example.test"], refused

print("ok")
