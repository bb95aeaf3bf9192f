/** Switches, logs and what must have no effect: RTM 1.x semantics 2.17, and the rules of section 8. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { AgoraRTM } from '../src/api.js';
import { RtmClient } from '../src/client.js';
import { APP_ID, codeOf, join, makeClient, makeLoggedIn } from './support/client.js';
import { World, friendly } from './support/world.js';

const lines: string[] = [];
beforeEach(() => {
  lines.splice(0);
  for (const level of ['log', 'warn', 'error', 'info', 'debug'] as const) {
    vi.spyOn(console, level).mockImplementation(
      (line: unknown) => void lines.push(`${level}: ${String(line)}`),
    );
  }
});
afterEach(() => vi.restoreAllMocks());

function makeWith(config: object): { client: RtmClient; world: World } {
  const world = new World();
  world.answer = friendly;
  return {
    world,
    client: new RtmClient(APP_ID, { endpoint: 'http://server.test', ...config }, world),
  };
}

/** A life with everything that is worth a line: a login, a gap, a lost link, an end by the server. */
async function live(client: RtmClient, world: World): Promise<void> {
  await client.login({ uid: 'alice', token: 'SECRET-TOKEN' });
  await client.renewToken('SECRET-TOKEN-2');
  world.connection.serve({
    is: 'gap',
    value: { source: { is: 'inbox', value: {} }, cause: 1, missed: 2 },
  });
  world.connection.end(1006);
  await world.advance(10_000);
  world.connection.end(4011);
  await client.logout();
}

describe('console lines', () => {
  // proves: rtm-2.17-default-level, rtm-2.17-lines
  it('by default are warnings and errors only', async () => {
    const { client, world } = makeWith({});
    await live(client, world);
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(line).toMatch(/^(warn: RTM:WARN|error: RTM:ERROR) /);
  });

  // proves: rtm-2.17-lines, rtm-2.17-config
  it('begin with their level, and the filter decides, also later', async () => {
    const { client, world } = makeWith({ logFilter: AgoraRTM.LOG_FILTER_OFF });
    await live(client, world);
    expect(lines).toEqual([]);
    client.updateConfig({ logFilter: AgoraRTM.LOG_FILTER_INFO });
    await world.advance(1_000);
    await live(client, world);
    expect(lines.some((line) => line.startsWith('log: RTM:INFO '))).toBe(true);
    client.setParameters({ logFilter: AgoraRTM.LOG_FILTER_ERROR });
    lines.splice(0);
    await world.advance(1_000);
    await live(client, world);
    for (const line of lines) expect(line).toMatch(/^error: RTM:ERROR /);
  });

  // proves: rtm-2.17-no-tokens
  it('never have a token or the content of a message', async () => {
    const { client, world } = makeWith({ logFilter: AgoraRTM.LOG_FILTER_DEBUG });
    await live(client, world);
    await world.advance(1_000);
    await client.login({ uid: 'alice', token: 'SECRET-TOKEN' });
    await client.sendMessageToPeer({ text: 'SECRET-TEXT' }, 'bob');
    expect(lines.length).toBeGreaterThan(0);
    expect(lines.filter((line) => line.includes('SECRET'))).toEqual([]);
  });
});

describe('without effect', () => {
  // proves: rtm-2.17-no-upload, rtm-2.17-cloud-proxy, rtm-2.17-area-no-effect, rtm-1.5-event-fallback-proxy
  it('areas, cloud proxy and log upload: only the endpoint is ever contacted, no proxy is told', async () => {
    const fetched = vi
      .spyOn(globalThis, 'fetch')
      .mockRejectedValue(new Error('nothing may be fetched'));
    AgoraRTM.setArea({ areaCodes: ['CHINA'] });
    const { client, world } = makeWith({ enableLogUpload: true, enableCloudProxy: true });
    let proxies = 0;
    client.on('FallbackProxyConnected', () => proxies++);
    await live(client, world);
    world.network = 'refuse';
    world.chance = 0.5;
    await world.advance(1_000);
    const failed = codeOf(client.login({ uid: 'alice' }));
    await world.advance(60_000);
    expect(await failed).toBe(9);
    AgoraRTM.setArea({ areaCodes: ['GLOBAL'] });
    expect(new Set(world.connections.map(({ url }) => url))).toEqual(
      new Set(['ws://server.test/rtm']),
    );
    expect(fetched).not.toHaveBeenCalled();
    expect(proxies).toBe(0);
  });

  // proves: rtm-2.1-sdk-no-throttle
  it('rates: the SDK sends whatever it is asked for', async () => {
    const recorder = await makeLoggedIn();
    const room = await join(recorder);
    const { client, world } = recorder;
    await Promise.all([
      ...Array.from({ length: 400 }, () => client.sendMessageToPeer({ text: 'x' }, 'bob')),
      ...Array.from({ length: 50 }, () => room.getMembers()),
      ...Array.from({ length: 50 }, () => client.getChannelMemberCount(['room'])),
    ]);
    expect(world.connection.requests).toHaveLength(501);
  });

  // proves: rtm-1.11-token-shape
  it('the shape of a token: whatever text it is goes to the server', async () => {
    for (const token of ['x', '006', '1:2:3:4', '_no_need_token']) {
      const { client, world } = makeClient();
      await client.login({ uid: 'alice', token });
      expect(world.connection.messages[0]).toMatchObject({ is: 'login', value: { token } });
    }
  });
});

// proves: rtm-2.1-instances, rtm-2.4-instances
it('many clients of one app live side by side, each a login of its own', async () => {
  const made = Array.from({ length: 50 }, () => makeClient());
  await Promise.all(made.map(({ client }, at) => client.login({ uid: `u${at}` })));
  expect(made.map(({ client }) => client.connectionState)).toEqual(made.map(() => 'CONNECTED'));
  await made[0]?.client.logout();
  expect(made.filter(({ client }) => client.connectionState === 'CONNECTED')).toHaveLength(49);
});

// proves: rtm-8-null
it('null as any argument gives the code of the family', async () => {
  const none = null as never;
  const recorder = await makeLoggedIn();
  const { client } = recorder;
  const room = await join(recorder);
  const calls: [string, Promise<unknown>, number][] = [
    ['login', makeClient().client.login(none), 3],
    ['renewToken', client.renewToken(none), 2],
    ['sendMessageToPeer', client.sendMessageToPeer(none, 'bob'), 7],
    ['sendMessageToPeer to', client.sendMessageToPeer({ text: 'x' }, none), 6],
    ['sendMessage', room.sendMessage(none), 4],
    ['queryPeersOnlineStatus', client.queryPeersOnlineStatus(none), 2],
    ['subscribePeersOnlineStatus', client.subscribePeersOnlineStatus(none), 2],
    ['unsubscribePeersOnlineStatus', client.unsubscribePeersOnlineStatus(none), 2],
    ['queryPeersBySubscriptionOption', client.queryPeersBySubscriptionOption(none), 1],
    ['setLocalUserAttributes', client.setLocalUserAttributes(none), 3],
    ['addOrUpdateLocalUserAttributes', client.addOrUpdateLocalUserAttributes(none), 3],
    ['deleteLocalUserAttributesByKeys', client.deleteLocalUserAttributesByKeys(none), 3],
    ['getUserAttributes', client.getUserAttributes(none), 3],
    ['getUserAttributesByKeys', client.getUserAttributesByKeys(none, none), 3],
    ['setChannelAttributes', client.setChannelAttributes(none, none), 3],
    ['addOrUpdateChannelAttributes', client.addOrUpdateChannelAttributes('room', none), 3],
    ['deleteChannelAttributesByKeys', client.deleteChannelAttributesByKeys('room', none), 3],
    ['clearChannelAttributes', client.clearChannelAttributes(none), 3],
    ['getChannelAttributes', client.getChannelAttributes(none), 3],
    ['getChannelAttributesByKeys', client.getChannelAttributesByKeys('room', none), 3],
    ['getChannelMemberCount', client.getChannelMemberCount(none), 2],
  ];
  for (const [method, call, code] of calls) expect(await codeOf(call), method).toBe(code);
  for (const run of [
    () => AgoraRTM.createInstance(none),
    () => client.createChannel(none),
    () => client.createLocalInvitation(none),
  ]) {
    expect(run).toThrow(expect.objectContaining({ code: 1, name: 'RtmInvalidArgumentError' }));
  }
  await client.sendMessageToPeer({ text: 'x' }, 'bob', none);
  await room.sendMessage({ text: 'x' }, none);
  expect(() => client.updateConfig(none)).not.toThrow();
  expect(() => client.setParameters(none)).not.toThrow();
  expect(client.createMessage(none)).toEqual({});
});

// proves: rtm-1.10-set-area
it('a bad area is an RtmInvalidArgumentError without a code', () => {
  try {
    AgoraRTM.setArea({ areaCodes: ['MARS'] as never });
  } catch (error) {
    expect(error).toMatchObject({ name: 'RtmInvalidArgumentError' });
    expect(error).not.toHaveProperty('code');
    return;
  }
  throw new Error('nothing was thrown');
});

// proves: rtm-8-login-retries
it('a login that fails for want of a link says how often and how it was tried', async () => {
  const { client, world } = makeClient();
  world.network = 'refuse';
  world.chance = 0.5;
  const failure = client.login({ uid: 'alice' }).catch((error: unknown) => error);
  await world.advance(12_000);
  expect(await failure).toMatchObject({
    code: 9,
    message: expect.stringMatching(/12000 ms and \d+ attempts.*refused/),
  });
  expect(world.connections.length).toBeGreaterThan(1);
});
