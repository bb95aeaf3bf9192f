#!/bin/sh
# Runs `boot.sh` in namespaces and a control group of its own, and removes that afterwards. Takes root, and the
# directory of `boot.sh`. Ends with the trial's exit code; 125 where this machine does not let one have all this.
set -u
given=$1
here=$(cd "$(dirname "$0")" && pwd)
namespaces="--mount --propagation private --pid --fork --kill-child --net --uts --ipc --cgroup"

# A systemd keeps house in its control group.
unified=/sys/fs/cgroup/unified
if [ ! -d "$unified" ]; then
    unified=/sys/fs/cgroup
fi
path=$(sed -n 's/^0:://p' /proc/self/cgroup)
group=$unified${path%/}/tidings-trial-$$
if ! mkdir "$group" 2> "$given/output" || ! unshare $namespaces true 2> "$given/output"; then
    exit 125
fi
: > "$given/output"
(
    sh -c 'echo "$PPID" > "$0/cgroup.procs"' "$group"
    exec timeout --kill-after=5 300 unshare $namespaces sh "$here/boot.sh" "$given" > "$given/boot" 2>&1
)
code=$?
find "$group" -depth -type d -exec rmdir {} \;
exit "$code"
