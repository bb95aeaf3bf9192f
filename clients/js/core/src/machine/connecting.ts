/** The way to a connection, and what its end means. */
import { CLOSE_LOGIN_REFUSED } from '../generated/codes.js';
import { CLOSE_NORMAL, type Core } from './core.js';
import { abort, endLogin, endSession, finishLogout, giveWay } from './endings.js';
import type { RetryHint } from './link.js';
import { closeRule } from './states.js';
import type { RivalWord } from './types.js';

/**
 * Fresh sessions in a row after protocol errors; then the client gives up. Source: protocol 2.5.
 */
const PROTOCOL_ERRORS_MAX = 3;

export function attempt(core: Core): void {
  const connection = core.link.attempt(core.now, core.login !== undefined);
  core.out.push({ is: 'open', connection });
}

/** The connection is open, or a refused resume allows a login on it. */
export function greet(core: Core): void {
  core.link.greet(core.now, core.login !== undefined);
  const greeting = core.identity.greeting(core.confirmation.sseq, core.invitations.report());
  core.out.greeting(core.link.connection, greeting);
  core.confirmation.said();
}

export function handleClosed(core: Core, code: number, reason: string): void {
  const text = `close code ${code}${reason === '' ? '' : `, ${reason}`}`;
  if (core.logout) {
    finishLogout(core);
    return;
  }
  const rule = closeRule(code);
  const retryAfterMs = core.hintMs;
  core.hintMs = 0;
  if (core.login) {
    if (rule.outcome !== undefined || code === CLOSE_LOGIN_REFUSED) {
      endLogin(core, 'refused', { outcome: rule.outcome ?? 0, text, retryAfterMs: 0 });
    } else {
      lose(core, text, { waitMs: rule.waitMs });
    }
    return;
  }
  switch (rule.then) {
    case 'resumeAtOnce':
      lose(core, text, { isAtOnce: true });
      break;
    case 'resume':
      lose(core, text, rule.waitMs > 0 ? { waitMs: rule.waitMs } : { retryAfterMs });
      break;
    case 'newSession':
      beginAnew(core, text, rule.waitMs);
      break;
    case 'tokenExpired':
      handleTokenExpired(core, text);
      break;
    case 'banned':
    case 'remoteLogin':
      abort(core, rule.then, text);
      break;
    case 'loggedOut':
      finishLogout(core);
      break;
  }
}

export function lose(core: Core, text: string, hint: RetryHint, isSilent = false): void {
  core.link.lastEnd = text;
  core.out.log('info', `connection lost: ${text}`);
  core.closeLink(CLOSE_NORMAL);
  if (core.logout) {
    finishLogout(core);
    return;
  }
  if (core.rival === 'over') {
    giveWay(core);
    return;
  }
  if (core.link.hasBeenGood(core.now)) core.protocolErrors = 0;
  core.link.lose(core.now, hint, isSilent);
  if (core.rival === 'hold') core.link.wait(Infinity);
}

export function handleRival(core: Core, word: RivalWord): void {
  core.rival = word;
  if (word === 'go') {
    core.retryNow();
  } else if (core.link.phase !== 'live' && core.link.phase !== 'down') {
    if (word === 'over') giveWay(core);
    else {
      core.closeLink(CLOSE_NORMAL);
      core.link.wait(Infinity);
    }
  }
}

/** The session cannot go on because one side misunderstands the other. */
export function beginAnew(core: Core, text: string, waitMs: number): void {
  lose(core, text, { waitMs });
  if (core.identity.hasSession) endSession(core, 'epoch_changed');
  core.protocolErrors++;
  if (core.protocolErrors > PROTOCOL_ERRORS_MAX) {
    core.out.log(
      'warn',
      `gave up after ${PROTOCOL_ERRORS_MAX} fresh sessions (${text}); log out, then in again`,
    );
    core.link.stop();
  } else {
    core.out.log('warn', `a new session is needed: ${text}`);
  }
}

export function handleTokenExpired(core: Core, text: string): void {
  if (core.state === 'CONNECTED' && core.link.phase === 'live') {
    core.out.emit({ is: 'tokenExpired' });
    abort(core, 'tokenExpired', text);
    return;
  }
  lose(core, text, {});
  core.move('interrupted');
  if (core.hasToldExpiry) return;
  core.hasToldExpiry = true;
  core.out.emit({ is: 'tokenExpired' });
}
