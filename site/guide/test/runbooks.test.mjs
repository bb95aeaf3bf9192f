// The runbooks, followed to the letter, against the real program.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterEach, test } from 'node:test';
import { Place, stepsOf } from './steps.mjs';
import { User } from './user.mjs';

const APP = '0123456789abcdef0123456789abcdef';
const steps = stepsOf('runbooks.md');
const of = (what) => steps.filter((step) => step.what === what).map(({ text }) => text);

let place;
afterEach(async () => place?.end());

/** A place with the page's app and directories of its own. */
async function make() {
  place = await Place.make();
  for (const folder of ['/var/lib', '/backup', '/etc/tidings']) {
    const own = join(place.folder, folder);
    mkdirSync(own, { recursive: true, mode: 0o700 });
    place.replaced[folder] = own;
  }
  await works(`tidings app create --open --id ${APP} --data-dir /var/lib/tidings`);
}

const works = (text) => place.works(text);

async function serve(options = '', folder = '/var/lib/tidings') {
  const server = place.start(`exec tidings serve --data-dir ${folder} ${options}`);
  const [, ready] = await server.line(/^tidings is ready: (\S+)/);
  return { server, ready };
}

async function takeKey() {
  const made = await works('tidings key create --role admin --data-dir /var/lib/tidings');
  place.replaced['=KEY'] = `=${/tdk_\w+/.exec(made)[0]}`;
  place.takeVariables(of('variables')[0]);
}

async function login(name) {
  const user = await User.login(place.address, APP, name);
  // A client that nobody logs out goes on looking for its server.
  place.atEnd(() => user.logout());
  return user;
}

test('every block is followed', () => {
  const followed =
    'back backup certificate disk first flood key look memory move restore rotate served variables webhook';
  assert.deepEqual([...new Set(steps.map(({ what }) => what))].sort(), followed.split(' '));
});

test('first of all: doctor and status', async () => {
  await make();
  const { server } = await serve();
  const found = await works(of('first')[0]);
  assert.match(found, /^ok /m, found);
  assert.match(found, /^users +0 sessions/m, found);
  await server.interrupt();
});

test('the disk is full', async () => {
  await make();
  const { bavail, bsize } = statfsSync(place.folder);
  // More than is free is to be kept free: what the server sees is a full disk.
  place.env.TIDINGS_DISK_RESERVE = String(bavail * bsize * 2);
  const full = await serve();
  const [reasons, ...search] = of('disk');
  assert.match(await works(reasons), /"disk_full"/);
  for (const text of search) await works(text);
  await full.server.interrupt();
  place.env.TIDINGS_DISK_RESERVE = '0';
  const { server } = await serve();
  assert.doesNotMatch(await works(reasons), /disk_full/);
  await server.interrupt();
});

test('the certificate is renewed', async () => {
  await make();
  const pair = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=chat.example.org -keyout key.pem -out cert.pem`;
  const renew = async () => assert.equal((await place.run(pair, '/etc/tidings')).code, 0);
  await renew();
  const { server } = await serve('--tls-cert /etc/tidings/cert.pem --tls-key /etc/tidings/key.pem');
  const before = await works(of('served')[0]);
  await renew();
  await works(of('certificate')[0]);
  const after = await works(of('served')[0]);
  assert.match(after, /Fingerprint=/);
  assert.notEqual(after, before, 'the new certificate is served');
  writeFileSync(join(place.folder, 'etc/tidings/key.pem'), 'no key');
  const refused = await place.run(of('certificate')[0]);
  assert.notEqual(refused.code, 0, 'files that do not fit together are refused');
  assert.equal(await works(of('served')[0]), after, 'and the pair of before is kept');
  await server.interrupt();
});

test('a flood, and memory that is short', async () => {
  await make();
  const { server } = await serve();
  await takeKey();
  const mallory = await login('mallory');
  const honest = await login('honest');
  for (const text of [...of('flood'), ...of('memory')]) await works(text);
  await mallory.ended('ABORTED', 'BANNED_BY_SERVER');
  await assert.rejects(login('mallory'), 'banned for an hour');
  assert.ok(!honest.states.some(([state]) => state === 'ABORTED'), 'others stay');
  await honest.logout();
  await server.interrupt();
});

test('a webhook is stuck', async () => {
  await make();
  const received = [];
  let hangs = true;
  const target = createServer((request, response) => {
    if (hangs) return;
    received.push(request.headers);
    request.resume().on('end', () => response.end());
  }).listen(0, '127.0.0.1');
  await once(target, 'listening');
  const { port } = target.address();
  const { server } = await serve('--webhooks-allow 127.0.0.0/8');
  await takeKey();
  const headers = {
    authorization: `Bearer ${place.env.TIDINGS_KEY}`,
    'content-type': 'application/json',
  };
  const made = await fetch(`${place.env.TIDINGS}/api/v1/apps/${APP}/webhooks`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ url: `http://127.0.0.1:${port}/hangs`, events: ['user.*'] }),
  });
  const { id } = await made.json();
  place.replaced.WEBHOOK = id;
  place.replaced['127.0.0.1:8080'] = `127.0.0.1:${port}`;
  const user = await login('somebody');
  const [look, point, again] = of('webhook');
  assert.match(await works(look), new RegExp(id));
  hangs = false;
  await works(point);
  await works(again);
  assert.ok(received.length > 0, 'the test event has arrived');
  await user.logout();
  await server.interrupt();
  target.closeAllConnections();
  target.close();
});

test('a key is lost, and a certificate', async () => {
  await make();
  const { server } = await serve();
  await takeKey();
  const lost = place.env.TIDINGS_KEY;
  const ask = (key) =>
    fetch(`${place.env.TIDINGS}/api/v1/apps`, { headers: { authorization: `Bearer ${key}` } });
  assert.equal((await ask(lost)).status, 200);
  place.replaced.KEYID = lost.split('_')[1];
  const made = await works(of('key')[0]);
  assert.equal((await ask(lost)).status, 401, 'revoked');
  assert.equal((await ask(/tdk_\w+/.exec(made)[0])).status, 200);
  await works(`tidings app rotate ${APP} --data-dir /var/lib/tidings`);
  await works(of('rotate')[0].split('\n')[0]);
  await works(of('rotate')[0].split('\n')[1]);
  await server.interrupt();
});

test('upgrade and back, restore, move: what was stored is there', async () => {
  await make();
  const { server } = await serve();
  const alice = await login('alice');
  await alice.sendOffline('bob', 'kept');
  await alice.logout();
  await works(of('backup')[0]);
  assert.match(await works(of('look')[0]), /^ok /m);
  await server.interrupt();
  await works(of('back')[0]);
  await works(of('restore')[0]);
  assert.ok(existsSync(join(place.folder, 'var/lib/tidings-broken')), 'nothing was deleted');
  await works(of('move')[0]);
  for (const folder of ['tidings-before', 'tidings', 'tidings-moved']) {
    const again = await serve('', `/var/lib/${folder}`);
    const bob = await login('bob');
    await bob.hears(undefined, 'alice', 'kept');
    await bob.logout();
    await again.server.interrupt();
  }
});
