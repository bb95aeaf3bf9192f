// A program as applications for RTM 1.2.2, 1.4.5 and 1.5.1 are written. `types.test.ts` compiles it
// against the installed package, as an ES module and as CommonJS; LOAD stands for the import.
/* LOAD */

const client: AgoraRTM.RtmClient = AgoraRTM.createInstance('0'.repeat(32), {
  logFilter: AgoraRTM.LOG_FILTER_OFF,
  enableLogUpload: false,
});
AgoraRTM.createInstance('0'.repeat(32), {}, ['CN', AgoraRTM.AreaCode.GLOBAL]);
AgoraRTM.setArea({ areaCodes: [AgoraRTM.AreaCode.EUROPE], excludedArea: 'CHINA' });

// Text and enum, mixed freely.
client.on('ConnectionStateChanged', (state, reason) => {
  if (state === 'ABORTED' || state === AgoraRTM.ConnectionState.CONNECTED)
    console.log(reason.length);
});
client.on('ConnectionStateChanged', (state: AgoraRTM.RtmStatusCode.ConnectionState) =>
  console.log(state),
);
client.on(
  'ConnectionStateChanged',
  (state: 'DISCONNECTED' | 'CONNECTING' | 'CONNECTED' | 'RECONNECTING' | 'ABORTED') => {
    console.log(state);
  },
);
client.on('ConnectionStateChanged', (state: keyof typeof AgoraRTM.RtmStatusCode.ConnectionState) =>
  console.log(state),
);
client.on('ConnectionStateChanged', (state: string) => console.log(state));

client.on('MessageFromPeer', (message, peerId, props) => {
  if (message.messageType === 'TEXT') console.log(message.text);
  if (message.messageType === AgoraRTM.MessageType.RAW) console.log(message.rawMessage.length);
  if (message.messageType === 'IMAGE') console.log(message.thumbnailWidth, message.mediaId);
  if ('text' in message) console.log(message.text.toUpperCase());
  console.log(peerId.length, props.serverReceivedTs + 1, props.isOfflineMessage);
});
client.once('PeersOnlineStatusChanged', (status) => {
  for (const peer of Object.keys(status))
    console.log(status[peer] === AgoraRTM.PeerOnlineState.UNREACHABLE);
});
client.on('TokenExpired', () => undefined).on('TokenPrivilegeWillExpire', () => undefined);
client
  .on('FallbackProxyConnected', () => undefined)
  .on('MessageGap', (gap) => console.log(gap.cause));
client.on('RemoteInvitationReceived', (remote) => {
  remote.on('RemoteInvitationCanceled', (content) => console.log(content.length));
  remote.on('RemoteInvitationFailure', (reason) => console.log(reason === 'ACCEPT_FAILURE'));
  remote.response = 'busy';
  if (remote.state === AgoraRTM.RemoteInvitationState.INVITATION_RECEIVED) remote.refuse();
});

async function run(): Promise<void> {
  await client.login({ uid: 'alice' });
  await client.login({ uid: 'alice', token: undefined });
  await client.renewToken('t');
  const { hasPeerReceived } = await client.sendMessageToPeer({ text: 'x' }, 'bob', {
    enableOfflineMessaging: true,
  });
  await client.sendMessageToPeer(
    { rawMessage: new Uint8Array(1), description: 'd', messageType: 'RAW' },
    'bob',
  );
  const message = client.createMessage<AgoraRTM.RtmTextMessage>({
    text: 'x',
    messageType: AgoraRTM.MessageType.TEXT,
  });
  const channel = client.createChannel('room');
  channel.on('ChannelMessage', ({ messageType }, memberId, { serverReceivedTs }) => {
    console.log(messageType, memberId, serverReceivedTs);
  });
  channel.on('MemberCountUpdated', (count) => console.log(count + 1));
  channel.on('AttributesUpdated', (attributes) => console.log(attributes['k']?.lastUpdateTs));
  await channel.join();
  await channel.sendMessage(message, { enableHistoricalMessaging: true });
  const members: string[] = await channel.getMembers();
  await client.setChannelAttributes(
    'room',
    { k: 'v' },
    { enableNotificationToChannelMembers: true },
  );
  const attributes: AgoraRTM.ChannelAttributes = await client.getChannelAttributes('room');
  const counts: AgoraRTM.ChannelMemberCountResult = await client.getChannelMemberCount(['room']);
  const online: AgoraRTM.PeersOnlineStatusResult = await client.queryPeersOnlineStatus(['bob']);
  await client.queryPeersBySubscriptionOption(AgoraRTM.PeerSubscriptionOption.ONLINE_STATUS);
  const file = await client.createMediaMessageByUploading(new Blob(['x']), {
    messageType: 'FILE',
    fileName: 'a',
  });
  console.log(hasPeerReceived, members, attributes, counts['room'], online['bob'], file.mediaId);
  const local = client.createLocalInvitation('bob');
  local.on('LocalInvitationFailure', (reason) =>
    console.log(reason === AgoraRTM.LocalInvitationFailureReason.PEER_OFFLINE),
  );
  local.content = 'hello';
  local.send();
  channel.removeAllListeners('ChannelMessage').removeAllListeners();
  client.off('TokenExpired', () => undefined);
  try {
    await channel.leave();
  } catch (error) {
    if ((error as AgoraRTM.RtmError).code === 102)
      console.log((error as AgoraRTM.RtmError).retryAfter);
  }
  client.setParameters({ logFilter: AgoraRTM.LOG_FILTER_INFO });
}
void run();

// @ts-expect-error: a number is no user id.
void client.login({ uid: 5 });
// @ts-expect-error: no such event.
client.on('Nothing', () => undefined);
// @ts-expect-error: the callee is given at the creation.
client.createLocalInvitation('bob').calleeId = 'carol';
