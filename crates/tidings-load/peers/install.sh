#!/bin/sh
# Installs the servers of the comparison by name, from the registries of npm and Debian.
set -e
cd "$(dirname "$0")"
npm ci --no-fund --no-audit
# Bun's program is fetched by its package's own script.
npm rebuild bun --silent || true
if ! command -v nats-server >/dev/null || ! command -v mosquitto >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nats-server mosquitto
fi
node_modules/.bin/bun --version
nats-server --version
mosquitto -h | head -1
