/**
 * Every method, in every state, with right and wrong arguments: whatever fails, fails by the promise that
 * the caller holds or by an exception, as an error of the API. Nothing is rejected that nobody holds.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { RtmChannel } from '../src/channel.js';
import { RtmClient } from '../src/client.js';
import { EventEmitter } from '../src/emitter.js';
import { type Recorder, makeClient } from './support/client.js';
import { friendly, refused } from './support/world.js';

const unhandled: string[] = [];
const note = (what: unknown) => void unhandled.push(String(what));
beforeAll(() => {
  process.on('unhandledRejection', note);
});
afterAll(() => {
  process.off('unhandledRejection', note);
});

/** Ways into each state. Each ends with the client in it. */
const STATES: Record<string, (recorder: Recorder) => Promise<void>> = {
  async 'before a login'() {},
  async connecting({ client, world }) {
    world.network = 'silent';
    client.login({ uid: 'alice' }).catch(() => undefined);
    await world.settle();
    expect(client.connectionState).toBe('CONNECTING');
  },
  async connected({ client }) {
    await client.login({ uid: 'alice' });
  },
  async 'connected, and every call refused'({ client, world }) {
    await client.login({ uid: 'alice' });
    world.answer = (message) =>
      message.is === 'request'
        ? [
            {
              is: 'reply',
              value: {
                cseq: message.value.cseq,
                result: { is: 'error', value: { outcome: 13, text: 'no' } },
              },
            },
          ]
        : undefined;
  },
  async 'connected to a server that does not answer'({ client, world }) {
    await client.login({ uid: 'alice' });
    world.answer = () => undefined;
  },
  async reconnecting({ client, world }) {
    await client.login({ uid: 'alice' });
    world.network = 'silent';
    world.connection.end(1006);
    await world.advance(5_000);
    expect(client.connectionState).toBe('RECONNECTING');
  },
  async aborted({ client, world }) {
    await client.login({ uid: 'alice' });
    world.connection.end(4010);
    expect(client.connectionState).toBe('ABORTED');
  },
  async 'after a refused login'({ client, world }) {
    world.answer = () => [refused(22)];
    await client.login({ uid: 'alice' }).catch(() => undefined);
    world.answer = friendly;
  },
  async 'after a logout'({ client }) {
    await client.login({ uid: 'alice' });
    await client.logout();
  },
};

/** Right arguments, by method; a method without an entry has none. */
const RIGHT: Record<string, unknown[]> = {
  login: [{ uid: 'alice' }],
  renewToken: ['token'],
  sendMessageToPeer: [{ text: 'x' }, 'bob'],
  getPeerHistory: ['bob'],
  createMessage: [{ text: 'x' }],
  createChannel: ['room'],
  createLocalInvitation: ['bob'],
  createMediaMessageByUploading: [new Blob(['x'])],
  downloadMedia: ['media'],
  queryPeersOnlineStatus: [['bob']],
  subscribePeersOnlineStatus: [['bob']],
  unsubscribePeersOnlineStatus: [['bob']],
  queryPeersBySubscriptionOption: ['ONLINE_STATUS'],
  setLocalUserAttributes: [{ k: 'v' }],
  addOrUpdateLocalUserAttributes: [{ k: 'v' }],
  deleteLocalUserAttributesByKeys: [['k']],
  getUserAttributes: ['bob'],
  getUserAttributesByKeys: ['bob', ['k']],
  setChannelAttributes: ['room', { k: 'v' }],
  addOrUpdateChannelAttributes: ['room', { k: 'v' }],
  deleteChannelAttributesByKeys: ['room', ['k']],
  clearChannelAttributes: ['room'],
  getChannelAttributes: ['room'],
  getChannelAttributesByKeys: ['room', ['k']],
  getChannelMemberCount: [['room']],
  setParameters: [{}],
  updateConfig: [{}],
  sendMessage: [{ text: 'x' }],
};
const WRONG: unknown[][] = [
  [],
  [undefined, undefined],
  [null],
  [7, 7, 7],
  [''],
  ['x'.repeat(100)],
  [{}, {}],
  [[]],
  [{ text: 5 }, 'bob'],
];
/** End the state that is under test: called last. */
const ENDS = ['logout', 'logoutSync'];

function methodsOf(kind: { readonly prototype: object }): string[] {
  const names = Object.getOwnPropertyNames(kind.prototype).filter((name) => {
    const { value } = Object.getOwnPropertyDescriptor(kind.prototype, name) ?? {};
    return name !== 'constructor' && typeof value === 'function';
  });
  return [
    ...names.filter((name) => !ENDS.includes(name)),
    ...names.filter((name) => ENDS.includes(name)),
  ];
}

/** Calls a method; the errors that it throws or rejects with are gathered. */
function call(
  target: object,
  name: string,
  args: unknown[],
  errors: unknown[],
  pending: Promise<unknown>[],
): void {
  const method = (target as Record<string, (...args: unknown[]) => unknown>)[name];
  try {
    const result = method?.apply(target, args);
    if (result instanceof Promise)
      pending.push(result.catch((error: unknown) => errors.push([name, error])));
  } catch (error) {
    errors.push([name, error]);
  }
}

describe('no rejection goes unhandled', () => {
  it('every method is tried', () => {
    const own = [...methodsOf(RtmClient), ...methodsOf(RtmChannel)];
    const emitters = Object.getOwnPropertyNames(EventEmitter.prototype);
    const plain = [
      'logout',
      'logoutSync',
      'reconnectNow',
      'getRemoteInvitation',
      'clearLocalUserAttributes',
      'join',
      'leave',
      'getMembers',
      'getHistory',
    ];
    expect(
      own.filter((name) => !(name in RIGHT) && !plain.includes(name) && !emitters.includes(name)),
    ).toEqual([]);
    expect(own.length).toBeGreaterThanOrEqual(35);
  });

  it.each(Object.keys(STATES))('%s', async (state) => {
    const recorder = makeClient();
    const { client, world } = recorder;
    await STATES[state]?.(recorder);
    const channel = client.createChannel('room');
    const invitation = client.createLocalInvitation('bob');
    const errors: [string, unknown][] = [];
    const pending: Promise<unknown>[] = [];
    for (const [target, names] of [
      [client, methodsOf(RtmClient).filter((name) => !ENDS.includes(name))],
      [channel, methodsOf(RtmChannel)],
      [invitation, ['send', 'cancel', 'send']],
      [client, ENDS],
    ] as const) {
      for (const name of names) {
        if (!ENDS.includes(name))
          for (const wrong of WRONG) call(target, name, wrong, errors, pending);
        call(target, name, RIGHT[name] ?? [], errors, pending);
      }
    }
    await world.advance(60_000);
    await Promise.all(pending);
    // Node tells of rejections that nobody holds when the turn is over.
    await new Promise((resolve) => setImmediate(resolve));
    expect(unhandled).toEqual([]);
    expect(errors.length).toBeGreaterThan(50);
    const strange = errors.filter(
      ([, error]) =>
        !(error instanceof Error && typeof (error as { code?: unknown }).code === 'number'),
    );
    expect(strange.map(([name, error]) => `${name}: ${String(error)}`)).toEqual([]);
  });
});
