/** Calls that fail, and are repeated where that is safe. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { ApiError, NoAnswerError, Tidings, TidingsError } from '../dist/index.mjs';
import { APP, broken, Fake, json, silent, text } from './fake.mjs';

const SENT = json(200, { request_id: '1', results: [{ channel: 'lobby', outcome: 'sent' }] });
const BUSY = {
  title: 'Service Unavailable',
  code: 'unavailable',
  hint: 'Try again.',
  request_id: '2',
};
const hello = (tidings, options = {}) =>
  tidings.sendToChannel('lobby', 'hello', { sender: 'system', ...options });
const keysOf = (fake) => fake.requests.map(({ headers }) => headers['idempotency-key']);

test('a message that is lost, or refused for now, is sent again under the same key', async (context) => {
  const fake = await Fake.start(
    context,
    broken,
    json(503, BUSY),
    json(429, BUSY),
    text(502, 'bad gateway'),
    SENT,
  );
  const { outcome } = await hello(fake.client());
  assert.equal(outcome, 'sent');
  assert.equal(fake.requests.length, 5);
  const [first, ...others] = keysOf(fake);
  assert.match(first, /^auto-[\x21-\x7e]{16,59}$/);
  assert.deepEqual(new Set(others), new Set([first]));
  await hello(fake.client());
  assert.notEqual(keysOf(fake).at(-1), first, 'another call has another key');
});

test('a key of the caller is used, in the first attempt and in the others', async (context) => {
  const fake = await Fake.start(context, broken, SENT);
  await hello(fake.client(), { idempotencyKey: 'order-17' });
  assert.deepEqual(keysOf(fake), ['order-17', 'order-17']);
});

test('Retry-After is waited for, in seconds or as a date', async (context) => {
  for (const wait of [() => '1', () => new Date(Date.now() + 2_000).toUTCString()]) {
    const asked = wait();
    const fake = await Fake.start(context, json(503, BUSY, { 'retry-after': asked }), SENT);
    const began = performance.now();
    await hello(fake.client());
    assert.ok(performance.now() - began >= 900, asked);
  }
});

test('what is refused for good is not repeated, nor what is refused too often', async (context) => {
  const refusing = await Fake.start(
    context,
    json(403, { title: 'Forbidden', code: 'not_permitted', detail: 'no' }),
  );
  await assert.rejects(hello(refusing.client()), { code: 'not_permitted', status: 403 });
  assert.equal(refusing.requests.length, 1);
  const busy = await Fake.start(context, json(503, BUSY));
  await assert.rejects(
    hello(busy.client({ retries: 2 })),
    (error) => error instanceof ApiError && error.code === 'unavailable',
  );
  assert.equal(busy.requests.length, 3);
  const never = await Fake.start(context, json(503, BUSY));
  await assert.rejects(hello(never.client({ retries: 0 })), ApiError);
  assert.equal(never.requests.length, 1);
});

test('a ban whose answer is lost is not repeated, one that is refused for now is', async (context) => {
  const lost = await Fake.start(context, broken);
  await assert.rejects(lost.client().ban({ user_id: 'mallory' }), { code: 'unreachable' });
  assert.equal(lost.requests.length, 1);
  const busy = await Fake.start(context, json(503, BUSY), json(201, { id: 1 }));
  assert.deepEqual(await busy.client().ban({ user_id: 'mallory' }), { id: 1 });
});

test('no answer in time', async (context) => {
  const fake = await Fake.start(context, silent);
  const client = fake.client({ retries: 1, timeoutMs: 50 });
  await assert.rejects(
    client.bans(),
    (error) =>
      error instanceof NoAnswerError && error.code === 'timed_out' && /50 ms/.test(error.message),
  );
  assert.equal(fake.requests.length, 2);
});

test('nobody listens', async () => {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const endpoint = `http://127.0.0.1:${probe.address().port}`;
  probe.close();
  await once(probe, 'close');
  const tidings = new Tidings({ endpoint, key: 'tdk_1_2', app: APP, retries: 1 });
  await assert.rejects(
    tidings.bans(),
    (error) =>
      error.code === 'unreachable' && error.message.includes(endpoint) && error.hint !== '',
  );
});

test('a call is cancelled while it waits for an answer, or to be repeated', async (context) => {
  const asked = Promise.withResolvers?.() ?? deferred();
  const fake = await Fake.start(context, () => asked.resolve());
  const control = new AbortController();
  const waiting = hello(fake.client(), { signal: control.signal });
  await asked.promise;
  control.abort(new Error('enough'));
  await assert.rejects(waiting, /enough/);
  const busy = await Fake.start(context, json(503, BUSY, { 'retry-after': '30' }));
  const later = new AbortController();
  const pausing = hello(busy.client(), { signal: later.signal });
  while (busy.requests.length === 0) await new Promise(setImmediate);
  later.abort(new Error('enough'));
  await assert.rejects(pausing, /enough/);
  await assert.rejects(hello(busy.client(), { signal: later.signal }), /enough/);
  assert.equal(busy.requests.length, 1, 'a call that is cancelled before it begins is not made');
});

function deferred() {
  const made = {};
  made.promise = new Promise((resolve) => (made.resolve = resolve));
  return made;
}

test('a redirect is not followed, as it would take the key elsewhere', async (context) => {
  const elsewhere = await Fake.start(context, json(200, {}));
  const fake = await Fake.start(context, text(302, '', { location: `${elsewhere.endpoint}/` }));
  await assert.rejects(fake.client().bans(), { status: 302, code: 'http_302' });
  assert.equal(elsewhere.requests.length, 0);
});

test('an answer that is not JSON is not of a Tidings server', async (context) => {
  const fake = await Fake.start(context, text(200, '<p>welcome</p>'));
  await assert.rejects(
    fake.client().bans(),
    (error) => error.code === 'bad_answer' && /welcome/.test(error.message),
  );
});

test('calls one after the other keep their connection', async (context) => {
  const fake = await Fake.start(context, SENT);
  const tidings = fake.client();
  for (let round = 0; round < 20; round++) await hello(tidings);
  // The body of an answer may be there a moment before its connection is free.
  assert.ok(fake.connections <= 2, `${fake.connections} connections`);
});

test('settings come from the environment, and wrong ones are told', () => {
  const variables = {
    TIDINGS_ENDPOINT: 'http://127.0.0.1:1',
    TIDINGS_KEY: 'tdk_1_2',
    TIDINGS_APP: APP,
  };
  Object.assign(process.env, variables);
  assert.ok(new Tidings());
  for (const name of Object.keys(variables)) delete process.env[name];
  const good = { endpoint: 'http://127.0.0.1:1', key: 'tdk_1_2', app: APP };
  for (const [wrong, code] of [
    [{ endpoint: '' }, 'no_endpoint'],
    [{ endpoint: 'chat.example.org' }, 'bad_endpoint'],
    [{ endpoint: 'http://host/api' }, 'bad_endpoint'],
    [{ key: '' }, 'no_key'],
    [{ key: 'tdk_1_2\n' }, 'bad_key'],
  ]) {
    assert.throws(
      () => new Tidings({ ...good, ...wrong }),
      (error) => error instanceof TidingsError && error.code === code && error.hint !== '',
    );
  }
  assert.throws(() => new Tidings({ ...good, app: '' }).bans(), { code: 'no_app' });
  for (const name of ['', '.', '..'])
    assert.throws(() => new Tidings(good).user(name), { code: 'invalid_name' });
  // Two keys would be deleted in place of this one.
  return assert.rejects(new Tidings(good).deleteUserAttributes('alice', ['a,b']), {
    code: 'invalid_name',
  });
});
