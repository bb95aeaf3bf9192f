/** Sessions: numbers, confirmations, resume, and what a new session is given. */
import { describe, expect, it } from 'vitest';
import { codeOf, join, makeLoggedIn } from '../../rtm/test/support/client.js';
import {
  type Answer,
  type FakeConnection,
  type FromServer,
  friendly,
  refused,
  reply,
  secretOf,
  usual,
  welcome,
} from '../../rtm/test/support/world.js';

const text = (value: string) =>
  ({ body: { is: 'text', value: new TextEncoder().encode(value) } }) as const;

function peerMessage(value: string, id: number, inbox = 0): FromServer {
  const message = text(value);
  return {
    is: 'peerMessage',
    value: { from: 'bob', message, serverTs: 7, inbox, id: new Uint8Array(16).fill(id) },
  };
}

function channelMessage(value: string, channel = 'room'): FromServer {
  return {
    is: 'channelMessage',
    value: { channel, from: 'bob', message: text(value), serverTs: 7 },
  };
}

const names = (connection: FakeConnection) => connection.requests.map(({ call }) => call?.is);

/** Refuses to resume, then accepts logins. */
const forgetful =
  (outcome: number): Answer =>
  (message, connection) =>
    message.is === 'resume' ? [refused(outcome)] : friendly(message, connection);

describe('requests', () => {
  it('are numbered from 1 without gaps', async () => {
    const { client, world } = await makeLoggedIn();
    await client.getUserAttributes('bob');
    await client.getUserAttributes('bob');
    expect(world.connection.requests.map(({ cseq }) => cseq)).toEqual([1, 2]);
  });

  it('above 256 without a reply wait', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = () => undefined;
    const calls = Array.from({ length: 300 }, () => client.getUserAttributes('bob'));
    expect(world.connection.requests).toHaveLength(256);
    const [first] = world.connection.requests;
    if (!first) throw new Error('no request');
    world.connection.serve(reply(first.cseq, usual(first)));
    expect(world.connection.requests).toHaveLength(257);
    world.answer = friendly;
    for (const request of world.connection.requests.slice(1)) {
      world.connection.serve(reply(request.cseq, usual(request)));
    }
    await world.settle();
    await Promise.all(calls);
  });

  // proves: rtm-2.1-peer-timeout, rtm-2.1-join-timeout, rtm-2.1-presence-timeout, rtm-2.1-attribute-timeout
  it('time out with the code of their family after 10 s', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = () => undefined;
    const channel = client.createChannel('room');
    const codes = [
      codeOf(client.sendMessageToPeer({ text: 'x' }, 'bob')),
      codeOf(channel.join()),
      codeOf(client.getUserAttributes('bob')),
      codeOf(client.queryPeersOnlineStatus(['bob'])),
      codeOf(client.queryPeersBySubscriptionOption('ONLINE_STATUS')),
      codeOf(client.getChannelMemberCount(['room'])),
    ];
    await world.advance(9_999);
    world.connection.serve({ is: 'ping', value: {} });
    await world.advance(1);
    expect(await Promise.all(codes)).toEqual([2, 4, 7, 4, 2, 4]);
  });

  it('a join that is answered too late is undone', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = () => undefined;
    const channel = client.createChannel('room');
    const join = codeOf(channel.join());
    await world.advance(10_000);
    expect(await join).toBe(4);
    world.connection.serve(reply(1, { is: 'done', value: {} }));
    expect(names(world.connection)).toEqual(['join', 'leave']);
  });

  it('beyond 1000 that wait for the link are refused at once', async () => {
    const { client, world } = await makeLoggedIn();
    world.network = 'silent';
    world.connection.end(1006);
    const calls = Array.from({ length: 1_001 }, () =>
      codeOf(client.sendMessageToPeer({ text: '' }, 'bob')),
    );
    expect(await calls[1_000]).toBe(2);
    await world.advance(10_000);
    expect(new Set(await Promise.all(calls.slice(0, 1_000)))).toEqual(new Set([2]));
  });

  // proves: rtm-1.10-server, rtm-1.10-name-often, rtm-8-retry-after, rtm-1.10-text
  it('an error of the server carries its outcome and the wait', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = (message) =>
      message.is === 'request'
        ? [
            reply(message.value.cseq, {
              is: 'error',
              value: { outcome: 4, text: 'slow down', retryAfterMs: 250 },
            }),
          ]
        : undefined;
    const error = await client
      .sendMessageToPeer({ text: 'x' }, 'bob')
      .catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({
      name: 'RtmInvokeTooOftenError',
      code: 5,
      serverCode: 4,
      retryAfter: 250,
      message: 'Error Code 5 - sendMessageToPeer(): slow down',
    });
    expect(String(error)).toBe(
      'RtmInvokeTooOftenError: Error Code 5 - sendMessageToPeer(): slow down',
    );
  });
});

describe('confirmation', () => {
  it('of a peer message at once', async () => {
    const { world, take } = await makeLoggedIn();
    world.connection.serve(peerMessage('a', 1), peerMessage('b', 2));
    expect(world.connection.confirms).toEqual([2]);
    expect(take().map(([, message]) => message)).toEqual([
      { text: 'a', messageType: 'TEXT' },
      { text: 'b', messageType: 'TEXT' },
    ]);
  });

  it('of others after a second, 64 messages or 64 KiB, or on a request', async () => {
    const recorder = await makeLoggedIn();
    const { client, world } = recorder;
    await join(recorder);
    world.connection.serve(channelMessage('a'));
    await world.advance(999);
    expect(world.connection.confirms).toEqual([]);
    await world.advance(1);
    expect(world.connection.confirms).toEqual([2]);
    for (let count = 0; count < 63; count++) world.connection.serve(channelMessage('a'));
    expect(world.connection.confirms).toEqual([2]);
    world.connection.serve(channelMessage('a'));
    expect(world.connection.confirms).toEqual([2, 66]);
    for (let count = 0; count < 3; count++)
      world.connection.serve(channelMessage('x'.repeat(30_000)));
    expect(world.connection.confirms).toEqual([2, 66, 69]);
    world.connection.serve(channelMessage('a'));
    world.answer = () => undefined;
    void client.getUserAttributes('bob').catch(() => undefined);
    expect(world.connection.confirms).toEqual([2, 66, 69, 70]);
  });

  it('raises the gaps of skipped numbers', async () => {
    const { world, take } = await makeLoggedIn();
    const gap = { source: { is: 'inbox', value: {} }, cause: 1, missed: 10 } as const;
    world.connection.serve({ is: 'skip', value: { count: 10, gaps: [gap] } });
    expect(take().map(([name]) => name)).toEqual(['MessageGap']);
  });

  it('counts skipped numbers and kinds that it does not know', async () => {
    const { world } = await makeLoggedIn();
    world.connection.serve({ is: 'skip', value: { count: 10 } });
    // Field 25, empty.
    world.connection.serveBytes(Uint8Array.of(0x0a, 0x03, 0xca, 0x01, 0x00));
    world.connection.serve(peerMessage('a', 1));
    expect(world.connection.confirms).toEqual([12]);
  });
});

describe('peer messages', () => {
  // proves: rtm-3.3-once, rtm-2.8-event, rtm-1.11-offline-flag
  it('that were seen live or stored before are dropped, also in a later session', async () => {
    const { world, take } = await makeLoggedIn();
    world.connection.serve(
      peerMessage('live', 1),
      peerMessage('live again', 1, 4),
      peerMessage('old', 2, 4),
    );
    expect(take()).toHaveLength(1);
    world.answer = forgetful(26);
    world.connection.end(1006);
    await world.advance(100);
    world.connection.serve(peerMessage('stored', 1, 4), peerMessage('new', 3, 5));
    expect(take()).toEqual([
      [
        'MessageFromPeer',
        { text: 'new', messageType: 'TEXT' },
        'bob',
        { serverReceivedTs: 7, isOfflineMessage: true },
      ],
    ]);
    expect(world.connection.confirms.at(-1)).toBe(2);
  });
});

describe('resume', () => {
  it('states session, newest secret and what was processed; sends unheard requests again', async () => {
    const { client, world, take } = await makeLoggedIn();
    world.connection.serve(channelMessage('not joined'), peerMessage('a', 1));
    world.answer = () => undefined;
    const heard = client.sendMessageToPeer({ text: '1' }, 'bob');
    const unheard = client.sendMessageToPeer({ text: '2' }, 'bob');
    take();
    world.answer = (message, connection) =>
      message.is === 'resume'
        ? [{ is: 'resumed', value: { secret: secretOf(9), cseq: 1 } }]
        : friendly(message, connection);
    world.connection.end(1006);
    await world.advance(100);
    expect(world.connection.messages[0]).toMatchObject({
      is: 'resume',
      value: { userId: 'alice', secret: secretOf(1), confirm: 2, token: '' },
    });
    expect(world.connection.requests.map(({ cseq }) => cseq)).toEqual([2]);
    expect(await unheard).toEqual({ hasPeerReceived: true });
    world.connection.serve(reply(1, { is: 'peerSent', value: { received: true } }));
    expect(await heard).toEqual({ hasPeerReceived: true });
    expect(take()).toEqual([]);
  });

  it('does not execute late what the application was told had timed out', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = () => undefined;
    const lost = codeOf(client.sendMessageToPeer({ text: 'lost' }, 'bob'));
    world.network = 'silent';
    world.connection.end(1006);
    await world.advance(10_000);
    expect(await lost).toBe(2);
    const next = client.sendMessageToPeer({ text: 'next' }, 'bob');
    world.network = 'open';
    world.answer = (message, connection) =>
      message.is === 'resume'
        ? [{ is: 'resumed', value: { secret: secretOf(2), cseq: 0 } }]
        : friendly(message, connection);
    world.connection.open();
    await next;
    expect(world.connection.requests).toMatchObject([
      { cseq: 1, call: { value: { message: text('next') } } },
    ]);
  });

  // proves: rtm-3.3-attributes
  it('after having been gone: attributes are written again', async () => {
    const { client, world } = await makeLoggedIn();
    await client.setLocalUserAttributes({ mood: 'good' });
    world.answer = (message, connection) =>
      message.is === 'resume'
        ? [{ is: 'resumed', value: { secret: secretOf(2), cseq: 1, wasGone: true } }]
        : friendly(message, connection);
    world.connection.end(1006);
    await world.advance(100);
    expect(world.connection.requests).toMatchObject([
      {
        cseq: 2,
        call: {
          is: 'writeUserAttributes',
          value: { how: 0, attributes: [{ key: 'mood', value: 'good' }] },
        },
      },
    ]);
  });

  it('backs off with full jitter, and starts anew after a good minute', async () => {
    const { world } = await makeLoggedIn();
    world.chance = 0.999_999;
    world.network = 'refuse';
    const times: number[] = [];
    const wait = async () => {
      const before = world.connections.length;
      const from = world.now();
      while (world.connections.length === before) await world.advance(10);
      times.push(Math.round((world.now() - from) / 100) * 100);
    };
    world.connection.end(1006);
    for (let time = 0; time < 20; time++) await wait();
    // Short for a minute: whoever waits for a server that restarts is back soon.
    expect(times).toEqual([500, 1_000, 2_000, ...Array(15).fill(4_000), 30_000, 30_000]);
  });
});

describe('a new session', () => {
  it.each([26, 27, 28])('after refusal %i: logs in on the same connection', async (outcome) => {
    const { client, world, take } = await makeLoggedIn();
    world.answer = forgetful(outcome);
    world.connection.end(1006);
    await world.advance(100);
    expect(world.connections).toHaveLength(2);
    expect(world.connection.messages.map(({ is }) => is)).toEqual(['resume', 'login']);
    await client.getUserAttributes('bob');
    expect(world.connection.requests.map(({ cseq }) => cseq)).toEqual([1]);
    expect(take()).toEqual([]);
  });

  // proves: rtm-5.4-reconnect-order, rtm-3.3-subscriptions, rtm-2.10-restored, rtm-3.3-unsent
  it('gets attributes first, then channels and presence, then the waiting calls', async () => {
    const recorder = await makeLoggedIn();
    const { client, world } = recorder;
    await join(recorder, 'one');
    await join(recorder, 'two');
    await client.setLocalUserAttributes({ a: '1', b: '2' });
    await client.addOrUpdateLocalUserAttributes({ c: '3' });
    await client.deleteLocalUserAttributesByKeys(['a']);
    await client.subscribePeersOnlineStatus(['bob', 'carol']);
    await client.unsubscribePeersOnlineStatus(['carol']);
    world.network = 'silent';
    world.connection.end(1006);
    const waiting = client.sendMessageToPeer({ text: 'x' }, 'bob');
    const held: [FakeConnection, FromServer[]][] = [];
    world.answer = (message, connection) => {
      const answer = forgetful(26)(message, connection);
      if (message.is !== 'request' || !answer) return answer;
      held.push([connection, answer]);
      return undefined;
    };
    world.network = 'open';
    await world.advance(100);
    expect(names(world.connection)).toEqual(['writeUserAttributes']);
    const [first] = world.connection.requests;
    expect(first?.call).toMatchObject({
      value: {
        how: 0,
        attributes: [
          { key: 'b', value: '2' },
          { key: 'c', value: '3' },
        ],
      },
    });
    const release = async () => {
      for (const [connection, answer] of held.splice(0)) connection.serve(...answer);
      await world.settle();
    };
    await release();
    expect(names(world.connection)).toEqual([
      'writeUserAttributes',
      'join',
      'join',
      'subscribePresence',
    ]);
    await release();
    expect(names(world.connection).slice(4)).toEqual(['getMembers', 'sendToPeer']);
    await release();
    await waiting;
  });

  it('tells a gap for each channel before anything else of it', async () => {
    const recorder = await makeLoggedIn();
    const { world, take } = recorder;
    await join(recorder);
    take();
    world.answer = forgetful(27);
    world.connection.end(1006);
    await world.advance(100);
    world.connection.serve(channelMessage('later'));
    const source = { type: 'channel', channelId: 'room' };
    expect(take().map(([name, value]) => [name, value])).toEqual([
      ['MessageGap', { source, cause: 'resume_window', repaired: false }],
      ['ChannelMessage', { text: 'later', messageType: 'TEXT' }],
    ]);
  });

  it('repeats what may be repeated; a message that may have been sent times out', async () => {
    const recorder = await makeLoggedIn();
    const { client, world } = recorder;
    const room = await join(recorder);
    const other = await join(recorder, 'other');
    world.answer = () => undefined;
    const peer = codeOf(client.sendMessageToPeer({ text: 'x' }, 'bob'));
    const sent = codeOf(room.sendMessage({ text: 'x' }));
    const written = codeOf(client.setChannelAttributes('room', { a: '1' }));
    const read = client.getUserAttributes('bob');
    const left = other.leave();
    const joined = client.createChannel('third').join();
    world.network = 'silent';
    world.connection.end(1006);
    const waiting = room.sendMessage({ text: 'certainly not sent yet' });
    world.network = 'open';
    world.answer = forgetful(26);
    world.keepAlive();
    await world.advance(1_000);
    expect(await read).toEqual({ k: 'v' });
    await Promise.all([left, joined, waiting]);
    expect(names(world.connection)).toEqual([
      'join',
      'getMembers',
      'readUserAttributes',
      'join',
      'sendToChannel',
    ]);
    await world.advance(9_000);
    expect(await Promise.all([peer, sent, written])).toEqual([2, 2, 7]);
  });

  it('a channel that must wait is joined later', async () => {
    const recorder = await makeLoggedIn();
    const { world } = recorder;
    await join(recorder);
    let refusals = 0;
    world.answer = (message, connection) => {
      if (message.is === 'request' && message.value.call?.is === 'join' && refusals++ === 0) {
        const error = { outcome: 15, text: 'too often', retryAfterMs: 3_000 };
        return [reply(message.value.cseq, { is: 'error', value: error })];
      }
      return forgetful(26)(message, connection);
    };
    world.connection.end(1006);
    await world.advance(2_900);
    expect(names(world.connection)).toEqual(['join']);
    await world.advance(500);
    expect(names(world.connection)).toEqual(['join', 'join', 'getMembers']);
  });

  it('after one that failed in the middle begins again', async () => {
    const recorder = await makeLoggedIn();
    const { client, world } = recorder;
    await client.setLocalUserAttributes({ a: '1' });
    await join(recorder);
    world.answer = (message) =>
      message.is === 'resume' ? [refused(26)] : message.is === 'login' ? [welcome()] : undefined;
    world.connection.end(1006);
    await world.advance(100);
    expect(names(world.connection)).toEqual(['writeUserAttributes']);
    world.answer = forgetful(26);
    world.connection.end(1006);
    await world.advance(2_000);
    expect(names(world.connection)).toEqual(['writeUserAttributes', 'join', 'getMembers']);
  });
});

describe('wake-ups', () => {
  // proves: rtm-3.5-wake-up
  it('ask for a sign of life and take silence for a loss', async () => {
    const { world, take } = await makeLoggedIn();
    world.answer = () => undefined;
    const pings = () => world.connection.messages.filter(({ is }) => is === 'ping').length;
    world.wake();
    expect(pings()).toBe(0);
    await world.advance(2_000);
    world.wake();
    world.wake();
    expect(pings()).toBe(1);
    expect(names(world.connection)).toEqual([]);
    world.network = 'silent';
    await world.advance(4_000);
    expect(take()).toEqual([['ConnectionStateChanged', 'RECONNECTING', 'INTERRUPTED']]);
  });

  it('leave a link alone that answers', async () => {
    const { world, take } = await makeLoggedIn();
    await world.advance(2_000);
    world.wake();
    await world.advance(10_000);
    expect(take()).toEqual([]);
    expect(world.connections).toHaveLength(1);
    expect(world.connection.confirms).toEqual([]);
  });

  // proves: rtm-3.5-wake-up
  it('end the wait for the next attempt', async () => {
    const { world } = await makeLoggedIn();
    world.chance = 0.99;
    world.connection.end(1006);
    world.wake();
    expect(world.connections).toHaveLength(2);
  });
});

it('a frame that cannot be read makes a new session', async () => {
  const { client, world } = await makeLoggedIn();
  world.connection.serveBytes(Uint8Array.of(0x0a, 0x7f));
  expect(world.connection.closeCode).toBe(4016);
  await world.advance(1_000);
  expect(world.connection.messages[0]?.is).toBe('login');
  await client.getUserAttributes('bob');
});
