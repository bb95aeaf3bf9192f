/** Invitations: every call in every state. RTM 1.x semantics 6.1 to 6.4. */
import { describe, expect, it } from 'vitest';
import type { LocalInvitation, RemoteInvitation } from '../src/invitation.js';
import { makeClient, makeLoggedIn } from './support/client.js';
import type { World } from './support/world.js';

const ID = new Uint8Array(16).fill(9);

/** What a call threw: its code; `undefined` when it did not. All are thrown with the same name. */
function codeAt(run: () => void): number | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ name: 'RtmInvalidStatusError' });
    return (error as { code: number }).code;
  }
}

async function local(): Promise<{ invitation: LocalInvitation; world: World; seen: unknown[][] }> {
  const { client, world } = await makeLoggedIn();
  const invitation = client.createLocalInvitation('bob');
  const seen: unknown[][] = [];
  invitation.on(
    'LocalInvitationReceivedByPeer',
    (...args) => void seen.push(['received', ...args]),
  );
  invitation.on(
    'LocalInvitationAccepted',
    (...args) => void seen.push(['accepted', ...args, invitation.response]),
  );
  invitation.on(
    'LocalInvitationRefused',
    (...args) => void seen.push(['refused', ...args, invitation.response]),
  );
  invitation.on('LocalInvitationCanceled', (...args) => void seen.push(['canceled', ...args]));
  invitation.on('LocalInvitationFailure', (...args) => void seen.push(['failure', ...args]));
  return { invitation, world, seen };
}

const ended = (end: number, response = '') =>
  ({ is: 'localInvitationEnded', value: { number: 1, end, response } }) as const;
const LOCAL_ENDS: [string, (it: LocalInvitation, world: World) => void][] = [
  ['accepted', (_, world) => world.connection.serve(ended(1, 'yes'))],
  ['refused', (_, world) => world.connection.serve(ended(2, 'no'))],
  ['canceled', (it) => it.cancel()],
  ['peer off line', (_, world) => world.connection.serve(ended(4))],
  ['no response', (_, world) => world.connection.serve(ended(5))],
  ['expired', (_, world) => world.connection.serve(ended(6))],
  ['lost login', (_, world) => world.connection.end(4010)],
];

describe('the caller', () => {
  // proves: rtm-6.3-cancel-idle, rtm-6.3-name
  it('IDLE: cancel is 2', async () => {
    const { invitation } = await local();
    expect(codeAt(() => invitation.cancel())).toBe(2);
    expect(invitation.state).toBe('IDLE');
  });

  // proves: rtm-6.3-send-sent, rtm-6.1-send, rtm-6.3-name
  it('sent and received: send is 5', async () => {
    const { invitation, world } = await local();
    expect(codeAt(() => invitation.send())).toBeUndefined();
    expect([invitation.state, codeAt(() => invitation.send())]).toEqual(['SENT_TO_REMOTE', 5]);
    world.connection.serve({ is: 'invitationReceived', value: { number: 1 } });
    expect([invitation.state, codeAt(() => invitation.send())]).toEqual(['RECEIVED_BY_REMOTE', 5]);
  });

  // proves: rtm-6.3-send-ended, rtm-6.3-cancel-ended, rtm-6.3-name, rtm-8-reused
  it.each(LOCAL_ENDS)(
    'ended (%s): send and cancel are 3, and the text says what to do',
    async (_, end) => {
      const { invitation, world } = await local();
      invitation.send();
      end(invitation, world);
      const { state } = invitation;
      expect(codeAt(() => invitation.send())).toBe(3);
      expect(codeAt(() => invitation.cancel())).toBe(3);
      expect(() => invitation.send()).toThrow('create a new one');
      expect(invitation.state).toBe(state);
    },
  );

  // proves: rtm-1.7-events, rtm-6.1-response-first
  it('events have their arguments, and the response is there before', async () => {
    const seen: unknown[] = [];
    for (const [, end] of LOCAL_ENDS.slice(0, 4)) {
      const made = await local();
      made.invitation.send();
      made.world.connection.serve({ is: 'invitationReceived', value: { number: 1 } });
      end(made.invitation, made.world);
      seen.push(made.seen);
    }
    expect(seen).toEqual([
      [['received'], ['accepted', 'yes', 'yes']],
      [['received'], ['refused', 'no', 'no']],
      [['received'], ['canceled']],
      [['received'], ['failure', 'PEER_OFFLINE']],
    ]);
  });

  // proves: rtm-6.1-fields-at-send
  it('content and channel are taken when it is sent', async () => {
    const { invitation, world } = await local();
    invitation.content = 'first';
    invitation.channelId = 'one';
    invitation.send();
    invitation.content = 'second';
    invitation.channelId = 'two';
    const calls = world.connection.requests.map(({ call }) => call?.value);
    expect(calls).toMatchObject([{ content: 'first', channel: 'one' }]);
  });

  // proves: rtm-8-field-named, rtm-6.3-oversized
  it('a field that is not possible is named, and may be set', async () => {
    const { invitation } = await local();
    invitation.content = 'x'.repeat(8_193);
    expect(() => invitation.send()).toThrow(/Error Code 1 - content is 8193 bytes long/);
    invitation.content = '';
    invitation.channelId = 'a/b';
    expect(() => invitation.send()).toThrow(/Error Code 1 - channelId/);
    expect(invitation.state).toBe('IDLE');
  });

  // proves: rtm-6.1-not-logged-in
  it('without a login: FAILURE with NOT_LOGGEDIN, nothing thrown', () => {
    const invitation = makeClient().client.createLocalInvitation('bob');
    const reasons: string[] = [];
    invitation.on('LocalInvitationFailure', (reason) => void reasons.push(reason));
    expect(codeAt(() => invitation.send())).toBeUndefined();
    expect([invitation.state, reasons]).toEqual(['FAILURE', ['NOT_LOGGEDIN']]);
  });
});

async function remote(): Promise<{
  invitation: RemoteInvitation;
  world: World;
  seen: unknown[][];
}> {
  const { client, world } = await makeLoggedIn();
  let come: RemoteInvitation | undefined;
  client.on('RemoteInvitationReceived', (invitation) => (come = invitation as RemoteInvitation));
  world.connection.serve({
    is: 'incomingInvitation',
    value: { id: ID, callerId: 'bob', content: 'hello', channel: 'c' },
  });
  if (!come) throw new Error('no invitation came');
  const invitation = come;
  const seen: unknown[][] = [];
  invitation.on('RemoteInvitationAccepted', (...args) => void seen.push(['accepted', ...args]));
  invitation.on('RemoteInvitationRefused', (...args) => void seen.push(['refused', ...args]));
  invitation.on('RemoteInvitationCanceled', (...args) => void seen.push(['canceled', ...args]));
  invitation.on('RemoteInvitationFailure', (...args) => void seen.push(['failure', ...args]));
  return { invitation, world, seen };
}

const over = (end: number) => ({ is: 'remoteInvitationEnded', value: { id: ID, end } }) as const;
const REMOTE_ENDS: [string, (it: RemoteInvitation, world: World) => void, unknown[]][] = [
  ['refused', (it) => it.refuse(), ['refused']],
  ['canceled', (_, world) => world.connection.serve(over(3)), ['canceled', 'hello']],
  ['expired', (_, world) => world.connection.serve(over(6)), ['failure', 'INVITATION_EXPIRE']],
  ['caller gone', (_, world) => world.connection.serve(over(9)), ['failure', 'PEER_OFFLINE']],
  ['lost login', (_, world) => world.connection.end(4010), ['failure', 'UNKNOWN']],
];

describe('the callee', () => {
  // proves: rtm-6.3-decide-ended, rtm-6.3-name, rtm-1.8-events, rtm-6.2-login-ends, rtm-6.2-canceled
  it.each(REMOTE_ENDS)('ended (%s): accept and refuse are 3', async (_, end, event) => {
    const { invitation, world, seen } = await remote();
    end(invitation, world);
    expect(seen).toEqual([event]);
    const { state } = invitation;
    expect(codeAt(() => invitation.accept())).toBe(3);
    expect(codeAt(() => invitation.refuse())).toBe(3);
    expect([invitation.state, seen]).toEqual([state, [event]]);
  });

  // proves: rtm-6.3-accept-twice, rtm-6.3-refuse-accepting, rtm-6.3-decide-ended, rtm-6.2-accept, rtm-1.8-events
  it('accepting: accept and refuse are 4; accepted: 3', async () => {
    const { invitation, world, seen } = await remote();
    invitation.accept();
    expect(invitation.state).toBe('ACCEPT_SENT_TO_LOCAL');
    expect([codeAt(() => invitation.accept()), codeAt(() => invitation.refuse())]).toEqual([4, 4]);
    world.connection.serve(over(1));
    expect(seen).toEqual([['accepted']]);
    expect([codeAt(() => invitation.accept()), codeAt(() => invitation.refuse())]).toEqual([3, 3]);
  });

  // proves: rtm-6.2-canceled
  it('cancelled while accepting: CANCELED', async () => {
    const { invitation, world, seen } = await remote();
    invitation.accept();
    world.connection.serve(over(3));
    expect([invitation.state, seen]).toEqual(['CANCELED', [['canceled', 'hello']]]);
  });

  // proves: rtm-6.2-response-taken, rtm-6.3-no-channel
  it('the response is taken at the decision; null and undefined are the empty text', async () => {
    const { invitation, world } = await remote();
    invitation.response = 'yes';
    invitation.accept();
    invitation.response = 'changed';
    expect(world.connection.requests.map(({ call }) => call?.value)).toMatchObject([
      { response: 'yes' },
    ]);
    for (const response of [null, undefined]) {
      const other = await remote();
      other.invitation.response = response as unknown as string;
      other.invitation.refuse();
      expect(other.world.connection.requests.map(({ call }) => call?.value)).toMatchObject([
        { response: '' },
      ]);
    }
  });
});

// proves: rtm-8-invitation-id
it('an open invitation that has come is found by its identifier, until it ends', async () => {
  const { client, world } = await makeLoggedIn();
  const ids: string[] = [];
  client.on('RemoteInvitationReceived', ({ invitationId }) => void ids.push(invitationId));
  world.connection.serve({
    is: 'incomingInvitation',
    value: { id: ID, callerId: 'bob', content: 'hello', channel: '' },
  });
  expect(ids).toEqual(['09'.repeat(16)]);
  const found = client.getRemoteInvitation(ids[0] ?? '');
  expect(found).toMatchObject({ callerId: 'bob', content: 'hello', state: 'INVITATION_RECEIVED' });
  found?.accept();
  expect(world.connection.requests.map(({ call }) => call)).toMatchObject([
    { is: 'acceptInvitation', value: { id: ID } },
  ]);
  world.connection.serve(over(1));
  expect([found?.state, client.getRemoteInvitation(ids[0] ?? '')]).toEqual(['ACCEPTED', undefined]);
  expect(client.getRemoteInvitation('nonsense')).toBeUndefined();
});
