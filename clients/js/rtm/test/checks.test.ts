/** Argument checks: RTM 1.x semantics 2.1 to 2.4. */
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { AgoraRTM } from '../src/api.js';
import type { RtmClient } from '../src/client.js';
import { APP_ID, codeOf, join, makeClient, makeLoggedIn, thrownCode } from './support/client.js';

const ALLOWED = ' !#$%&()+,-.:;<=>?@[]^_{|}~';
const WRONG_NAMES = [
  undefined,
  null,
  1,
  true,
  {},
  [],
  '',
  'null',
  'ä',
  '😀',
  'x'.repeat(65),
  Symbol('x'),
];
// What a program without types may pass.
const any = <T>(value: unknown) => value as T;

/** A client on which calls reach a friendly server. */
const loggedIn = async () => (await makeLoggedIn()).client;

describe('names', () => {
  const isGood = (character: string) =>
    /[A-Za-z0-9]/.test(character) || ALLOWED.includes(character);

  // proves: rtm-2.2-set, rtm-2.2-control, rtm-2.2-apostrophe, rtm-2.1-names
  it('every ASCII character, in every kind of name', async () => {
    const { client } = makeClient();
    for (let code = 0; code < 0x80; code++) {
      const name = `a${String.fromCharCode(code)}b`;
      const create = () => client.createChannel(name);
      const invite = () => client.createLocalInvitation(name);
      if (isGood(String.fromCharCode(code))) {
        expect(create().channelId).toBe(name);
        expect(invite().calleeId).toBe(name);
      } else {
        expect(thrownCode(create), name).toBe(1);
        expect(thrownCode(invite), name).toBe(1);
        expect(await codeOf(client.login({ uid: name })), name).toBe(3);
        expect(await codeOf(client.getUserAttributes(name)), name).toBe(3);
        expect(await codeOf(client.getChannelAttributes(name)), name).toBe(3);
      }
    }
  });

  // proves: rtm-2.2-string, rtm-2.2-null, rtm-2.2-length, rtm-2.2-ascii, rtm-2.2-spaces, rtm-2.4-code
  // proves: rtm-2.4-sync
  it('wrong types and lengths', async () => {
    const { client } = makeClient();
    for (const name of WRONG_NAMES) {
      expect(thrownCode(() => client.createChannel(any(name)))).toBe(1);
      expect(thrownCode(() => client.createLocalInvitation(any(name)))).toBe(1);
      expect(await codeOf(client.login({ uid: any(name) }))).toBe(3);
    }
    for (const name of ['x', 'x'.repeat(64), 'Null', 'undefined', ' x ', '__proto__']) {
      expect(client.createChannel(name).channelId).toBe(name);
    }
  });

  // proves: rtm-8-character, rtm-8-numeric-uid
  it('texts help', () => {
    const { client } = makeClient();
    expect(() => client.createChannel(any(42))).toThrow(
      "channelId is the number 42, use a string: '42'",
    );
    expect(() => client.createChannel("Bob's")).toThrow(
      'has the character "\'" U+0027 at position 4',
    );
    expect(() => client.createChannel('x'.repeat(65))).toThrow('is 65 bytes long, at most 64');
  });
});

describe('createInstance', () => {
  // proves: rtm-1.2-create, rtm-1.2-create-areas, rtm-2.1-app-id, rtm-2.4-config, rtm-2.4-code, rtm-2.4-sync
  it('takes 32 letters or digits and any configuration', () => {
    expect(AgoraRTM.createInstance.length).toBe(1);
    for (const config of [undefined, {}, { unknown: 1 }, null]) {
      expect(AgoraRTM.createInstance(APP_ID, any(config)).connectionState).toBe('DISCONNECTED');
    }
    expect(AgoraRTM.createInstance(APP_ID, {}, 'nonsense')).toBeDefined();
    for (const appId of [
      undefined,
      null,
      1,
      '',
      APP_ID.slice(1),
      `${APP_ID}0`,
      `${APP_ID.slice(1)}-`,
      `${APP_ID}\n`,
    ]) {
      expect(
        thrownCode(() => AgoraRTM.createInstance(any(appId))),
        String(appId),
      ).toBe(1);
    }
  });
});

describe('order of checks', () => {
  // proves: rtm-2.3-login, rtm-2.5-no-argument, rtm-2.5-token-optional, rtm-3.1-bad-login
  it('login: uid, token, spacing, state', async () => {
    const { client, world, take } = makeClient();
    for (const options of [undefined, null, 'x', {}])
      expect(await codeOf(client.login(any(options)))).toBe(3);
    for (const token of [1, true, {}, []]) {
      expect(await codeOf(client.login({ uid: 'alice', token: any(token) }))).toBe(3);
    }
    expect(take()).toEqual([]);
    await client.login({ uid: 'alice', token: null });
    expect(await codeOf(client.login({ uid: '' }))).toBe(3);
    expect(await codeOf(client.login({ uid: 'alice', token: any(5) }))).toBe(3);
    expect(await codeOf(client.login({ uid: 'alice' }))).toBe(10);
    await world.advance(500);
    expect(await codeOf(client.login({ uid: 'alice' }))).toBe(8);
    for (const token of [undefined, '']) {
      const other = makeClient();
      await other.client.login({ uid: 'alice', token });
    }
  });

  it('without an endpoint login rejects with 3 and no event', async () => {
    const client = AgoraRTM.createInstance(APP_ID);
    const error = await client.login({ uid: 'alice' }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 3, message: expect.stringContaining('TIDINGS_ENDPOINT') });
  });

  // proves: rtm-2.3-peer-message, rtm-2.1-text, rtm-2.1-utf8
  it('sendMessageToPeer: shape, login, peer, size', async () => {
    const out = makeClient().client;
    expect(await codeOf(out.sendMessageToPeer(any(undefined), ''))).toBe(7);
    expect(await codeOf(out.sendMessageToPeer({ text: 'x'.repeat(40_000) }, ''))).toBe(102);
    const client = await loggedIn();
    for (const name of WRONG_NAMES) {
      expect(await codeOf(client.sendMessageToPeer({ text: 'x'.repeat(40_000) }, any(name)))).toBe(
        6,
      );
    }
    expect(await codeOf(client.sendMessageToPeer({ text: 'x'.repeat(32_769) }, 'bob'))).toBe(7);
    expect(await codeOf(client.sendMessageToPeer({ text: 'ä'.repeat(16_385) }, 'bob'))).toBe(7);
    expect(await client.sendMessageToPeer({ text: 'ä'.repeat(16_384) }, 'bob')).toEqual({
      hasPeerReceived: true,
    });
  });

  // proves: rtm-2.3-channel-message, rtm-2.1-text
  it('channel messages: shape, login, joined, size', async () => {
    const { client: out } = makeClient();
    const never = out.createChannel('room');
    expect(await codeOf(never.sendMessage(any({})))).toBe(4);
    expect(await codeOf(never.sendMessage({ text: 'x' }))).toBe(102);
    const recorder = await makeLoggedIn();
    const other = recorder.client.createChannel('other');
    expect(await codeOf(other.sendMessage({ text: 'x'.repeat(40_000) }))).toBe(5);
    const room = await join(recorder);
    expect(await codeOf(room.sendMessage({ text: 'x'.repeat(32_769) }))).toBe(4);
    await room.sendMessage({ text: 'x'.repeat(32_768) });
  });

  // proves: rtm-2.3-membership, rtm-2.14-already, rtm-2.14-other-object, rtm-2.14-not-logged-in
  // proves: rtm-2.15-not-joined, rtm-2.15-again
  it('join, leave, getMembers: login, joined', async () => {
    const never = makeClient().client.createChannel('room');
    expect(
      await Promise.all([never.join(), never.leave(), never.getMembers()].map(codeOf)),
    ).toEqual([102, 102, 102]);
    const recorder = await makeLoggedIn();
    const room = recorder.client.createChannel('room');
    expect(await codeOf(room.leave())).toBe(3);
    expect(await codeOf(room.getMembers())).toBe(5);
    const joining = room.join();
    expect(await codeOf(room.join())).toBe(6);
    await joining;
    expect(await codeOf(room.join())).toBe(6);
    expect(await codeOf(recorder.client.createChannel('room').join())).toBe(202);
    await room.leave();
    await room.join();
  });

  // proves: rtm-2.3-renew
  it('renewToken: a string, login', async () => {
    const { client } = makeClient();
    for (const token of [undefined, null, 1, {}])
      expect(await codeOf(client.renewToken(any(token)))).toBe(2);
    expect(await codeOf(client.renewToken('t'))).toBe(102);
    expect(await codeOf((await loggedIn()).renewToken('x'.repeat(4_097)))).toBe(6);
  });

  const lists: [
    string,
    (client: RtmClient, list: unknown) => Promise<unknown>,
    number,
    number,
    number,
  ][] = [
    [
      'queryPeersOnlineStatus',
      (client, list) => client.queryPeersOnlineStatus(any(list)),
      2,
      256,
      2,
    ],
    [
      'subscribePeersOnlineStatus',
      (client, list) => client.subscribePeersOnlineStatus(any(list)),
      2,
      512,
      6,
    ],
    [
      'unsubscribePeersOnlineStatus',
      (client, list) => client.unsubscribePeersOnlineStatus(any(list)),
      2,
      512,
      6,
    ],
    ['getChannelMemberCount', (client, list) => client.getChannelMemberCount(any(list)), 2, 32, 5],
  ];
  // proves: rtm-2.3-lists, rtm-2.9-arguments, rtm-2.1-count-channels, rtm-2.1-query-users
  // proves: rtm-2.1-subscribe-users, rtm-2.1-unsubscribe-users
  it.each(lists)('%s: login, then the list', async (_, call, bad, max, overflow) => {
    expect(await codeOf(call(makeClient().client, undefined))).toBe(102);
    const client = await loggedIn();
    for (const list of [undefined, null, 'bob', {}, 1, [], [''], ['bob', null], ['bob', 'ä']]) {
      expect(await codeOf(call(client, list)), JSON.stringify(list)).toBe(bad);
    }
    const names = Array.from({ length: max + 1 }, (__, at) => `u${at}`);
    expect(await codeOf(call(client, names))).toBe(overflow);
    await call(client, names.slice(1));
  });

  // proves: rtm-2.10-option, rtm-2.3-lists
  it('queryPeersBySubscriptionOption: login, then the option', async () => {
    expect(await codeOf(makeClient().client.queryPeersBySubscriptionOption(any('x')))).toBe(102);
    const client = await loggedIn();
    expect(await codeOf(client.queryPeersBySubscriptionOption(any('x')))).toBe(1);
    expect(await client.queryPeersBySubscriptionOption('ONLINE_STATUS')).toEqual(['alice', 'bob']);
  });
});

describe('message shapes', () => {
  const wrong: unknown[] = [
    undefined,
    null,
    'x',
    1,
    [],
    {},
    { text: 1 },
    { text: null },
    { text: 'x', rawMessage: Uint8Array.of(1) },
    { rawMessage: [1] },
    { rawMessage: new ArrayBuffer(1) },
    { rawMessage: new Uint16Array(1) },
    { rawMessage: new DataView(new ArrayBuffer(1)) },
    { rawMessage: Uint8Array.of(1), description: 5 },
  ];
  // proves: rtm-2.3-shape
  it.each(wrong.map((message) => [message]))('%o is refused', async (message) => {
    expect(await codeOf((await loggedIn()).sendMessageToPeer(any(message), 'bob'))).toBe(7);
  });

  const good: unknown[] = [
    { text: '' },
    { text: 'x', messageType: 'NONSENSE', extra: 1 },
    { rawMessage: new Uint8Array(0) },
    { rawMessage: Buffer.from('x'), description: 'd' },
    runInNewContext("({ text: 'other realm' })"),
    runInNewContext('({ rawMessage: new Uint8Array([1, 2]) })'),
    Object.create(null, { text: { value: 'x', enumerable: true } }),
  ];
  // proves: rtm-2.3-shape, rtm-2.3-realm, rtm-2.19-literals
  it.each(good.map((message) => [message]))('%o is sent', async (message) => {
    expect(await (await loggedIn()).sendMessageToPeer(any(message), 'bob')).toEqual({
      hasPeerReceived: true,
    });
  });

  // proves: rtm-2.1-raw
  it('raw data and description count together', async () => {
    const client = await loggedIn();
    const rawMessage = new Uint8Array(32_767);
    await client.sendMessageToPeer({ rawMessage, description: 'd' }, 'bob');
    expect(await codeOf(client.sendMessageToPeer({ rawMessage, description: 'dd' }, 'bob'))).toBe(
      7,
    );
  });

  // proves: rtm-1.4-send-options
  it('options reach the server', async () => {
    const { client, world } = await makeLoggedIn();
    await client.sendMessageToPeer({ text: 'x' }, 'bob', {
      enableOfflineMessaging: true,
      enableHistoricalMessaging: true,
    });
    await client.sendMessageToPeer({ text: 'x' }, 'bob', any('nonsense'));
    expect(world.connection.requests.map(({ call }) => call?.value)).toMatchObject([
      { offline: true, history: true },
      { offline: false, history: false },
    ]);
  });

  // proves: rtm-2.19-copy
  it('createMessage copies and fills in', () => {
    const { client } = makeClient();
    const given = { text: 'x' };
    const made = client.createMessage(given);
    expect(made).toEqual({ text: 'x', messageType: 'TEXT' });
    expect(made).not.toBe(given);
    expect(client.createMessage({ rawMessage: Uint8Array.of(1) })).toEqual({
      rawMessage: Uint8Array.of(1),
      description: '',
      messageType: 'RAW',
    });
    expect(client.createMessage({ messageType: 'FILE', mediaId: 'm' })).toEqual({
      messageType: 'FILE',
      mediaId: 'm',
      fileName: '',
      description: '',
      size: 0,
      thumbnail: undefined,
    });
  });

  it('a file or an image message has the shape that the API says', async () => {
    const recorder = await makeLoggedIn();
    const { client } = recorder;
    const channel = await join(recorder);
    const image = { mediaId: 'm', messageType: 'IMAGE' };
    const wrong = [
      { mediaId: '' },
      { mediaId: 7 },
      { mediaId: 'm'.repeat(65) },
      { mediaId: 'ä' },
      { thumbnail: 'x' },
      { thumbnail: new Blob([new Uint8Array(32_768)]), fileName: 'n' },
      { fileName: 7 },
      { size: -1 },
      { width: Number.NaN },
      { height: '3' },
    ];
    for (const fields of wrong) {
      expect(await codeOf(client.sendMessageToPeer(any({ ...image, ...fields }), 'bob'))).toBe(7);
      expect(await codeOf(channel.sendMessage(any({ ...image, ...fields })))).toBe(4);
    }
  });
});
