/** Lena's half: the legacy Signaling object, used as its pages always used it. */
import Signal from '@tidings/signaling';
import { APP_ID } from '../app-id.js';
import type { Side } from './side.js';

export function lena(side: Side, name: string, peer: string, room: string): void {
  const session = Signal(APP_ID).login(name, '_no_need_token');
  const members = new Set<string>();
  let call: Signal.Call | undefined;
  let channel: Signal.Channel | undefined;

  session.onLoginSuccess = () => {
    side.state = 'online';
    channel = session.channelJoin(room);
    if (channel !== undefined) listen(channel);
  };
  session.onLoginFailed = (code) => (side.state = `not logged in (${code})`);
  session.onLogout = (code) => (side.state = `logged out (${code})`);
  session.onReconnecting = () => (side.state = 'reconnecting');
  session.onReconnectSuccess = () => (side.state = 'online');
  session.onMessageInstantReceive = (from, _uid, text) =>
    side.log(`${from} to me: ${text}`, 'message');
  session.onInviteReceived = (invitation) => {
    watch(invitation);
    side.ring('in', `${invitation.peer} invites me to a call`);
  };

  function listen(joined: Signal.Channel): void {
    joined.onChannelUserList = (users) => {
      members.clear();
      users.forEach(([account]) => members.add(account));
      side.members = [...members];
    };
    joined.onChannelUserJoined = (account) => {
      side.members = [...members.add(account)];
      side.log(`${account} is here`);
    };
    joined.onChannelUserLeaved = (account) => {
      members.delete(account);
      side.members = [...members];
      side.log(`${account} has left`);
    };
    joined.onMessageChannelReceive = (account, _uid, text) =>
      side.log(`${account}: ${text}`, 'message');
    joined.onChannelAttrUpdated = (key, value) => {
      if (key === 'topic') side.topic = value;
    };
  }

  function watch(invitation: Signal.Call): void {
    call = invitation;
    const over = (text: string) => {
      call = undefined;
      side.ring('none');
      side.log(text);
    };
    invitation.onInviteReceivedByPeer = () => side.ring('out', `It rings at ${invitation.peer}'s`);
    invitation.onInviteAcceptedByPeer = () =>
      side.ring('call', `In a call with ${invitation.peer}`);
    invitation.onInviteRefusedByPeer = () => over(`${invitation.peer} has declined`);
    invitation.onInviteFailed = () => over(`${invitation.peer} does not answer`);
    invitation.onInviteEndByPeer = () => over(`${invitation.peer} has ended the call`);
    invitation.onInviteEndByMyself = () => over('I have ended the call');
  }

  side.connect({
    toChannel: (text) => channel?.messageChannelSend(text),
    toPeer: (text) =>
      session.messageInstantSend(peer, text, (isFailed) =>
        side.log(isFailed ? 'not sent' : `me to ${peer}: ${text}`, isFailed ? 'note' : 'message'),
      ),
    setTopic: (text) => channel?.channelSetAttr('topic', text),
    invite() {
      watch(session.channelInviteUser2(`call-${Date.now()}`, peer, 'a call'));
      side.ring('out', `Inviting ${peer}`);
    },
    accept() {
      call?.channelInviteAccept('');
      side.ring('call', `In a call with ${peer}`);
    },
    refuse() {
      call?.channelInviteRefuse('');
      call = undefined;
      side.ring('none');
      side.log('I have declined');
    },
    end: () => call?.channelInviteEnd(''),
  });
}
