# The programs that the rendered files (root/) are for read them, in a copy of
# the system; each complaint is printed after BAD. Then those run that can run
# here: a Galera node of one, and a front end whose keepalived must hold the web
# address as long as nginx and PHP answer, and no longer.
cp -a root/. /
hostname postfix02
ip link add eth1 type veth peer name eth1-peer
export DRBD_DRIVER_VERSION_OVERRIDE=9.1.0
check() { "$@" >/tmp/log 2>&1 || { echo "BAD: $*"; cat /tmp/log; }; }
check drbdadm dump mail
drbdadm --dry-run up mail
head -c 200 /dev/zero | tr '\0' k >/etc/corosync/authkey
check corosync -t
# With a user of its own for the check, --config-test of 2.2.7 ends itself.
sed -i 's/script_user .*/script_user root/' /etc/keepalived/keepalived.conf
check keepalived --config-test
mkdir -p /etc/ssl/private
openssl req -x509 -nodes -newkey rsa:2048 -subj /CN=x -days 1 \
	-keyout /etc/ssl/private/ssl-cert-snakeoil.key -out /etc/ssl/certs/ssl-cert-snakeoil.pem 2>/dev/null
check nginx -t
check php-fpm8.2 -t
check php -l /etc/roundcube/config.inc.php
check php -l /etc/postfixadmin/config.local.php
check mariadbd --verbose --help
# ProxySQL is not in Debian; its configuration is libconfig's
check /usr/bin/python3 -c '
import libconf
c = libconf.load(open("/etc/proxysql.cnf"))
assert [s.address for s in c.mysql_servers] == ["192.168.11.120", "192.168.11.121", "192.168.11.122"], c.mysql_servers
assert all(s.hostgroup == 0 for s in c.mysql_servers), c.mysql_servers
groups = c.mysql_galera_hostgroups[0]
assert (groups.writer_hostgroup, groups.reader_hostgroup, groups.max_writers) == (0, 1, 1), groups
assert {r.destination_hostgroup for r in c.mysql_query_rules} == {0, 1}, c.mysql_query_rules
assert all(u.default_hostgroup == 0 for u in c.mysql_users), c.mysql_users
'
for a in 100 111 116 120; do ip address add 192.168.11.$a/24 dev eth1; done
ip link set eth1 up
ip link set eth1-peer up
mkdir -p -m 0 /mnt/mail
echo secret >/etc/gomaild/database-password
# no database is there: that is all that may be wrong
./gomaild check >/tmp/faults 2>&1 || true
check sh -c '! grep -v "^warning: .*tls.certificate: none is named\|^warning: .* is not mounted on this node now\|: accounts.address: .*connection refused" /tmp/faults'
for f in /etc/gomaild/fence-password /etc/gomaild-backup.conf /etc/gomaild-backup-source.conf; do check sh -n $f; done
env -i sh -c 'set -a; . ./example; env' >/tmp/example
env -i sh -c 'set -a; . /etc/gomaild/cluster.env; env' >/tmp/rendered
check diff /tmp/example /tmp/rendered

# the database: the shipped configuration begins a cluster; the users come in
datadir=/tmp/data
mariadb-install-db --user=mysql --datadir=$datadir --skip-test-db >/tmp/log 2>&1 || cat /tmp/log
mkdir -p /run/mysqld
chown mysql $datadir /run/mysqld
mariadbd --user=mysql --datadir=$datadir --wsrep-new-cluster >/tmp/mariadbd.log 2>&1 &
database=$!
sql() { mariadb -NB "$@"; }
await() { for _ in $(seq 150); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; echo "BAD: awaited in vain: $*"; cat /tmp/*.log; }
await sql -e 'SELECT 1'
for _ in 1 2; do sql </root/stand-users.sql; done
sql -e "SELECT variable_value FROM information_schema.global_status WHERE variable_name IN ('wsrep_cluster_status', 'wsrep_ready')" | paste -sd' '
for user in gomaild postfixadmin monitor; do
	MYSQL_PWD=change-me-$user mariadb -NB -h 192.168.11.120 -u $user -e "SELECT CONCAT('login ', USER())" | sed 's/@.*//'
done
kill $database
wait $database || true

# the front end
echo '<?php echo "page";' >/tmp/index.php
sed -i 's,root /usr/share/roundcube,root /tmp,' /etc/nginx/sites-enabled/default
mkdir -p /run/php
php-fpm8.2 --nodaemonize >/tmp/php.log 2>&1 &
php=$!
nginx
await curl -sf http://127.0.0.1/ping
curl -sk https://127.0.0.1/index.php
echo
curl -s -o /dev/null -w 'from elsewhere: %{http_code}\n' http://192.168.11.111/ping
keepalived --dont-fork --log-console >/tmp/keepalived.log 2>&1 &
keepalived=$!
held() { ip -brief address show eth1 | grep -q '192.168.11.110/24'; }
gone() { ! held; }
await held
echo "web address held"
kill $php
await gone
echo "web address given up without PHP"
kill $keepalived
nginx -s stop
wait
