/** An invitation, on either side. Source: signaling 8.1. */
import { run } from './log.js';
import type { Session } from './session.js';

type Handler = ((extra: unknown) => unknown) | '';

export class Call {
  onInviteReceivedByPeer: Handler = '';
  onInviteAcceptedByPeer: Handler = '';
  onInviteRefusedByPeer: Handler = '';
  onInviteFailed: Handler = '';
  onInviteEndByPeer: Handler = '';
  onInviteEndByMyself: Handler = '';
  onInviteMsg: Handler = '';

  readonly #session: Session;

  /** Not plain data: state libraries leave it as it is, and do not wrap it in proxies. */
  get [Symbol.toStringTag](): string {
    return 'Call';
  }

  constructor(
    session: Session,
    readonly channelName: string,
    readonly peer: string,
    readonly extra: unknown,
  ) {
    this.#session = session;
  }

  /** Invites; once more if it was done before. */
  channelInviteUser2(): void {
    this.#send('voip_invite', this.extra, (error) => {
      if (error !== '') run(this.onInviteFailed, error);
    });
  }

  channelInviteAccept(extra: unknown = ''): void {
    this.#send('voip_invite_accept', extra);
  }

  channelInviteRefuse(extra: unknown = ''): void {
    this.#send('voip_invite_refuse', extra);
  }

  /** Cancels, or ends what was accepted. One's own side is told at once. */
  channelInviteEnd(extra: unknown = ''): void {
    this.#send('voip_invite_bye', extra);
    run(this.onInviteEndByMyself, '');
  }

  channelInviteDTMF(digits: string): void {
    this.#send('voip_invite_msg', JSON.stringify({ msgtype: 'dtmf', msgdata: digits }));
  }

  /** The SDK itself tells the caller that the invitation has arrived. */
  acknowledge(): void {
    this.#send('voip_invite_ack', '');
  }

  /** A signal of the other side. */
  heard(type: string, extra: unknown): void {
    switch (type) {
      case 'voip_invite_ack':
        return run(this.onInviteReceivedByPeer, extra);
      case 'voip_invite_accept':
        return run(this.onInviteAcceptedByPeer, extra);
      case 'voip_invite_refuse':
        return run(this.onInviteRefusedByPeer, extra);
      case 'voip_invite_failed':
        return run(this.onInviteFailed, extra);
      case 'voip_invite_bye':
        return run(this.onInviteEndByPeer, extra);
      case 'voip_invite_msg':
        return run(this.onInviteMsg, extra);
    }
  }

  #send(type: string, extra: unknown, answered: (error: string) => void = () => {}): void {
    const args = { channelName: this.channelName, peer: this.peer, extra: extra ?? '' };
    this.#session.request(type, args, answered);
  }
}
