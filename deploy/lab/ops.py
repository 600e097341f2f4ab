#!/usr/bin/python3
"""ops.py LAB...: how long the start and stop of the service, of its address and of the
mount took by pacemaker's logs, the median and the longest, in seconds: what is the
service's own of the time without it, whatever else the machine did meanwhile."""
import datetime, glob, re, statistics, sys

begin = re.compile(r'(\w+ \d+ [\d:]+\.\d+) .*Requesting local execution of (\w+) operation for (\S+) on')
end = re.compile(r'(\w+ \d+ [\d:]+\.\d+) .* key=(\w+)_(start|stop)_0 rc=0')


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
