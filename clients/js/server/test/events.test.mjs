/** Reading events: page by page, over outages and restarts, told of gaps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fake, broken, json } from './fake.mjs';

const event = (number, type = 'user.login') => ({
  cursor: String(number),
  type,
  at_ms: number,
  user: 'alice',
  order: number,
});
const page = (next, ...items) => json(200, { items, next });
const askedAfter = (fake) =>
  fake.requests.map(({ url }) => new URL(url, fake.endpoint).searchParams.get('after'));

/** Takes so many events of an endless reading. */
async function take(events, count) {
  const taken = [];
  for await (const { cursor } of events) {
    taken.push(cursor);
    if (taken.length === count) break;
  }
  return taken;
}

test('events come in order, page by page, over an outage', async (context) => {
  const busy = json(503, { code: 'unavailable', title: 'x' });
  const fake = await Fake.start(
    context,
    page('2', event(1), event(2)),
    page('2'),
    broken,
    busy,
    page('3', event(3)),
  );
  assert.deepEqual(
    await take(fake.client({ retries: 0 }).events({ types: ['user.login'], limit: 2 }), 3),
    ['1', '2', '3'],
  );
  assert.deepEqual(askedAfter(fake), [null, '2', '2', '2', '2']);
  const { searchParams } = new URL(fake.requests[0].url, fake.endpoint);
  assert.equal(searchParams.get('types'), 'user.login');
  assert.ok(Number(searchParams.get('wait')) > 0, 'a long poll');
});

test('a refusal for good ends the reading', async (context) => {
  const fake = await Fake.start(
    context,
    json(400, { code: 'invalid_cursor', title: 'x', detail: 'of another app' }),
  );
  await assert.rejects(take(fake.client().events({ after: 'x' }), 1), { code: 'invalid_cursor' });
});

test('every event is handled at least once: a cursor is saved when its page is done', async (context) => {
  const fake = await Fake.start(
    context,
    page('2', event(1), event(2)),
    page('4', event(3), event(4)),
  );
  let saved;
  const seen = [];
  const handle = async ({ cursor }) => {
    if (cursor === '3' && !seen.includes('stopped')) {
      seen.push('stopped');
      throw new Error('the database is away');
    }
    seen.push(cursor);
    if (cursor === '4') throw new Error('enough');
  };
  const save = (cursor) => (saved = cursor);
  await assert.rejects(fake.client().readEvents({ handle, save }), /database/);
  assert.equal(saved, '2');
  // The program starts again.
  await assert.rejects(fake.client().readEvents({ after: saved, handle, save }), /enough/);
  assert.deepEqual(seen, ['1', '2', 'stopped', '3', '4']);
});

test('a gap is told', async (context) => {
  const fake = await Fake.start(context, page('9', event(7, 'gap'), event(8)), page('9'));
  const seen = [];
  const control = new AbortController();
  const how = {
    after: '3',
    handle: ({ cursor }) => seen.push(cursor),
    onGap: ({ cursor }) => seen.push(`gap ${cursor}`),
    save: () => control.abort(),
  };
  await assert.rejects(fake.client().readEvents(how, { signal: control.signal }), {
    name: 'AbortError',
  });
  assert.deepEqual(seen, ['gap 7', '8']);
});

test('reading is cancelled while it waits', async (context) => {
  const control = new AbortController();
  const fake = await Fake.start(context, () => control.abort(new Error('enough')));
  await assert.rejects(take(fake.client().events({}, { signal: control.signal }), 1), /enough/);
});
