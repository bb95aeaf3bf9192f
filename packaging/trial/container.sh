#!/bin/sh
# Makes the container's last stage in a copy-on-write view of this machine, and runs it as an engine does: its user, no
# capability, a read-only root, a volume, its variables and nothing else. Takes root, and the directory that
# `tools/xtask/src/package/container.rs` fills. Ends with 125 where this machine does not let one have all this.
set -eu
given=$1
namespaces="--mount --propagation private --pid --fork --kill-child --net"
if [ "${2:-}" != inside ]; then
    unshare $namespaces true || exit 125
    exec timeout --kill-after=5 120 unshare $namespaces sh "$0" "$given" inside
fi

mkdir "$given/space"
mount -t tmpfs -o mode=755 trial "$given/space"
cd "$given/space"
mkdir upper work root
mount -t overlay -o "lowerdir=/,upperdir=upper,workdir=work" trial root
root=$given/space/root
mkdir "$root/given"
mount --bind "$given" "$root/given"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null urandom; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
ln -s /proc/self/fd "$root/dev/fd"
# The network is the trial's own, and its loopback is down as yet.
ip link set lo up 2> /dev/null || python3 -c '
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh", b"lo", 1))'

echo "- the stage is made"
rm -rf "$root/var/lib/tidings"
chroot "$root" sh /given/make

volume=$root$(cat "$given/volume")
user=$(cat "$given/user")
owner=$(stat -c %u:%g "$volume")
if [ "$owner" != "$user" ]; then
    echo "the volume belongs to $owner and not to $user"
    exit 1
fi
mount -o remount,ro "$root"
mount -t tmpfs -o "mode=700,uid=${user%:*},gid=${user#*:}" volume "$volume"
# To be called in a subshell, which becomes what it runs.
in_container() {
    exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin $(cat "$given/variables") setpriv \
        --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
}
until_healthy() {
    deadline=$(($(date +%s) + 30))
    until (in_container $(cat "$given/health")) > "$given/health-said" 2>&1; do
        if [ "$(date +%s)" -ge "$deadline" ]; then
            cat "$given/health-said" "$given/log"
            exit 1
        fi
        sleep 0.1
    done
}

echo "- its default command starts, on a read-only root"
if (in_container $(cat "$given/health")) > /dev/null 2>&1; then
    echo "the health check is content although nothing runs"
    exit 1
fi
(in_container $(cat "$given/entry" "$given/command")) > "$given/log" 2>&1 &
server=$!
until_healthy
cat "$given/health-said"
grep -q 'publish its port on 127.0.0.1 only' "$given/log"

echo "- the guide's next command, as docker exec runs it"
(in_container tidings app create)
(in_container tidings status) | grep '^apps  *1$'

echo "- docker stop"
kill -TERM $server
wait $server

echo "- a volume that it cannot write to is told"
mount -o remount,ro "$volume"
if (in_container $(cat "$given/entry" "$given/command")) > "$given/log" 2>&1; then
    echo "it runs without a volume"
    exit 1
fi
grep '^error: .*cannot write to' "$given/log"
grep '^hint: ' "$given/log"
