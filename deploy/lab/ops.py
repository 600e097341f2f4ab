#!/usr/bin/python3
"""ops.py LAB...: how long the start and stop of the service, of its address and of the
mount took by pacemaker's logs, the median and the longest, in seconds: what is the
service's own of the time without it, whatever else the machine did meanwhile. And
how long after corosync had given up a node it was fenced, apart for those that led the
cluster: the others must elect a leader (DC) first, whatever the service is."""
import datetime, glob, re, statistics, sys

begin = re.compile(r'(\w+ \d+ [\d:]+\.\d+) .*Requesting local execution of (\w+) operation for (\S+) on')
end = re.compile(r'(\w+ \d+ [\d:]+\.\d+) .* key=(\w+)_(start|stop)_0 rc=0')

gone = re.compile(r'(\w+ \d+ [\d:]+\.\d+) .*A processor failed, forming new configuration')
fenced = re.compile(r'(\w+ \d+ [\d:]+\.\d+) .*Requesting fencing \(\w+\) of node (\w+)')
unled = re.compile(r'(\w+ \d+ [\d:]+\.\d+) .*Unset DC \(was (\w+)\)')


def stamp(text):
    return datetime.datetime.strptime('2000 ' + text, '%Y %b %d %H:%M:%S.%f')


took = {}
for lab in sys.argv[1:]:
    for name in glob.glob(f'{lab}/nodes/*/var/log/pacemaker/pacemaker.log'):
        begun = {}
        for line in open(name, errors='replace'):
            if m := begin.match(line):
                begun[m[3], m[2]] = stamp(m[1])
            elif (m := end.match(line)) and (m[2], m[3]) in begun:
                seconds = (stamp(m[1]) - begun.pop((m[2], m[3]))).total_seconds()
                took.setdefault((m[2], m[3]), []).append(seconds)
for resource in 'Gomaild', 'MailAddress', 'MailVolume':
    for action in 'stop', 'start':
        if all_ := took.get((resource, action)):
            print(f'  {action} of {resource}: {statistics.median(all_):.2f} s, at most {max(all_):.2f} s, {len(all_)} times')

waits = {True: [], False: []} # by whether the node led
for lab in sys.argv[1:]:
    lost, requests, leaders = [], {}, []
    for name in glob.glob(f'{lab}/nodes/*/var/log/*/*.log'):
        for line in open(name, errors='replace'):
            if m := gone.match(line):
                lost.append(stamp(m[1]))
            elif m := fenced.match(line):
                requests[stamp(m[1])] = m[2]
            elif m := unled.match(line):
                leaders.append((stamp(m[1]), m[2]))
    for at, node in requests.items():
        if before := [t for t in lost if t <= at]:
            led = any(who == node and max(before) <= t <= at for t, who in leaders)
            waits[led].append((at - max(before)).total_seconds())
for led, all_ in waits.items():
    if all_:
        print(f"  from the loss of a node that {'led' if led else 'did not lead'} to the request to fence it:", ' '.join(f'{w:.1f}' for w in sorted(all_)), 's')
