/** Call invitations: what holds without a server that carries them. RTM 1.x semantics 6.1 to 6.3. */
import { describe, expect, it } from 'vitest';
import { type LocalInvitation, RemoteInvitation } from '../src/invitation.js';
import { makeClient, makeLoggedIn, thrownCode } from './support/client.js';

function record(invitation: LocalInvitation): unknown[] {
  const seen: unknown[] = [];
  invitation.on('LocalInvitationCanceled', () => void seen.push('canceled'));
  invitation.on('LocalInvitationFailure', (reason) => void seen.push(reason));
  return seen;
}
const turn = () => new Promise((resolve) => setTimeout(resolve, 2));

describe('LocalInvitation', () => {
  it('begins idle and empty', () => {
    const invitation = makeClient().client.createLocalInvitation('bob');
    expect(invitation).toMatchObject({ calleeId: 'bob', content: '', channelId: '', response: '', state: 'IDLE' });
    expect(thrownCode(() => (invitation.response = 'x'))).toBe(1);
    expect(thrownCode(() => invitation.cancel())).toBe(2);
  });

  it('without a login fails synchronously', () => {
    const invitation = makeClient().client.createLocalInvitation('bob');
    const seen = record(invitation);
    invitation.send();
    expect([invitation.state, seen]).toEqual(['FAILURE', ['NOT_LOGGEDIN']]);
    expect(thrownCode(() => invitation.send())).toBe(3);
    expect(thrownCode(() => invitation.cancel())).toBe(3);
  });

  it('while connecting is sent and fails soon', async () => {
    const { client, world } = makeClient();
    world.network = 'silent';
    void client.login({ uid: 'alice' }).catch(() => undefined);
    const invitation = client.createLocalInvitation('bob');
    const seen = record(invitation);
    invitation.send();
    expect([invitation.state, seen]).toEqual(['SENT_TO_REMOTE', []]);
    await turn();
    expect([invitation.state, seen]).toEqual(['FAILURE', ['NOT_LOGGEDIN']]);
  });

  it('logged in is sent, and fails as the server does not carry it', async () => {
    const { client } = await makeLoggedIn();
    const invitation = client.createLocalInvitation('bob');
    const seen = record(invitation);
    invitation.send();
    expect(invitation.state).toBe('SENT_TO_REMOTE');
    expect(thrownCode(() => invitation.send())).toBe(5);
    await turn();
    expect([invitation.state, seen]).toEqual(['FAILURE', ['UNKNOWN']]);
  });

  it('cancelled in time tells so synchronously and nothing later', async () => {
    const { client } = await makeLoggedIn();
    const invitation = client.createLocalInvitation('bob');
    const seen = record(invitation);
    invitation.send();
    invitation.cancel();
    expect([invitation.state, seen]).toEqual(['CANCELED', ['canceled']]);
    expect(thrownCode(() => invitation.cancel())).toBe(3);
    await turn();
    expect(seen).toEqual(['canceled']);
  });

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
      expect(thrownCode(() => invitation.send()), field).toBe(1);
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

  it('is accepted once', () => {
    const { invitation, answers } = make();
    expect(invitation).toMatchObject({ callerId: 'alice', channelId: 'room', content: 'hello', response: '' });
    expect(invitation.state).toBe('INVITATION_RECEIVED');
    invitation.response = 'yes';
    invitation.accept();
    expect([invitation.state, answers]).toEqual(['ACCEPT_SENT_TO_LOCAL', ['accept yes']]);
    expect(thrownCode(() => invitation.accept())).toBe(4);
    expect(thrownCode(() => invitation.refuse())).toBe(4);
  });

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
});
