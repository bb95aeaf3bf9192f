/** The open invitations of a client: passes what the server says to their objects. */
import { INVITATION_ENDS, type InvitationCall, type InvitationEvent } from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import {
  type LocalInvitation,
  type Outgoing,
  RemoteInvitation,
  localWords,
  remoteWords,
} from './invitation.js';

export class Invitations implements Outgoing {
  #lastNumber = 0;
  /** By number. Bound: invitations_open_max, kept by the server. */
  readonly #local = new Map<number, LocalInvitation>();
  /** By id as text. Bound: invitations_incoming_max, kept by the server. */
  readonly #remote = new Map<string, RemoteInvitation>();
  readonly #tell: (call: InvitationCall) => void;

  constructor(tell: (call: InvitationCall) => void) {
    this.#tell = tell;
  }

  send(invitation: LocalInvitation, content: string, channel: string): number {
    const number = ++this.#lastNumber;
    this.#local.set(number, invitation);
    this.#tell({
      is: 'invite',
      value: { number, calleeId: invitation.calleeId, content, channel },
    });
    return number;
  }

  cancel(number: number): void {
    this.#local.delete(number);
    this.#tell({ is: 'cancelInvitation', value: { number } });
  }

  /** Takes what the server says; returns an invitation that has arrived. */
  heard(event: InvitationEvent): RemoteInvitation | undefined {
    switch (event.is) {
      case 'invitationReceived': {
        const invitation = this.#local.get(event.value.number);
        if (invitation) localWords(invitation).received();
        return undefined;
      }
      case 'acceptAsked': {
        const { number } = event.value;
        const invitation = this.#local.get(number);
        // An invitation that has been cancelled here is never confirmed.
        if (invitation && localWords(invitation).confirms())
          this.#tell({ is: 'confirmAccept', value: { number } });
        return undefined;
      }
      case 'localInvitationEnded': {
        const { number, end, response } = event.value;
        const invitation = this.#local.get(number);
        this.#local.delete(number);
        if (invitation) localWords(invitation).ended(INVITATION_ENDS[end], response);
        return undefined;
      }
      case 'incomingInvitation': {
        const { id, callerId, channel, content } = event.value;
        const key = keyOf(id);
        const answers = {
          accept: (response: string) =>
            this.#tell({ is: 'acceptInvitation', value: { id, response } }),
          refuse: (response: string) => {
            this.#remote.delete(key);
            this.#tell({ is: 'refuseInvitation', value: { id, response } });
          },
        };
        const invitation = new RemoteInvitation(callerId, channel, content, answers, key);
        this.#remote.set(key, invitation);
        return invitation;
      }
      case 'remoteInvitationEnded': {
        const id = keyOf(event.value.id);
        const invitation = this.#remote.get(id);
        this.#remote.delete(id);
        if (invitation) remoteWords(invitation).ended(INVITATION_ENDS[event.value.end]);
        return undefined;
      }
    }
  }

  /** The login has ended: nothing more will be told about its invitations. */
  sessionOver(reason: AgoraRTM.RtmStatusCode.LocalInvitationFailureReason): void {
    const local = [...this.#local.values()];
    const remote = [...this.#remote.values()];
    this.#local.clear();
    this.#remote.clear();
    for (const invitation of local) localWords(invitation).failed(reason);
    for (const invitation of remote) remoteWords(invitation).failed('UNKNOWN');
  }

  /** An open invitation that was received, by its `invitationId`. */
  find(invitationId: string): RemoteInvitation | undefined {
    return this.#remote.get(invitationId);
  }
}

function keyOf(id: Uint8Array): string {
  return Array.from(id, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
