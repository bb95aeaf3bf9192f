/** All flows against the real program. */
import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Signal } from '../src/signal.js';
import { Heard } from './support/heard.js';
import { APP, Person } from './support/person.js';
import { Server } from './support/server.js';

let server: Server;
const people: Person[] = [];
let count = 0;

beforeAll(async () => {
  server = await Server.start('--phone-gateway', 'gateway');
});
afterEach(() => {
  for (const { session } of people.splice(0)) session.logout();
});
afterAll(() => server.stop());

/** A new account, so that no test meets another's messages. */
function named(name: string): string {
  count += 1;
  return `${name}${count}`;
}

function arrive(account: string): Person {
  const person = new Person(`ws://${server.address}/legacy/${APP}`, account);
  people.push(person);
  return person;
}

test('instant messages arrive, and their sender is told that the server has them', async () => {
  const [a, b] = [named('alice'), named('bob')];
  const alice = await arrive(a).logsIn();
  const bob = await arrive(b).logsIn();
  const results: boolean[] = [];
  alice.session.messageInstantSend(b, 'hello  bob\nsecond line', (isFailed) =>
    results.push(isFailed),
  );
  await bob.sees(`from ${a} 0 hello  bob\nsecond line`);
  bob.session.messageInstantSend(a, { an: 'object' });
  await alice.sees(`from ${b} 0 {"an":"object"}`);
  expect(results).toEqual([false]);
});

test('a thousand messages arrive once and in order', { timeout: 60_000 }, async () => {
  const [a, b] = [named('alice'), named('bob')];
  const alice = await arrive(a).logsIn();
  const bob = await arrive(b).logsIn();
  const numbers = Array.from({ length: 1_000 }, (_, number) => String(number));
  // The server holds back what comes faster than its rate, and refuses none.
  await Promise.all(numbers.map((number) => alice.sends(b, number)));
  // Of those, none comes after it.
  await alice.sends(b, 'the last');
  await bob.sees(`from ${a} 0 the last`);
  expect(bob.seen.slice(1)).toEqual([...numbers, 'the last'].map((text) => `from ${a} 0 ${text}`));
});

test('messages for somebody who is away are there at the login', async () => {
  const [a, b] = [named('alice'), named('bob')];
  const alice = await arrive(a).logsIn();
  const numbers = Array.from({ length: 45 }, (_, number) => String(number));
  await Promise.all(numbers.map((number) => alice.sends(b, number)));
  const bob = await arrive(b).logsIn();
  await bob.sees(`from ${a} 0 44`);
  expect(bob.seen).toEqual(['in number', ...numbers.map((number) => `from ${a} 0 ${number}`)]);
});

test('a channel: members, messages with an echo, attributes, one at a time', async () => {
  const [a, b, room] = [named('alice'), named('bob'), named('room')];
  const alice = await arrive(a).logsIn();
  const bob = await arrive(b).logsIn();
  await alice.joins(room);
  alice.channel?.channelSetAttr('topic', 'boats');
  await alice.sees('attr topic,boats,update');
  await bob.joins(room);
  await alice.sees(`+${b}`);
  await bob.sees('attr topic,boats,update');
  expect(bob.seen).toEqual(['in number', 'joined', `users ${a},${b}`, 'attr topic,boats,update']);
  const results: unknown[] = [];
  await new Promise<void>((resolve) =>
    alice.channel?.messageChannelSend('hi', (error) => {
      results.push(error);
      resolve();
    }),
  );
  await bob.sees(`#${a} hi`);
  await alice.sees(`#${a} hi`);
  bob.channel?.channelDelAttr('topic');
  await alice.sees('attr topic,,del');
  bob.channel?.channelClearAttr();
  await alice.sees('attr ,,clear');
  const old = bob.channel;
  await bob.joins(named('room'));
  await alice.sees(`-${b}`);
  expect(old?.state).toBe('leaved');
  let answer: string | undefined;
  old?.messageChannelSend('lost', (error) => (answer = error));
  expect(answer).toBe('not in channel');
  alice.channel?.channelLeave();
  await alice.sees('left 0');
  expect(results).toEqual([undefined]);
});

test('an invitation is accepted, another refused, another cancelled; tones reach the peer', async () => {
  const [a, b] = [named('alice'), named('bob')];
  const alice = await arrive(a).logsIn();
  const bob = await arrive(b).logsIn();
  const call = alice.watch(alice.session.channelInviteUser2('one', b, '{"media":"video"}'));
  await bob.sees(`invited one ${a} {"media":"video"}`);
  await alice.sees('ReceivedByPeer ');
  bob.calls[0]?.channelInviteAccept('yes');
  await alice.sees('AcceptedByPeer yes');
  call.channelInviteDTMF('42#');
  await bob.sees('Msg {"msgtype":"dtmf","msgdata":"42#"}');
  bob.calls[0]?.channelInviteEnd('bye');
  expect(bob.seen.at(-1)).toBe('EndByMyself ');
  await alice.sees('EndByPeer bye');

  alice.watch(alice.session.channelInviteUser2('two', b));
  await bob.sees(`invited two ${a} `);
  bob.calls[1]?.channelInviteRefuse('busy');
  await alice.sees('RefusedByPeer busy');

  const third = alice.watch(alice.session.channelInviteUser2('three', b));
  await bob.sees(`invited three ${a} `);
  third.channelInviteEnd();
  await bob.sees('EndByPeer ');

  alice.forget();
  alice.watch(alice.session.channelInviteUser2('four', 'nobody', '{"_require_peer_online":1}'));
  await alice.heard.until('Failed …', () => alice.seen.some((line) => line.startsWith('Failed')));
});

test('a telephone number is answered by the gateway, and hears tones', async () => {
  const a = named('alice');
  const gateway = await arrive('gateway').logsIn();
  const alice = await arrive(a).logsIn();
  const call = alice.watch(alice.session.channelInvitePhone('landline', '+442079460000', 'hello'));
  await gateway.sees(`invited landline ${a} {"extra":"hello","phone":"+442079460000"}`);
  gateway.calls[0]?.channelInviteAccept('ringing');
  await alice.sees('AcceptedByPeer ringing');
  call.channelInviteDTMF('7');
  // A gateway is a user like any other: tones are messages to it.
  await gateway.sees(`from ${a} 0 {"msgtype":"dtmf","msgdata":"7"}`);
});

test('queries and attributes by invoke', async () => {
  const [a, b] = [named('alice'), named('bob')];
  const alice = await arrive(a).logsIn();
  const ask = (name: string, args: Record<string, unknown>) =>
    new Promise<Record<string, unknown>>((resolve, reject) =>
      alice.session.invoke(`io.agora.signal.${name}`, args, (error, result) =>
        error === '' ? resolve(result) : reject(new Error(error)),
      ),
    );
  expect((await ask('user_query_user_status', { account: a }))['status']).toBe(1);
  expect((await ask('user_query_user_status', { account: b }))['status']).toBe(0);
  await ask('user_set_attr', { name: 'colour', value: 'teal' });
  expect((await ask('user_get_attr', { account: a, name: 'colour' }))['value']).toBe('teal');
  expect((await ask('user_get_attr_all', { account: a }))['json']).toEqual({ colour: 'teal' });
  const room = named('room');
  await alice.joins(room);
  expect((await ask('channel_query_num', { name: room }))['num']).toBe(1);
  expect((await ask('channel_query_user_isin', { name: room, account: a }))['isin']).toBe(1);
  expect((await ask('channel_query_userlist', { name: room }))['list']).toEqual([
    [a, alice.session.uid],
  ]);
  await expect(ask('no_such_function', {})).rejects.toThrow('unknown');
});

test('a second login ends the first, which does not come back', async () => {
  const a = named('alice');
  const first = await arrive(a).logsIn();
  const second = await arrive(a).logsIn();
  await first.sees('out 103');
  // That it does not is proven where time is given; here, the server knows the second.
  const b = named('bob');
  const bob = await arrive(b).logsIn();
  await bob.sends(a, 'which of you?');
  await second.sees(`from ${b} 0 which of you?`);
  expect(first.seen).toEqual(['in number', 'out 103']);
  expect([first, second].map(({ session }) => session.getStatus())).toEqual([0, 2]);
});

test('calls before the login wait for it, and are refused after the logout', async () => {
  const [a, b] = [named('alice'), named('bob')];
  const bob = await arrive(b).logsIn();
  const alice = arrive(a);
  alice.session.messageInstantSend(b, 'early');
  await bob.sees(`from ${a} 0 early`);
  alice.session.logout();
  await alice.sees('out 101');
  let isRefused: boolean | undefined;
  alice.session.messageInstantSend(b, 'late', (isFailed) => (isRefused = isFailed));
  expect(isRefused).toBe(true);
  expect(alice.session.channelJoin('room')).toBeUndefined();
});

test('a refused login says why', async () => {
  const guarded = await Server.start();
  guarded.command(
    'app',
    'create',
    '--id',
    'abcdefabcdefabcdefabcdefabcdefab',
    '--certificate',
    'fedcba9876543210fedcba9876543210',
  );
  const url = `ws://${guarded.address}/legacy/abcdefabcdefabcdefabcdefabcdefab`;
  const refused = async (token: string, account = 'alice') => {
    const signal = Signal('abcdefabcdefabcdefabcdefabcdefab');
    signal.setup_debugging('ap_url', url);
    return new Promise<number>((resolve) => {
      signal.login(account, token).onLoginFailed = (code: number) => resolve(code);
    });
  };
  expect(await refused('_no_need_token')).toBe(206);
  const app = 'abcdefabcdefabcdefabcdefabcdefab';
  const digest = createHash('md5')
    .update(`alice${app}fedcba9876543210fedcba98765432101514219634`)
    .digest('hex');
  // Tokens of this format are taken where they are switched on.
  expect(await refused(`1:${app}:1514219634:${digest}`)).toBe(206);
  guarded.command('app', 'set', app, 'legacy_tokens=true');
  expect(await refused(`1:${app}:1514219634:${digest}`)).toBe(204);
  expect(await refused('_no_need_token', 'with space')).toBe(209);
  await guarded.stop();
});

test('state libraries take no object of ours for plain data', async () => {
  const { session } = await arrive(named('alice')).logsIn();
  const ours = [
    Signal(APP),
    session,
    session.channelJoin(named('room')),
    session.channelInviteUser('c', 'nobody'),
  ];
  for (const object of ours)
    expect(Object.prototype.toString.call(object)).not.toBe('[object Object]');
});

test('a listener that throws hurts nobody', async () => {
  const [a, b] = [named('alice'), named('bob')];
  const thrown = new Heard('the page');
  const catcher = (error: unknown) => thrown.add(String(error));
  const before = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', catcher);
  const alice = await arrive(a).logsIn();
  const bob = await arrive(b).logsIn();
  const heard = bob.session.onMessageInstantReceive;
  bob.session.onMessageInstantReceive = () => {
    bob.session.onMessageInstantReceive = heard;
    throw new Error('the page is broken');
  };
  alice.session.messageInstantSend(b, 'one');
  alice.session.messageInstantSend(b, 'two');
  await bob.sees(`from ${a} 0 two`);
  await thrown.sees('Error: the page is broken');
  process.removeListener('uncaughtException', catcher);
  for (const listener of before) process.on('uncaughtException', listener);
  expect(thrown.lines).toEqual(['Error: the page is broken']);
});
