// Faults, as somebody on call meets them: for each, the figures show it, and the guide has a page that leads from
// there to the cure.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { freePort, guide, Place } from './steps.mjs';
import { User } from './user.mjs';

const APP = '0123456789abcdef0123456789abcdef';
const OTHER = 'abcdef0123456789abcdef0123456789';
/** For a machine that does much else; whatever is waited for ends the wait at once. */
const WITHIN_MS = 60_000;
/** A shifted clock for a program. */
const OWN_CLOCK = ['x86_64', 'aarch64']
  .map((machine) => `/usr/lib/${machine}-linux-gnu/faketime/libfaketime.so.1`)
  .find((path) => existsSync(path));

let place;
afterEach(async () => place?.end());

/** A server with an open app, and with figures for whoever asks on its operators' port. */
async function serve({ options = '', before = '', env = {} } = {}) {
  place = await Place.make();
  Object.assign(place.env, env);
  place.operators = `http://127.0.0.1:${await freePort()}`;
  await works(`tidings app create --open --id ${APP} --data-dir data`);
  await works(`tidings app create --id ${OTHER} --data-dir data`);
  if (before) await works(before);
  return start(options);
}

async function start(options = '', wrapper = '') {
  const { host } = new URL(place.operators);
  const server = place.start(
    `exec ${wrapper} tidings serve --data-dir data --admin-listen ${host} ${options}`,
  );
  await server.line(/^tidings is ready/);
  return server;
}

const works = (text) => place.works(text);

/** The value of a sample, as `/metrics` writes it; 0 if it is not there. */
async function metric(sample) {
  const text = await (await fetch(`${place.operators}/metrics`)).text();
  const line = text.split('\n').find((one) => one.startsWith(`${sample} `));
  return line ? Number(line.slice(sample.length)) : 0;
}

/** Resolves once a sample is as wanted. */
async function shows(sample, wanted) {
  const until = Date.now() + WITHIN_MS;
  for (;;) {
    const value = await metric(sample);
    if (wanted(value)) return value;
    assert.ok(Date.now() < until, `${sample} is ${value}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The alert's section of the guide tells of the sample, and what to do. */
function isExplained(alert, name) {
  const page = readFileSync(join(guide, 'metrics.md'), 'utf8');
  const section = page.split(/^### /m).find((one) => one.startsWith(`${alert}\n`));
  assert.ok(section, `the page of metrics has a section on ${alert}`);
  assert.ok(section.includes(name), `${alert} is about ${name}`);
  assert.match(section, /^1\. /m, `${alert} has steps`);
  const rules = readFileSync(join(guide, '../../packaging/prometheus/tidings.rules.yml'), 'utf8');
  assert.ok(rules.includes(alert), `${alert} is a rule`);
}

async function login(name, app = APP, token) {
  const user = await User.login(place.address, app, name, token);
  // A client that nobody logs out goes on looking for its server.
  place.atEnd(() => user.logout());
  return user;
}

/** A key of the API. */
async function key() {
  return /tdk_\w+/.exec(await works('tidings key create --role admin --data-dir data'))[0];
}

test('a flood: the limit that was hit, and whose app it is', async () => {
  await serve();
  const flooder = await login('flooder');
  const calls = Array.from({ length: 300 }, (_, number) => flooder.send('nobody', `${number}`));
  const ended = await Promise.allSettled(calls);
  assert.ok(ended.some(({ status }) => status === 'rejected'));
  const text = await (await fetch(`${place.operators}/metrics`)).text();
  const refused = /^tidings_refused_total\{app="(\w+)",limit="(\w+)"\} ([1-9]\d*)/m.exec(text);
  assert.equal(refused?.[1], APP, text);
  isExplained('TidingsFlood', 'tidings_refused_total');
});

test('a slow disk: the time that the disk takes', async () => {
  await serve().then((server) => server.interrupt());
  const slow = 'strace -f -qq -o /dev/null -e trace=fsync,fdatasync';
  await start('', `${slow} -e inject=fsync,fdatasync:delay_exit=700000`);
  const alice = await login('alice');
  await alice.sendOffline('bob', 'kept');
  const all = await metric('tidings_fsync_seconds_count');
  const quick = await metric('tidings_fsync_seconds_bucket{le="0.5"}');
  assert.ok(all > quick, `${all} commits, ${quick} of them within half a second`);
  isExplained('TidingsDiskSlow', 'tidings_fsync_seconds');
});

test('a full disk', async () => {
  const { bavail, bsize } = statfsSync('/tmp');
  await serve({ options: `--disk-reserve ${bavail * bsize * 2}` });
  await shows('tidings_trouble{reason="disk_full"}', (value) => value === 1);
  assert.match((await place.run('tidings doctor --running --data-dir data')).output, /disk/);
  isExplained('TidingsDiskFull', 'disk_full');
});

test('a webhook that hangs: whose it is', async () => {
  const target = createServer(() => {}).listen(0, '127.0.0.1');
  await once(target, 'listening');
  await serve({ options: '--webhooks-allow 127.0.0.0/8' });
  const made = await fetch(`http://${place.address}/api/v1/apps/${APP}/webhooks`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await key()}`, 'content-type': 'application/json' },
    body: JSON.stringify({ url: `http://127.0.0.1:${target.address().port}/`, events: ['user.*'] }),
  });
  assert.equal(made.status, 201);
  await login('somebody');
  await shows(`tidings_webhooks_failing{app="${APP}"}`, (value) => value === 1);
  isExplained('TidingsWebhookFailing', 'tidings_webhooks_failing');
  target.close();
});

test('a client that no longer reads', async () => {
  await serve({ before: `tidings app set ${APP} rate_limits=false --data-dir data` });
  const deaf = spawn(
    process.execPath,
    [fileURLToPath(new URL('member.mjs', import.meta.url)), place.address, APP, 'deaf', 'room'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  await once(deaf.stdout, 'data');
  deaf.kill('SIGSTOP');
  const speaker = await login('speaker');
  await speaker.join('room');
  const until = Date.now() + WITHIN_MS;
  while ((await metric('tidings_slow_consumer_total')) === 0) {
    assert.ok(Date.now() < until, 'nobody was found slow');
    for (let number = 0; number < 20; number += 1) await speaker.say('room', 'x'.repeat(30_000));
  }
  deaf.kill('SIGKILL');
  isExplained('TidingsSlowConsumers', 'tidings_slow_consumer_total');
});

test('a disk that fails: the store stops, and says so', async () => {
  await serve().then((server) => server.interrupt());
  // The first syncs are those of the start.
  const broken = 'strace -f -qq -o /dev/null -e trace=fsync,fdatasync';
  await start('', `${broken} -e inject=fsync,fdatasync:error=EIO:when=40+`);
  assert.equal(await metric('tidings_trouble{reason="store_failed"}'), 0);
  const alice = await login('alice');
  const until = Date.now() + WITHIN_MS;
  for (let number = 0; ; number += 1) {
    if ((await metric('tidings_trouble{reason="store_failed"}')) === 1) break;
    assert.ok(Date.now() < until, `${number} messages were stored`);
    await alice.sendOffline('bob', `${number}`).catch(() => {});
  }
  const ready = await fetch(`${place.operators}/readyz`);
  assert.equal(ready.status, 503);
  assert.match(await ready.text(), /store_failed/);
  assert.match((await place.run('tidings doctor --running --data-dir data')).output, /store/);
  // Live messages go on.
  const carol = await login('carol');
  await alice.join('room');
  await carol.join('room');
  await alice.say('room', 'still here');
  await carol.hears('room', 'alice', 'still here');
  isExplained('TidingsStoreFailed', 'store_failed');
});

test('memory that is short: what holds it', async () => {
  await serve({
    before: `tidings app set ${APP} rate_limits=false --data-dir data`,
    options: '--memory-max 64MiB --hubs 1 --handshake-rate 1000/1s',
  });
  assert.equal(await metric('tidings_trouble{reason="memory_short"}'), 0);
  const crowd = spawn(
    process.execPath,
    [fileURLToPath(new URL('crowd.mjs', import.meta.url)), place.address, APP, '200'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  place.atEnd(() => crowd.kill('SIGKILL'));
  await once(crowd.stdout, 'data');
  crowd.kill('SIGSTOP');
  const headers = {
    authorization: `Bearer ${await key()}`,
    'content-type': 'application/json',
  };
  const users = Array.from({ length: 200 }, (_, at) => `deaf${at}`);
  const away = users.map((name) => `${name}-is-away`);
  const body = (users, offline) =>
    JSON.stringify({ users, offline, from: 'shop', payload: 'x'.repeat(30_000) });
  const until = Date.now() + WITHIN_MS;
  // Read on the way: as soon as memory is short, the server gives up what waits.
  let waiting = 0;
  while ((await metric('tidings_trouble{reason="memory_short"}')) !== 1) {
    waiting = Math.max(waiting, await metric('tidings_replay_bytes{hub="0"}'));
    assert.ok(Date.now() < until, `memory is not short at ${await metric('tidings_memory_bytes')}`);
    const url = `http://${place.address}/api/v1/apps/${APP}/publish`;
    // What waits for those who do not read, and the store's caches.
    for (const one of [body(users, false), body(away, true)])
      await (await fetch(url, { method: 'POST', headers, body: one })).text();
  }
  assert.ok(waiting > 1_000_000, `${waiting} bytes wait`);
  const used = await metric('tidings_memory_bytes');
  assert.ok(used < 1.2 * (await metric('tidings_memory_max_bytes')), `${used} bytes`);
  isExplained('TidingsMemoryShort', 'memory_short');
  assert.match(readFileSync(join(guide, 'runbooks.md'), 'utf8'), /## Memory is short/);
});

test('a clock that was set wrong', async () => {
  assert.ok(OWN_CLOCK, 'libfaketime is installed');
  await serve().then((server) => server.interrupt());
  const clock = join(place.folder, 'clock');
  writeFileSync(clock, '+0');
  Object.assign(place.env, {
    LD_PRELOAD: OWN_CLOCK,
    FAKETIME_TIMESTAMP_FILE: clock,
    FAKETIME_NO_CACHE: '1',
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  });
  await start();
  writeFileSync(clock, '+3600');
  await shows('tidings_clock_jumps_total', (value) => value > 0);
  isExplained('TidingsClockJumped', 'tidings_clock_jumps_total');
});

test('a certificate that has ended', async () => {
  await serve().then((server) => server.interrupt());
  const make =
    'openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem';
  await works(`LD_PRELOAD=${OWN_CLOCK} FAKETIME=-10d ${make}`);
  await start('--tls-cert cert.pem --tls-key key.pem');
  const end = await metric('tidings_certificate_end_seconds');
  assert.ok(end > 0 && end < Date.now() / 1_000, `it ends at ${end}`);
  isExplained('TidingsCertificateEnds', 'tidings_certificate_end_seconds');
});

test('wrong tokens of one app: which app, and why', async () => {
  await serve();
  for (const number of [1, 2, 3])
    await assert.rejects(login(`user${number}`, OTHER, 'this is no token'));
  const text = await (await fetch(`${place.operators}/metrics`)).text();
  const refused = /^tidings_login_refused_total\{app="(\w+)",reason="(\w+)"\} ([1-9]\d*)/m.exec(
    text,
  );
  assert.equal(refused?.[1], OTHER, text);
  isExplained('TidingsLoginsRefused', 'tidings_login_refused_total');
});

test('a hot channel: whose deliveries they are', async () => {
  await serve();
  const members = [];
  for (const number of [1, 2, 3, 4]) members.push(await login(`member${number}`));
  for (const member of members) await member.join('stadium');
  for (let number = 0; number < 10; number += 1) await members[0].say('stadium', `${number}`);
  for (const member of members.slice(1)) await member.hears('stadium', 'member1', '9');
  await shows(`tidings_deliveries_total{app="${APP}",kind="channel"}`, (value) => value >= 30);
  assert.equal(await metric(`tidings_messages_total{app="${APP}",kind="channel"}`), 10);
  isExplained('TidingsHotChannel', 'tidings_deliveries_total');
});

test('a message that never arrived, asked about by its user', async () => {
  await serve();
  place.env.TIDINGS_URL = `http://${place.address}`;
  place.env.TIDINGS_KEY = await key();
  await works(`tidings trace on --app ${APP} --user alice --for 10m`);
  const alice = await login('alice');
  await alice.send('bob', 'are you there?').catch(() => {});
  const listed = await works(`tidings trace messages --app ${APP} --user alice`);
  const [id] = /\b[0-9a-f]{32}\b/.exec(listed.replaceAll(APP, '')) ?? [];
  assert.ok(id, listed);
  const way = await works(`tidings trace --app ${APP} ${id}`);
  assert.match(way, /accepted/, way);
  assert.doesNotMatch(way, /confirmed/, way);
  const page = readFileSync(join(guide, 'tracing.md'), 'utf8');
  const last = way
    .trim()
    .split('\n')
    .filter((line) => /^[a-z_]+ +\d/.test(line))
    .at(-1);
  assert.ok(page.includes(`\`${last?.split(' ')[0]}\``), `the page explains ${last}`);
});
