import AgoraRTM from 'agora-rtm-sdk';

/** A person in a room. `say` and the like are called by the page; `show` is how the page hears of things. */
export class Chat {
  constructor(appId, show) {
    this.show = show;
    this.client = AgoraRTM.createInstance(appId, { logFilter: AgoraRTM.LOG_FILTER_ERROR });
    this.client.on('ConnectionStateChanged', (state, reason) => show(`state ${state} ${reason}`));
    this.client.on('MessageFromPeer', ({ text }, peerId) => show(`peer ${peerId} ${text}`));
    this.client.on('RemoteInvitationReceived', (invitation) => {
      show(`ring ${invitation.callerId} ${invitation.content}`);
      invitation.on('RemoteInvitationAccepted', () => show(`call ${invitation.callerId}`));
      invitation.accept();
    });
  }

  async enter(uid, room, token) {
    await this.client.login({ uid, token });
    this.room = this.client.createChannel(room);
    this.room.on('ChannelMessage', ({ text }, memberId) => this.show(`room ${memberId} ${text}`));
    this.room.on('MemberJoined', (memberId) => this.show(`joined ${memberId}`));
    this.room.on('MemberLeft', (memberId) => this.show(`left ${memberId}`));
    await this.room.join();
    await this.client.setLocalUserAttributes({ name: uid.toUpperCase() });
  }

  say(text) {
    return this.room.sendMessage({ text });
  }

  async whisper(peerId, text) {
    const { hasPeerReceived } = await this.client.sendMessageToPeer({ text }, peerId, {
      enableOfflineMessaging: true,
    });
    this.show(`whispered ${hasPeerReceived}`);
  }

  call(calleeId) {
    const invitation = this.client.createLocalInvitation(calleeId);
    invitation.content = 'lunch?';
    invitation.on('LocalInvitationAccepted', () => this.show(`call ${calleeId}`));
    invitation.on('LocalInvitationFailure', (reason) => this.show(`no call ${reason}`));
    invitation.send();
  }

  async nameOf(uid) {
    return (await this.client.getUserAttributesByKeys(uid, ['name'])).name;
  }

  async leave() {
    await this.room.leave();
    await this.client.logout();
  }
}
