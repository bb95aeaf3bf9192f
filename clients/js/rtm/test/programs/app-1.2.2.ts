// A program as it is written for version 1.2.2 of the original SDK. `versions.test.ts` compiles it unchanged.
/* LOAD */

const params: AgoraRTM.RtmParameters = {
  enableLogUpload: false,
  logFilter: AgoraRTM.LOG_FILTER_WARNING,
};
const client: AgoraRTM.RtmClient = AgoraRTM.createInstance(
  '0123456789abcdef0123456789abcdef',
  params,
);

class Session {
  private channels: { [name: string]: AgoraRTM.RtmChannel } = {};
  private invitation?: AgoraRTM.LocalInvitation;
  private incoming: AgoraRTM.RemoteInvitation | null = null;

  listen(): void {
    client.on('ConnectionStateChanged', (newState, reason) => {
      console.log(newState.toLowerCase(), reason.toLowerCase());
      if (newState === 'ABORTED' && reason === AgoraRTM.ConnectionChangeReason.REMOTE_LOGIN)
        void client.logout();
      switch (newState) {
        case AgoraRTM.ConnectionState.CONNECTED:
        case AgoraRTM.ConnectionState.RECONNECTING:
          break;
        default:
          console.log(newState);
      }
    });
    client.on(
      'MessageFromPeer',
      (
        message: AgoraRTM.RtmMessage,
        peerId: string,
        properties: AgoraRTM.ReceiveMessageProperties,
      ) => {
        if (message.messageType === AgoraRTM.MessageType.TEXT) console.log(message.text, peerId);
        if (message.messageType === 'RAW')
          console.log(message.rawMessage.byteLength, message.description);
        const at: number = properties.serverReceivedTs;
        const wasOffline: boolean = properties.isOfflineMessage;
        console.log(new Date(at).toISOString(), wasOffline);
      },
    );
    client.on('PeersOnlineStatusChanged', (status: AgoraRTM.PeersOnlineStatusMap) => {
      for (const peerId in status)
        console.log(peerId, status[peerId] === AgoraRTM.PeerOnlineState.ONLINE);
    });
    client.on('RemoteInvitationReceived', (invitation: AgoraRTM.RemoteInvitation) => {
      this.incoming = invitation;
      invitation.on('RemoteInvitationCanceled', (content) => console.log(content.length));
      invitation.on('RemoteInvitationAccepted', () => (this.incoming = null));
      invitation.on('RemoteInvitationRefused', () => (this.incoming = null));
      invitation.on('RemoteInvitationFailure', (reason) => {
        if (reason === AgoraRTM.RemoteInvitationFailureReason.PEER_OFFLINE)
          console.log(invitation.callerId);
      });
    });
    client.on('TokenExpired', () => void client.renewToken('token'));
  }

  async join(name: string): Promise<void> {
    const channel = client.createChannel(name);
    this.channels[name] = channel;
    channel.on('ChannelMessage', (message, memberId, messagePros) => {
      if (message.messageType === 'TEXT')
        console.log(memberId, message.text, messagePros.serverReceivedTs);
    });
    channel.on('MemberJoined', (memberId) => console.log(memberId));
    channel.on('MemberLeft', (memberId: string) => console.log(memberId));
    channel.on('MemberCountUpdated', (count: number) => console.log(count));
    channel.on('AttributesUpdated', (attributes: AgoraRTM.ChannelAttributes) => {
      for (const key of Object.keys(attributes))
        console.log(attributes[key]?.value, attributes[key]?.lastUpdateUserId);
    });
    await channel.join();
    const options: AgoraRTM.SendMessageOptions = { enableHistoricalMessaging: true };
    await channel.sendMessage({ text: 'hello', messageType: 'TEXT' }, options);
  }

  async talk(peer: string): Promise<boolean> {
    const message: AgoraRTM.RtmTextMessage = { text: 'hi' };
    const raw: AgoraRTM.RtmRawMessage = { rawMessage: new Uint8Array([1]), description: 'd' };
    await client.sendMessageToPeer(raw, peer);
    const result: AgoraRTM.PeerMessageSendResult = await client.sendMessageToPeer(message, peer, {
      enableOfflineMessaging: true,
    });
    return result.hasPeerReceived;
  }

  call(peer: string): void {
    this.invitation = client.createLocalInvitation(peer);
    this.invitation.content = JSON.stringify({ video: true });
    this.invitation.channelId = 'call';
    this.invitation.on('LocalInvitationReceivedByPeer', () => console.log('ringing'));
    this.invitation.on('LocalInvitationAccepted', (response: string) => console.log(response));
    this.invitation.on('LocalInvitationRefused', (response) => console.log(response.trim()));
    this.invitation.on('LocalInvitationCanceled', () => console.log(this.invitation?.state));
    this.invitation.on('LocalInvitationFailure', (reason: string) => console.log(reason));
    this.invitation.send();
    if (this.invitation.state === AgoraRTM.LocalInvitationState.SENT_TO_REMOTE)
      this.invitation.cancel();
  }

  async attributes(): Promise<void> {
    const map: AgoraRTM.AttributesMap = { name: 'Alice' };
    await client.setLocalUserAttributes(map);
    await client.addOrUpdateLocalUserAttributes(map);
    await client.deleteLocalUserAttributesByKeys(['name']);
    await client.clearLocalUserAttributes();
    const of: AgoraRTM.AttributesMap = await client.getUserAttributesByKeys('bob', ['name']);
    const options: AgoraRTM.ChannelAttributeOptions = { enableNotificationToChannelMembers: true };
    await client.addOrUpdateChannelAttributes('room', map, options);
    await client.clearChannelAttributes('room', options);
    console.log(of['name'], await client.getChannelAttributesByKeys('room', ['name']));
  }

  async presence(): Promise<string[]> {
    await client.subscribePeersOnlineStatus(['bob']);
    await client.unsubscribePeersOnlineStatus(['bob']);
    return client.queryPeersBySubscriptionOption('ONLINE_STATUS');
  }
}

async function main(): Promise<void> {
  const session = new Session();
  session.listen();
  try {
    await client.login({ uid: 'alice', token: undefined });
  } catch (error) {
    const { code } = error as { code: number };
    if (code === RtmErrorCode.LOGIN_ERR_TIMEOUT || code === RtmErrorCode.LOGIN_ERR_INVALID_TOKEN)
      return;
  }
  client.setParameters({ logFilter: AgoraRTM.LOG_FILTER_OFF });
  await session.join('room');
  session.call('bob');
  await Promise.all([session.talk('bob'), session.attributes(), session.presence()]);
  client.removeAllListeners();
  await client.logout();
}
void main();
