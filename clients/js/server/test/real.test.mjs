/** The calls against the real program. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { verifyWebhook, WebhookError } from '../dist/index.mjs';
import { eventually, RealServer } from './real-server.mjs';

let server;
let tidings;
before(async () => {
  server = await RealServer.start();
  tidings = server.client();
});
after(async () => server?.stop());

/** A user for one test. */
async function login(context, uid) {
  const user = await server.login(uid);
  context.after(() => user.logout());
  return user;
}

test('messages to users: here, away, kept, and what cannot be sent', async (context) => {
  const alice = await login(context, 'alice');
  const waiting = { sender: 'system', wait: true };
  const delivered = await tidings.sendToPeer('alice', 'grüße 🎈', waiting);
  assert.deepEqual([delivered.user, delivered.outcome], ['alice', 'delivered']);
  assert.equal((await alice.text('grüße 🎈')).from, 'system');
  // Not waited for: whether its receiver has it already is chance.
  assert.match(
    (await tidings.sendToPeer('alice', 'now', { sender: 'system' })).outcome,
    /^(sent|delivered)$/,
  );
  await alice.text('now');
  await tidings.sendToPeer('alice', new Uint8Array([0, 255]), { sender: 'system' });
  const { message } = await alice.hears((heard) => heard.message?.messageType === 'RAW');
  assert.deepEqual([...message.rawMessage], [0, 255]);

  assert.equal(
    (await tidings.sendToPeer('nobody', 'x', { sender: 'system', wait: true })).outcome,
    'offline',
  );
  assert.equal(
    (await tidings.sendToPeer('later', 'kept', { sender: 'system', offline: true })).outcome,
    'stored',
  );
  const later = await login(context, 'later');
  await later.text('kept');

  const wrong = tidings.sendToPeer('a\u0000b', 'x', { sender: 'system' });
  await assert.rejects(
    wrong,
    (error) =>
      error.name === 'ApiError' &&
      error.code !== '' &&
      error.hint !== '' &&
      error.request_id !== undefined,
  );
  const { results } = await tidings.publish({
    users: ['alice', 'nobody'],
    payload: 'both',
    sender: 'system',
    wait: true,
  });
  assert.deepEqual(
    results.map(({ user, outcome }) => [user, outcome]),
    [
      ['alice', 'delivered'],
      ['nobody', 'offline'],
    ],
  );
});

test('messages to channels, in batches, and repeated under one key', async (context) => {
  const bob = await login(context, 'bob');
  await bob.join('batch');
  assert.equal(
    (await tidings.sendToChannel('batch', 'first', { sender: 'system' })).outcome,
    'sent',
  );
  await bob.text('first');
  const batch = await tidings.publishBatch([
    { channel: 'batch', payload: 'second', sender: 'system' },
    { users: ['bob'], payload: 'third', sender: 'other', wait: true },
  ]);
  assert.deepEqual(
    batch.results.map(({ results: [one] }) => one.outcome),
    ['sent', 'delivered'],
  );
  await bob.text('second');
  await bob.text('third');

  const once = { sender: 'system', idempotencyKey: 'order-17' };
  const [one, two] = [
    await tidings.sendToChannel('batch', 'once', once),
    await tidings.sendToChannel('batch', 'once', once),
  ];
  assert.deepEqual(one, two);
  await assert.rejects(tidings.sendToChannel('batch', 'other', once), {
    code: 'idempotency_key_reused',
  });
  await tidings.sendToChannel('batch', 'end', { sender: 'system' });
  await bob.text('end');
  assert.equal(bob.heard.filter(({ message }) => message?.text === 'once').length, 1);
});

test('who is there, and who is put out', async (context) => {
  const carol = await login(context, 'carol');
  await carol.join('room #1');
  assert.deepEqual(
    [...(await tidings.queryPresence(['carol', 'nobody']))],
    [
      ['carol', true],
      ['nobody', false],
    ],
  );
  const user = await tidings.user('carol');
  assert.deepEqual(
    [user.user, user.online, user.channels, user.sessions.length],
    ['carol', true, ['room #1'], 1],
  );
  const { items: channels } = await tidings.channels({ prefix: 'room ' });
  assert.deepEqual(
    channels.map(({ name, members }) => [name, members]),
    [['room #1', 1]],
  );
  assert.equal((await tidings.channel('room #1')).members, 1);
  assert.deepEqual(
    (await tidings.members('room #1')).items.map(({ user }) => user),
    ['carol'],
  );
  await tidings.removeMember('room #1', 'carol');
  await eventually(
    () => tidings.members('room #1').catch(() => ({ items: [] })),
    ({ items }) => items.length === 0,
  );

  const { items: sessions } = await tidings.sessions({ user: 'carol' });
  assert.equal(sessions.length, 1);
  await tidings.endSession(sessions[0].id);
  await carol.hears(({ state }) => state === 'ABORTED');
  const dave = await login(context, 'dave');
  await tidings.disconnect('dave', { reason: 'spam' });
  await dave.hears(({ state }) => state === 'ABORTED');
});

test('attributes of users and channels', async (context) => {
  await login(context, 'erin');
  await tidings.setUserAttributes('erin', { mood: 'fine', age: '40' });
  await tidings.updateUserAttributes('erin', { mood: 'splendid' });
  assert.deepEqual(await tidings.userAttributes('erin'), { mood: 'splendid', age: '40' });
  await tidings.deleteUserAttributes('erin', ['age']);
  assert.deepEqual(await tidings.userAttributes('erin'), { mood: 'splendid' });
  await tidings.deleteUserAttributes('erin');
  assert.deepEqual(await tidings.userAttributes('erin'), {});
  await tidings.setChannelAttributes('attributes', { topic: 'tea' });
  await tidings.updateChannelAttributes('attributes', { place: 'kitchen' });
  assert.deepEqual(await tidings.channelAttributes('attributes'), {
    topic: 'tea',
    place: 'kitchen',
  });
  await tidings.deleteChannelAttributes('attributes', ['topic']);
  assert.deepEqual(await tidings.channelAttributes('attributes'), { place: 'kitchen' });
});

test('history is kept, read by pages, and deleted', async () => {
  for (const payload of ['one', 'two', 'three'])
    await tidings.sendToChannel('old', payload, { sender: 'system', store: true });
  const first = await tidings.history({ channel: 'old', limit: 2 });
  assert.deepEqual(
    first.items.map(({ payload }) => payload),
    ['one', 'two'],
  );
  const second = await tidings.history({ channel: 'old', limit: 2, cursor: first.next });
  assert.deepEqual(
    second.items.map(({ payload, from }) => [payload, from]),
    [['three', 'system']],
  );
  await tidings.deleteHistory({ channel: 'old' });
  assert.deepEqual((await tidings.history({ channel: 'old' })).items, []);
});

test('bans', async (context) => {
  const mallory = await login(context, 'mallory');
  const { id, until_ms } = await tidings.ban({ user_id: 'mallory', seconds: 600, note: 'spam' });
  assert.ok(until_ms > Date.now());
  await mallory.hears(({ state }) => state === 'ABORTED');
  await assert.rejects(server.login('mallory'), { code: 7 });
  assert.equal((await tidings.changeBan(id, { note: 'more spam' })).note, 'more spam');
  assert.deepEqual(
    (await tidings.bans()).items.map((ban) => [ban.id, ban.user_id, ban.note]),
    [[id, 'mallory', 'more spam']],
  );
  await tidings.unban(id);
  await assert.rejects(tidings.unban(id), { status: 404, code: 'unknown_ban' });
  await (await server.login('mallory')).logout();
});

test('tokens', async () => {
  const token = await tidings.issueToken('frank', { ttl: 600 });
  assert.equal((await tidings.inspectToken(token)).check.verdict, 'good');
  await (await server.login('frank', token)).logout();
  await tidings.revokeToken(token);
  await assert.rejects(server.login('frank', token));
  await tidings.revokeTokensOf('frank');
});

test('events are read from a cursor on, and every login has its end', async (context) => {
  const { next: start } = await tidings.eventPage({ limit: 1000 });
  const grace = await login(context, 'grace');
  await grace.join('stage');
  await grace.logout();
  const seen = [];
  const control = new AbortController();
  const types = ['user.login', 'user.logout', 'channel.join', 'channel.leave'];
  const handle = ({ type, user, channel }) => {
    if (user !== 'grace') return;
    seen.push(channel === undefined ? type : `${type} ${channel}`);
    if (type === 'user.logout') control.abort();
  };
  await assert.rejects(
    tidings.readEvents({ after: start, types, handle }, { signal: control.signal }),
    { name: 'AbortError' },
  );
  assert.deepEqual(seen, [
    'user.login',
    'channel.join stage',
    'channel.leave stage',
    'user.logout',
  ]);
});

test('webhooks are called, and their signature is good', async (context) => {
  const calls = [];
  const receiver = createServer(async (request, response) => {
    calls.push({ body: Buffer.concat(await request.toArray()), headers: request.headers });
    response.end('{}');
  });
  receiver.listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  context.after(() => receiver.close());
  const path = `/api/v1/apps/${server.app}/webhooks`;
  const body = { url: `http://127.0.0.1:${receiver.address().port}/hook`, events: ['user.login'] };
  const { id, secret } = await tidings.request({ method: 'POST', path, body });
  context.after(() => tidings.request({ method: 'DELETE', path: `${path}/${id}` }));
  await login(context, 'heidi');
  const call = await eventually(
    async () => (await new Promise(setImmediate), calls.find((one) => one.body.includes('heidi'))),
    Boolean,
  );
  const event = verifyWebhook(call.body, call.headers, { secrets: secret });
  assert.deepEqual([event.type, event.payload.account], ['user.login', 'heidi']);
  assert.throws(() => verifyWebhook(call.body, call.headers, { secrets: 'another' }), WebhookError);
});

test('keys that may not, and names that are not there', async () => {
  const { app } = server;
  await assert.rejects(server.client({ key: 'tdk_nobody_0123456789abcdef' }).bans(), {
    status: 401,
  });
  await assert.rejects(server.client({ key: server.keys.read }).ban({ user_id: 'x' }), {
    status: 403,
  });
  assert.deepEqual((await server.client({ key: server.keys.read }).bans()).items, []);
  await assert.rejects(
    tidings.forApp('f'.repeat(32)).bans(),
    (error) => error.status === 403 || error.status === 404,
  );
  await assert.rejects(
    tidings.request({
      method: 'POST',
      path: `/api/v1/apps/${app}/bans`,
      body: { user_id: 'x', wrong: 1 },
    }),
    { status: 400 },
  );
});

test('the example welcomes users, and goes on where it left off', async (context) => {
  // Installed as in an application: beside its packages.
  const folder = await mkdtemp(join(tmpdir(), 'tidings-greeter-'));
  context.after(() => rm(folder, { recursive: true }));
  const own = fileURLToPath(new URL('..', import.meta.url));
  const installed = join(folder, 'node_modules/@tidings/server');
  await mkdir(installed, { recursive: true });
  for (const part of ['dist', 'package.json'])
    await cp(join(own, part), join(installed, part), { recursive: true });
  await cp(join(own, 'examples/greeter.mjs'), join(folder, 'greeter.mjs'));
  const env = {
    ...process.env,
    TIDINGS_ENDPOINT: server.endpoint,
    TIDINGS_APP: server.app,
    TIDINGS_KEY: server.keys.app,
  };
  const greet = async (uid, expected) => {
    const running = spawn(process.execPath, ['greeter.mjs'], {
      cwd: folder,
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: running.stdout })[Symbol.asyncIterator]();
    assert.match((await lines.next()).value, expected);
    const user = await server.login(uid);
    await user.text(`welcome, ${uid}`);
    await user.logout();
    await eventually(
      () => readFile(join(folder, 'greeter.cursor'), 'utf8').catch(() => ''),
      (cursor) => cursor !== '' && cursor !== greet.cursor,
    );
    greet.cursor = await readFile(join(folder, 'greeter.cursor'), 'utf8');
    const ended = once(running, 'exit');
    running.kill('SIGINT');
    assert.deepEqual(await ended, [0, null]);
  };
  await greet('ivan', /oldest/);
  await greet('judy', /going on behind/);
});
