/** Numbers that pages are told. Source: signaling 4.2, 4.6 and 10. */

export const LOGOUT_BY_USER = 101;
export const LOGOUT_NETWORK = 102;
export const LOGOUT_KICKED = 103;

export const LOGIN_NETWORK = 201;
const LOGIN_TOKEN_EXPIRED = 204;
const LOGIN_TOKEN_WRONG = 206;
const LOGIN_KICKED = 207;
const LOGIN_INVALID_USER = 209;

/** States of a login, as `getStatus()` tells them. */
export const LOGGED_OUT = 0;
export const LOGGING_IN = 1;
export const LOGGED_IN = 2;
export const RECONNECTING = 3;

/** The number for the reason of a refused login. */
export function loginCode(reason: string): number {
  if (reason === 'kick') return LOGIN_KICKED;
  if (reason === 'TokenErrorExpired') return LOGIN_TOKEN_EXPIRED;
  if (reason.startsWith('TokenError')) return LOGIN_TOKEN_WRONG;
  if (reason.startsWith('wrong account')) return LOGIN_INVALID_USER;
  return LOGIN_NETWORK;
}
