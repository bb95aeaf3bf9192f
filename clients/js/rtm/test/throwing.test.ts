/** A listener that throws, for every event: the others and the operation go on, its error is raised later. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { LocalInvitation, RemoteInvitation } from '../src/invitation.js';
import { type Recorder, join, makeLoggedIn } from './support/client.js';
import { type FromServer, type World, refused } from './support/world.js';

interface Emitter {
  on(name: string, listener: (...args: unknown[]) => void): unknown;
}

/** What the throwers have thrown, once it has reached the top. */
const raised: unknown[] = [];
let others: NodeJS.UncaughtExceptionListener[] = [];
const note = (error: unknown) => void raised.push(String(error));

beforeEach(() => {
  raised.length = 0;
  others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', note);
});
afterEach(() => {
  process.removeAllListeners('uncaughtException');
  for (const other of others) process.on('uncaughtException', other);
});

/** A thrower before and after a good listener; returns what the good one is told. */
function surround(emitter: unknown, name: string): unknown[] {
  const told: unknown[] = [];
  const target = emitter as Emitter;
  const thrower = () => {
    throw new Error(`mine of ${name}`);
  };
  target.on(name, thrower);
  target.on(name, (...args) => void told.push(args[0]));
  target.on(name, thrower);
  return told;
}

const text = { body: { is: 'text', value: new TextEncoder().encode('hello') } } as const;
const ID = new Uint8Array(16).fill(3);
const fromBob: FromServer = {
  is: 'peerMessage',
  value: { from: 'bob', message: text, serverTs: 7, id: ID },
};

/** Events of a client, and what makes the server of each. */
const CLIENT: [string, (world: World) => void][] = [
  ['ConnectionStateChanged', (world) => world.connection.end(4010)],
  ['MessageFromPeer', (world) => world.connection.serve(fromBob)],
  [
    'PeersOnlineStatusChanged',
    (world) =>
      world.connection.serve({
        is: 'presenceChanged',
        value: { users: [{ userId: 'bob', state: 1 }] },
      }),
  ],
  [
    'TokenPrivilegeWillExpire',
    (world) => world.connection.serve({ is: 'tokenWillExpire', value: { expiresTs: 9 } }),
  ],
  ['TokenExpired', (world) => world.connection.end(4011)],
  [
    'MessageGap',
    (world) =>
      world.connection.serve({
        is: 'gap',
        value: { source: { is: 'inbox', value: {} }, cause: 7, missed: 2 },
      }),
  ],
  [
    'RemoteInvitationReceived',
    (world) =>
      world.connection.serve({
        is: 'incomingInvitation',
        value: { id: ID, callerId: 'bob', content: 'x' },
      }),
  ],
];
const CHANNEL: [string, FromServer][] = [
  [
    'ChannelMessage',
    { is: 'channelMessage', value: { channel: 'room', from: 'bob', message: text, serverTs: 7 } },
  ],
  ['MemberJoined', { is: 'memberJoined', value: { channel: 'room', userId: 'carol' } }],
  ['MemberLeft', { is: 'memberLeft', value: { channel: 'room', userId: 'bob' } }],
  ['MemberCountUpdated', { is: 'memberCount', value: { channel: 'room', count: 3 } }],
  ['AttributesUpdated', { is: 'channelAttributes', value: { channel: 'room', attributes: [] } }],
];
const LOCAL: [string, FromServer[]][] = [
  ['LocalInvitationReceivedByPeer', [{ is: 'invitationReceived', value: { number: 1 } }]],
  [
    'LocalInvitationAccepted',
    [
      { is: 'acceptAsked', value: { number: 1 } },
      { is: 'localInvitationEnded', value: { number: 1, end: 1 } },
    ],
  ],
  ['LocalInvitationRefused', [{ is: 'localInvitationEnded', value: { number: 1, end: 2 } }]],
  ['LocalInvitationFailure', [{ is: 'localInvitationEnded', value: { number: 1, end: 5 } }]],
];
/** The call of the callee that goes before, and how it ends. */
const REMOTE: [string, 'accept' | 'refuse' | undefined, number][] = [
  ['RemoteInvitationAccepted', 'accept', 1],
  ['RemoteInvitationRefused', 'refuse', 2],
  ['RemoteInvitationCanceled', undefined, 3],
  ['RemoteInvitationFailure', undefined, 6],
];

/** The good listener was told once, both errors came up, and the client works as before. */
async function expectUnhurt(
  name: string,
  told: unknown[],
  recorder: Recorder,
  isOver = false,
): Promise<void> {
  await recorder.world.settle();
  expect(told).toHaveLength(1);
  await vi.waitFor(() =>
    expect(raised).toEqual([`Error: mine of ${name}`, `Error: mine of ${name}`]),
  );
  if (isOver) {
    recorder.client.removeAllListeners();
    await recorder.client.logout();
    await recorder.world.advance(500);
    await recorder.client.login({ uid: 'alice' });
  }
  expect(await recorder.client.sendMessageToPeer({ text: 'x' }, 'bob')).toEqual({
    hasPeerReceived: true,
  });
}

describe('a listener that throws hurts nobody', () => {
  // proves: rtm-1.9-throwing
  it.each(CLIENT)('of the client: %s', async (name, happen) => {
    const recorder = await makeLoggedIn();
    await recorder.client.subscribePeersOnlineStatus(['bob']);
    const told = surround(recorder.client, name);
    happen(recorder.world);
    await expectUnhurt(name, told, recorder, recorder.client.connectionState === 'ABORTED');
  });

  // proves: rtm-1.9-throwing
  it.each(CHANNEL)('of a channel: %s', async (name, event) => {
    const recorder = await makeLoggedIn();
    const told = surround(await join(recorder), name);
    recorder.world.connection.serve(event);
    await expectUnhurt(name, told, recorder);
  });

  // proves: rtm-1.9-throwing
  it.each(LOCAL)('of a local invitation: %s', async (name, events) => {
    const recorder = await makeLoggedIn();
    const invitation: LocalInvitation = recorder.client.createLocalInvitation('bob');
    const told = surround(invitation, name);
    invitation.send();
    recorder.world.connection.serve(...events);
    await expectUnhurt(name, told, recorder);
  });

  // proves: rtm-1.9-throwing
  it('of a local invitation: LocalInvitationCanceled', async () => {
    const recorder = await makeLoggedIn();
    const invitation = recorder.client.createLocalInvitation('bob');
    const told = surround(invitation, 'LocalInvitationCanceled');
    invitation.send();
    recorder.world.connection.serve({ is: 'invitationReceived', value: { number: 1 } });
    invitation.cancel();
    await expectUnhurt('LocalInvitationCanceled', told, recorder);
  });

  // proves: rtm-1.9-throwing
  it.each(REMOTE)('of a remote invitation: %s', async (name, call, end) => {
    const recorder = await makeLoggedIn();
    const received = new Promise<RemoteInvitation>((resolve) => {
      recorder.client.on(
        'RemoteInvitationReceived',
        (invitation) => void resolve(invitation as RemoteInvitation),
      );
    });
    recorder.world.connection.serve({
      is: 'incomingInvitation',
      value: { id: ID, callerId: 'bob', content: 'x' },
    });
    const invitation = await received;
    const told = surround(invitation, name);
    if (call) invitation[call]();
    recorder.world.connection.serve({ is: 'remoteInvitationEnded', value: { id: ID, end } });
    await expectUnhurt(name, told, recorder);
  });

  it('of a login that is refused: its promise is rejected all the same', async () => {
    const { client, world } = await makeLoggedIn();
    await client.logout();
    await world.advance(500);
    world.answer = () => [refused(22)];
    const told = surround(client, 'ConnectionStateChanged');
    await expect(client.login({ uid: 'alice' })).rejects.toMatchObject({ code: 5 });
    expect(told).toEqual(['CONNECTING', 'DISCONNECTED']);
    await vi.waitFor(() => expect(raised).toHaveLength(4));
  });
});
