/** Connection states: RTM 1.x semantics 3.1, with the exact sequences of events and promises. */
import { describe, expect, it } from 'vitest';
import { codeOf, join, makeClient, makeLoggedIn } from './support/client.js';
import { holdTimers, raised } from './support/raised.js';
import { type Answer, friendly, refused, reply, secretOf, usual } from './support/world.js';

const S = 'ConnectionStateChanged';

describe('login', () => {
  // proves: rtm-1.9-connecting-sync, rtm-2.5-events, rtm-3.1-login, rtm-3.1-accepted, rtm-1.5-event-state
  // proves: rtm-1.5-connection-state
  it('emits CONNECTING synchronously, CONNECTED before the promise resolves', async () => {
    const { client, events } = makeClient();
    const login = client.login({ uid: 'alice' }).then(() => events.push(['resolved']));
    expect(events).toEqual([[S, 'CONNECTING', 'LOGIN']]);
    await login;
    expect(events).toEqual([
      [S, 'CONNECTING', 'LOGIN'],
      [S, 'CONNECTED', 'LOGIN_SUCCESS'],
      ['resolved'],
    ]);
    expect(client.connectionState).toBe('CONNECTED');
  });

  it('sends app, user, token and library to /rtm', async () => {
    const { world } = await (async () => {
      const made = makeClient();
      await made.client.login({ uid: 'alice', token: 'T' });
      return made;
    })();
    expect(world.connection.url).toBe('ws://server.test/rtm');
    const [first] = world.connection.messages;
    expect(first).toMatchObject({ is: 'login', value: { userId: 'alice', token: 'T' } });
  });

  const refusals: [string, number, number][] = [
    ['unknown app', 20, 4],
    ['invalid user id', 21, 3],
    ['invalid token', 22, 5],
    ['expired token', 23, 6],
    ['banned', 24, 7],
    ['too often', 4, 10],
    ['anything else', 13, 1],
  ];
  // proves: rtm-2.5-codes, rtm-3.1-refused, rtm-2.5-banned, rtm-8-retry-after
  it.each(refusals)('%s: outcome %i becomes code %i', async (_, outcome, code) => {
    const { client, world, take } = makeClient();
    world.answer = () => [refused(outcome, 700)];
    const error = await client.login({ uid: 'alice' }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code, serverCode: outcome, retryAfter: 700 });
    expect(take()).toEqual([
      [S, 'CONNECTING', 'LOGIN'],
      [S, 'DISCONNECTED', 'LOGIN_FAILURE'],
    ]);
    expect(world.connection.closeCode).toBe(1000);
  });

  // proves: rtm-2.1-login-timeout, rtm-3.1-timeout, rtm-2.5-failed, rtm-8-login-retries
  it('gives up after 12 s with code 9, having tried several times', async () => {
    const { client, world, take } = makeClient();
    world.network = 'refuse';
    world.chance = 0.5;
    const login = codeOf(client.login({ uid: 'alice' }));
    await world.advance(11_999);
    expect(client.connectionState).toBe('CONNECTING');
    await world.advance(1);
    expect(await login).toBe(9);
    expect(take()).toEqual([
      [S, 'CONNECTING', 'LOGIN'],
      [S, 'DISCONNECTED', 'LOGIN_TIMEOUT'],
    ]);
    expect(world.connections.length).toBeGreaterThan(3);
    const tries = world.connections.length;
    await world.advance(60_000);
    expect(world.connections.length).toBe(tries);
    expect(take()).toEqual([]);
  });

  it('succeeds when the second try does', async () => {
    const { client, world } = makeClient();
    world.network = 'silent';
    const login = client.login({ uid: 'alice' });
    world.network = 'open';
    await world.advance(5_600);
    await login;
    expect(client.connectionState).toBe('CONNECTED');
  });

  it('waits and tries again when the server is overloaded', async () => {
    const { client, world } = makeClient();
    world.answer = (message, connection) =>
      world.connections.length === 1 ? [refused(25, 2_000)] : friendly(message, connection);
    const login = client.login({ uid: 'alice' });
    await world.advance(1_999);
    expect(world.connections.length).toBe(1);
    await world.advance(1);
    await login;
  });

  // proves: rtm-2.1-login-spacing, rtm-3.1-login-again, rtm-3.1-login-connected
  it('again: code 10 within 500 ms, then 8, in CONNECTING and in CONNECTED', async () => {
    const { client, world } = makeClient();
    world.network = 'silent';
    const first = codeOf(client.login({ uid: 'alice' }));
    await world.advance(300);
    expect(await codeOf(client.login({ uid: 'alice' }))).toBe(10);
    await world.advance(300);
    expect(await codeOf(client.login({ uid: 'alice' }))).toBe(8);
    await world.advance(12_000);
    expect(await first).toBe(9);
    const other = await makeLoggedIn();
    await other.world.advance(600);
    expect(await codeOf(other.client.login({ uid: 'alice' }))).toBe(8);
    expect(other.take()).toEqual([]);
  });

  // proves: rtm-2.5-failed
  it('is possible again after a failure', async () => {
    const { client, world } = makeClient();
    world.answer = () => [refused(22)];
    await codeOf(client.login({ uid: 'alice' }));
    world.answer = friendly;
    await world.advance(500);
    await client.login({ uid: 'alice' });
    expect(client.connectionState).toBe('CONNECTED');
  });

  it('refuses a token that no server takes without sending it', async () => {
    const { client, world, take } = makeClient();
    expect(await codeOf(client.login({ uid: 'alice', token: 'x'.repeat(4097) }))).toBe(5);
    expect(world.connections).toEqual([]);
    expect(take().map(([, state]) => state)).toEqual(['CONNECTING', 'DISCONNECTED']);
  });
});

describe('logout', () => {
  // proves: rtm-2.6-disconnected, rtm-3.1-logout-out, rtm-1.5-logout-sync
  it('rejects with 102 in DISCONNECTED, without an event', async () => {
    const { client, take } = makeClient();
    expect(await codeOf(client.logout())).toBe(102);
    expect(() => client.logoutSync()).toThrow(/102/);
    expect(take()).toEqual([]);
  });

  // proves: rtm-2.6-resolves, rtm-1.9-survive, rtm-2.6-channels, rtm-2.4-lasting
  it('tells the server, then resolves; listeners survive', async () => {
    const recorder = await makeLoggedIn();
    const { client, world, take } = recorder;
    const channel = await join(recorder);
    take();
    await client.logout();
    expect(world.connection.requests.map(({ call }) => call?.is)).toEqual(['join', 'logout']);
    expect(take()).toEqual([[S, 'DISCONNECTED', 'LOGOUT']]);
    expect(await codeOf(channel.leave())).toBe(102);
    await world.advance(500);
    await client.login({ uid: 'alice' });
    expect(take().length).toBe(2);
    expect(await codeOf(channel.leave())).toBe(3);
  });

  // proves: rtm-2.6-connecting, rtm-3.1-logout-connecting, rtm-1.10-name-unavailable
  it('during CONNECTING: login rejects with 1, one event, nothing late', async () => {
    const { client, world, take } = makeClient();
    world.network = 'silent';
    const login = client.login({ uid: 'alice' }).catch((caught: unknown) => caught);
    await client.logout();
    expect(await login).toMatchObject({ code: 1, name: 'RtmUnavailableError' });
    await world.advance(30_000);
    expect(take()).toEqual([
      [S, 'CONNECTING', 'LOGIN'],
      [S, 'DISCONNECTED', 'LOGOUT'],
    ]);
    expect(world.isWatching).toBe(false);
  });

  // proves: rtm-2.6-any-state, rtm-3.1-logout
  it('in RECONNECTING and when the server does not answer it ends all the same', async () => {
    const lost = await makeLoggedIn();
    lost.world.network = 'silent';
    lost.world.connection.end(1006);
    await lost.world.advance(4_000);
    const pending = codeOf(lost.client.sendMessageToPeer({ text: 'x' }, 'bob'));
    await lost.client.logout();
    expect(await pending).toBe(102);
    expect(lost.client.connectionState).toBe('DISCONNECTED');

    const mute = await makeLoggedIn();
    mute.world.answer = () => undefined;
    const logout = mute.client.logout();
    expect(await codeOf(mute.client.sendMessageToPeer({ text: 'x' }, 'bob'))).toBe(102);
    await mute.world.advance(5_000);
    await logout;
    expect(mute.take()).toEqual([[S, 'DISCONNECTED', 'LOGOUT']]);
  });

  // proves: rtm-1.5-logout-sync
  it('logoutSync leaves at once and tells the server', async () => {
    const { client, world, take } = await makeLoggedIn();
    expect(client.logoutSync()).toBeUndefined();
    expect(take()).toEqual([[S, 'DISCONNECTED', 'LOGOUT']]);
    expect(world.connection.requests.map(({ call }) => call?.is)).toEqual(['logout']);
    expect(world.connection.closeCode).toBe(1000);
  });
});

describe('a lost link', () => {
  // proves: rtm-3.2-short
  it('that comes back within 4 s is not seen', async () => {
    const { client, world, take } = await makeLoggedIn();
    world.network = 'silent';
    world.connection.end(1006);
    await world.advance(2_000);
    world.connection.open();
    await world.advance(30_000 - 24_000);
    expect(take()).toEqual([]);
    expect(client.connectionState).toBe('CONNECTED');
  });

  // proves: rtm-3.1-interrupted, rtm-3.1-back
  it('that stays away for 4 s shows, and shows again when it is back', async () => {
    const { world, take } = await makeLoggedIn();
    world.network = 'silent';
    world.connection.end(1006);
    await world.advance(3_999);
    expect(take()).toEqual([]);
    await world.advance(1);
    expect(take()).toEqual([[S, 'RECONNECTING', 'INTERRUPTED']]);
    world.network = 'open';
    world.keepAlive();
    await world.advance(60_000);
    expect(take()).toEqual([[S, 'CONNECTED', 'LOGIN_SUCCESS']]);
  });

  // proves: rtm-3.5-no-page-timer
  it('is noticed after heartbeat and 4 s of silence, and not before', async () => {
    const { world, take } = await makeLoggedIn();
    await world.advance(13_999);
    world.connection.serve({ is: 'ping', value: {} });
    expect(world.connection.messages.at(-1)).toEqual({ is: 'pong', value: {} });
    await world.advance(13_999);
    expect(take()).toEqual([]);
    world.network = 'silent';
    await world.advance(1);
    expect(take()).toEqual([[S, 'RECONNECTING', 'INTERRUPTED']]);
  });
});

describe('ends from the server', () => {
  const codes: [number, string, string][] = [
    [4007, 'ABORTED', 'REMOTE_LOGIN'],
    [4010, 'ABORTED', 'REMOTE_LOGIN'],
    [4012, 'ABORTED', 'BANNED_BY_SERVER'],
    [4013, 'ABORTED', 'BANNED_BY_SERVER'],
  ];
  // proves: rtm-3.1-banned, rtm-3.1-remote-login, rtm-3.4-no-auto, rtm-3.1-login-aborted
  // proves: rtm-3.1-calls-aborted, rtm-3.1-logout
  it.each(codes)('close code %i: %s, %s', async (code, state, reason) => {
    const recorder = await makeLoggedIn();
    const { client, world, take } = recorder;
    await join(recorder);
    take();
    world.answer = () => undefined;
    const pending = codeOf(client.sendMessageToPeer({ text: 'x' }, 'bob'));
    world.connection.end(code);
    expect(await pending).toBe(102);
    expect(take()).toEqual([[S, state, reason]]);
    await world.advance(60_000);
    expect(world.connections.length).toBe(1);
    expect(await codeOf(client.login({ uid: 'alice' }))).toBe(8);
    expect(await codeOf(client.getUserAttributes('bob'))).toBe(102);
    await client.logout();
    expect(take()).toEqual([[S, 'DISCONNECTED', 'LOGOUT']]);
  });

  // proves: rtm-1.5-event-token-will-expire
  it('a token that ends soon: TokenPrivilegeWillExpire, and nothing else changes', async () => {
    const { client, world, take } = await makeLoggedIn();
    world.connection.serve({ is: 'tokenWillExpire', value: { expiresTs: 1_700_000_030_000 } });
    expect(take()).toEqual([['TokenPrivilegeWillExpire']]);
    expect(client.connectionState).toBe('CONNECTED');
  });

  // proves: rtm-3.1-token-expired, rtm-7.3-end, rtm-1.5-event-token-expired
  it('token expired while CONNECTED: TokenExpired, then ABORTED', async () => {
    const { world, take } = await makeLoggedIn();
    world.connection.end(4011);
    expect(take()).toEqual([['TokenExpired'], [S, 'ABORTED', 'TOKEN_EXPIRED']]);
  });

  // proves: rtm-3.1-token-reconnecting, rtm-7.3-reconnecting, rtm-7.4-reconnecting
  it('token expired while RECONNECTING: TokenExpired once; renewToken lets it go on', async () => {
    const { client, world, take } = await makeLoggedIn();
    world.network = 'silent';
    world.connection.end(1006);
    await world.advance(5_000);
    take();
    world.network = 'open';
    const isGood: Answer = (message, connection) => {
      if (message.is === 'resume' && message.value.token !== 'new') return [refused(23)];
      return friendly(message, connection);
    };
    world.answer = isGood;
    world.chance = 0.9;
    await world.advance(120_000);
    expect(take()).toEqual([['TokenExpired']]);
    const renewal = client.renewToken('new');
    await world.advance(1);
    await renewal;
    expect(take()).toEqual([[S, 'CONNECTED', 'LOGIN_SUCCESS']]);
  });

  it('a protocol error makes a new session after 5 s, three times and no more', async () => {
    const { client, world, take } = await makeLoggedIn();
    world.keepAlive();
    for (let time = 1; time <= 3; time++) {
      world.connection.end(4016);
      await world.advance(4_999);
      expect(world.connections.length).toBe(time);
      await world.advance(20_000);
      expect(world.connections.length).toBe(time + 1);
      expect(world.connection.messages[0]?.is).toBe('login');
    }
    world.connection.end(4016);
    await world.advance(600_000);
    expect(world.connections.length).toBe(4);
    expect(take().at(-1)).toEqual([S, 'RECONNECTING', 'INTERRUPTED']);
    // As the Rust SDK: it stays so until a logout, after which it can log in again.
    const logout = client.logout();
    await world.advance(1);
    await logout;
    expect(take()).toEqual([[S, 'DISCONNECTED', 'LOGOUT']]);
    const login = client.login({ uid: 'alice' });
    await world.advance(600);
    await login;
    expect(world.connections.length).toBe(5);
  });

  it('going away: resumes at once, with the newest secret', async () => {
    const { world } = await makeLoggedIn();
    world.chance = 0.99;
    world.connection.end(4000);
    await world.settle();
    await world.advance(0);
    expect(world.connections.length).toBe(2);
    expect(world.connection.messages[0]).toMatchObject({
      is: 'resume',
      value: { secret: secretOf(1) },
    });
    await world.advance(70_000 - 60_001);
    world.connection.end(1006);
    await world.advance(10_000);
    expect(world.connection.messages[0]).toMatchObject({
      is: 'resume',
      value: { secret: secretOf(2) },
    });
  });

  it('slow consumer: not before a second', async () => {
    const { world } = await makeLoggedIn();
    world.connection.end(4002);
    await world.advance(999);
    expect(world.connections.length).toBe(1);
    await world.advance(1);
    expect(world.connections.length).toBe(2);
  });

  it('a hint before a close is kept to, and forgotten by the next', async () => {
    for (const code of [4003, 4005]) {
      const { world } = await makeLoggedIn();
      world.keepAlive();
      world.chance = 0.5;
      world.connection.serve(refused(25, 20_000));
      world.connection.end(code);
      await world.advance(29_999);
      expect(world.connections.length).toBe(1);
      await world.advance(1);
      expect(world.connections.length).toBe(2);
      await world.settle();
      world.connection.end(code);
      await world.advance(2_000);
      expect(world.connections.length).toBe(3);
    }
  });
});

describe('listeners', () => {
  // proves: rtm-1.9-throwing
  it('one that throws disturbs nothing', async () => {
    holdTimers();
    const { client, world } = makeClient();
    client.prependListener('ConnectionStateChanged', () => {
      throw new Error('mine');
    });
    let later = 0;
    client.on('ConnectionStateChanged', () => later++);
    await client.login({ uid: 'alice' });
    expect(later).toBe(2);
    expect(raised().map(String)).toEqual(['Error: mine', 'Error: mine']);
    expect(world.connections.length).toBe(1);
  });

  // proves: rtm-1.9-one-thread
  it('one that logs out and in from inside an event keeps the order', async () => {
    const { client, world, take } = makeClient();
    client.once('ConnectionStateChanged', () => undefined);
    await client.login({ uid: 'alice' });
    take();
    await world.advance(500);
    let done: Promise<void> | undefined;
    client.once('MessageFromPeer', () => {
      done = client.logout().then(() => client.login({ uid: 'alice' }));
    });
    world.connection.serve(
      {
        is: 'peerMessage',
        value: {
          from: 'bob',
          message: { body: { is: 'text', value: Uint8Array.of(65) } },
          id: Uint8Array.of(1),
        },
      },
      {
        is: 'peerMessage',
        value: {
          from: 'bob',
          message: { body: { is: 'text', value: Uint8Array.of(66) } },
          id: Uint8Array.of(2),
        },
      },
    );
    await world.settle();
    await done;
    expect(take().map((event) => (event[0] === S ? event[1] : event[0]))).toEqual([
      'MessageFromPeer',
      'MessageFromPeer',
      'DISCONNECTED',
      'CONNECTING',
      'CONNECTED',
    ]);
  });

  it('calls are answered in the order of the replies', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = () => undefined;
    const first = client.getUserAttributes('bob');
    const second = client.getUserAttributes('bob');
    const [one, two] = world.connection.requests;
    if (!one || !two) throw new Error('two requests were expected');
    world.connection.serve(reply(two.cseq, usual(two)), reply(one.cseq, usual(one)));
    expect(await Promise.all([first, second])).toEqual([{ k: 'v' }, { k: 'v' }]);
  });
});
