#!/bin/sh
# Starts a systemd of its own over a copy-on-write view of this machine's files, runs `install.sh` in it as a service,
# and ends with its exit code. Nothing reaches the machine: mounts, processes, network and host name are the trial's
# own, and what is written lies in memory.
#
# Takes root, and a directory with the packages, in which it leaves `output`. `run.sh` runs it.
set -eu
given=$1
here=$(cd "$(dirname "$0")" && pwd)

space=$given/space
mkdir -p "$space"
mount -t tmpfs -o mode=755 trial "$space"
mkdir "$space/upper" "$space/work" "$space/root"
mount -t overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" trial "$space/root"
root=$space/root

mount -t proc proc "$root/proc"
# The machine's own settings of the kernel are not the trial's to change.
mount -o bind,ro "$root/proc/sys" "$root/proc/sys"
mount -t sysfs -o ro sys "$root/sys"
mount -t cgroup2 group "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
ln -s /proc/self/fd "$root/dev/fd"
ln -s pts/ptmx "$root/dev/ptmx"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mkdir -p "$root/trial"
mount --bind "$given" "$root/trial"
cp "$here/install.sh" "$given/install.sh"

# Of this machine's units only what a service stands on: no generator, nothing that is started at its boot.
units=$root/etc/systemd/system
mount -t tmpfs -o mode=755 units "$units"
for folder in "$root"/lib/systemd/system/*.target.wants "$root"/lib/systemd/system-generators \
    "$root"/etc/systemd/system-generators "$root"/usr/local/lib/systemd/system-generators; do
    if [ -d "$folder" ]; then
        mount -t tmpfs -o mode=755 none "$folder"
    fi
done
for unit in dev-hugepages.mount dev-mqueue.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    sys-kernel-config.mount sys-fs-fuse-connections.mount proc-sys-fs-binfmt_misc.automount; do
    ln -s /dev/null "$units/$unit"
done
cat > "$units/trial.target" <<'UNIT'
[Unit]
Requires=trial.service
After=trial.service
AllowIsolate=true
UNIT
cat > "$units/trial.service" <<'UNIT'
[Unit]
DefaultDependencies=false
Requires=systemd-journald.socket
After=systemd-journald.socket
[Service]
Type=oneshot
ExecStart=/bin/sh /trial/install.sh
ExecStopPost=/bin/sh -c 'systemctl exit "$(cat /trial/result 2>/dev/null || echo 1)"'
StandardOutput=append:/trial/output
StandardError=inherit
TimeoutStartSec=240
UNIT
# As on a machine that never had the package; images for containers forbid services to start.
rm -rf "$root/etc/tidings" "$root/var/lib/tidings" "$root/var/log/journal" "$root/usr/sbin/policy-rc.d"

# A root of its own, not only a chroot: the unit's protections remount what they see.
mkdir "$root/mnt/machine"
cd "$root"
pivot_root . mnt/machine
umount --lazy /mnt/machine
# As systemd does outside of a container: credentials are mounted by a process of its own.
mount --make-rshared /
exec chroot . /usr/bin/env -i container=trial PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=trial.target --log-target=journal --show-status=no
