/** Call invitations: both objects against a server that the test plays. RTM 1.x semantics 6.1 to 6.3. */
import { describe, expect, it } from 'vitest';
import { type LocalInvitation, RemoteInvitation } from '../src/invitation.js';
import { makeClient, makeLoggedIn, thrownCode } from './support/client.js';
import { holdTimers, raised } from './support/raised.js';
import { type World, refused, welcome } from './support/world.js';
import type AgoraRTM from '../types/index.mjs';

function record(invitation: LocalInvitation): unknown[] {
  const seen: unknown[] = [];
  invitation.on('LocalInvitationReceivedByPeer', () => void seen.push('received'));
  invitation.on('LocalInvitationAccepted', (response) => void seen.push(`accepted ${response}`));
  invitation.on('LocalInvitationRefused', (response) => void seen.push(`refused ${response}`));
  invitation.on('LocalInvitationCanceled', () => void seen.push('canceled'));
  invitation.on('LocalInvitationFailure', (reason) => void seen.push(reason));
  return seen;
}
/** The calls that the server was sent. */
const calls = (world: World) =>
  world.connection.requests.flatMap(({ call }) => (call ? [call] : []));

describe('LocalInvitation', () => {
  // proves: rtm-1.7-fields, rtm-1.7-response-read-only, rtm-6.3-cancel-idle
  it('begins idle and empty', () => {
    const invitation = makeClient().client.createLocalInvitation('bob');
    expect(invitation).toMatchObject({
      calleeId: 'bob',
      content: '',
      channelId: '',
      response: '',
      state: 'IDLE',
    });
    expect(thrownCode(() => (invitation.response = 'x'))).toBe(1);
    expect(thrownCode(() => invitation.cancel())).toBe(2);
  });

  // proves: rtm-6.1-not-logged-in, rtm-6.3-send-ended
  it('without a login fails synchronously', () => {
    const invitation = makeClient().client.createLocalInvitation('bob');
    const seen = record(invitation);
    invitation.send();
    expect([invitation.state, seen]).toEqual(['FAILURE', ['NOT_LOGGEDIN']]);
    expect(thrownCode(() => invitation.send())).toBe(3);
    expect(thrownCode(() => invitation.cancel())).toBe(3);
  });

  // proves: rtm-6.1-connecting
  it('while connecting is sent and fails soon', async () => {
    holdTimers();
    const { client, world } = makeClient();
    world.network = 'silent';
    void client.login({ uid: 'alice' }).catch(() => undefined);
    const invitation = client.createLocalInvitation('bob');
    const seen = record(invitation);
    invitation.send();
    await world.settle();
    expect([invitation.state, seen]).toEqual(['SENT_TO_REMOTE', []]);
    expect(raised()).toEqual([]);
    expect([invitation.state, seen]).toEqual(['FAILURE', ['NOT_LOGGEDIN']]);
  });

  // proves: rtm-6.1-send, rtm-6.1-accepted, rtm-6.3-send-sent, rtm-6.1-response-first, rtm-6.1-received
  it('is sent once, received, and accepted only after the SDK has confirmed', async () => {
    const { client, world } = await makeLoggedIn();
    const invitation = client.createLocalInvitation('bob');
    const seen = record(invitation);
    Object.assign(invitation, { content: 'hello', channelId: 'room' });
    invitation.send();
    expect(invitation.state).toBe('SENT_TO_REMOTE');
    expect(thrownCode(() => invitation.send())).toBe(5);
    expect(calls(world)).toEqual([
      {
        is: 'invite',
        value: { number: 1, calleeId: 'bob', content: 'hello', channel: 'room', type: '' },
      },
    ]);
    world.connection.serve({ is: 'invitationReceived', value: { number: 1 } });
    expect([invitation.state, seen]).toEqual(['RECEIVED_BY_REMOTE', ['received']]);
    world.connection.serve({ is: 'acceptAsked', value: { number: 1, response: 'yes' } });
    expect([invitation.state, calls(world)[1]]).toEqual([
      'RECEIVED_BY_REMOTE',
      { is: 'confirmAccept', value: { number: 1 } },
    ]);
    expect(thrownCode(() => invitation.cancel())).toBe(4);
    world.connection.serve(
      { is: 'localInvitationEnded', value: { number: 1, end: 1, response: 'yes' } },
      { is: 'localInvitationEnded', value: { number: 1, end: 6 } },
    );
    expect([invitation.state, invitation.response, seen]).toEqual([
      'ACCEPTED_BY_REMOTE',
      'yes',
      ['received', 'accepted yes'],
    ]);
    expect(thrownCode(() => invitation.cancel())).toBe(3);
  });

  // proves: rtm-6.4-accept-cancel
  it('that is cancelled is never confirmed, and its end is told once', async () => {
    const { client, world } = await makeLoggedIn();
    const invitation = client.createLocalInvitation('bob');
    const seen = record(invitation);
    invitation.send();
    invitation.cancel();
    world.connection.serve(
      { is: 'acceptAsked', value: { number: 1 } },
      { is: 'localInvitationEnded', value: { number: 1, end: 5 } },
    );
    expect(calls(world).map(({ is }) => is)).toEqual(['invite', 'cancelInvitation']);
    expect([invitation.state, seen]).toEqual(['CANCELED', ['canceled']]);
  });

  // proves: rtm-6.1-error
  it('fails with the reason that the server tells', async () => {
    const reasons: [number, unknown][] = [
      [0, 'UNKNOWN'],
      [2, 'refused busy'],
      [4, 'PEER_OFFLINE'],
      [5, 'PEER_NO_RESPONSE'],
      [6, 'INVITATION_EXPIRE'],
      [7, 'UNKNOWN'],
      [8, 'PEER_OFFLINE'],
      [9, 'UNKNOWN'],
      [77, 'UNKNOWN'],
    ];
    const { client, world } = await makeLoggedIn();
    for (const [index, [end, reason]] of reasons.entries()) {
      const invitation = client.createLocalInvitation('bob');
      const seen = record(invitation);
      invitation.send();
      const value = { number: index + 1, end, response: 'busy' };
      world.connection.serve({ is: 'localInvitationEnded', value });
      expect(seen, `end ${end}`).toEqual([reason]);
    }
  });

  // proves: rtm-6.1-error
  it('that the server does not take fails with UNKNOWN', async () => {
    const { client, world } = await makeLoggedIn();
    world.answer = (message) =>
      message.is === 'request'
        ? [
            {
              is: 'reply',
              value: {
                cseq: message.value.cseq,
                result: { is: 'error', value: { outcome: 4, text: '' } },
              },
            },
          ]
        : undefined;
    const invitation = client.createLocalInvitation('bob');
    const seen = record(invitation);
    invitation.send();
    await world.settle();
    expect([invitation.state, seen]).toEqual(['FAILURE', ['UNKNOWN']]);
  });

  it('ends with the login: after a logout, and when the user is replaced', async () => {
    const first = await makeLoggedIn();
    const left = first.client.createLocalInvitation('bob');
    const seenByLeft = record(left);
    left.send();
    await first.client.logout();
    expect(seenByLeft).toEqual(['NOT_LOGGEDIN']);

    const second = await makeLoggedIn();
    const replaced = second.client.createLocalInvitation('bob');
    const seenByReplaced = record(replaced);
    replaced.send();
    second.world.connection.end(4010);
    expect(seenByReplaced).toEqual(['UNKNOWN']);
  });

  // proves: rtm-6.1-cancel
  it('that no session could send is sent in the next one', async () => {
    const { client, world } = await makeLoggedIn();
    const invitation = client.createLocalInvitation('bob');
    const seen = record(invitation);
    let listed: unknown;
    world.answer = (message) => {
      if (message.is === 'resume') return [refused(26)];
      if (message.is !== 'login') return undefined;
      listed = message.value.invitations;
      return [welcome()];
    };
    world.connection.drop();
    invitation.send();
    await world.advance(5_000);
    expect([seen, listed]).toEqual([[], []]);
    expect(calls(world)).toMatchObject([{ is: 'invite', value: { number: 1, calleeId: 'bob' } }]);
  });

  it('cancelled in time tells so synchronously and nothing later', async () => {
    holdTimers();
    const { client, world } = await makeLoggedIn();
    const invitation = client.createLocalInvitation('bob');
    const seen = record(invitation);
    invitation.send();
    invitation.cancel();
    expect([invitation.state, seen]).toEqual(['CANCELED', ['canceled']]);
    expect(thrownCode(() => invitation.cancel())).toBe(3);
    await world.advance(5_000);
    expect(raised()).toEqual([]);
    expect(seen).toEqual(['canceled']);
  });

  // proves: rtm-6.3-oversized, rtm-6.3-no-channel, rtm-2.1-invitation-channel, rtm-2.1-invitation-text
  it('checks its fields when it is sent; the state stays', async () => {
    const { client } = await makeLoggedIn();
    const wrong: [string, unknown][] = [
      ['content', 'x'.repeat(8_193)],
      ['content', 'ä'.repeat(4_097)],
      ['content', 5],
      ['channelId', 'ä'],
      ['channelId', 'x'.repeat(65)],
      ['channelId', 5],
    ];
    for (const [field, value] of wrong) {
      const invitation = client.createLocalInvitation('bob');
      Object.assign(invitation, { [field]: value });
      expect(
        thrownCode(() => invitation.send()),
        field,
      ).toBe(1);
      expect(invitation.state).toBe('IDLE');
    }
    for (const value of ['', null, undefined]) {
      const invitation = client.createLocalInvitation('bob');
      Object.assign(invitation, { content: value, channelId: value });
      invitation.send();
      expect(invitation.state).toBe('SENT_TO_REMOTE');
      invitation.cancel();
    }
  });
});

describe('RemoteInvitation', () => {
  function make() {
    const answers: string[] = [];
    const invitation = new RemoteInvitation('alice', 'room', 'hello', {
      accept: (response) => void answers.push(`accept ${response}`),
      refuse: (response) => void answers.push(`refuse ${response}`),
    });
    return { invitation, answers };
  }

  // proves: rtm-1.8-fields, rtm-6.2-accept, rtm-6.3-accept-twice, rtm-6.3-refuse-accepting
  // proves: rtm-6.2-response-taken
  it('is accepted once', () => {
    const { invitation, answers } = make();
    expect(invitation).toMatchObject({
      callerId: 'alice',
      channelId: 'room',
      content: 'hello',
      response: '',
    });
    expect(invitation.state).toBe('INVITATION_RECEIVED');
    invitation.response = 'yes';
    invitation.accept();
    expect([invitation.state, answers]).toEqual(['ACCEPT_SENT_TO_LOCAL', ['accept yes']]);
    expect(thrownCode(() => invitation.accept())).toBe(4);
    expect(thrownCode(() => invitation.refuse())).toBe(4);
  });

  // proves: rtm-6.2-refuse, rtm-6.3-oversized, rtm-6.3-decide-ended
  it('is refused once, with an event; long responses are not taken', () => {
    const { invitation, answers } = make();
    let refusals = 0;
    invitation.on('RemoteInvitationRefused', () => refusals++);
    invitation.response = 'x'.repeat(8_193);
    expect(thrownCode(() => invitation.accept())).toBe(1);
    expect(thrownCode(() => invitation.refuse())).toBe(1);
    invitation.response = 'busy';
    invitation.refuse();
    expect([invitation.state, refusals, answers]).toEqual(['REFUSED', 1, ['refuse busy']]);
    expect(thrownCode(() => invitation.refuse())).toBe(3);
    expect(thrownCode(() => invitation.accept())).toBe(3);
  });

  const ID = new Uint8Array(16).fill(9);

  /** A logged-in client at which an invitation has come. */
  async function come() {
    const { client, world } = await makeLoggedIn();
    const invitations: AgoraRTM.RemoteInvitation[] = [];
    const seen: string[] = [];
    client.on('RemoteInvitationReceived', (invitation) => {
      invitations.push(invitation);
      invitation.on('RemoteInvitationAccepted', () => void seen.push('accepted'));
      invitation.on('RemoteInvitationCanceled', (content) => void seen.push(`canceled ${content}`));
      invitation.on('RemoteInvitationFailure', (reason) => void seen.push(reason));
    });
    const value = { id: ID, callerId: 'bob', content: 'hello', channel: 'room' };
    // A repeated ring is the same invitation.
    world.connection.serve(
      { is: 'incomingInvitation', value },
      { is: 'incomingInvitation', value },
    );
    const [invitation] = invitations;
    if (!invitation || invitations.length > 1)
      throw new Error(`${invitations.length} invitations came`);
    return { client, world, invitation, seen };
  }

  // proves: rtm-6.2-comes, rtm-6.2-accept, rtm-1.5-event-invitation
  it('comes once, is confirmed at once, and accepted when the server says so', async () => {
    const { world, invitation, seen } = await come();
    expect(invitation).toMatchObject({ callerId: 'bob', channelId: 'room', content: 'hello' });
    await world.advance(0);
    expect(world.connection.confirms).toEqual([2]);
    invitation.response = 'yes';
    invitation.accept();
    expect(calls(world)).toEqual([{ is: 'acceptInvitation', value: { id: ID, response: 'yes' } }]);
    expect([invitation.state, seen]).toEqual(['ACCEPT_SENT_TO_LOCAL', []]);
    world.connection.serve({ is: 'remoteInvitationEnded', value: { id: ID, end: 1 } });
    expect([invitation.state, seen]).toEqual(['ACCEPTED', ['accepted']]);
  });

  // proves: rtm-6.2-canceled, rtm-6.3-decide-ended
  it('ends as the server tells', async () => {
    const ends: [number, string, string][] = [
      [3, 'CANCELED', 'canceled hello'],
      [5, 'FAILURE', 'INVITATION_EXPIRE'],
      [6, 'FAILURE', 'INVITATION_EXPIRE'],
      [7, 'FAILURE', 'ACCEPT_FAILURE'],
      [9, 'FAILURE', 'PEER_OFFLINE'],
      [77, 'FAILURE', 'UNKNOWN'],
    ];
    for (const [end, state, event] of ends) {
      const { world, invitation, seen } = await come();
      invitation.accept();
      world.connection.serve({ is: 'remoteInvitationEnded', value: { id: ID, end } });
      expect([invitation.state, seen], `end ${end}`).toEqual([state, [event]]);
      expect(thrownCode(() => invitation.refuse())).toBe(3);
    }
  });

  it('that has ended does not come again', async () => {
    const { client, world, invitation, seen } = await come();
    let count = 0;
    client.on('RemoteInvitationReceived', () => void count++);
    world.connection.serve({ is: 'remoteInvitationEnded', value: { id: ID, end: 3 } });
    const value = { id: ID, callerId: 'bob', content: 'hello', channel: 'room' };
    world.connection.serve({ is: 'incomingInvitation', value });
    expect([count, invitation.state, seen]).toEqual([0, 'CANCELED', ['canceled hello']]);
  });

  // proves: rtm-6.2-login-ends
  it('fails when the login ends, and is not ended twice', async () => {
    const { client, world, invitation, seen } = await come();
    await client.logout();
    expect([invitation.state, seen]).toEqual(['FAILURE', ['UNKNOWN']]);
    world.connection.serve({ is: 'remoteInvitationEnded', value: { id: ID, end: 3 } });
    expect(seen).toEqual(['UNKNOWN']);
  });

  it('is listed with the login that follows a lost session, and goes on as the server says', async () => {
    const { world, invitation, seen } = await come();
    let listed: unknown;
    world.answer = (message) => {
      if (message.is === 'resume') return [refused(26)];
      if (message.is !== 'login') return undefined;
      listed = message.value.invitations.map(({ callerId }) => callerId);
      return [welcome()];
    };
    invitation.accept();
    world.connection.drop();
    await world.advance(5_000);
    expect([invitation.state, seen, listed]).toEqual(['ACCEPT_SENT_TO_LOCAL', [], ['bob']]);
    // What the lost session may not have had.
    expect(calls(world).map(({ is }) => is)).toEqual(['acceptInvitation']);
    world.connection.serve({ is: 'remoteInvitationEnded', value: { id: ID, end: 1 } });
    expect([invitation.state, seen]).toEqual(['ACCEPTED', ['accepted']]);
  });
});
