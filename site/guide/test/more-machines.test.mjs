// "More than one machine", followed to the letter with three real NATS servers. Only places and
// ports are this test's own.

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, Place, stepsOf } from './steps.mjs';

const NATS = process.env.TIDINGS_NATS_SERVER;

let place;
const steps = Object.fromEntries(stepsOf('more-machines.md').map(({ what, text }) => [what, text]));

/** Three servers that are one NATS cluster, where the page has them at 10.0.0.1 to 3. */
async function startNats() {
  assert.ok(NATS, 'TIDINGS_NATS_SERVER names no nats-server; `cargo xtask nats` installs one');
  const routes = [await freePort(), await freePort(), await freePort()];
  const urls = routes.map((port) => `"nats://127.0.0.1:${port}"`).join(', ');
  for (const [at, route] of routes.entries()) {
    const port = await freePort();
    place.replaced[`10.0.0.${at + 1}:4222`] = `127.0.0.1:${port}`;
    const file = join(place.folder, `nats-${at}.conf`);
    writeFileSync(
      file,
      `server_name: n${at}\nlisten: "127.0.0.1:${port}"\n` +
        `jetstream { store_dir: "${place.folder}/nats-${at}", sync_interval: always }\n` +
        `cluster { name: C, listen: "127.0.0.1:${route}", routes: [${urls}] }\n`,
    );
    place.start(`exec ${NATS} --config ${file}`);
  }
}

/** Runs a command until it succeeds. */
async function succeeds(text) {
  const until = Date.now() + 60_000;
  for (;;) {
    const { code, output } = await place.run(text);
    if (code === 0) return output;
    assert.ok(Date.now() < until, output);
  }
}

before(async () => {
  place = await Place.make();
  for (const folder of ['/var/lib/tidings', '/etc/tidings']) {
    const own = join(place.folder, folder);
    mkdirSync(own, { recursive: true, mode: 0o700 });
    place.replaced[folder] = own;
  }
  writeFileSync(
    join(place.folder, '/etc/tidings/apps'),
    '0123456789abcdef0123456789abcdef:fedcba9876543210fedcba9876543210\n',
  );
  await startNats();
});
after(async () => place?.end());

test('a cluster is made, its nodes are seen, and one is drained', async () => {
  assert.deepEqual(Object.keys(steps), [
    'key',
    'file /etc/tidings/tidings.toml',
    'init',
    'doctor',
    'status',
    'drain',
  ]);
  await place.works(steps.key);
  // The file names the addresses; a variable would win.
  delete place.env.TIDINGS_LISTEN;
  delete place.env.TIDINGS_DATA_DIR;
  const settings = place.own(steps['file /etc/tidings/tidings.toml']);
  const admins = [];
  for (const at of [1, 2]) {
    const admin = `127.0.0.1:${await freePort()}`;
    const own = settings
      .replace(/^listen = .*$/m, `listen = "127.0.0.1:${await freePort()}"`)
      .replace(/^admin-listen = .*$/m, `admin-listen = "${admin}"`)
      .replaceAll('chat-1', `chat-${at}`)
      .replace(/^data-dir = "(.*)"$/m, `data-dir = "$1/${at}"`);
    const name = at === 1 ? 'tidings.toml' : 'second.toml';
    writeFileSync(join(place.folder, '/etc/tidings', name), own);
    admins.push(admin);
  }
  // NATS may not have a leader yet.
  const made = await succeeds(steps.init);
  assert.match(made, /cluster prod is made: bucket tidings-prod-nodes on 3 NATS servers/);
  const first = place.start('exec tidings serve --config /etc/tidings/tidings.toml');
  await first.line(/^tidings is ready/);
  const second = place.start('exec tidings serve --config /etc/tidings/second.toml');
  await second.line(/^tidings is ready/);

  const checked = await place.run(steps.doctor);
  assert.match(checked.output, /^ok +cluster prod: 2 nodes live, leases on 3 NATS servers/m);
  assert.match(checked.output, /^ok +key of the cluster/m);
  const status = await place.works(steps.status);
  assert.match(status, /^0 +chat-1 +live .* wss:\/\/chat-1\.example\.org$/m, status);
  assert.match(status, /^1 +chat-2 +live .* wss:\/\/chat-2\.example\.org$/m, status);

  assert.match(await place.works(steps.drain), /node 0 \(chat-1\) sends its clients away/);
  assert.match(await place.works(steps.status), /^0 +chat-1 +draining /m);
  const answer = await fetch(`http://${admins[0]}/readyz`);
  assert.equal(answer.status, 503);
  assert.equal((await answer.json()).reasons[0].reason, 'draining');
  assert.equal((await fetch(`http://${admins[1]}/readyz`)).status, 200);
  // It is empty and waits; then it is stopped and gives its place back.
  process.kill(first.id, 'SIGTERM');
  assert.equal(await first.ended(), 0, first.output());
  const left = JSON.parse(await place.works(`${steps.status.trim()} --json`));
  assert.deepEqual(
    left.nodes.map(({ name }) => name),
    ['chat-2'],
  );
});
