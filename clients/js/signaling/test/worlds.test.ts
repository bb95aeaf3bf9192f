/** Signaling users and RTM users of one app: what each sees of the other. Source: signaling 9. */
import AgoraRTM from '@tidings/rtm';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Heard } from './support/heard.js';
import { APP, Person } from './support/person.js';
import { Server } from './support/server.js';

let server: Server;
const people: Person[] = [];
const others: Other[] = [];
let count = 0;

/** An RTM user and what its program was told. */
class Other {
  readonly heard: Heard;
  readonly seen: readonly string[];
  readonly client = AgoraRTM.createInstance(APP, { endpoint: server.origin });
  readonly rings: { accept(): void; refuse(): void; response: string }[] = [];

  constructor(readonly name: string) {
    this.heard = new Heard(name);
    this.seen = this.heard.lines;
    const { client } = this;
    const told = (line: string) => this.heard.add(line);
    others.push(this);
    client.on('ConnectionStateChanged', (state, reason) => told(`${state} ${reason}`));
    client.on('MessageFromPeer', (message, peer) =>
      told(`from ${peer} ${(message as { text: string }).text}`),
    );
    client.on('RemoteInvitationReceived', (invitation) => {
      told(`ring ${invitation.callerId} ${invitation.channelId} ${invitation.content}`);
      this.rings.push(invitation);
      invitation.on('RemoteInvitationCanceled', (content) => told(`canceled ${content}`));
      invitation.on('RemoteInvitationAccepted', () => told('call'));
    });
  }

  async logsIn(): Promise<this> {
    await this.client.login({ uid: this.name });
    return this;
  }

  async joins(room: string) {
    const channel = this.client.createChannel(room);
    channel.on('ChannelMessage', (message, member) =>
      this.heard.add(`#${member} ${(message as { text: string }).text}`),
    );
    channel.on('MemberJoined', (member) => this.heard.add(`+${member}`));
    channel.on('MemberLeft', (member) => this.heard.add(`-${member}`));
    channel.on('AttributesUpdated', (all) =>
      this.heard.add(
        `attrs ${Object.entries(all)
          .map(([name, { value }]) => `${name}=${value}`)
          .join()}`,
      ),
    );
    await channel.join();
    return channel;
  }

  invites(callee: string, channelId: string, content: string) {
    const invitation = this.client.createLocalInvitation(callee);
    invitation.channelId = channelId;
    invitation.content = content;
    invitation.on('LocalInvitationReceivedByPeer', () => this.heard.add('received'));
    invitation.on('LocalInvitationAccepted', (response) => this.heard.add(`accepted ${response}`));
    invitation.on('LocalInvitationRefused', (response) => this.heard.add(`refused ${response}`));
    invitation.send();
    return invitation;
  }

  sees(line: string): Promise<void> {
    return this.heard.sees(line);
  }
}

beforeAll(async () => {
  server = await Server.start();
});
afterEach(async () => {
  for (const { session } of people.splice(0)) session.logout();
  for (const { client } of others.splice(0)) await client.logout().catch(() => {});
});
afterAll(() => server.stop());

async function pair(): Promise<[legacy: Person, modern: Other]> {
  count += 1;
  const legacy = new Person(`ws://${server.address}/legacy/${APP}`, `lena${count}`);
  people.push(legacy);
  return [await legacy.logsIn(), await new Other(`rita${count}`).logsIn()];
}

test('messages, both ways, with receipts; raw messages are not shown', async () => {
  const [lena, rita] = await pair();
  const name = lena.session.account;
  lena.session.messageInstantSend(rita.name, 'hello rita');
  await rita.sees(`from ${name} hello rita`);
  expect(await rita.client.sendMessageToPeer({ text: 'hello lena' }, name)).toEqual({
    hasPeerReceived: true,
  });
  await lena.sees(`from ${rita.name} 0 hello lena`);
  const raw = await rita.client.sendMessageToPeer(
    { rawMessage: new Uint8Array([1, 2]), messageType: 'RAW' },
    name,
  );
  expect(raw.hasPeerReceived).toBe(false);
  expect(lena.seen.filter((line) => line.startsWith('from'))).toEqual([
    `from ${rita.name} 0 hello lena`,
  ]);
});

test('stored messages, both ways', async () => {
  const [lena, rita] = await pair();
  const [away, gone] = [`lars${count}`, `rosa${count}`];
  await rita.client.sendMessageToPeer({ text: 'for lars' }, away, { enableOfflineMessaging: true });
  await lena.sends(gone, 'for rosa');
  const lars = new Person(`ws://${server.address}/legacy/${APP}`, away);
  people.push(lars);
  await lars.sees(`from ${rita.name} 0 for lars`);
  const rosa = await new Other(gone).logsIn();
  await rosa.sees(`from ${lena.session.account} for rosa`);
});

test('one channel: members, messages, attributes', async () => {
  const [lena, rita] = await pair();
  const [name, room] = [lena.session.account, `hall${count}`];
  const channel = await rita.joins(room);
  await lena.joins(room);
  await rita.sees(`+${name}`);
  await lena.sees(`users ${rita.name},${name}`);
  expect((await channel.getMembers()).sort()).toEqual([name, rita.name].sort());
  await channel.sendMessage({ text: 'to all' });
  await lena.sees(`#${rita.name} to all`);
  lena.channel?.messageChannelSend('from lena');
  await rita.sees(`#${name} from lena`);
  lena.channel?.channelSetAttr('topic', 'boats');
  await rita.sees('attrs topic=boats');
  await rita.client.addOrUpdateChannelAttributes(
    room,
    { colour: 'teal' },
    { enableNotificationToChannelMembers: true },
  );
  await lena.sees('attr colour,teal,update');
  await rita.client.deleteChannelAttributesByKeys(room, ['topic'], {
    enableNotificationToChannelMembers: true,
  });
  await lena.sees('attr topic,,del');
  await channel.leave();
  await lena.sees(`-${rita.name}`);
});

test('presence and user attributes', async () => {
  const [lena, rita] = await pair();
  const name = lena.session.account;
  expect(await rita.client.queryPeersOnlineStatus([name])).toEqual({ [name]: true });
  const ask = (method: string, args: Record<string, unknown>) =>
    new Promise<Record<string, unknown>>((resolve) =>
      lena.session.invoke(`io.agora.signal.${method}`, args, (_error, result) => resolve(result)),
    );
  expect((await ask('user_query_user_status', { account: rita.name }))['status']).toBe(1);
  await ask('user_set_attr', { name: 'mood', value: 'fine' });
  expect(await rita.client.getUserAttributes(name)).toEqual({ mood: 'fine' });
  await rita.client.setLocalUserAttributes({ hat: 'red' });
  expect((await ask('user_get_attr_all', { account: rita.name }))['json']).toEqual({ hat: 'red' });
});

test('invitations from Signaling to RTM: accepted and ended, refused, cancelled', async () => {
  const [lena, rita] = await pair();
  const name = lena.session.account;
  lena.watch(lena.session.channelInviteUser2('one', rita.name, 'video?'));
  await rita.sees(`ring ${name} one video?`);
  await lena.sees('ReceivedByPeer ');
  Object.assign(rita.rings[0] ?? {}, { response: 'gladly' });
  rita.rings[0]?.accept();
  await lena.sees('AcceptedByPeer gladly');
  await rita.sees('call');
  await rita.client.sendMessageToPeer({ text: `${AgoraRTM.END_CALL_PREFIX}_one_bye` }, name);
  await lena.sees('EndByPeer bye');

  lena.watch(lena.session.channelInviteUser2('two', rita.name));
  await rita.sees(`ring ${name} two `);
  rita.rings[1]?.refuse();
  await lena.sees('RefusedByPeer ');

  const third = lena.watch(lena.session.channelInviteUser2('three', rita.name));
  await rita.sees(`ring ${name} three `);
  third.channelInviteEnd();
  await rita.sees('canceled ');
});

test('invitations from RTM to Signaling: accepted and ended, refused, cancelled', async () => {
  const [lena, rita] = await pair();
  const name = lena.session.account;
  rita.invites(name, 'one', 'voice?');
  await lena.sees(`invited one ${rita.name} voice?`);
  await rita.sees('received');
  lena.calls[0]?.channelInviteAccept('yes');
  await rita.sees('accepted yes');
  lena.calls[0]?.channelInviteEnd('enough');
  await rita.sees(`from ${name} ${AgoraRTM.END_CALL_PREFIX}_one_enough`);

  rita.invites(name, 'two', '');
  await lena.sees(`invited two ${rita.name} `);
  lena.calls[1]?.channelInviteRefuse('busy');
  await rita.sees('refused busy');

  const third = rita.invites(name, 'three', 'well?');
  await lena.sees(`invited three ${rita.name} well?`);
  third.cancel();
  await lena.sees('EndByPeer well?');
});

test('a login ends an earlier one of the other world', async () => {
  const [lena, rita] = await pair();
  const again = await new Other(lena.session.account).logsIn();
  await lena.sees('out 103');
  const back = new Person(`ws://${server.address}/legacy/${APP}`, again.name);
  people.push(back);
  await again.sees('ABORTED REMOTE_LOGIN');
  await back.sees('in number');
  expect(rita.seen.at(-1)).toBe('CONNECTED LOGIN_SUCCESS');
});
