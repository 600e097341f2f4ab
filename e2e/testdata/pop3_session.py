"""A session with Python's poplib: sys.argv is host, port, implicit-TLS port, login, password, messages."""
import poplib
import ssl
import sys

host, port, ports, login, password, count = sys.argv[1:]
context = ssl._create_unverified_context()

pop = poplib.POP3(host, int(port), timeout=20)
capabilities = pop.capa()
assert "STLS" in capabilities and "USER" not in capabilities, capabilities
try:
    pop.user(login)
    raise SystemExit("a name was taken without TLS")
except poplib.error_proto:
    pass
pop.stls(context)
pop.user(login)
pop.pass_(password)
messages, octets = pop.stat()
assert messages == int(count), messages
listed = [int(line.split()[1]) for line in pop.list()[1]]
assert sum(listed) == octets, (listed, octets)
ids = [line.split()[1] for line in pop.uidl()[1]]
assert len(set(ids)) == messages, ids
for n in range(1, messages + 1):
    lines = pop.retr(n)[1]
    assert sum(len(line) + 2 for line in lines) == listed[n - 1], n
    head = pop.top(n, 0)[1]
    assert head == lines[: len(head)], n
pop.dele(1)
pop.quit()

pop = poplib.POP3_SSL(host, int(ports), timeout=20, context=context)
pop.utf8()
pop.user(login)
pop.pass_(password)
assert [line.split()[1] for line in pop.uidl()[1]] == ids[1:]
pop.quit()
print("ok")
