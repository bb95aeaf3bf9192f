/** Rita's half: the RTM SDK. */
import AgoraRTM from '@tidings/rtm';
import { APP_ID } from '../app-id.js';
import type { Side } from './side.js';

type Local = ReturnType<ReturnType<typeof AgoraRTM.createInstance>['createLocalInvitation']>;

export async function rita(side: Side, name: string, peer: string, room: string): Promise<void> {
  const client = AgoraRTM.createInstance(APP_ID);
  const channel = client.createChannel(room);
  const members = new Set<string>();
  let local: Local | undefined;
  let remote: { accept(): void; refuse(): void } | undefined;
  let callChannel = '';

  const over = (text: string) => {
    local = remote = undefined;
    side.ring('none');
    side.log(text);
  };
  const inCall = (channelId: string) => {
    callChannel = channelId;
    side.ring('call', `In a call with ${peer}`);
  };

  client.on('ConnectionStateChanged', (state) => {
    side.state = state === 'CONNECTED' ? 'online' : state.toLowerCase();
  });
  client.on('MessageFromPeer', (message, from) => {
    const { text = '' } = message as { text?: string };
    // How a legacy client ends a call that was accepted.
    if (text.startsWith(AgoraRTM.END_CALL_PREFIX)) over(`${from} has ended the call`);
    else side.log(`${from} to me: ${text}`, 'message');
  });
  client.on('RemoteInvitationReceived', (invitation) => {
    remote = invitation;
    side.ring('in', `${invitation.callerId} invites me to a call`);
    invitation.on('RemoteInvitationAccepted', () => inCall(invitation.channelId));
    invitation.on('RemoteInvitationCanceled', () =>
      over(`${invitation.callerId} has ended the call`),
    );
    invitation.on('RemoteInvitationRefused', () => over('I have declined'));
    invitation.on('RemoteInvitationFailure', () =>
      over(`the call with ${invitation.callerId} did not come about`),
    );
  });
  channel.on('ChannelMessage', (message, member) =>
    side.log(`${member}: ${(message as { text: string }).text}`, 'message'),
  );
  channel.on('MemberJoined', (member) => {
    side.members = [...members.add(member)];
    side.log(`${member} is here`);
  });
  channel.on('MemberLeft', (member) => {
    members.delete(member);
    side.members = [...members];
    side.log(`${member} has left`);
  });
  channel.on('AttributesUpdated', (attributes) => (side.topic = attributes['topic']?.value ?? ''));

  const show = (error: unknown) => side.log(String(error));
  side.connect({
    toChannel: (text) =>
      channel.sendMessage({ text }).then(() => side.log(`${name}: ${text}`, 'message'), show),
    toPeer: (text) =>
      client
        .sendMessageToPeer({ text }, peer)
        .then(
          ({ hasPeerReceived }) =>
            side.log(
              hasPeerReceived ? `me to ${peer}: ${text}` : `${peer} is away`,
              hasPeerReceived ? 'message' : 'note',
            ),
          show,
        ),
    setTopic: (topic) =>
      client
        .addOrUpdateChannelAttributes(room, { topic }, { enableNotificationToChannelMembers: true })
        .catch(show),
    invite() {
      const invitation = client.createLocalInvitation(peer);
      local = invitation;
      invitation.channelId = `call-${Date.now()}`;
      invitation.content = 'a call';
      invitation.on('LocalInvitationReceivedByPeer', () =>
        side.ring('out', `It rings at ${peer}'s`),
      );
      invitation.on('LocalInvitationAccepted', () => inCall(invitation.channelId));
      invitation.on('LocalInvitationRefused', () => over(`${peer} has declined`));
      invitation.on('LocalInvitationCanceled', () => over('I have ended the call'));
      invitation.on('LocalInvitationFailure', () => over(`${peer} does not answer`));
      invitation.send();
      side.ring('out', `Inviting ${peer}`);
    },
    accept: () => remote?.accept(),
    refuse: () => remote?.refuse(),
    end() {
      if (local?.state === 'SENT_TO_REMOTE' || local?.state === 'RECEIVED_BY_REMOTE')
        return local.cancel();
      client
        .sendMessageToPeer({ text: `${AgoraRTM.END_CALL_PREFIX}_${callChannel}_` }, peer)
        .catch(show);
      over('I have ended the call');
    },
  });

  await client.login({ uid: name });
  await channel.join();
  side.topic = (await client.getChannelAttributes(room))['topic']?.value ?? '';
  for (const member of await channel.getMembers()) members.add(member);
  side.members = [...members];
}
