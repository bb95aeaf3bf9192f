/** Servers that end and come back, and connections that do not. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { APP, Person, pause } from './support/person.js';
import { Server } from './support/server.js';

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

const arrive = (account: string, tries?: number) => new Person(`ws://${server.address}/legacy/${APP}`, account, undefined, tries);

test('a killed server: everybody is back, in the channel, and nothing is lost or doubled', { timeout: 30_000 }, async () => {
  const alice = await arrive('alice').logsIn();
  const bob = await arrive('bob').logsIn();
  await alice.joins('room');
  await bob.joins('room');
  // On the disk before alice is told.
  const stored: boolean[] = [];
  alice.session.messageInstantSend('carol', 'for later', (isFailed) => stored.push(isFailed));
  await pause(300);
  expect(stored).toEqual([false]);
  await server.kill();
  await pause(300);
  expect(alice.session.getStatus()).toBe(3);
  alice.session.messageInstantSend('bob', 'while the server was away');
  await server.start();
  await alice.sees('back in [room]');
  await bob.sees('back in [room]');
  await bob.sees('from alice 0 while the server was away');
  bob.channel?.messageChannelSend('again');
  await alice.sees('#bob again');
  const carol = await arrive('carol').logsIn();
  await carol.sees('from alice 0 for later');
  await pause(1_500);
  for (const { seen } of [bob, carol]) {
    const messages = seen.filter((line) => line.startsWith('from'));
    expect(new Set(messages).size).toBe(messages.length);
  }
  for (const { session } of [alice, bob, carol]) session.logout();
  await Promise.all([alice, bob, carol].map((person) => person.sees('out 101')));
});

test('a server that stays away is given up after the stated number of attempts', { timeout: 30_000 }, async () => {
  const dave = await arrive('dave', 3).logsIn();
  await server.kill();
  await dave.sees('out 102');
  expect(dave.seen).toEqual(['in number', 'reconnecting 1', 'reconnecting 2', 'reconnecting 3', 'reconnect failed', 'out 102']);
  const erin = arrive('erin');
  await erin.sees('refused 201');
  expect(erin.session.getStatus()).toBe(0);
  await server.start();
});

test('a logout while reconnecting ends it', { timeout: 20_000 }, async () => {
  const frank = await arrive('frank').logsIn();
  await server.kill();
  await frank.sees('reconnecting 1');
  frank.session.logout();
  expect(frank.seen.at(-1)).toBe('out 101');
  await server.start();
  await pause(1_000);
  expect(frank.seen.at(-1)).toBe('out 101');
});

test('nothing is left after a logout', async () => {
  const grace = await arrive('grace').logsIn();
  await grace.joins('room');
  grace.session.logout();
  await grace.sees('out 101');
  await pause(200);
  const left = process.getActiveResourcesInfo().filter((name) => name === 'Timeout');
  expect(left.length).toBeLessThanOrEqual(2); // those of this test runner
});
