/**
 * Call invitations. The protocol does not carry them yet: the objects, their checks and their
 * states are here; an invitation that is sent fails with `UNKNOWN`, and the log says why.
 */
import { RTM_ERROR_CODES as CODES, nameProblem } from '@tidings/core';
import type AgoraRTM from '../types/index.mjs';
import { byteLength, kindOf } from './checks.js';
import type { Connection } from './connection.js';
import { EventEmitter } from './emitter.js';
import { invalidArgument, invalidStatus } from './errors.js';

/** Longest content or response. Bytes of UTF-8. Source: RTM 1.x semantics 2.1. */
const TEXT_BYTES_MAX = 8192;

export class LocalInvitation
  extends EventEmitter<AgoraRTM.RtmEvents.LocalInvitationEvents>
  implements AgoraRTM.LocalInvitation
{
  content = '';
  channelId = '';
  #state: AgoraRTM.RtmStatusCode.LocalInvitationState = 'IDLE';
  readonly #calleeId: string;
  readonly #connection: Connection;
  readonly #warn: (text: string) => void;

  constructor(calleeId: string, connection: Connection, warn: (text: string) => void) {
    super();
    this.#calleeId = calleeId;
    this.#connection = connection;
    this.#warn = warn;
  }

  get calleeId(): string {
    return this.#calleeId;
  }

  get state(): AgoraRTM.RtmStatusCode.LocalInvitationState {
    return this.#state;
  }

  get response(): string {
    return '';
  }

  set response(_value: string) {
    const text = 'response is what the callee answers, it cannot be set here';
    throw invalidArgument(CODES.INVITATION_API_CALL_ERR_INVALID_ARGUMENT, text);
  }

  /** Throws for wrong fields and at the wrong time; everything else is an event. */
  send(): void {
    if (this.#state === 'SENT_TO_REMOTE' || this.#state === 'RECEIVED_BY_REMOTE') {
      throw invalidStatus(CODES.INVITATION_API_CALL_ERR_ALREADY_SENT, 'the invitation has been sent');
    }
    if (this.#state !== 'IDLE') throw alreadyOver();
    checkText('content', this.content);
    checkChannelId(this.channelId);
    const { state } = this.#connection.shell;
    if (state === 'DISCONNECTED' || state === 'ABORTED') {
      this.#fail('NOT_LOGGEDIN');
      return;
    }
    this.#state = 'SENT_TO_REMOTE';
    setTimeout(() => {
      if (this.#state !== 'SENT_TO_REMOTE') return;
      if (state === 'CONNECTING') {
        this.#fail('NOT_LOGGEDIN');
      } else {
        this.#warn(`the invitation to ${this.#calleeId} failed: this server does not carry invitations`);
        this.#fail('UNKNOWN');
      }
    }, 0);
  }

  cancel(): void {
    if (this.#state === 'IDLE') {
      throw invalidStatus(CODES.INVITATION_API_CALL_ERR_NOT_STARTED, 'the invitation has not been sent');
    }
    if (this.#state !== 'SENT_TO_REMOTE' && this.#state !== 'RECEIVED_BY_REMOTE') throw alreadyOver();
    this.#state = 'CANCELED';
    this.emit('LocalInvitationCanceled');
  }

  #fail(reason: AgoraRTM.RtmStatusCode.LocalInvitationFailureReason): void {
    this.#state = 'FAILURE';
    this.emit('LocalInvitationFailure', reason);
  }
}

/** What an incoming invitation tells the server. */
export interface InvitationAnswers {
  accept(response: string): void;
  refuse(response: string): void;
}

/** An incoming invitation. None arrives as long as the protocol does not carry them. */
export class RemoteInvitation
  extends EventEmitter<AgoraRTM.RtmEvents.RemoteInvitationEvents>
  implements AgoraRTM.RemoteInvitation
{
  response = '';
  #state: AgoraRTM.RtmStatusCode.RemoteInvitationState = 'INVITATION_RECEIVED';
  readonly #answers: InvitationAnswers;

  constructor(
    readonly callerId: string,
    readonly channelId: string,
    readonly content: string,
    answers: InvitationAnswers,
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

  #checkAnswer(): string {
    if (this.#state === 'ACCEPT_SENT_TO_LOCAL') {
      throw invalidStatus(CODES.INVITATION_API_CALL_ERR_ALREADY_ACCEPT, 'the invitation has been accepted');
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
  if (typeof text !== 'string') throw invalidArgument(code, `${what} is ${kindOf(text)}, use a string`);
  const length = byteLength(text);
  if (length > TEXT_BYTES_MAX) {
    throw invalidArgument(code, `${what} is ${length} bytes long, at most ${TEXT_BYTES_MAX} are possible`);
  }
  return text;
}

function checkChannelId(value: unknown): void {
  if (value === undefined || value === null || value === '') return;
  const problem = nameProblem(value);
  if (problem !== undefined) {
    throw invalidArgument(CODES.INVITATION_API_CALL_ERR_INVALID_ARGUMENT, `channelId ${problem}`);
  }
}
