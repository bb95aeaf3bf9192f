// The pages for operators, followed to the letter: configuration, apps, tokens, backups. Only places and the port are
// this test's own.

import assert from 'node:assert/strict';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { freePort, guide, Place, stepsOf } from './steps.mjs';

let place;
before(async () => {
  place = await Place.make();
  for (const folder of ['/var/lib/tidings', '/etc/tidings', '/backup']) {
    const own = join(place.folder, folder);
    mkdirSync(own, { recursive: true, mode: 0o700 });
    place.replaced[folder] = own;
  }
});
after(async () => place?.end());

const works = (text) => place.works(text);

test('the configuration of "Running it" is read, and its server is asked whether all is well', async () => {
  const steps = Object.fromEntries(stepsOf('running.md').map(({ what, text }) => [what, text]));
  assert.deepEqual(Object.keys(steps), ['app', 'doctor', 'file /etc/tidings/tidings.toml']);
  // A certificate of our own in place of Let's Encrypt's.
  const pair = `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=chat.example.org -keyout privkey.pem -out fullchain.pem`;
  assert.equal((await place.run(pair, '/etc/tidings')).code, 0);
  place.replaced['0.0.0.0:443'] = place.address;
  writeFileSync(
    join(place.folder, '/etc/tidings/tidings.toml'),
    place.own(steps['file /etc/tidings/tidings.toml']),
  );
  // The file names the address; a variable would win.
  const { TIDINGS_LISTEN } = place.env;
  delete place.env.TIDINGS_LISTEN;

  const made = await works(steps.app);
  place.appId = /\b[0-9a-f]{32}\b/.exec(made)?.[0];
  assert.ok(place.appId, made);
  const server = place.start('tidings serve --config /etc/tidings/tidings.toml');
  const [, ready] = await server.line(/^tidings is ready: (\S+)/);
  assert.ok(ready.startsWith(`https://${place.address}/`), ready);
  const found = await place.run(steps.doctor);
  await server.interrupt();
  place.env.TIDINGS_LISTEN = TIDINGS_LISTEN;
  assert.match(found.output, /^ok +apps/m, found.output);
  // Nobody vouches for this certificate, so that doctor's own login is refused: nothing else may be wrong.
  for (const [line] of found.output.matchAll(/^fail .*/gm))
    assert.match(line, /WebSocket|certificate/, found.output);
});

test('apps and tokens', async () => {
  const steps = stepsOf('tokens.md').map(({ what, text }) => ({ what, text }));
  assert.deepEqual(
    steps.map(({ what }) => what),
    ['token', 'rotate', 'drop', 'ban'],
  );
  mkdirSync(join(place.folder, 'data'));
  copyFileSync(
    join(place.folder, '/var/lib/tidings/apps.toml'),
    join(place.folder, 'data/apps.toml'),
  );
  const certificate = /certificates = \["([0-9a-f]{32})"/.exec(
    readFileSync(join(place.folder, 'data/apps.toml'), 'utf8'),
  )[1];
  Object.assign(place.replaced, {
    'ID:CERTIFICATE': `${place.appId}:${certificate}`,
    ' ID ': ` ${place.appId} `,
  });
  const [issue, inspect] = steps[0].text.trim().split('\n');
  place.replaced[' TOKEN'] = ` ${(await works(issue)).trim()}`;
  assert.match(await works(inspect), /alice/);
  for (const { text } of steps.slice(1)) await works(text);
  const apps = readFileSync(join(place.folder, 'data/apps.toml'), 'utf8');
  assert.match(apps, /mallory/);
  assert.ok(!apps.includes(certificate), 'the old certificate is gone');
});

test('backups: made, checked, restored, and kept for a fortnight', async () => {
  const steps = Object.fromEntries(stepsOf('backups.md').map(({ what, text }) => [what, text]));
  assert.deepEqual(Object.keys(steps), ['backup', 'verify', 'restore', 'look', 'script']);
  // As on the page: of a server that runs.
  const server = place.start('tidings serve --data-dir /var/lib/tidings');
  await server.line(/^tidings is ready/);
  for (const what of ['backup', 'verify', 'restore']) await works(steps[what]);
  await server.interrupt();
  assert.match(await works(steps.look), new RegExp(place.appId));

  const old = join(place.folder, '/backup/tidings-2001-01-01');
  mkdirSync(old);
  const long = new Date(Date.now() - 16 * 86_400_000);
  utimesSync(old, long, long);
  // Twice on one day: the second replaces the first.
  for (let run = 0; run < 2; run++) await works(steps.script);
  assert.ok(!existsSync(old), 'an old backup is removed');
  const today = new Date().toISOString().slice(0, 10);
  assert.ok(
    readdirSync(join(place.folder, '/backup')).includes(`tidings-${today}`),
    'today’s backup is there',
  );
});

test('metrics: read with a key and without, and the server is asked how it is', async () => {
  const steps = Object.fromEntries(stepsOf('metrics.md').map(({ what, text }) => [what, text]));
  assert.deepEqual(Object.keys(steps), [
    'serve',
    'read',
    'key',
    'read with the key',
    'ready',
    'doctor',
  ]);
  place.replaced['127.0.0.1:7401'] = `127.0.0.1:${await freePort()}`;
  const server = place.start(steps.serve);
  await server.line(/^tidings is ready/);
  const metrics = await works(steps.read);
  assert.match(metrics, /^tidings_ready 1$/m);
  assert.ok(metrics.trimEnd().endsWith('# EOF'));
  place.replaced.KEY = /\btdk_\w+/.exec(await works(steps.key))[0];
  assert.match(await works(steps['read with the key']), /^tidings_ready 1$/m);
  assert.equal(JSON.parse(await works(steps.ready)).status, 'ready');
  assert.match(await works(steps.doctor), /^ok +queues/m);
  await server.interrupt();
  delete place.replaced.KEY;
  const gone = await place.run(steps.doctor);
  assert.notEqual(gone.code, 0);
  assert.match(gone.output, /^fail +server: none runs on/m);
});

test('the console: a key for it, and the settings of a login server', async () => {
  const steps = Object.fromEntries(stepsOf('console.md').map(({ what, text }) => [what, text]));
  assert.deepEqual(Object.keys(steps), ['key', 'login server']);
  writeFileSync(join(place.folder, '/etc/tidings/oidc-secret'), 'secret\n');
  writeFileSync(join(place.folder, '/etc/tidings/console.toml'), place.own(steps['login server']));
  const server = place.start('tidings serve --dev --config /etc/tidings/console.toml');
  await server.line(/^tidings is ready/);
  const key = /\btdk_\w+/.exec(await works(steps.key))[0];
  const ask = async (path) =>
    (
      await fetch(`http://${place.address}${path}`, { headers: { authorization: `Bearer ${key}` } })
    ).json();
  assert.equal((await ask('/api/v1/me')).role, 'admin');
  assert.deepEqual(await ask('/api/v1/login'), { login_server: { name: 'login.example.org' } });
  assert.equal((await fetch(`http://${place.address}/console/`)).status, 200);
  await server.interrupt();
});

test('every page that is followed is named in this folder', () => {
  const marked = readdirSync(guide).filter(
    (name) => name.endsWith('.md') && stepsOf(name).length > 0,
  );
  assert.deepEqual(marked.sort(), [
    'backend.md',
    'backups.md',
    'commands.md',
    'console.md',
    'from-rtm.md',
    'metrics.md',
    'more-machines.md',
    'quick-start.md',
    'runbooks.md',
    'running.md',
    'tokens.md',
    'tracing.md',
    'webhooks.md',
  ]);
});
