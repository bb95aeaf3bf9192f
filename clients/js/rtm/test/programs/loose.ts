/** What programs do with the types of the original package, and what must go on compiling. */
import AgoraRTM, {
  type ConnectionState,
  type LocalInvitationState,
  type RemoteInvitation,
  type RtmMessage,
  type RtmStatusCode,
} from '@tidings/rtm';

const client = AgoraRTM.createInstance('x');

// Members of one kind of message, without a look at which kind it is.
client.on('MessageFromPeer', (message: RtmMessage, peerId: string) => {
  const text: string | undefined = message.text;
  const sure: string = message.text;
  const bytes: Uint8Array | undefined = message.rawMessage;
  const description: string | undefined = message.description;
  console.log(text, sure, bytes, description, peerId);
  if (message.messageType === 'TEXT') message.text.trim();
  if (message.messageType === AgoraRTM.MessageType.RAW) console.log(message.rawMessage.length);
});
const channel = client.createChannel('c');
channel.on('ChannelMessage', ({ text }, memberId) =>
  console.log((text as string).length, memberId),
);
channel.on('ChannelMessage', (message) => {
  const { text } = message as { text: string };
  console.log(text);
});

// States by each of their names, in both directions.
const invitation = client.createLocalInvitation('b');
let state: RtmStatusCode.LocalInvitationState = invitation.state;
let named: LocalInvitationState = state;
const key: keyof typeof AgoraRTM.LocalInvitationState = invitation.state;
let member: AgoraRTM.LocalInvitationState = key;
state = named;
named = member;
member = state;
state = AgoraRTM.LocalInvitationState.IDLE;
const idle: RtmStatusCode.LocalInvitationState.IDLE = AgoraRTM.LocalInvitationState.IDLE;
const accepted: LocalInvitationState.ACCEPTED_BY_REMOTE = 'ACCEPTED_BY_REMOTE';
client.on('RemoteInvitationReceived', (remote: RemoteInvitation) => {
  const text: string = remote.state;
  switch (remote.state) {
    case AgoraRTM.RemoteInvitationState.ACCEPTED:
    case 'REFUSED':
      break;
    default:
      console.log(text);
  }
});
const byState: Record<RtmStatusCode.ConnectionState, number> = {
  [AgoraRTM.ConnectionState.CONNECTED]: 1,
  ABORTED: 2,
  CONNECTING: 3,
  DISCONNECTED: 4,
  RECONNECTING: 5,
};
const now: ConnectionState = client.connectionState;
console.log(byState[now], idle, accepted, named);

const text: AgoraRTM.RtmTextMessage = client.createMessage<AgoraRTM.RtmTextMessage>({
  text: 'x',
  messageType: 'TEXT',
});
void client.sendMessageToPeer(text, 'b');
void client.sendMessageToPeer({ rawMessage: new Uint8Array(), description: 'x' }, 'b');
