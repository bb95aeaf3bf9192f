// A program as it is written for version 1.5.1 of the original SDK, with its named type exports. `versions.test.ts`
// compiles it unchanged.
/* LOAD */

type State = keyof typeof AgoraRTM.ConnectionState;
interface Store {
  client: RtmClient;
  channels: Map<string, RtmChannel>;
  outgoing?: LocalInvitation | undefined;
  incoming?: RemoteInvitation | undefined;
  state: RtmStatusCode.ConnectionState;
  last?: RtmMessage;
}

const store: Store = {
  client: AgoraRTM.createInstance('0123456789abcdef0123456789abcdef', {
    logFilter: AgoraRTM.LOG_FILTER_OFF,
  }),
  channels: new Map(),
  state: AgoraRTM.ConnectionState.DISCONNECTED,
};

type OnMessage = RtmEvents.RtmClientEvents['MessageFromPeer'];
const onMessage: OnMessage = (message, peerId, { serverReceivedTs }) => {
  store.last = message;
  if ('text' in message) console.log(message.text, peerId, serverReceivedTs);
  if (message.messageType === RtmStatusCode.MessageType.RAW)
    console.log((message as RtmRawMessage).rawMessage);
};
// These versions had texts and bytes only: what is not the one is the other.
function show(message: RtmMessage): string {
  return 'text' in message ? message.text : new TextDecoder().decode(message.rawMessage);
}
function size(message: RtmMessage): number {
  return 'rawMessage' in message ? message.rawMessage.byteLength : message.text.length;
}
const listen = <Name extends keyof RtmEvents.RtmChannelEvents>(
  channel: RtmChannel,
  name: Name,
  listener: (...args: any[]) => void,
): RtmChannel => channel.on(name, listener).off(name, listener);
const onState: RtmEvents.RtmClientEvents['ConnectionStateChanged'] = (newState, reason) => {
  const state: State = newState;
  store.state = newState;
  if (newState === RtmStatusCode.ConnectionState.ABORTED && reason === 'TOKEN_EXPIRED')
    console.log(state);
};

function bind({ client }: Store): () => void {
  client.on('MessageFromPeer', onMessage);
  client.on('ConnectionStateChanged', onState);
  client.once('TokenPrivilegeWillExpire', async () =>
    client.renewToken(await Promise.resolve('token')),
  );
  client.on('FallbackProxyConnected', () => undefined);
  client.on('RemoteInvitationReceived', (invitation) => {
    if (store.incoming) {
      invitation.response = 'busy';
      return invitation.refuse();
    }
    store.incoming = invitation;
    const failed: RtmStatusCode.RemoteInvitationState.FAILURE =
      RtmStatusCode.RemoteInvitationState.FAILURE;
    console.log(
      invitation.state === RtmStatusCode.RemoteInvitationState.INVITATION_RECEIVED,
      failed,
    );
  });
  return () => {
    client.off('MessageFromPeer', onMessage);
    client.off('ConnectionStateChanged', onState);
    client.removeAllListeners();
  };
}

function describe(state: RtmStatusCode.ConnectionState): string {
  const texts: Record<RtmStatusCode.ConnectionState, string> = {
    DISCONNECTED: 'off',
    CONNECTING: 'soon',
    CONNECTED: 'on',
    RECONNECTING: 'again',
    ABORTED: 'kicked',
  };
  return texts[state];
}

async function run(): Promise<void> {
  const unbind = bind(store);
  await store.client.login({ uid: 'alice', token: 't' });
  const text: RtmTextMessage = store.client.createMessage({
    text: 'x',
    messageType: AgoraRTM.MessageType.TEXT,
  });
  const { hasPeerReceived } = await store.client.sendMessageToPeer(text, 'bob');
  const channel = store.client.createChannel('room');
  store.channels.set(channel.channelId, channel);
  channel.on('ChannelMessage', (message, memberId) =>
    console.log(show(message), size(message), memberId),
  );
  listen(channel, 'MemberLeft', (memberId: string) => console.log(memberId));
  await channel.join();
  await channel.sendMessage(text);
  const listeners: number =
    channel.listenerCount('ChannelMessage') + channel.listeners('MemberJoined').length;
  store.outgoing = store.client.createLocalInvitation('bob');
  store.outgoing.send();
  const members: string[] = await channel.getMembers();
  console.log(
    hasPeerReceived,
    listeners,
    members.length,
    describe(store.state),
    AgoraRTM.VERSION,
    AgoraRTM.BUILD,
  );
  AgoraRTM.setArea({ areaCodes: [AgoraRTM.AreaCode.NORTH_AMERICA] });
  unbind();
  await store.client.logout();
}
void run();
