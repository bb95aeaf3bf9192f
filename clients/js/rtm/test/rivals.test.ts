/** Several clients of one user in one program: the later login wins, whatever the network does. */
import { expect, it } from 'vitest';
import { RtmClient } from '../src/client.js';
import { LOG_FILTER_OFF } from '../src/log.js';
import { APP_ID, codeOf } from './support/client.js';
import { World, friendly } from './support/world.js';

function makeWorld(): World {
  const world = new World();
  world.answer = friendly;
  world.chance = 0.5;
  return world;
}

function make(world: World, endpoint = 'http://server.test') {
  const client = new RtmClient(APP_ID, { endpoint, logFilter: LOG_FILTER_OFF }, world);
  const states: string[] = [];
  client.on('ConnectionStateChanged', (state, reason) => void states.push(`${state} ${reason}`));
  return { client, states };
}

const logins = (world: World) =>
  world.connections.flatMap(({ messages }) => messages.map(({ is }) => is));

it('the earlier login is held back until the later one has succeeded, and is over then', async () => {
  const world = makeWorld();
  const [first, second] = [make(world), make(world)];
  const given = codeOf(first.client.login({ uid: 'alice' }));
  const taken = second.client.login({ uid: 'alice' });
  await world.advance(20);
  await taken;
  expect(await given).toBe(1);
  expect(first.states).toEqual(['CONNECTING LOGIN', 'DISCONNECTED LOGIN_FAILURE']);
  expect(second.states).toEqual(['CONNECTING LOGIN', 'CONNECTED LOGIN_SUCCESS']);
  expect(logins(world)).toEqual(['login']);
});

it('the earlier login goes on when the later one is refused, or given up', async () => {
  for (const end of ['refused', 'logout']) {
    const world = makeWorld();
    const [first, second] = [make(world), make(world)];
    const taken = first.client.login({ uid: 'alice' });
    const failed = codeOf(
      second.client.login({ uid: 'alice', token: 'x'.repeat(end === 'refused' ? 5_000 : 1) }),
    );
    if (end === 'logout') await second.client.logout();
    await world.advance(50);
    await taken;
    expect(await failed).toBe(end === 'refused' ? 5 : 1);
    expect(first.client.connectionState).toBe('CONNECTED');
  }
});

it('of three, the last', async () => {
  const world = makeWorld();
  const made = [make(world), make(world), make(world)];
  const ends = made.map(({ client }) =>
    client.login({ uid: 'alice' }).then(
      () => 0,
      (error: { code: number }) => error.code,
    ),
  );
  await world.advance(50);
  expect(await Promise.all(ends)).toEqual([1, 1, 0]);
});

it('one that is connected stays so until the server ends it, and does not come back after that was lost', async () => {
  const world = makeWorld();
  const [first, second] = [make(world), make(world)];
  await first.client.login({ uid: 'alice' });
  const [connection] = world.connections;
  const taken = second.client.login({ uid: 'alice' });
  expect(world.connections).toHaveLength(1);
  await world.advance(10);
  await taken;
  expect(first.client.connectionState).toBe('CONNECTED');
  connection?.end(1006);
  await world.advance(5_000);
  expect(first.states.at(-1)).toBe('ABORTED REMOTE_LOGIN');
  expect(world.connections).toHaveLength(2);
});

it('one that reconnects does not throw the later one out', async () => {
  const world = makeWorld();
  const [first, second] = [make(world), make(world)];
  await first.client.login({ uid: 'alice' });
  world.network = 'refuse';
  world.connection.end(1006);
  await world.advance(6_000);
  const taken = second.client.login({ uid: 'alice' });
  await world.advance(1_000);
  const before = world.connections.length;
  world.network = 'open';
  await world.advance(5_000);
  await taken;
  expect(first.client.connectionState).toBe('ABORTED');
  // The first one has not tried again meanwhile.
  expect(world.connections).toHaveLength(before + 1);
});

it("other users and other servers are nobody's rivals", async () => {
  const world = makeWorld();
  const made = [make(world), make(world), make(world, 'http://other.test')];
  await Promise.all(
    made.map(({ client }, at) => client.login({ uid: at === 1 ? 'bob' : 'alice' })),
  );
  expect(made.map(({ client }) => client.connectionState)).toEqual([
    'CONNECTED',
    'CONNECTED',
    'CONNECTED',
  ]);
});

it('nothing is kept of logins that are over', async () => {
  const world = makeWorld();
  const { client } = make(world);
  await client.login({ uid: 'alice' });
  expect(world.rivals().size).toBe(1);
  await client.logout();
  expect(world.rivals().size).toBe(0);
});

it('a login that is given up when the server may have it is ended there', async () => {
  const world = makeWorld();
  world.answer = () => undefined;
  const { client } = make(world);
  const given = codeOf(client.login({ uid: 'alice' }));
  await world.advance(1);
  const { connection } = world;
  expect(connection.messages.map(({ is }) => is)).toEqual(['login']);
  await client.logout();
  expect(await given).toBe(1);
  expect(connection.closeCode).toBeUndefined();
  connection.serve({ is: 'ping', value: {} });
  expect(connection.requests.map(({ call }) => call?.is)).toEqual(['logout']);
  expect(connection.closeCode).toBe(1000);
  expect(client.connectionState).toBe('DISCONNECTED');
});

it('and is closed after 5 s when nothing comes', async () => {
  const world = makeWorld();
  world.answer = () => undefined;
  const { client } = make(world);
  const given = codeOf(client.login({ uid: 'alice' }));
  await world.advance(1);
  await client.logout();
  await given;
  await world.advance(5_000);
  expect(world.connection.closeCode).toBe(1000);
  expect(world.timers).toBe(0);
});
