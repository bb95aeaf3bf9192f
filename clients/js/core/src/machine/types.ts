/** What goes into the connection machine and what comes out of it: plain data, nothing else. */
import type {
  Attribute,
  Call,
  GapCause,
  MessageBody,
  Presence,
  ReplyResult,
  ServerEvent,
} from '../wire/messages.js';
import type { ConnectionReason, ConnectionState } from './states.js';

/** Why a call, a login or a logout failed. */
export interface CallFailure {
  /** A row of proto/errors.toml; 0 when the failure is not an outcome of the server's table. */
  readonly outcome: number;
  readonly text: string;
  /** When to try again, in milliseconds; 0 = not stated. */
  readonly retryAfterMs: number;
  /** Set when the failure was found here and not by the server. */
  readonly local?: 'not_logged_in' | 'given_up' | 'timed_out' | 'left';
  /**
   * Of a call without an answer: whether it was handed to a connection. One that was not has had no
   * effect; one that was may have had it.
   */
  readonly isSent?: boolean;
}

export type CallAnswer = Exclude<ReplyResult, { is: 'error' }>;
export type CallResult = { readonly ok: CallAnswer } | { readonly failure: CallFailure };

/**
 * Everything the machine reacts to. `id` is the caller's own name for what it waits for, above 0.
 */
export type Input =
  /** `afterMs`: the connection is not opened before this many milliseconds have passed. */
  | {
      readonly is: 'login';
      readonly id: number;
      readonly userId: string;
      readonly token: string;
      readonly afterMs?: number;
    }
  | { readonly is: 'logout'; readonly id: number }
  | { readonly is: 'logoutSync' }
  | { readonly is: 'call'; readonly id: number; readonly call: Call }
  /** Has no answer: events tell what becomes of it. Ignored without a login. */
  | { readonly is: 'invitation'; readonly call: InvitationCall }
  | { readonly is: 'opened'; readonly connection: number }
  | { readonly is: 'received'; readonly connection: number; readonly bytes: Uint8Array }
  | {
      readonly is: 'closed';
      readonly connection: number;
      readonly code: number;
      readonly reason: string;
    }
  | { readonly is: 'timer' }
  /** The page is shown again, the network is back, or the like. */
  | { readonly is: 'woken' }
  /** What a later login of the same user in this program does to this one. */
  | { readonly is: 'rival'; readonly word: RivalWord };

/**
 * `hold`: it is on its way, and no connection is opened until it is settled. `go`: it has failed.
 * `over`: it has succeeded, and this login has ended.
 */
export type RivalWord = 'hold' | 'go' | 'over';

/** What an application may want to know. */
export type MachineEvent =
  | {
      readonly is: 'peerMessage';
      readonly from: string;
      readonly body: MessageBody;
      readonly serverTs: number;
      readonly wasStored: boolean;
    }
  | {
      readonly is: 'channelMessage';
      readonly channel: string;
      readonly from: string;
      readonly body: MessageBody;
      readonly serverTs: number;
    }
  | {
      readonly is: 'memberJoined' | 'memberLeft';
      readonly channel: string;
      readonly userId: string;
      readonly isSelf?: true;
    }
  | { readonly is: 'memberCount'; readonly channel: string; readonly count: number }
  | {
      readonly is: 'channelAttributes';
      readonly channel: string;
      readonly attributes: readonly Attribute[];
    }
  | { readonly is: 'presenceChanged'; readonly users: readonly Presence[] }
  | {
      readonly is: 'gap';
      /** `undefined`: peer messages. */
      readonly channel: string | undefined;
      readonly cause: GapCause;
      /** 0 = not known. */
      readonly missed: number;
    }
  /** Unix milliseconds by the server's clock. */
  | { readonly is: 'tokenWillExpire'; readonly expiresTs: number }
  | InvitationEvent
  | { readonly is: 'tokenExpired' };

/** What the server says about invitations. */
export type InvitationEvent = Extract<
  ServerEvent,
  {
    is:
      | 'invitationReceived'
      | 'acceptAsked'
      | 'localInvitationEnded'
      | 'incomingInvitation'
      | 'remoteInvitationEnded';
  }
>;
/** What the server is told about invitations. */
export type InvitationCall = Extract<
  Call,
  { is: 'invite' | 'cancelInvitation' | 'confirmAccept' | 'acceptInvitation' | 'refuseInvitation' }
>;

/** Everything the machine asks for, to be done in this order. */
export type Output =
  | { readonly is: 'open'; readonly connection: number }
  | { readonly is: 'send'; readonly connection: number; readonly bytes: Uint8Array }
  | { readonly is: 'close'; readonly connection: number; readonly code: number }
  /**
   * Ends a connection whose login has no answer yet: `bytes` are sent after that answer. Nothing is
   * reported.
   */
  | { readonly is: 'farewell'; readonly connection: number; readonly bytes: Uint8Array }
  | { readonly is: 'settled'; readonly id: number; readonly result: CallResult }
  | { readonly is: 'state'; readonly state: ConnectionState; readonly reason: ConnectionReason }
  | { readonly is: 'event'; readonly event: MachineEvent }
  | { readonly is: 'log'; readonly level: 'warn' | 'info' | 'debug'; readonly text: string };
