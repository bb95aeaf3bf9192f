/** A session in a world whose time is given: when it pings, asks, confirms, comes back and gives up. */
import { expect, test } from 'vitest';
import type { Session } from '../src/session.js';
import { World, lineOf } from './support/world.js';

/** Longer than any timer of a session. */
const LONG_MS = 3_600_000;

async function loggedIn(how?: { reconnectCount?: number; reconnectTime?: number }) {
  const world = new World();
  const { session, heard } = world.login(how);
  await world.settle();
  expect(heard.lines.splice(0)).toEqual(['in']);
  return { world, session, lines: heard.lines };
}

/** Every way in which a session ends, and what its page is told at last. */
const ENDS: [
  string,
  string | undefined,
  (world: World, session: Session) => void | Promise<void>,
][] = [
  ['a logout', 'out 101', (_world, session) => session.logout()],
  [
    'a logout that is not answered',
    'out 101',
    async (world, session) => {
      world.isAnswering = false;
      session.logout();
      await world.advance(2_999);
      expect(session.getStatus()).toBe(2);
      await world.advance(1);
    },
  ],
  ['another login of the account', 'out 103', (world) => world.connection.serve('kick', '')],
  ['an end by the server', 'out 102', (world) => world.connection.serve('close', '')],
  [
    'a logout while reconnecting, between two attempts',
    'out 101',
    async (world, session) => {
      world.network = 'refuse';
      world.connection.break();
      await world.advance(700);
      expect(session.getStatus()).toBe(3);
      session.logout();
      world.network = 'open';
    },
  ],
  [
    'a logout during an attempt to reconnect',
    'out 101',
    async (world, session) => {
      world.network = 'silent';
      world.connection.break();
      await world.advance(300);
      session.logout();
    },
  ],
  [
    'a reconnect that is refused',
    'out 102',
    async (world) => {
      world.answer = (_asked, connection) => connection.serve('login_ret', ['no', '{}']);
      world.connection.break();
      await world.advance(200);
    },
  ],
  [
    'a server that stays away',
    'out 102',
    async (world) => {
      world.network = 'refuse';
      world.connection.break();
      await world.advance(60_000);
    },
  ],
];

test.each(ENDS)(
  '%s ends it for good: nothing is left, and it never comes back',
  async (_, last, end) => {
    const { world, session, lines } = await loggedIn();
    session.channelJoin('room');
    await end(world, session);
    await world.settle();
    const opened = world.connections.length;
    expect([session.getStatus(), lines.at(-1)]).toEqual([0, last]);
    expect([world.timers, world.connections.filter(({ isOpen }) => isOpen)]).toEqual([0, []]);
    await world.advance(LONG_MS);
    expect([world.connections.length, lines.at(-1)]).toEqual([opened, last]);
  },
);

test('a login that is refused, or given up by the page, leaves nothing', async () => {
  const refused = new World();
  refused.answer = (_asked, connection) =>
    connection.serve('login_ret', ['', '{"result":"failed","reason":"kicked"}']);
  const first = refused.login();
  await refused.settle();
  expect(first.heard.lines).toEqual([expect.stringMatching(/^refused \d+$/)]);
  const left = new World();
  left.network = 'silent';
  const second = left.login();
  await left.settle();
  second.session.logout();
  await left.advance(LONG_MS);
  expect(second.heard.lines).toEqual([]);
  expect([refused.timers, left.timers, left.connections.length]).toEqual([0, 0, 1]);
});

test('a first login is tried three times, at each address in turn, six seconds each', async () => {
  const world = new World();
  world.network = 'silent';
  const { heard } = world.login();
  await world.advance(6_000 + 400 + 6_000 + 800 + 5_999);
  expect(heard.lines).toEqual([]);
  expect(world.connections.map(({ url }) => url)).toEqual(['ws://one', 'ws://two', 'ws://one']);
  await world.advance(1);
  expect(heard.lines).toEqual(['refused 201']);
});

test('a reconnect waits longer each time, two seconds at most, and ends after its attempts', async () => {
  const { world, lines } = await loggedIn({ reconnectCount: 6 });
  world.network = 'refuse';
  world.connection.break();
  await world.advance(LONG_MS);
  const attempts = [200, 600, 1_400, 3_000, 5_000, 7_000];
  expect(lines).toEqual([
    ...attempts.map((at, before) => `reconnecting ${before + 1} at ${at}`),
    'reconnect failed',
    'out 102',
  ]);
});

test('a reconnect ends after its time, too', async () => {
  const { world, lines } = await loggedIn({ reconnectCount: 1_000, reconnectTime: 10_000 });
  world.network = 'refuse';
  world.connection.break();
  await world.advance(LONG_MS);
  expect(lines.filter((line) => line.startsWith('reconnecting')).at(-1)).toBe(
    'reconnecting 8 at 11000',
  );
  expect(lines.slice(-2)).toEqual(['reconnect failed', 'out 102']);
});

test('pings go every ten seconds; after thirty without an answer the connection is lost', async () => {
  const { world, session } = await loggedIn();
  const first = world.connection;
  await world.advance(25_000);
  expect(first.times('ping')).toEqual([0, 10_000, 20_000]);
  world.isAnswering = false;
  await world.advance(24_999);
  // The last answer came at 20 seconds: at 50 it is just in time.
  expect([session.getStatus(), first.isOpen]).toEqual([2, true]);
  await world.advance(10_001);
  expect([session.getStatus(), first.isOpen]).toEqual([3, false]);
  world.isAnswering = true;
  await world.advance(200);
  expect([session.getStatus(), world.connections.length]).toEqual([2, 2]);
});

test('one confirmation, a second after the last message, stands for many; otherwise it asks every minute', async () => {
  const { world, lines } = await loggedIn();
  const { connection } = world;
  connection.push(1, lineOf('a', 'one'));
  await world.advance(900);
  connection.push(2, lineOf('b', 'two'));
  await world.advance(999);
  expect(connection.times('user_getmsg')).toEqual([0]);
  await world.advance(1);
  expect(connection.times('user_getmsg')).toEqual([0, 1_900]);
  expect(connection.asked.at(-1)?.args).toMatchObject({ ver_clear: 2 });
  await world.advance(120_000);
  expect(connection.times('user_getmsg')).toEqual([0, 1_900, 61_900, 121_900]);
  expect(lines).toEqual(['from bob one', 'from bob two']);
});

test('messages that wait are asked for, page by page, and a gap in those that are pushed is closed', async () => {
  const world = new World();
  world.stored = Array.from({ length: 70 }, (_, at) => [at + 1, lineOf(`${at}`, `${at}`)]);
  const { heard } = world.login();
  await world.settle();
  const expected = Array.from({ length: 70 }, (_, at) => `from bob ${at}`);
  expect(heard.lines).toEqual(['in', ...expected]);
  expect(world.connection.times('user_getmsg')).toHaveLength(3);
  // 71 was lost on the way.
  world.stored.push([71, lineOf('70', '70')], [72, lineOf('71', '71')]);
  world.connection.push(72, lineOf('71', '71'));
  await world.settle();
  expect(heard.lines).toEqual(['in', ...expected, 'from bob 70', 'from bob 71']);
});

test('a message that comes again after a reconnect is told once, by its id', async () => {
  const { world, lines } = await loggedIn();
  world.connection.push(1, lineOf('same', 'hello'));
  // Not confirmed before the connection ends: the next login has it again, under another version.
  world.stored = [
    [5, lineOf('same', 'hello')],
    [6, lineOf('new', 'again')],
  ];
  world.connection.break();
  await world.advance(200);
  expect(lines).toEqual([
    'from bob hello',
    'reconnecting 1 at 200',
    'back in []',
    'from bob again',
  ]);
});

test('a message without an answer is sent again after a reconnect, with the id that it had', async () => {
  const { world, session } = await loggedIn();
  world.isAnswering = false;
  const results: boolean[] = [];
  session.messageInstantSend('bob', 'hello', (isFailed) => results.push(isFailed));
  const before = world.connection.asked.at(-1);
  world.connection.break();
  world.isAnswering = true;
  await world.advance(200);
  const again = world.connection.asked.find(({ name }) => name === 'user_sendmsg');
  expect(again?.args['messageID']).toBe(before?.args['messageID']);
  expect(results).toEqual([false]);
});

test('the ids of two messages differ, and those of two logins by their time', async () => {
  const world = new World();
  const early = world.login().session;
  await world.advance(1);
  const late = world.login().session;
  const ids = [
    early.nextMessageId(),
    early.nextMessageId(),
    late.nextMessageId(),
    late.nextMessageId(),
  ];
  expect(new Set(ids).size).toBe(4);
});
