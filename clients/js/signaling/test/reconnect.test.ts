/** Servers that end and come back, and connections that do not. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { APP, Person } from './support/person.js';
import { Server } from './support/server.js';

/** What the tests' script has built before. */
const BUILT = fileURLToPath(new URL('../dist/tidings-signaling.umd.js', import.meta.url));

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

const arrive = (account: string, tries?: number) =>
  new Person(`ws://${server.address}/legacy/${APP}`, account, undefined, tries);

test(
  'a killed server: everybody is back, in the channel, and nothing is lost or doubled',
  { timeout: 30_000 },
  async () => {
    const alice = await arrive('alice').logsIn();
    const bob = await arrive('bob').logsIn();
    await alice.joins('room');
    await bob.joins('room');
    // On the disk before alice is told.
    await alice.sends('carol', 'for later');
    await server.kill();
    await alice.sees('reconnecting 1');
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
    // A message that came twice would come before the last.
    const last = { bob: 'while the server was away', carol: 'for later' };
    for (const [name, { heard, seen }] of Object.entries({ bob, carol })) {
      await alice.sends(name, 'the last');
      await heard.sees('from alice 0 the last');
      const messages = seen.filter((line) => line.startsWith('from'));
      expect(messages).toEqual([
        `from alice 0 ${last[name as keyof typeof last]}`,
        'from alice 0 the last',
      ]);
    }
    for (const { session } of [alice, bob, carol]) session.logout();
    await Promise.all([alice, bob, carol].map((person) => person.sees('out 101')));
  },
);

test(
  'a server that stays away is given up after the stated number of attempts',
  { timeout: 30_000 },
  async () => {
    const dave = await arrive('dave', 3).logsIn();
    await server.kill();
    await dave.sees('out 102');
    expect(dave.seen).toEqual([
      'in number',
      'reconnecting 1',
      'reconnecting 2',
      'reconnecting 3',
      'reconnect failed',
      'out 102',
    ]);
    const erin = arrive('erin');
    await erin.sees('refused 201');
    expect(erin.session.getStatus()).toBe(0);
    await server.start();
  },
);

test('a logout while reconnecting ends it', { timeout: 20_000 }, async () => {
  const frank = await arrive('frank').logsIn();
  await server.kill();
  await frank.sees('reconnecting 1');
  frank.session.logout();
  expect(frank.seen.at(-1)).toBe('out 101');
  await server.start();
  // That it never comes back is proven where time is given; here, the server does not know it.
  const witness = await arrive('witness').logsIn();
  const status = await new Promise((resolve) =>
    witness.session.call2('user_query_user_status', { account: 'frank' }, (_error, body) =>
      resolve(body['status']),
    ),
  );
  expect([status, frank.seen.at(-1)]).toEqual([0, 'out 101']);
  witness.session.logout();
});

test('a program ends by itself after a logout', async () => {
  const program = `
    const signal = require(${JSON.stringify(BUILT)})('${APP}');
    signal.setup_debugging('ap_url', 'ws://${server.address}/legacy/${APP}');
    const session = signal.login('grace', '_no_need_token');
    session.onLoginSuccess = () => {
      session.channelJoin('room').onChannelJoined = () => session.logout();
    };
    session.onLogout = (code) => console.log('out', code);
  `;
  // Less than the test's own time, so that what is left shows as a signal here.
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', program], {
    timeout: 12_000,
  });
  expect(stdout).toBe('out 101\n');
});
