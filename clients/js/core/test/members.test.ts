/** Member events across holes: contract PRE-3 and PRE-9, and presence after a reconnect. */
import { describe, expect, it } from 'vitest';
import { type Recorder, join, makeLoggedIn } from '../../rtm/test/support/client.js';
import { type FromServer, friendly, refused, reply } from '../../rtm/test/support/world.js';

const joined = (userId: string): FromServer => ({
  is: 'memberJoined',
  value: { channel: 'room', userId },
});
const left = (userId: string): FromServer => ({
  is: 'memberLeft',
  value: { channel: 'room', userId },
});

/** The server's members from now on; it refuses to resume with `outcome`. */
function serveMembers({ world }: Recorder, userIds: string[], outcome = 27): void {
  world.answer = (message, connection) => {
    if (message.is === 'resume') return [refused(outcome)];
    if (message.is === 'request' && message.value.call?.is === 'getMembers') {
      return [reply(message.value.cseq, { is: 'users', value: { userIds } })];
    }
    return friendly(message, connection);
  };
}

async function inRoomWith(...others: string[]): Promise<Recorder> {
  const recorder = await makeLoggedIn();
  serveMembers(recorder, ['alice', ...others]);
  await join(recorder);
  await recorder.world.advance(2_000);
  recorder.take();
  return recorder;
}

async function loseSession(recorder: Recorder): Promise<void> {
  recorder.world.connection.end(1006);
  await recorder.world.advance(100);
}

const memberEvents = (recorder: Recorder) =>
  recorder.take().filter(([name]) => name === 'MemberJoined' || name === 'MemberLeft');

describe('after a session that could not go on', () => {
  it('the difference of the member lists is raised', async () => {
    const recorder = await inRoomWith('bob', 'carol');
    recorder.world.connection.serve(joined('dave'), left('carol'));
    recorder.take();
    serveMembers(recorder, ['alice', 'bob', 'eve']);
    await loseSession(recorder);
    expect(memberEvents(recorder)).toEqual([
      ['MemberJoined', 'eve'],
      ['MemberLeft', 'dave'],
    ]);
  });

  it('after a restart of the server those who are missing may come back within 30 s', async () => {
    const recorder = await inRoomWith('bob', 'carol');
    serveMembers(recorder, ['alice'], 26);
    await loseSession(recorder);
    recorder.world.keepAlive();
    await recorder.world.advance(20_000);
    recorder.world.connection.serve(joined('bob'), joined('bob'));
    expect(memberEvents(recorder)).toEqual([]);
    await recorder.world.advance(10_000);
    expect(memberEvents(recorder)).toEqual([['MemberLeft', 'carol']]);
    recorder.world.connection.serve(joined('carol'));
    expect(memberEvents(recorder)).toEqual([['MemberJoined', 'carol']]);
  });

  it('nobody is called new when no full list was known before', async () => {
    const recorder = await makeLoggedIn();
    serveMembers(recorder, ['alice', 'bob', 'carol']);
    await join(recorder);
    recorder.world.connection.serve(joined('dave'));
    recorder.take();
    await loseSession(recorder);
    expect(memberEvents(recorder)).toEqual([['MemberLeft', 'dave']]);
  });

  it('large channels are not compared', async () => {
    const many = Array.from({ length: 512 }, (_, at) => `u${at}`);
    const recorder = await inRoomWith('bob');
    serveMembers(recorder, many);
    await loseSession(recorder);
    expect(memberEvents(recorder)).toEqual([]);
  });
});

describe('in a session', () => {
  // proves: rtm-3.3-once
  it('joined and left alternate', async () => {
    const recorder = await inRoomWith('bob');
    recorder.world.connection.serve(joined('bob'), left('bob'), left('bob'), joined('bob'));
    expect(memberEvents(recorder)).toEqual([
      ['MemberLeft', 'bob'],
      ['MemberJoined', 'bob'],
    ]);
  });

  it('the list is fetched once, 2 s after the join, unless the application has it', async () => {
    const fetches = ({ world }: Recorder) =>
      world.connection.requests.filter(({ call }) => call?.is === 'getMembers').length;
    const lazy = await inRoomWith('bob');
    expect(fetches(lazy)).toBe(1);
    const eager = await makeLoggedIn();
    const room = await join(eager);
    expect(await room.getMembers()).toEqual(['alice', 'bob']);
    eager.world.keepAlive();
    await eager.world.advance(30_000);
    expect(fetches(eager)).toBe(1);
  });

  it('a gap of the channel is told and its members compared', async () => {
    const recorder = await inRoomWith('bob');
    serveMembers(recorder, ['alice', 'carol']);
    recorder.world.connection.serve({
      is: 'gap',
      value: { source: { is: 'channel', value: 'room' }, cause: 5, missed: 3 },
    });
    await recorder.world.settle();
    expect(recorder.take()).toEqual([
      [
        'MessageGap',
        {
          source: { type: 'channel', channelId: 'room' },
          cause: 'slow_consumer',
          repaired: false,
          missed: 3,
        },
      ],
      ['MemberJoined', 'carol'],
      ['MemberLeft', 'bob'],
    ]);
  });

  // proves: rtm-1.6-event-message, rtm-1.6-event-joined, rtm-1.6-event-count, rtm-1.6-event-attributes
  // proves: rtm-2.16-no-offline, rtm-2.8-received-shape
  it('events reach the object that joined, until it has left', async () => {
    const recorder = await makeLoggedIn();
    const { client, world, take } = recorder;
    const room = await join(recorder);
    const other = client.createChannel('room');
    other.on('MemberJoined', () => {
      throw new Error('not joined');
    });
    world.connection.serve(
      { is: 'memberCount', value: { channel: 'room', count: 2 } },
      joined('bob'),
      {
        is: 'channelMessage',
        value: {
          channel: 'room',
          from: 'bob',
          message: {
            body: {
              is: 'raw',
              value: { data: Uint8Array.of(1, 2), description: Uint8Array.of(0x64) },
            },
          },
          serverTs: 9,
        },
      },
      {
        is: 'channelAttributes',
        value: {
          channel: 'room',
          attributes: [{ key: 'k', value: 'v', updatedBy: 'bob', updatedTs: 3 }],
        },
      },
    );
    expect(take()).toEqual([
      ['MemberCountUpdated', 2],
      ['MemberJoined', 'bob'],
      [
        'ChannelMessage',
        { rawMessage: Uint8Array.of(1, 2), description: 'd', messageType: 'RAW' },
        'bob',
        { serverReceivedTs: 9, isOfflineMessage: false },
      ],
      ['AttributesUpdated', { k: { value: 'v', lastUpdateUserId: 'bob', lastUpdateTs: 3 } }],
    ]);
    await room.leave();
    world.connection.serve(joined('carol'));
    expect(take()).toEqual([]);
    await other.join();
  });

  it('events before the reply to the join are not lost', async () => {
    const recorder = await makeLoggedIn();
    const { world, take } = recorder;
    world.answer = (message, connection) => {
      const answer = friendly(message, connection) ?? [];
      return [{ is: 'memberCount', value: { channel: 'room', count: 1 } }, ...answer];
    };
    await join(recorder);
    expect(take()).toEqual([['MemberCountUpdated', 1]]);
  });
});

describe('presence', () => {
  const changed = (...users: [string, number][]): FromServer => ({
    is: 'presenceChanged',
    value: { users: users.map(([userId, state]) => ({ userId, state })) },
  });

  // proves: rtm-2.10-reconnect, rtm-1.5-event-presence, rtm-1.4-online-maps
  it('after a new session only what changed is told', async () => {
    const recorder = await makeLoggedIn();
    const { client, world, take } = recorder;
    await client.subscribePeersOnlineStatus(['bob', 'carol', 'dave']);
    world.connection.serve(changed(['bob', 1], ['carol', 0], ['dave', 2]));
    expect(take()).toEqual([
      ['PeersOnlineStatusChanged', { bob: 'ONLINE', carol: 'OFFLINE', dave: 'UNREACHABLE' }],
    ]);
    serveMembers(recorder, []);
    await loseSession(recorder);
    expect(world.connection.requests.map(({ call }) => call?.is)).toEqual(['subscribePresence']);
    world.connection.serve(changed(['bob', 1], ['carol', 1], ['dave', 2]));
    world.connection.serve(changed(['bob', 1]));
    expect(take()).toEqual([
      ['PeersOnlineStatusChanged', { carol: 'ONLINE' }],
      ['PeersOnlineStatusChanged', { bob: 'ONLINE' }],
    ]);
  });
});
