/** Attributes: limits, codes and the order of checks. RTM 1.x semantics 2.1, 2.3, 2.11, 2.12. */
import { describe, expect, it } from 'vitest';
import type { RtmClient } from '../src/client.js';
import { codeOf, makeClient, makeLoggedIn } from './support/client.js';

const any = <T>(value: unknown) => value as T;
const numbered = (count: number, value: string) =>
  Object.fromEntries(
    Array.from({ length: count }, (_, at) => [`k${String(at).padStart(3, '0')}`, value]),
  );

type Write = (client: RtmClient, value: unknown) => Promise<void>;
const WRITES: [string, Write, number][] = [
  ['setLocalUserAttributes', (client, map) => client.setLocalUserAttributes(any(map)), 16_384],
  [
    'addOrUpdateLocalUserAttributes',
    (client, map) => client.addOrUpdateLocalUserAttributes(any(map)),
    16_384,
  ],
  ['setChannelAttributes', (client, map) => client.setChannelAttributes('room', any(map)), 32_768],
  [
    'addOrUpdateChannelAttributes',
    (client, map) => client.addOrUpdateChannelAttributes('room', any(map)),
    32_768,
  ],
];

describe.each(WRITES)('%s', (_, write, totalMax) => {
  const wrong: [string, unknown, number][] = [
    ['nothing', undefined, 3],
    ['null', null, 3],
    ['a text', 'x', 3],
    ['a list', [['a', 'b']], 3],
    ['no entry', {}, 3],
    ['an empty key', { '': 'x' }, 3],
    ['a key of 33 bytes', { ['k'.repeat(33)]: 'x' }, 3],
    ['a key of 34 bytes in 17 characters', { ['ä'.repeat(17)]: 'x' }, 3],
    ['a number', { a: 1 }, 3],
    ['null as value', { a: null }, 3],
    ['an empty value', { a: '' }, 3],
    ['a value of 8193 bytes', { a: 'x'.repeat(8_193) }, 4],
    ['a value of 8194 bytes in 4097 characters', { a: 'ä'.repeat(4_097) }, 4],
    ['33 entries', numbered(33, 'x'), 4],
    ['a bad key and a long value', { '': 'x', a: 'x'.repeat(9_000) }, 3],
    [
      'a total of one byte too many',
      { ...numbered(totalMax / 4_096 - 1, 'x'.repeat(4_092)), last: 'x'.repeat(4_093) },
      4,
    ],
  ];
  // proves: rtm-2.3-attribute-writes, rtm-2.1-key, rtm-2.1-value, rtm-2.1-entries, rtm-2.1-user-total
  // proves: rtm-2.1-channel-total, rtm-2.11-empty, rtm-2.11-text-only, rtm-2.1-utf8
  it.each(wrong)('%s: the code comes before 102', async (__, map, code) => {
    expect(await codeOf(write(makeClient().client, map))).toBe(code);
  });

  // proves: rtm-2.1-key, rtm-2.1-value, rtm-2.1-entries, rtm-2.1-user-total, rtm-2.1-channel-total
  it('what is just possible is sent', async () => {
    expect(await codeOf(write(makeClient().client, { a: 'x' }))).toBe(102);
    const { client, world } = await makeLoggedIn();
    await write(client, { ['k'.repeat(32)]: 'x'.repeat(8_192) });
    await write(client, numbered(32, 'x'));
    await write(client, {
      ...numbered(totalMax / 4_096 - 1, 'x'.repeat(4_092)),
      last: 'x'.repeat(4_092),
    });
    await write(client, { ['__proto__x']: 'x' });
    expect(world.connection.requests).toHaveLength(4);
  });
});

describe('deletions', () => {
  const deletions: [string, Write][] = [
    [
      'deleteLocalUserAttributesByKeys',
      (client, keys) => client.deleteLocalUserAttributesByKeys(any(keys)),
    ],
    [
      'deleteChannelAttributesByKeys',
      (client, keys) => client.deleteChannelAttributesByKeys('room', any(keys)),
    ],
  ];
  // proves: rtm-2.3-deletes, rtm-1.10-name-status
  it.each(deletions)('%s: keys, then login', async (_, remove) => {
    const { client } = makeClient();
    for (const keys of [undefined, null, 'a', {}, [''], [1], ['a', null]]) {
      expect(await codeOf(remove(client, keys))).toBe(3);
    }
    const error = await remove(client, []).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 3, name: 'RtmInvalidStatusError' });
    expect(await codeOf(remove(client, ['a']))).toBe(102);
    const many = Array.from({ length: 40 }, (__, at) => `${at}${'k'.repeat(40)}`);
    await remove((await makeLoggedIn()).client, many);
  });

  // proves: rtm-2.3-attribute-writes
  it('clearing looks at the login first', async () => {
    const { client } = makeClient();
    expect(await codeOf(client.clearChannelAttributes(any(5)))).toBe(102);
    expect(await codeOf(client.clearLocalUserAttributes())).toBe(102);
    expect(await codeOf((await makeLoggedIn()).client.clearChannelAttributes(any(5)))).toBe(3);
  });

  it('channel names are checked before the login elsewhere', async () => {
    const { client } = makeClient();
    expect(await codeOf(client.setChannelAttributes(any(5), { a: 'x' }))).toBe(3);
    expect(await codeOf(client.deleteChannelAttributesByKeys(any(5), ['a']))).toBe(3);
  });
});

describe('reading', () => {
  // proves: rtm-2.3-attribute-reads, rtm-2.3-reads-by-keys
  it('by id: id, then login; by keys: login, then id and keys', async () => {
    const { client } = makeClient();
    expect(await codeOf(client.getUserAttributes(any(5)))).toBe(3);
    expect(await codeOf(client.getChannelAttributes(any(5)))).toBe(3);
    expect(await codeOf(client.getUserAttributesByKeys(any(5), any(5)))).toBe(102);
    expect(await codeOf(client.getChannelAttributesByKeys(any(5), any(5)))).toBe(102);
    const other = (await makeLoggedIn()).client;
    expect(await codeOf(other.getUserAttributesByKeys(any(5), ['a']))).toBe(3);
    for (const keys of [undefined, [], ['']]) {
      expect(await codeOf(other.getUserAttributesByKeys('bob', any(keys)))).toBe(3);
      expect(await codeOf(other.getChannelAttributesByKeys('room', any(keys)))).toBe(3);
    }
  });

  // proves: rtm-1.4-attributes
  it('gives plain maps', async () => {
    const { client, world } = await makeLoggedIn();
    expect(await client.getUserAttributes('bob')).toEqual({ k: 'v' });
    expect(await client.getUserAttributesByKeys('bob', ['k', 'k'])).toEqual({ k: 'v' });
    expect(await client.getChannelAttributesByKeys('room', ['k'])).toEqual({
      k: { value: 'v', lastUpdateUserId: 'bob', lastUpdateTs: 5 },
    });
    expect(world.connection.requests.map(({ call }) => call?.value)).toEqual([
      { userId: 'bob', keys: [] },
      { userId: 'bob', keys: ['k'] },
      { channel: 'room', keys: ['k'] },
    ]);
  });

  // proves: rtm-1.4-attribute-options
  it('the notification option reaches the server', async () => {
    const { client, world } = await makeLoggedIn();
    await client.setChannelAttributes(
      'room',
      { a: 'x' },
      { enableNotificationToChannelMembers: true },
    );
    await client.clearChannelAttributes('room');
    expect(world.connection.requests.map(({ call }) => call?.value)).toMatchObject([
      { how: 0, notify: true },
      { how: 3, notify: false },
    ]);
  });
});
