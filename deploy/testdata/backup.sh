# A night and what comes back of it, in a copy of the system: gomaild serves
# one volume, the programs of the backup role ask each other through a stand-in
# for ssh. In place of a logical volume's snapshot the volume is copied, in
# place of a Galera node there is a file. Prints what an IMAP client then sees.
install -m 755 programs/* /usr/local/sbin
groupadd -g 5000 gomaild
useradd -u 5000 -g 5000 gomaild
mkdir -p -m 0 /srv/mail
mount -t tmpfs -o uid=5000,gid=5000,mode=750 tmpfs /srv/mail
printf '%s\n' "INSERT INTO mailbox VALUES ('alice@lab.test','x');" "INSERT INTO mailbox VALUES ('bob@lab.test','x');" '-- Dump completed on this day' >/tmp/dump

cat >/etc/gomaild-backup-source.conf <<'END'
MAIL_ROOT=/srv/mail
MOUNT=/run/gomaild-backup
take() { cp -a "$MAIL_ROOT" "$MOUNT"; }
drop() { rm -rf "$MOUNT"; }
dump() { cat /tmp/dump; }
as_owner() { setpriv --reuid 5000 --regid 5000 --clear-groups "$@"; }
END
cat >/etc/gomaild-backup.conf <<'END'
STORE=/srv/backup
KEEP=2
MOUNT=/run/gomaild-backup
NODES="passive active"
DATABASES="passive active"
RSH=/tmp/ssh
END
mkdir -p /srv/backup/mail /srv/backup/database
cat >/tmp/ssh <<'END'
#!/bin/sh
host=$1; shift
[ "$host" = active ] || exit 255
exec env SSH_ORIGINAL_COMMAND="$*" gomaild-backup-source
END
chmod 755 /tmp/ssh

cat >/tmp/gomaild.toml <<'END'
hostname = "mail.lab.test"
run_dir = "/tmp/run"
[storage]
root = "/srv/mail"
[accounts]
path = "/srv/mail/accounts.sqlite"
[[listener]]
type = "mx"
address = "127.0.0.1:2525"
[[listener]]
type = "imap"
address = "127.0.0.1:9993"
tls = "implicit"
END
as() { setpriv --reuid 5000 --regid 5000 --clear-groups "$@"; }
serve() {
	setpriv --reuid 5000 --regid 5000 --clear-groups ./gomaild serve -c /tmp/gomaild.toml >>/tmp/log 2>&1 &
	server=$!
	for _ in $(seq 100); do curl -sk imaps://127.0.0.1:9993/ -u alice@lab.test:secret >/dev/null && break; sleep 0.1; done
}
imap() { curl -sk --max-time 20 "imaps://127.0.0.1:9993/$1" -u alice@lab.test:secret ${2:+-X "$2"} | tr -d '\r'; }
# the UIDs in a folder, and the subject of each
see() {
	echo "${1%%-*}: $(for uid in $(imap "$1" 'FETCH 1:* (UID)' | grep -oE 'UID [0-9]+' | cut -c5-); do
		echo "$uid $(imap "$1;UID=$uid" | sed -n 's/^Subject: message //p')"
	done | paste -sd' ')"
}
validity() { imap '' 'STATUS INBOX (UIDVALIDITY UIDNEXT)' | grep -oE 'UIDVALIDITY [0-9]+'; }

for who in alice bob; do echo secret | as ./gomaild account add --db /srv/mail/accounts.sqlite --create-domain --password-stdin $who@lab.test >/dev/null; done
serve
for n in one two three; do
	printf 'Subject: message %s\r\n\r\nBody.\r\n' $n |
		curl -sS smtp://127.0.0.1:2525/client.test --mail-from x@other.test --mail-rcpt alice@lab.test -T -
done
imap '' 'CREATE Work'
imap INBOX 'COPY 2 Work'
see INBOX
before=$(validity)

echo NIGHT
gomaild-backup
gomaild-restore list >/tmp/nights
night=$(cat /tmp/nights)
ls /run/gomaild-backup 2>/dev/null || echo "snapshot gone"

echo MESSAGE
imap INBOX 'STORE 1 +FLAGS.SILENT (\Deleted)'
imap INBOX EXPUNGE >/dev/null
see INBOX
gomaild-restore find "$night" lab.test/alice@lab.test 'message one' >/tmp/found
gomaild-restore message "$night" lab.test/alice@lab.test $(cat /tmp/found) >/dev/null
see "Restored-$night"

echo FOLDER
gomaild-restore folder "$night" lab.test/alice@lab.test Work | sed "s/$night/NIGHT/"
see "Restored-$night/Work" || true
imap '' 'LIST "" *' | grep -c Restored

echo ACCOUNT
kill $server; wait $server || true
rm -rf /srv/mail/lab.test/alice@lab.test
gomaild-restore account "$night" lab.test/alice@lab.test
serve
see INBOX
[ "$(validity)" = "$before" ] && echo "same UIDVALIDITY"
gomaild-restore account "$night" lab.test/alice@lab.test | sed "s/$night/NIGHT/"

echo ROWS
gomaild-restore rows "$night" alice@lab.test

echo REFUSED
for ask in 'restore ../etc .Restored-x' 'restore lab.test/alice@lab.test .Work' 'restore lab.test/alice@lab.test .Restored-/../x' \
	'return lab.test/alice@lab.test' 'return .gomaild/x' 'rsync --server --sender -a . /etc/' 'sh' 'dump; id' ''; do
	SSH_ORIGINAL_COMMAND=$ask gomaild-backup-source </dev/null >/tmp/answer 2>&1 && echo "NOT refused: $ask" || echo "$ask: $?"
done

echo NIGHTS
for later in 2001-01-01-0000 2001-01-02-0000; do cp -al "/srv/backup/mail/$night" /srv/backup/mail/$later; done
mv "/srv/backup/mail/$night" /srv/backup/mail/2001-01-03-0000
gomaild-backup >/dev/null
ls /srv/backup/mail | wc -l
newest=$(ls -d /srv/backup/mail/* | tail -n 1)
echo "linked: $(find "$newest" -path '*cur/*' -links +1 | grep -v Restored | wc -l)"
printf 'no end' >/tmp/dump
gomaild-backup 2>/tmp/answer && echo "NOT failed" || tail -n 1 /tmp/answer
ls /srv/backup/mail | wc -l
find /srv/mail -not -user gomaild
kill $server; wait $server || true
