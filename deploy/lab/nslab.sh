#!/bin/bash
# Namespace lab: N cluster nodes on one machine. Needs root, bridge, veth,
# overlayfs and loop devices in the kernel; corosync, pacemaker, crmsh or pcs,
# resource-agents, netcat-openbsd, iproute2, python3.
#
#   nslab.sh -l LABDIR [-n NODES] [-p PREFIX] [-s SUBNET24] COMMAND
#     prepare SERVICE-BINARY   make LABDIR (config, overlay directories, image)
#     up | down                start or end everything
#     node-start N | node-kill N | node-off N   power on; power cut (kill -9 of PID 1);
#                              the same through the power switch
#     cluster-start [N...] | cluster-stop N corosync+pacemaker
#     cut N | heal N           take the node's cable out, put it back
#     active                   the node that has the volume mounted
#     exec N CMD...            run a command in the node
#     client CMD...            run a command in the client namespace
#     seed-cib FILE            configuration for a cluster that was never started
#     wait-online COUNT        until the DC sees COUNT nodes online (60 s)
set -e
HERE=$(cd "$(dirname "$0")" && pwd)
COUNT=3 PREFIX=lab- NET=10.77.0 LAB=
TOKEN=${TOKEN:-}      # corosync token in ms; empty = corosync's default
while getopts l:n:p:s: o; do case $o in l) LAB=$OPTARG;; n) COUNT=$OPTARG;; p) PREFIX=$OPTARG;; s) NET=$OPTARG;; *) exit 2;; esac; done
shift $((OPTIND-1))
[ -n "$LAB" ] || { sed -n '2,21p' "$0"; exit 2; }
[ -f "$LAB/env" ] && . "$LAB/env"
SW=${PREFIX}sw CL=${PREFIX}cl
nodes() { for i in $(seq 1 "$COUNT"); do echo "n$i"; done; }
idx() { echo "${1#n}"; }
initpid() { cat "$LAB/nodes/$1/init.pid"; }
alive() { local p; p=$(cat "$LAB/nodes/$1/init.pid" 2>/dev/null) && [ -e "/proc/$p" ] && [ "$(cut -d' ' -f22 "/proc/$p/stat")" = "$(cat "$LAB/nodes/$1/init.start")" ]; }
nexec() { local n=$1; shift; nsenter -t "$(initpid "$n")" -m -u -i -n -p env LC_ALL=C LAB_SHARED=/run/lab-shared "$@"; }

prepare() {
    mkdir -p "$LAB"/{nodes,shared,overlay/ocf,overlay/sbin}
    printf 'COUNT=%s PREFIX=%s NET=%s\n' "$COUNT" "$PREFIX" "$NET" > "$LAB/env"
    { echo "127.0.0.1 localhost"; for n in $(nodes); do echo "$NET.1$(idx $n) $n"; done; } > "$LAB/hosts"
    cp -a "$HERE"/ocf/* "$LAB/overlay/ocf/"
    mkdir -p "$LAB/overlay/ocf/gomaild"; ln -sf /usr/sbin/gomaild "$LAB/overlay/ocf/gomaild/gomaild"
    cp -a "$HERE"/sbin/* "$LAB/overlay/sbin/"; chmod +x "$LAB"/overlay/sbin/*
    [ -n "$1" ] && install -m 755 "$1" "$LAB/overlay/sbin/gomaild"
    [ -f "$LAB/authkey" ] || dd if=/dev/urandom of="$LAB/authkey" bs=256 count=1 status=none
    for n in $(nodes); do
        d=$LAB/nodes/$n
        rm -rf "$d/etc.up" "$d/etc.work"
        mkdir -p "$d"/{dev,mnt,tmp} "$d"/var/lib/pacemaker/{blackbox,cib,cores,pengine} "$d"/var/lib/corosync "$d"/var/log/{pacemaker,corosync/,cluster} "$d"/etc/{corosync,pacemaker}
        chown -R hacluster:haclient "$d"/var/lib/pacemaker "$d"/var/log/pacemaker; chmod 750 "$d"/var/lib/pacemaker/*
        cp "$LAB/authkey" "$d/etc/corosync/authkey"; chmod 400 "$d/etc/corosync/authkey"
        cp "$LAB/authkey" "$d/etc/pacemaker/authkey"; chown root:haclient "$d/etc/pacemaker/authkey"; chmod 640 "$d/etc/pacemaker/authkey"
        install -D -m 644 "$HERE/gomaild.toml" "$d/etc.up/gomaild/gomaild.toml"
        {
            printf 'totem {\n version: 2\n cluster_name: lab\n transport: knet\n crypto_cipher: aes256\n crypto_hash: sha256\n'
            [ -n "$TOKEN" ] && echo " token: $TOKEN"
            printf '}\nquorum {\n provider: corosync_votequorum\n}\nlogging {\n to_stderr: no\n to_syslog: no\n to_logfile: yes\n logfile: /var/log/corosync/corosync.log\n timestamp: hires\n}\nnodelist {\n'
            for m in $(nodes); do printf ' node {\n  name: %s\n  nodeid: %s\n  ring0_addr: %s.1%s\n }\n' "$m" "$(idx $m)" "$NET" "$(idx $m)"; done
            echo '}'
        } > "$d/etc/corosync/corosync.conf"
    done
    [ -f "$LAB/shared/mail.img" ] || { truncate -s "${IMGSIZE:-512M}" "$LAB/shared/mail.img"; mkfs."${FSTYPE:-xfs}" -q "$LAB/shared/mail.img"; }
}
net_up() {
    ip netns add "$SW"; ip -n "$SW" link set lo up
    ip -n "$SW" link add br0 type bridge forward_delay 0 mcast_snooping 0; ip -n "$SW" link set br0 up
    for n in $(nodes); do net_node "$PREFIX$n" "p$n" "$NET.1$(idx $n)"; done
    net_node "$CL" pcl "$NET.2"
}
net_node() { # netns switch-port address
    ip netns add "$1"
    ip -n "$SW" link add "$2" type veth peer name eth0 netns "$1"
    ip -n "$SW" link set "$2" master br0 up
    ip -n "$1" link set lo up; ip -n "$1" link set eth0 up; ip -n "$1" addr add "$3/24" dev eth0
}
node_start() {
    local n=$1 p c
    alive "$n" && return 0
    # a power cut leaves added addresses on the namespace's interface: clean it
    ip -n "$PREFIX$n" addr flush dev eth0 scope global; ip -n "$PREFIX$n" addr add "$NET.1$(idx $n)/24" dev eth0
    ip -n "$PREFIX$n" link set eth0 up
    setsid ip netns exec "$PREFIX$n" unshare --mount --uts --ipc --pid --fork "$HERE/node-init.sh" "$LAB" "$n" </dev/null >"$LAB/nodes/$n/init.log" 2>&1 &
    p=$!
    for _ in $(seq 1 100); do c=$(ps -o pid= --ppid "$p" 2>/dev/null | tr -d ' ' | head -1); [ -n "$c" ] && [ "$(cat /proc/$c/comm)" = node-init.sh ] && break; sleep 0.05; done
    cut -d' ' -f22 "/proc/$c/stat" > "$LAB/nodes/$n/init.start"; echo "$c" > "$LAB/nodes/$n/init.pid"
    for _ in $(seq 1 200); do nexec "$n" test -e /run/lab-up 2>/dev/null && return 0; sleep 0.05; done
    echo "node $n did not come up:"; cat "$LAB/nodes/$n/init.log"; return 1
}
case $1 in
prepare) shift; prepare "$@";;
up)
    net_up
    setsid python3 "$HERE/fence-broker.py" "$LAB" "$HERE/nslab.sh" </dev/null >"$LAB/broker.log" 2>&1 & echo $! > "$LAB/broker.pid"
    for n in $(nodes); do node_start "$n"; done;;
down)
    set +e
    [ -f "$LAB/broker.pid" ] && kill "$(cat "$LAB/broker.pid")" 2>/dev/null; rm -f "$LAB/broker.pid"
    for n in $(nodes); do alive "$n" && kill -9 "$(initpid $n)"; done
    for n in $(nodes); do for _ in $(seq 1 100); do alive "$n" || break; sleep 0.05; done; done
    for l in $(losetup -j "$LAB/shared/mail.img" -O NAME -n 2>/dev/null); do losetup -d "$l"; done
    rm -f "$LAB"/shared/*.primary "$LAB"/shared/*.loop.*
    for n in $(nodes); do ip netns del "$PREFIX$n"; done; ip netns del "$CL"; ip netns del "$SW"; true;;
node-start) node_start "$2";;
node-kill) kill -9 "$(initpid "$2")";;
node-off) printf 'off %s\n' "$2" | nc -U -N "$LAB/shared/fence.sock" >/dev/null;;
cluster-start) shift; for n in ${*:-$(nodes)}; do nexec "$n" /usr/sbin/lab-cluster start; done;;
cluster-stop) shift; for n in "$@"; do nexec "$n" /usr/sbin/lab-cluster stop; done;;
cut) ip -n "$SW" link set "p$2" down;;
heal) ip -n "$SW" link set "p$2" up;;
active) for n in $(nodes); do alive "$n" && nexec "$n" grep -q ' /mnt/mail ' /proc/mounts && { echo "$n"; exit 0; }; done; exit 1;;
exec) shift; nexec "$@";;
client) shift; ip netns exec "$CL" "$@";;
seed-cib) # FILE: put a configuration in place before the first start
    for n in $(nodes); do d=$LAB/nodes/$n/var/lib/pacemaker/cib; rm -f "$d"/*; install -o hacluster -g haclient -m 600 "$2" "$d/cib.xml"; done;;
wait-online)
    for _ in $(seq 1 "${WAIT:-300}"); do
        for n in $(nodes); do
            alive "$n" || continue
            c=$(nexec "$n" crm_mon -1 -r 2>/dev/null | sed -n 's/.*Online: \[ \(.*\) \]/\1/p' | wc -w)
            [ "$c" = "$2" ] && exit 0
        done; sleep 0.2
    done; exit 1;;
*) echo "unknown command $1" >&2; exit 2;;
esac
