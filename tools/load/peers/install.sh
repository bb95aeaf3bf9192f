#!/bin/sh
# Installs the servers of the comparison by name, from the registries of npm, Debian and crates.io. What is built is
# kept in a folder of caches, outside the source tree. A server that cannot be had is left out, and said so: the
# series skips it and names it in the report.
set -e
cd "$(dirname "$0")"
built="${XDG_CACHE_HOME:-$HOME/.cache}/tidings-peers"
mkdir -p "$built/bin"

missing() {
    echo "install.sh: $1 could not be installed; the comparison goes without it" >&2
}

debian() {
    [ "$(id -u)" = 0 ] || return 1
    [ -n "$is_updated" ] || apt-get update -qq
    is_updated=1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

npm ci --no-fund --no-audit
# Bun's program is fetched by its package's own script.
npm rebuild bun --silent || true

command -v nats-server >/dev/null || debian nats-server || missing nats-server
command -v mosquitto >/dev/null || debian mosquitto || missing mosquitto
# Debian starts an installed nginx where it has a service manager; the comparison starts one of its own.
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || debian nginx libnginx-mod-nchan || missing nchan

# Centrifugo's engine, in Debian's release, with a small server around it.
if [ ! "$built/bin/centrifuge" -nt centrifuge.go ]; then
    {
        debian golang-go golang-github-centrifugal-centrifuge-dev golang-github-centrifugal-protocol-dev \
            golang-github-fzambia-eagle-dev golang-github-igm-sockjs-go-dev golang-github-mna-redisc-dev &&
            GO111MODULE=off GOPATH=/usr/share/gocode go build -o "$built/bin/centrifuge" centrifuge.go
    } || missing centrifuge
fi

# Ten minutes of two cores, once. Its default features are exporters and parts of the protocol that are not used here.
[ -x "$built/bin/sockudo" ] ||
    cargo install sockudo --version 5.2.0 --locked --no-default-features --features local --root "$built" ||
    missing sockudo
