#!/bin/sh
# Does with the packages what an administrator does: install, make an app, start, look, upgrade, remove, purge; each
# command as the package and the guide print it. Runs in the systemd of `boot.sh`; /trial has `old.deb`, which counts as
# the package before 0.2.0, `new.deb`, the archive, and `archive-commands`, which are the guide's.
set -u
step=begin
finish() {
    code=$?
    set +e
    if [ "$code" != 0 ]; then
        echo "FAILED at: $step"
        systemctl status --no-pager --full tidings.service
        journalctl --no-pager --unit tidings.service | tail -n 40
    fi
    echo "$code" > /trial/result
}
trap finish EXIT
fail() {
    echo "$*"
    exit 1
}
# Holds what a command prints against what it should.
expect() {
    if [ "$2" != "$3" ]; then
        fail "$1 is $2 instead of $3"
    fi
}
begin() {
    step=$1
    echo "- $step"
}
owner() {
    stat -c '%U:%G %a' "$1"
}
property() {
    systemctl show --property "$1" --value tidings.service
}
# Waits until a command succeeds, for 30 s at most.
until_true() {
    deadline=$(($(date +%s) + 30))
    until eval "$1" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$deadline" ] || fail "never became true: $1"
        sleep 0.1
    done
}
get() {
    bash -c 'exec 3<>/dev/tcp/127.0.0.1/7400 && printf "GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" "$0" >&3 && cat <&3' "$1"
}
set -e
export DEBIAN_FRONTEND=noninteractive

begin "install"
dpkg --install /trial/old.deb > /trial/printed
expect "the data directory" "$(owner /var/lib/tidings)" "tidings:tidings 700"
expect "the settings" "$(owner /etc/tidings/tidings.toml)" "root:tidings 640"
expect "the unit" "$(systemctl is-enabled tidings.service || true)" "disabled"
expect "conffiles" "$(dpkg-query --show --showformat '${Conffiles}' tidings | awk '{print $1}' | xargs)" \
    "/etc/tidings/tidings.toml"
test -s /usr/share/doc/tidings/copyright
test -s /usr/share/tidings/tidings.json
test -s /usr/share/tidings/tidings.rules.yml
zcat /usr/share/man/man1/tidings.1.gz | grep -q tidings
bash -n /usr/share/bash-completion/completions/tidings

begin "every command that the package prints"
grep '^  ' /trial/printed > /trial/commands
expect "printed commands" "$(wc -l < /trial/commands)" 3
while read -r command; do
    echo "  $command"
    sh -e -c "$command" < /dev/null
done < /trial/commands
expect "the apps" "$(owner /var/lib/tidings/apps.toml)" "tidings:tidings 600"

begin "the service runs, as its own user"
expect "the state" "$(property ActiveState)" active
pid=$(property MainPID)
expect "the process's owner" "$(stat -c %U "/proc/$pid")" tidings
until_true 'get /readyz | grep -q "^HTTP/1.1 200"'
case "$(awk '$1 == "Seccomp:" {print $2}' "/proc/$pid/status")" in
    2) ;;
    *) fail "the service's system calls are not filtered" ;;
esac
expect "capabilities" "$(awk '$1 == "CapEff:" {print $2}' "/proc/$pid/status")" "0000000000000400"
expect "core files" "$(awk '/^Max core file size/ {print $5}' "/proc/$pid/limits")" 0
others=$(find /var/lib/tidings -not -user tidings -o -perm /077 -type f)
expect "files that others may read" "$others" ""
expect "starts" "$(property NRestarts)" 0

begin "what root tells the program reaches the service, with a reload and without"
app=$(awk -F'"' '/^id/ {print $2; exit}' /var/lib/tidings/apps.toml)
tidings app ban "$app" mallory --data-dir /var/lib/tidings
expect "the apps" "$(owner /var/lib/tidings/apps.toml)" "tidings:tidings 600"
systemctl reload tidings.service
tidings status --data-dir /var/lib/tidings
expect "the process" "$(property MainPID)" "$pid"
if journalctl --unit tidings.service --output cat | grep -q 'Permission denied'; then
    fail "the service cannot read what root's command left behind"
fi

begin "upgrade"
chown root:root /var/lib/tidings/apps.toml
dpkg --install /trial/new.deb > /trial/printed
if grep '^  ' /trial/printed; then
    fail "an upgrade tells what only a first installation should"
fi
expect "the state" "$(property ActiveState)" active
test "$(property MainPID)" != "$pid" || fail "the old program goes on after the upgrade"
expect "the apps, which were root's" "$(owner /var/lib/tidings/apps.toml)" "tidings:tidings 600"
until_true 'get /readyz | grep -q "^HTTP/1.1 200"'
tidings app list --data-dir /var/lib/tidings | grep -q "$app"

begin "a process that is killed comes back"
pid=$(property MainPID)
kill -9 "$pid"
until_true 'test "$(property MainPID)" != 0 -a "$(property MainPID)" != '"$pid"' -a "$(property ActiveState)" = active'
until_true 'get /readyz | grep -q "^HTTP/1.1 200"'

begin "a mistake in the settings is told, and the service comes back once it is mended"
echo 'listne = "127.0.0.1:7400"' >> /etc/tidings/tidings.toml
systemctl restart tidings.service || true
until_true 'journalctl --unit tidings.service --output cat | grep -q listne'
until_true 'test "$(property NRestarts)" -gt 6'
sed -i '$d' /etc/tidings/tidings.toml
until_true 'get /readyz | grep -q "^HTTP/1.1 200"'
expect "the state" "$(property ActiveState)" active

begin "a secret is handed over as a credential, as the guide shows it"
echo 0123456789abcdef0123456789abcdef:fedcba9876543210fedcba9876543210 > /root/app.secret
chmod 0600 /root/app.secret
mkdir -p /etc/systemd/system/tidings.service.d
cat > /etc/systemd/system/tidings.service.d/override.conf <<'UNIT'
[Service]
LoadCredential=app:/root/app.secret
Environment=TIDINGS_APP_FILE=%d/app
UNIT
systemctl daemon-reload
systemctl restart tidings.service
tidings status --data-dir /var/lib/tidings | grep -q '^apps  *2$'
rm -r /etc/systemd/system/tidings.service.d
systemctl daemon-reload
systemctl restart tidings.service

begin "remove: the service ends, the data stay"
dpkg --remove tidings
if pgrep -x tidings; then
    fail "the service runs on after the removal"
fi
test -s /var/lib/tidings/apps.toml
test -s /etc/tidings/tidings.toml

begin "purge: nothing stays"
dpkg --purge tidings
for path in /var/lib/tidings /etc/tidings /usr/bin/tidings /usr/share/tidings /usr/share/doc/tidings; do
    if [ -e "$path" ]; then
        fail "$path is still there"
    fi
done
expect "the unit" "$(systemctl show --property LoadState --value tidings.service)" not-found

begin "the archive, as the guide tells whoever has another Linux"
if getent passwd tidings > /dev/null; then
    userdel tidings
fi
cd /trial
sh -e archive-commands
expect "the settings" "$(owner /etc/tidings/tidings.toml)" "root:tidings 640"
until_true 'get /readyz | grep -q "^HTTP/1.1 200"'
tidings doctor --config /etc/tidings/tidings.toml
expect "the apps" "$(owner /var/lib/tidings/apps.toml)" "tidings:tidings 600"
echo '# mine' >> /etc/tidings/tidings.toml
pid=$(property MainPID)
tar --extract --file tidings-*.tar.gz --directory / --exclude ./etc
systemctl restart tidings.service
test "$(property MainPID)" != "$pid" || fail "the old program goes on after the upgrade"
grep -q '^# mine' /etc/tidings/tidings.toml
expect "the program" "$(tidings --version)" "$(/proc/"$(property MainPID)"/exe --version)"
echo "everything was as it should be"
