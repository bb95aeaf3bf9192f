/** How logins, logouts and sessions end. */
import type { GapCause } from '../wire/messages.js';
import type { Core } from './core.js';
import { OUTCOME_REMOTE_LOGIN } from '../generated/codes.js';
import type { PendingCall } from './calls.js';
import { foundHere } from './outputs.js';
import type { CallFailure } from './types.js';

/** The session has ended: its calls are sorted into those to repeat and those to give up. */
export function endSession(core: Core, cause: GapCause): void {
  const session = core.identity.endSession();
  core.overCause ??= cause;
  core.restore.stop();
  for (const held of core.calls.sessionOver()) {
    if (held.call.is === 'leave') core.replica.left(held.call.value.channel ?? '');
    core.out.done(held.id);
  }
  if (session) core.invitations.sessionOver(session);
}

export function endLogin(core: Core, trigger: 'refused' | 'timedOut', failure: CallFailure): void {
  const login = core.login;
  core.login = undefined;
  core.forget();
  core.move(trigger);
  if (login) core.out.fail(login.id, failure);
}

export function finishLogout(core: Core): void {
  const ids = core.logout?.ids ?? [];
  const login = core.login;
  if (login && core.link.phase === 'greeting') {
    core.out.farewell(core.link.connection);
    core.link.stop();
  }
  core.logout = undefined;
  core.login = undefined;
  const abandoned = core.forget();
  if (login) {
    core.out.fail(login.id, foundHere('given_up', 'the login was given up because of a logout'));
  }
  core.move('logout');
  abandon(core, abandoned, 'the client has logged out');
  for (const id of ids) core.out.done(id);
}

export function abort(
  core: Core,
  trigger: 'banned' | 'remoteLogin' | 'tokenExpired',
  text: string,
): void {
  core.out.log('warn', `the login has ended: ${text}`);
  const abandoned = core.forget();
  core.move(trigger);
  abandon(core, abandoned, 'the client is ABORTED');
}

function abandon(core: Core, calls: PendingCall[], text: string): void {
  for (const { id, wasSent } of calls) core.out.fail(id, foundHere('not_logged_in', text, wasSent));
}

/** A later login of the user in this program has succeeded: this one must not throw it out. */
export function giveWay(core: Core): void {
  const text = 'a later login of the user in this program has succeeded';
  if (core.login)
    endLogin(core, 'refused', { outcome: OUTCOME_REMOTE_LOGIN, text, retryAfterMs: 0 });
  else if (core.logout) finishLogout(core);
  else abort(core, 'remoteLogin', text);
}
