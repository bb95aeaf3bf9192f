/** The errors of the API: what rejects and what is thrown. */
import {
  CODES,
  CallError,
  type CallFailure,
  type Family,
  OUTCOME_ALREADY_JOINED,
  OUTCOME_INVALID_ARGUMENT,
  OUTCOME_INVALID_MESSAGE,
  OUTCOME_INVALID_USER_ID,
  OUTCOME_MEDIA_EMPTY,
  OUTCOME_MEDIA_TOO_LARGE,
  OUTCOME_MESSAGE_TOO_LARGE,
  OUTCOME_NOT_IN_CHANNEL,
  OUTCOME_OVERLOADED,
  OUTCOME_SAME_CHANNEL_TOO_OFTEN,
  OUTCOME_SIZE_OVERFLOW,
  OUTCOME_TIMED_OUT,
  OUTCOME_TOO_MANY_CHANNELS,
  OUTCOME_TOO_MANY_CHANNELS_NAMED,
  OUTCOME_TOO_MANY_TRANSFERS,
  OUTCOME_TOO_MANY_USERS,
  OUTCOME_TOO_OFTEN,
  OUTCOME_UNAVAILABLE,
  OUTCOME_UNSUPPORTED,
} from '@tidings/core';

export type ErrorName =
  | 'RtmInvalidArgumentError'
  | 'RtmInvalidStatusError'
  | 'RtmLimitExceededError'
  | 'RtmInvokeTooOftenError'
  | 'RtmTimeoutError'
  | 'RtmUnavailableError'
  /** Our own name, for what only a server can know: a refused token, a user who is offline. */
  | 'RtmServerError';

/** Code of every method that needs a login. */
export const NOT_LOGGED_IN = 102;

export class RtmError extends Error {
  override name: ErrorName;
  readonly code: number;
  /** The server's outcome; `undefined` when the error was found here. */
  readonly serverCode: number | undefined;
  readonly originalError: unknown;
  /**
   * Of a call without an answer: whether it had left this client; `false` = it has had no effect.
   */
  declare readonly isSent?: boolean;
  /** When to try again. Milliseconds; only where the server has said it. */
  declare readonly retryAfter?: number;

  constructor(name: ErrorName, code: number, text: string, failure?: CallFailure) {
    super(`Error Code ${code} - ${text}`);
    // An own property, as applications print and copy errors.
    Object.defineProperty(this, 'message', {
      value: this.message,
      enumerable: true,
      writable: true,
    });
    this.name = name;
    this.code = code;
    this.serverCode = failure && !failure.local ? failure.outcome : undefined;
    this.originalError = undefined;
    if (failure?.isSent !== undefined) this.isSent = failure.isSent;
    if (failure && failure.retryAfterMs > 0) this.retryAfter = failure.retryAfterMs;
  }
}

export function invalidArgument(code: number, text: string): RtmError {
  return new RtmError('RtmInvalidArgumentError', code, text);
}

export function invalidStatus(code: number, text: string): RtmError {
  return new RtmError('RtmInvalidStatusError', code, text);
}

export function limitExceeded(code: number, text: string): RtmError {
  return new RtmError('RtmLimitExceededError', code, text);
}

/** The error of a call that needs a login; `what` is the method. */
export function notLoggedIn(what: string, state: string): RtmError {
  const remedy =
    state === 'ABORTED' ? 'call logout() and then login()' : 'wait until login() has resolved';
  return invalidStatus(
    NOT_LOGGED_IN,
    `${what} needs a login, but the client is ${state}; ${remedy}`,
  );
}

const NAMES: Readonly<Record<number, ErrorName>> = {
  [OUTCOME_INVALID_ARGUMENT]: 'RtmInvalidArgumentError',
  [OUTCOME_INVALID_USER_ID]: 'RtmInvalidArgumentError',
  [OUTCOME_INVALID_MESSAGE]: 'RtmInvalidArgumentError',
  [OUTCOME_MESSAGE_TOO_LARGE]: 'RtmLimitExceededError',
  [OUTCOME_SIZE_OVERFLOW]: 'RtmLimitExceededError',
  [OUTCOME_TOO_MANY_USERS]: 'RtmLimitExceededError',
  [OUTCOME_TOO_MANY_TRANSFERS]: 'RtmLimitExceededError',
  [OUTCOME_MEDIA_EMPTY]: 'RtmLimitExceededError',
  [OUTCOME_MEDIA_TOO_LARGE]: 'RtmLimitExceededError',
  [OUTCOME_TOO_MANY_CHANNELS]: 'RtmLimitExceededError',
  [OUTCOME_TOO_MANY_CHANNELS_NAMED]: 'RtmLimitExceededError',
  [OUTCOME_TOO_OFTEN]: 'RtmInvokeTooOftenError',
  [OUTCOME_SAME_CHANNEL_TOO_OFTEN]: 'RtmInvokeTooOftenError',
  [OUTCOME_TIMED_OUT]: 'RtmTimeoutError',
  [OUTCOME_NOT_IN_CHANNEL]: 'RtmInvalidStatusError',
  [OUTCOME_ALREADY_JOINED]: 'RtmInvalidStatusError',
  [OUTCOME_UNAVAILABLE]: 'RtmUnavailableError',
  [OUTCOME_OVERLOADED]: 'RtmUnavailableError',
  [OUTCOME_UNSUPPORTED]: 'RtmUnavailableError',
};

/** What the core rejects with, as an error of the method's family. */
export function fromCall(error: unknown, family: Family, what: string): unknown {
  if (!(error instanceof CallError)) return error;
  const { failure } = error;
  if (failure.local === 'not_logged_in') {
    return new RtmError(
      'RtmInvalidStatusError',
      NOT_LOGGED_IN,
      `${what}: ${failure.text}`,
      failure,
    );
  }
  if (failure.local === 'left') {
    return new RtmError(
      'RtmInvalidStatusError',
      CODES.JOIN_CHANNEL_ERR_ABORTED_BY_LEAVE,
      `${what}: ${failure.text}`,
      failure,
    );
  }
  if (failure.local === 'given_up') {
    return new RtmError('RtmUnavailableError', family.other, `${what}: ${failure.text}`, failure);
  }
  const code = family.byOutcome[failure.outcome] ?? family.other;
  const name = NAMES[failure.outcome] ?? 'RtmServerError';
  const text = failure.text === '' ? `outcome ${failure.outcome}` : failure.text;
  return new RtmError(name, code, `${what}: ${text}`, failure);
}
