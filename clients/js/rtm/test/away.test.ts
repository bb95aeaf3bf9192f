/** What an application does while the link is down: what is sent, what is kept, and what it is told. */
import { describe, expect, it } from 'vitest';
import * as support from './support/client.js';
import { type FakeConnection, friendly, refused, reply } from './support/world.js';

const { codeOf, join } = support;

/** Chance that lets time pass between attempts. */
function withChance(recorder: support.Recorder): support.Recorder {
  recorder.world.chance = 0.5;
  return recorder;
}
const makeClient = () => withChance(support.makeClient());
const makeLoggedIn = async () => withChance(await support.makeLoggedIn());

type Failure = { code?: number; isSent?: boolean; message: string };
const failure = (promise: Promise<unknown>): Promise<Failure> =>
  promise.then(
    () => ({ message: 'done' }),
    (error: Failure) => error,
  );
const calls = (connection: FakeConnection) => connection.requests.map(({ call }) => call?.is);

describe('a call without an answer says whether it was sent', () => {
  it('not, when it waited for the link in vain', async () => {
    const { client, world } = await makeLoggedIn();
    world.network = 'refuse';
    world.connection.end(1006);
    const sent = failure(client.sendMessageToPeer({ text: 'x' }, 'bob'));
    await world.advance(10_000);
    const { isSent, message } = await sent;
    expect(isSent).toBe(false);
    expect(message).toContain('not sent within 10000 ms; the link has been down for 10000 ms');
    world.network = 'open';
    await world.advance(10_000);
    expect(calls(world.connection)).toEqual([]);
  });

  it('yes, when it was handed to a connection', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = () => undefined;
    const sent = failure(client.sendMessageToPeer({ text: 'x' }, 'bob'));
    await world.advance(10_000);
    expect(await sent).toMatchObject({
      isSent: true,
      message: expect.stringContaining('may have been done all the same'),
    });
  });

  it('not, when the server has said that it did not come', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = () => undefined;
    const sent = failure(client.sendMessageToPeer({ text: 'x' }, 'bob'));
    world.connection.end(1006);
    await world.advance(0);
    world.connection.serve({ is: 'resumed', value: { secret: new Uint8Array(32), cseq: 0 } });
    expect(calls(world.connection)).toEqual(['sendToPeer']);
    world.network = 'refuse';
    world.connection.end(1006);
    await world.advance(10_000);
    // It had been sent again on the second connection.
    expect((await sent).isSent).toBe(true);
  });

  it('at a logout, for what still waits', async () => {
    const { client, world } = await makeLoggedIn();
    world.network = 'silent';
    world.connection.end(1006);
    const sent = failure(client.sendMessageToPeer({ text: 'x' }, 'bob'));
    await client.logout();
    expect(await sent).toMatchObject({ code: 102, isSent: false });
  });

  it('nothing, when the server has answered', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = (message) =>
      message.is === 'request'
        ? [
            reply(message.value.cseq, {
              is: 'error',
              value: { outcome: 4, text: '', retryAfterMs: 0 },
            }),
          ]
        : undefined;
    expect(await failure(client.sendMessageToPeer({ text: 'x' }, 'bob'))).not.toHaveProperty(
      'isSent',
    );
  });
});

describe('own standing that was handed over while the link was down', () => {
  it.each([5_000, 15_000, 40_000])('a token, after %i ms', async (ms) => {
    const { client, world } = await makeLoggedIn();
    world.network = 'refuse';
    world.connection.end(1006);
    const renewed = failure(client.renewToken('newer'));
    await world.advance(ms);
    world.network = 'open';
    await world.advance(5_000);
    const { messages } = world.connection;
    expect(messages[0]).toMatchObject({ is: 'resume', value: { token: 'newer' } });
    const { message } = await renewed;
    expect(message).toContain(ms < 10_000 ? 'done' : 'done when it is back');
  });

  it('a token that the server refuses is not offered again', async () => {
    const { client, world } = await makeLoggedIn();
    world.network = 'refuse';
    world.connection.end(1006);
    const renewed = failure(client.renewToken('bad'));
    await world.advance(12_000);
    await renewed;
    world.network = 'open';
    const offered: string[] = [];
    world.answer = (message, connection) => {
      if (message.is !== 'resume') return friendly(message, connection);
      offered.push(message.value.token);
      return message.value.token === 'bad' ? [refused(22)] : friendly(message, connection);
    };
    await world.advance(10_000);
    expect(offered).toEqual(['bad', '']);
  });

  it('the last attributes, in a resumed session and in a new one', async () => {
    for (const isKnown of [true, false]) {
      const { client, world } = await makeLoggedIn();
      await client.setLocalUserAttributes({ place: 'home', mood: 'calm' });
      world.network = 'refuse';
      world.connection.end(1006);
      const writes = [
        client.addOrUpdateLocalUserAttributes({ place: 'train' }),
        client.deleteLocalUserAttributesByKeys(['mood']),
      ];
      const failed = writes.map(failure);
      await world.advance(12_000);
      for (const { isSent, message } of await Promise.all(failed)) {
        expect([isSent, message]).toEqual([false, expect.stringContaining('done when it is back')]);
      }
      world.network = 'open';
      if (!isKnown)
        world.answer = (message, connection) =>
          message.is === 'resume' ? [refused(26)] : friendly(message, connection);
      await world.advance(5_000);
      const [write] = world.connection.requests;
      expect(write?.call).toMatchObject({
        is: 'writeUserAttributes',
        value: { how: 0, attributes: [{ key: 'place', value: 'train' }] },
      });
    }
  });

  it('all attributes gone', async () => {
    const { client, world } = await makeLoggedIn();
    await client.setLocalUserAttributes({ place: 'home' });
    world.network = 'refuse';
    world.connection.end(1006);
    const failed = failure(client.clearLocalUserAttributes());
    await world.advance(12_000);
    await failed;
    world.network = 'open';
    await world.advance(5_000);
    expect(world.connection.requests[0]?.call).toMatchObject({
      is: 'writeUserAttributes',
      value: { how: 0, attributes: [] },
    });
  });

  it('a channel that was left', async () => {
    const recorder = await makeLoggedIn();
    const channel = await join(recorder);
    const { world } = recorder;
    world.network = 'refuse';
    world.connection.end(1006);
    const left = failure(channel.leave());
    await world.advance(12_000);
    expect(await left).toMatchObject({ isSent: false });
    world.network = 'open';
    await world.advance(5_000);
    expect(calls(world.connection)).toContain('leave');
    // The object may join again.
    await channel.join();
  });

  it('a channel that was left is not joined by a new session', async () => {
    const recorder = await makeLoggedIn();
    const channel = await join(recorder);
    const { world } = recorder;
    world.network = 'refuse';
    world.connection.end(1006);
    const left = failure(channel.leave());
    await world.advance(12_000);
    await left;
    world.network = 'open';
    world.answer = (message, connection) =>
      message.is === 'resume' ? [refused(26)] : friendly(message, connection);
    await world.advance(5_000);
    expect(calls(world.connection)).toEqual([]);
  });
});

describe('leaving while a join is under way', () => {
  it('takes back a join that waits, without a word to the server', async () => {
    const { client, world } = await makeLoggedIn();
    world.network = 'silent';
    world.connection.end(1006);
    const channel = client.createChannel('room');
    const joined = codeOf(channel.join());
    await channel.leave();
    expect(await joined).toBe(201);
  });

  it('leaves after a join that was sent; another object joins behind', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = () => undefined;
    const channel = client.createChannel('room');
    const joined = codeOf(channel.join());
    const left = channel.leave();
    const other = client.createChannel('room');
    const rejoined = other.join();
    expect(await joined).toBe(201);
    expect(calls(world.connection)).toEqual(['join', 'leave', 'join']);
    for (const cseq of [1, 2, 3]) world.connection.serve(reply(cseq, { is: 'done', value: {} }));
    await Promise.all([left, rejoined]);
    const heard: string[] = [];
    other.on('ChannelMessage', (message) => void heard.push('text' in message ? message.text : ''));
    const message = { body: { is: 'text', value: new TextEncoder().encode('hi') } } as const;
    world.connection.serve({
      is: 'channelMessage',
      value: { channel: 'room', from: 'bob', message, serverTs: 1 },
    });
    expect(heard).toEqual(['hi']);
  });

  it('is done as well when the join is refused', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = () => undefined;
    const channel = client.createChannel('room');
    const joined = codeOf(channel.join());
    const left = channel.leave();
    for (const [cseq, outcome] of [
      [1, 8],
      [2, 6],
    ] as const) {
      world.connection.serve(
        reply(cseq, { is: 'error', value: { outcome, text: '', retryAfterMs: 0 } }),
      );
    }
    await left;
    expect(await joined).toBe(201);
  });

  it('a new object joins while a leave is under way', async () => {
    const recorder = await makeLoggedIn();
    const { client, world } = recorder;
    const channel = await join(recorder);
    const left = channel.leave();
    await client.createChannel('room').join();
    await left;
    expect(calls(world.connection)).toEqual(['join', 'leave', 'join']);
  });
});

describe('reconnecting', () => {
  it('reconnectNow() cuts the wait short', async () => {
    const { client, world } = await makeLoggedIn();
    world.chance = 0.999;
    world.network = 'refuse';
    world.connection.end(1006);
    await world.advance(20_000);
    world.network = 'open';
    expect(client.connectionState).toBe('RECONNECTING');
    client.reconnectNow();
    await world.settle();
    expect(client.connectionState).toBe('CONNECTED');
  });

  it('gives up an attempt that has hung, not one that has just begun', async () => {
    const { client, world } = await makeLoggedIn();
    world.network = 'silent';
    world.connection.end(1006);
    await world.advance(2_000);
    const before = world.connections.length;
    client.reconnectNow();
    expect(world.connections).toHaveLength(before);
    await world.advance(2_000);
    client.reconnectNow();
    expect(world.connections).toHaveLength(before + 1);
  });

  it('not before the time that the server has asked for', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = (message, connection) =>
      message.is === 'resume' ? [refused(25, 6_000)] : friendly(message, connection);
    world.connection.end(1006);
    await world.advance(300);
    const before = world.connections.length;
    client.reconnectNow();
    await world.advance(5_800);
    expect(world.connections).toHaveLength(before);
    await world.advance(300);
    expect(world.connections).toHaveLength(before + 1);
  });

  it('is harmless while logged out', () => {
    const { client, world } = makeClient();
    client.reconnectNow();
    expect(world.connections).toHaveLength(0);
  });

  it('takes at most 5 s after a restart, in 9 of 10 cases', async () => {
    for (const downMs of [1_000, 3_000, 10_000, 40_000]) {
      const waits: number[] = [];
      for (let seed = 1; seed <= 60; seed++) {
        const { client, world } = await makeLoggedIn();
        let state = seed * 2_654_435_761;
        world.random = () => (state = (state * 16_807) % 2_147_483_647) / 2_147_483_647;
        world.network = 'refuse';
        world.connection.end(1006);
        await world.advance(downMs);
        world.network = 'open';
        const from = world.now();
        const count = world.connections.length;
        while (world.connections.length === count) await world.advance(50);
        waits.push(world.now() - from);
        await client.logout();
      }
      waits.sort((one, other) => one - other);
      expect(waits[53], `after ${downMs} ms: ${waits.join()}`).toBeLessThanOrEqual(3_500);
    }
  }, 60_000);
});

it('a login that can have no connection says so at once', async () => {
  const { client, world } = makeClient();
  const logged = failure(client.login({ uid: 'alice' }));
  world.network = 'silent';
  world.connection.end(0, 'there is no WebSocket');
  expect(await logged).toMatchObject({
    code: 1,
    message: expect.stringContaining('there is no WebSocket'),
  });
});

it('a login that has had no answer names the address, and how another one is set', async () => {
  const { client, world } = makeClient();
  world.network = 'refuse';
  const logged = failure(client.login({ uid: 'alice' }));
  await world.advance(12_000);
  const { message } = await logged;
  for (const part of [
    'ws://server.test/rtm',
    'config.endpoint',
    'TIDINGS_ENDPOINT',
    '<meta name="tidings-endpoint">',
    'process.env',
  ]) {
    expect(message).toContain(part);
  }
});
