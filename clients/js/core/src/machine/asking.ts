/** What the application asks for. */
import { OUTCOME_INVALID_TOKEN } from '../generated/codes.js';
import { LOGIN_TIMEOUT_MS, TOKEN_BYTES_MAX } from '../generated/limits.js';
import { encodeUtf8 } from '../wire/utf8.js';
import { attempt } from './connecting.js';
import type { Core } from './core.js';
import { endLogin, finishLogout } from './endings.js';
import { foundHere, timedOut } from './outputs.js';
import type { Input } from './types.js';

/** How long a logout waits for the server before the client leaves without its answer. */
const LOGOUT_WAIT_MS = 5_000;

export function handleLogin(
  core: Core,
  { id, userId, token, afterMs = 0 }: Extract<Input, { is: 'login' }>,
): void {
  if (core.state !== 'DISCONNECTED') {
    core.out.fail(id, foundHere('given_up', `the client is ${core.state}`));
    return;
  }
  if (core.identity.beginLogin(userId, token)) core.seen.clear();
  core.login = { id, deadline: core.now + LOGIN_TIMEOUT_MS };
  core.protocolErrors = 0;
  core.hasToldExpiry = false;
  core.link.reset();
  core.move('login');
  const length = encodeUtf8(token).length;
  if (length > TOKEN_BYTES_MAX) {
    const text = `the token is ${length} bytes long, at most ${TOKEN_BYTES_MAX} are possible`;
    endLogin(core, 'refused', { outcome: OUTCOME_INVALID_TOKEN, text, retryAfterMs: 0 });
    return;
  }
  if (afterMs > 0) core.link.wait(core.now + afterMs);
  else attempt(core);
}

export function handleLogout(core: Core, id: number): void {
  if (core.logout) {
    core.logout.ids.push(id);
    return;
  }
  core.logout = { ids: [id], deadline: core.now + LOGOUT_WAIT_MS };
  // A resume is about to be answered: the server is told then, otherwise the user would appear to
  // stay online for a while.
  if (core.link.phase === 'live' || (core.link.phase === 'greeting' && !core.login))
    core.calls.addLogout();
  else finishLogout(core);
}

export function handleLogoutSync(core: Core): void {
  if (core.link.phase === 'live') {
    core.calls.addLogout();
    core.pump();
  }
  finishLogout(core);
}

export function handleCall(core: Core, { id, call }: Extract<Input, { is: 'call' }>): void {
  if (!core.takesCalls) {
    core.out.fail(id, foundHere('not_logged_in', `the client is ${core.state}`));
    return;
  }
  const join = call.is === 'leave' && core.calls.leaveJoin(call.value.channel);
  if (join) {
    core.out.fail(join.id, foundHere('left', 'left before it was done', join.wasSent));
    join.id = 0;
    if (join.cseq === 0) {
      core.out.done(id);
      return;
    }
  }
  if (!core.calls.add(id, call, core.now)) {
    core.out.fail(id, timedOut('not sent: too many calls wait', false));
  } else if (call.is === 'renewToken') {
    core.hasToldExpiry = false;
    core.identity.handed = call.value.token;
    core.retryNow();
  }
}
