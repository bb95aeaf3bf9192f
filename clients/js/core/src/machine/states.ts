/** The tables: connection states that an application sees, and what a close code means. */
import * as code from '../generated/codes.js';
import { CLOSE_NO_SOCKET } from '../transport/transport.js';

export type ConnectionState =
  'DISCONNECTED' | 'CONNECTING' | 'CONNECTED' | 'RECONNECTING' | 'ABORTED';
export type ConnectionReason =
  | 'LOGIN'
  | 'LOGIN_SUCCESS'
  | 'LOGIN_FAILURE'
  | 'LOGIN_TIMEOUT'
  | 'INTERRUPTED'
  | 'LOGOUT'
  | 'BANNED_BY_SERVER'
  | 'REMOTE_LOGIN'
  | 'TOKEN_EXPIRED';

/** What moves the visible state. */
export type Trigger =
  | 'login'
  | 'accepted'
  | 'refused'
  | 'timedOut'
  | 'interrupted'
  | 'logout'
  | 'banned'
  | 'remoteLogin'
  | 'tokenExpired';

type Step = readonly [ConnectionState, ConnectionReason];

/** Source: documented, RTM 1.x connection states. A trigger that is not listed changes nothing. */
export const STATES: Readonly<Record<ConnectionState, Readonly<Partial<Record<Trigger, Step>>>>> = {
  DISCONNECTED: {
    login: ['CONNECTING', 'LOGIN'],
  },
  CONNECTING: {
    accepted: ['CONNECTED', 'LOGIN_SUCCESS'],
    refused: ['DISCONNECTED', 'LOGIN_FAILURE'],
    timedOut: ['DISCONNECTED', 'LOGIN_TIMEOUT'],
    logout: ['DISCONNECTED', 'LOGOUT'],
  },
  CONNECTED: {
    interrupted: ['RECONNECTING', 'INTERRUPTED'],
    banned: ['ABORTED', 'BANNED_BY_SERVER'],
    remoteLogin: ['ABORTED', 'REMOTE_LOGIN'],
    tokenExpired: ['ABORTED', 'TOKEN_EXPIRED'],
    logout: ['DISCONNECTED', 'LOGOUT'],
  },
  RECONNECTING: {
    accepted: ['CONNECTED', 'LOGIN_SUCCESS'],
    banned: ['ABORTED', 'BANNED_BY_SERVER'],
    remoteLogin: ['ABORTED', 'REMOTE_LOGIN'],
    // An expired token changes nothing here: a renewed one lets the client go on.
    logout: ['DISCONNECTED', 'LOGOUT'],
  },
  ABORTED: {
    logout: ['DISCONNECTED', 'LOGOUT'],
  },
};

/** Whether calls are taken; in RECONNECTING they wait for the link. */
export function takesCalls(state: ConnectionState): boolean {
  return state === 'CONNECTED' || state === 'RECONNECTING';
}

/** What a client does about a closed connection. */
export interface CloseRule {
  readonly then:
    /** Resumes without a wait; after a failed retry, with the back-off. */
    | 'resumeAtOnce'
    | 'resume'
    /** The session cannot go on: a fresh login, at most PROTOCOL_ERRORS_MAX times in a row. */
    | 'newSession'
    | 'banned'
    | 'remoteLogin'
    | 'tokenExpired'
    | 'loggedOut';
  /** Shortest wait before the next attempt. Milliseconds. */
  readonly waitMs: number;
  /** The outcome that the code stands for when it comes instead of an answer to a login. */
  readonly outcome?: number;
}

const RESUME: CloseRule = { then: 'resume', waitMs: 0 };
const CLOSE_TOO_BIG = 1009;

/** Source: protocol 2.5. */
const CLOSE_RULES: Readonly<Record<number, CloseRule>> = {
  [code.CLOSE_GOING_AWAY]: { then: 'resumeAtOnce', waitMs: 0 },
  [code.CLOSE_SLOW_CONSUMER]: { then: 'resume', waitMs: 1000 },
  // The session is served on a connection that is not ours: it is in use elsewhere.
  [code.CLOSE_SUPERSEDED]: { then: 'remoteLogin', waitMs: 0, outcome: code.OUTCOME_REMOTE_LOGIN },
  [code.CLOSE_REMOTE_LOGIN]: { then: 'remoteLogin', waitMs: 0, outcome: code.OUTCOME_REMOTE_LOGIN },
  [code.CLOSE_TOKEN_EXPIRED]: {
    then: 'tokenExpired',
    waitMs: 0,
    outcome: code.OUTCOME_TOKEN_EXPIRED,
  },
  [code.CLOSE_BANNED]: { then: 'banned', waitMs: 0, outcome: code.OUTCOME_BANNED },
  [code.CLOSE_APP_DISABLED]: { then: 'banned', waitMs: 0, outcome: code.OUTCOME_UNKNOWN_APP },
  [code.CLOSE_PROTOCOL_ERROR]: { then: 'newSession', waitMs: 5000 },
  [CLOSE_NO_SOCKET]: { then: 'resume', waitMs: 0, outcome: code.OUTCOME_UNSUPPORTED },
  [CLOSE_TOO_BIG]: { then: 'newSession', waitMs: 0 },
  [code.CLOSE_LOGGED_OUT]: { then: 'loggedOut', waitMs: 0 },
};

/** The rule of a close code; any code that is not listed is a lost link. */
export function closeRule(closeCode: number): CloseRule {
  return CLOSE_RULES[closeCode] ?? RESUME;
}

/** What a refused login or resume means. */
export type Refusal =
  /** The session has ended; a login on the same connection makes a new one. */
  | 'sessionOver'
  | 'tokenExpired'
  | 'banned'
  | 'remoteLogin'
  /** The server may accept later. */
  | 'later'
  | 'final';

const REFUSALS: Readonly<Record<number, Refusal>> = {
  [code.OUTCOME_UNKNOWN_SESSION]: 'sessionOver',
  [code.OUTCOME_WINDOW_OVER]: 'sessionOver',
  [code.OUTCOME_SECRET_WRONG]: 'sessionOver',
  [code.OUTCOME_TOKEN_EXPIRED]: 'tokenExpired',
  [code.OUTCOME_INVALID_TOKEN]: 'tokenExpired',
  [code.OUTCOME_BANNED]: 'banned',
  [code.OUTCOME_UNKNOWN_APP]: 'banned',
  [code.OUTCOME_REMOTE_LOGIN]: 'remoteLogin',
  [code.OUTCOME_OVERLOADED]: 'later',
  [code.OUTCOME_UNAVAILABLE]: 'later',
  [code.OUTCOME_TIMED_OUT]: 'later',
};

export function refusal(outcome: number): Refusal {
  return REFUSALS[outcome] ?? 'final';
}
