/**
 * Call invitations: the two objects with their checks and states. No timer here ends one: every end
 * that is not the user's own decision is told by the server, or is the loss of the session.
 */
import {
  INVITATION_TEXT_BYTES_MAX as TEXT_BYTES_MAX,
  type InvitationEnd,
  CODES,
  nameProblem,
} from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import { byteLength, kindOf } from './checks.js';
import type { Connection } from './connection.js';
import { EventEmitter } from './emitter.js';
import { invalidArgument, invalidStatus } from './errors.js';

type LocalFailure = AgoraRTM.RtmStatusCode.LocalInvitationFailureReason;
type RemoteFailure = AgoraRTM.RtmStatusCode.RemoteInvitationFailureReason;

/** What the server's ends mean to the caller; accepted, refused and cancelled are not failures. */
const LOCAL_FAILURES: Partial<Record<InvitationEnd, LocalFailure>> = {
  peer_offline: 'PEER_OFFLINE',
  callee_gone: 'PEER_OFFLINE',
  no_response: 'PEER_NO_RESPONSE',
  expired: 'INVITATION_EXPIRE',
  // The session that had sent it has ended, and nobody knows what became of it.
  not_recorded: 'NOT_LOGGEDIN',
};
/** And for the callee. */
const REMOTE_FAILURES: Partial<Record<InvitationEnd, RemoteFailure>> = {
  no_response: 'INVITATION_EXPIRE',
  expired: 'INVITATION_EXPIRE',
  accept_failed: 'ACCEPT_FAILURE',
  caller_gone: 'PEER_OFFLINE',
};

/** What a sent invitation tells the server. */
export interface Outgoing {
  /** Returns the invitation's number. */
  send(invitation: LocalInvitation, content: string, channel: string): number;
  cancel(number: number): void;
}

/** What the server tells a sent invitation. Not part of the object's API. */
export interface LocalWords {
  received(): void;
  /**
   * Whether the invitation is still open, so that the acceptance may count; it then stays open for
   * it.
   */
  confirms(): boolean;
  ended(end: InvitationEnd | undefined, response: string): void;
  failed(reason: LocalFailure): void;
}
export let localWords: (invitation: LocalInvitation) => LocalWords;

/** What the server tells a received invitation. Not part of the object's API. */
export interface RemoteWords {
  ended(end: InvitationEnd | undefined): void;
  failed(reason: RemoteFailure): void;
}
export let remoteWords: (invitation: RemoteInvitation) => RemoteWords;

export class LocalInvitation
  extends EventEmitter<AgoraRTM.RtmEvents.LocalInvitationEvents>
  implements AgoraRTM.LocalInvitation
{
  content = '';
  channelId = '';
  #state: AgoraRTM.RtmStatusCode.LocalInvitationState = 'IDLE';
  readonly #calleeId: string;
  readonly #connection: Connection;
  readonly #outgoing: Outgoing;
  #number = 0;
  #response = '';
  #isConfirmed = false;

  static {
    localWords = (invitation) => ({
      received: () => invitation.#received(),
      confirms: () => invitation.#confirms(),
      ended: (end, response) => invitation.#ended(end, response),
      failed: (reason) => invitation.#failed(reason),
    });
  }

  constructor(calleeId: string, connection: Connection, outgoing: Outgoing) {
    super();
    this.#calleeId = calleeId;
    this.#connection = connection;
    this.#outgoing = outgoing;
  }

  get calleeId(): string {
    return this.#calleeId;
  }

  get state(): AgoraRTM.RtmStatusCode.LocalInvitationState {
    return this.#state;
  }

  get response(): string {
    return this.#response;
  }

  set response(_value: string) {
    const text = 'response is what the callee answers, it cannot be set here';
    throw invalidArgument(CODES.INVITATION_API_CALL_ERR_INVALID_ARGUMENT, text);
  }

  /** Throws for wrong fields and at the wrong time; everything else is an event. */
  send(): void {
    if (this.#isOpen) {
      throw invalidStatus(
        CODES.INVITATION_API_CALL_ERR_ALREADY_SENT,
        'the invitation has been sent',
      );
    }
    if (this.#state !== 'IDLE') throw alreadyOver();
    const content = checkText('content', this.content);
    const channel = checkChannelId(this.channelId);
    const { shell } = this.#connection;
    if (shell.takesCalls) {
      this.#state = 'SENT_TO_REMOTE';
      this.#number = this.#outgoing.send(this, content, channel);
    } else if (shell.state === 'CONNECTING') {
      this.#state = 'SENT_TO_REMOTE';
      setTimeout(() => this.#failed('NOT_LOGGEDIN'), 0);
    } else {
      this.#fail('NOT_LOGGEDIN');
    }
  }

  cancel(): void {
    if (this.#state === 'IDLE') {
      throw invalidStatus(
        CODES.INVITATION_API_CALL_ERR_NOT_STARTED,
        'the invitation has not been sent',
      );
    }
    if (!this.#isOpen) throw alreadyOver();
    if (this.#isConfirmed) {
      const text = 'the callee has accepted, and that has been confirmed';
      throw invalidStatus(CODES.INVITATION_API_CALL_ERR_ALREADY_ACCEPT, text);
    }
    this.#state = 'CANCELED';
    if (this.#number > 0) this.#outgoing.cancel(this.#number);
    this.emit('LocalInvitationCanceled');
  }

  get #isOpen(): boolean {
    return this.#state === 'SENT_TO_REMOTE' || this.#state === 'RECEIVED_BY_REMOTE';
  }

  #received(): void {
    if (this.#state !== 'SENT_TO_REMOTE') return;
    this.#state = 'RECEIVED_BY_REMOTE';
    this.emit('LocalInvitationReceivedByPeer');
  }

  #confirms(): boolean {
    this.#isConfirmed ||= this.#isOpen;
    return this.#isConfirmed;
  }

  #ended(end: InvitationEnd | undefined, response: string): void {
    if (!this.#isOpen) return;
    if (end === 'accepted') {
      this.#response = response;
      this.#state = 'ACCEPTED_BY_REMOTE';
      this.emit('LocalInvitationAccepted', response);
    } else if (end === 'refused') {
      this.#response = response;
      this.#state = 'REFUSED_BY_REMOTE';
      this.emit('LocalInvitationRefused', response);
    } else {
      this.#fail(LOCAL_FAILURES[end as InvitationEnd] || 'UNKNOWN');
    }
  }

  #failed(reason: LocalFailure): void {
    if (this.#isOpen) this.#fail(reason);
  }

  #fail(reason: LocalFailure): void {
    this.#state = 'FAILURE';
    this.emit('LocalInvitationFailure', reason);
  }
}

/** What an incoming invitation tells the server. */
export interface InvitationAnswers {
  accept(response: string): void;
  refuse(response: string): void;
}

/** An incoming invitation. */
export class RemoteInvitation
  extends EventEmitter<AgoraRTM.RtmEvents.RemoteInvitationEvents>
  implements AgoraRTM.RemoteInvitation
{
  response = '';
  #state: AgoraRTM.RtmStatusCode.RemoteInvitationState = 'INVITATION_RECEIVED';
  readonly #answers: InvitationAnswers;

  static {
    remoteWords = (invitation) => ({
      ended: (end) => invitation.#ended(end),
      failed: (reason) => invitation.#failed(reason),
    });
  }

  constructor(
    readonly callerId: string,
    readonly channelId: string,
    readonly content: string,
    answers: InvitationAnswers,
    /**
     * An extension of ours: names the invitation at the client, see
     * `RtmClient.getRemoteInvitation`.
     */
    readonly invitationId: string = '',
  ) {
    super();
    this.#answers = answers;
  }

  get state(): AgoraRTM.RtmStatusCode.RemoteInvitationState {
    return this.#state;
  }

  accept(): void {
    const response = this.#checkAnswer();
    this.#state = 'ACCEPT_SENT_TO_LOCAL';
    this.#answers.accept(response);
  }

  refuse(): void {
    const response = this.#checkAnswer();
    this.#state = 'REFUSED';
    this.#answers.refuse(response);
    this.emit('RemoteInvitationRefused');
  }

  #ended(end: InvitationEnd | undefined): void {
    if (!this.#isOpen) return;
    if (end === 'accepted') {
      this.#state = 'ACCEPTED';
      this.emit('RemoteInvitationAccepted');
    } else if (end === 'canceled') {
      this.#state = 'CANCELED';
      this.emit('RemoteInvitationCanceled', this.content);
    } else {
      this.#failed(REMOTE_FAILURES[end as InvitationEnd] || 'UNKNOWN');
    }
  }

  #failed(reason: RemoteFailure): void {
    if (!this.#isOpen) return;
    this.#state = 'FAILURE';
    this.emit('RemoteInvitationFailure', reason);
  }

  get #isOpen(): boolean {
    return this.#state === 'INVITATION_RECEIVED' || this.#state === 'ACCEPT_SENT_TO_LOCAL';
  }

  #checkAnswer(): string {
    if (this.#state === 'ACCEPT_SENT_TO_LOCAL') {
      throw invalidStatus(
        CODES.INVITATION_API_CALL_ERR_ALREADY_ACCEPT,
        'the invitation has been accepted',
      );
    }
    if (this.#state !== 'INVITATION_RECEIVED') throw alreadyOver();
    return checkText('response', this.response);
  }
}

function alreadyOver(): Error {
  const text = 'the invitation is over; create a new one';
  return invalidStatus(CODES.INVITATION_API_CALL_ERR_ALREADY_END, text);
}

/** `null` and `undefined` mean the empty text. */
function checkText(what: string, value: unknown): string {
  const text = value ?? '';
  const code = CODES.INVITATION_API_CALL_ERR_INVALID_ARGUMENT;
  if (typeof text !== 'string')
    throw invalidArgument(code, `${what} is ${kindOf(text)}, use a string`);
  const length = byteLength(text);
  if (length > TEXT_BYTES_MAX) {
    throw invalidArgument(
      code,
      `${what} is ${length} bytes long, at most ${TEXT_BYTES_MAX} are possible`,
    );
  }
  return text;
}

/** Returns the channel; the empty text is none. */
function checkChannelId(value: unknown): string {
  if (value === undefined || value === null || value === '') return '';
  const problem = nameProblem(value);
  if (problem !== undefined) {
    throw invalidArgument(CODES.INVITATION_API_CALL_ERR_INVALID_ARGUMENT, `channelId ${problem}`);
  }
  return value as string;
}
