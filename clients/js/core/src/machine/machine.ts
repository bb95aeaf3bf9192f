/**
 * The client's connection machine: state, input and time in; outputs out. No clock, no timer, no
 * socket, no random source of its own. `handle` takes everything; `deadline` says when it wants to
 * be called with `{ is: 'timer' }`.
 *
 * Reading order: `types.ts` (inputs, outputs), `states.ts` (tables), this file, `core.ts` (the
 * state that the parts share), `asking.ts`, `connecting.ts`, `receiving.ts`, `endings.ts`; then
 * what the state is made of: `identity.ts`, `link.ts`, `confirm.ts`, `calls.ts`, `inbox.ts`,
 * `replica.ts`, `restore.ts`, `replies.ts`.
 */
import { CALL_TIMEOUT_MS, LOGIN_TIMEOUT_MS } from '../generated/limits.js';
import { handleCall, handleLogin, handleLogout, handleLogoutSync } from './asking.js';
import { attempt, greet, handleClosed, handleRival, lose } from './connecting.js';
import { Core, type MachineSettings } from './core.js';
import { endLogin, finishLogout } from './endings.js';
import { timedOut } from './outputs.js';
import { handleFrame } from './receiving.js';
import type { ConnectionState } from './states.js';
import type { Input, Output } from './types.js';

export class Machine {
  readonly #core: Core;

  constructor(settings: MachineSettings) {
    this.#core = new Core(settings);
  }

  get state(): ConnectionState {
    return this.#core.state;
  }

  get userId(): string {
    return this.#core.identity.userId;
  }

  /** The token that the server has accepted last. */
  get token(): string {
    return this.#core.identity.token;
  }

  /** Whether calls are taken now. */
  get takesCalls(): boolean {
    return this.#core.takesCalls;
  }

  get connection(): number {
    return this.#core.link.connection;
  }

  /** Takes an input at `now` (monotonic milliseconds) and returns what has to be done, in order. */
  handle(input: Input, now: number): Output[] {
    const core = this.#core;
    core.now = now;
    switch (input.is) {
      case 'login':
        handleLogin(core, input);
        break;
      case 'logout':
        handleLogout(core, input.id);
        break;
      case 'logoutSync':
        handleLogoutSync(core);
        break;
      case 'call':
        handleCall(core, input);
        break;
      case 'invitation':
        if (core.takesCalls) core.invitations.tell(input.call);
        break;
      case 'opened':
        if (input.connection === core.link.connection && core.link.phase === 'opening') greet(core);
        break;
      case 'received':
        if (input.connection === core.link.connection) handleFrame(core, input.bytes);
        break;
      case 'closed':
        if (input.connection === core.link.connection) handleClosed(core, input.code, input.reason);
        break;
      case 'timer':
        handleTimer(core);
        break;
      case 'woken':
        handleWoken(core);
        break;
      case 'rival':
        handleRival(core, input.word);
        break;
    }
    core.pump();
    return core.out.take();
  }

  /** When `handle({ is: 'timer' })` is wanted; Infinity = not. */
  deadline(): number {
    const core = this.#core;
    const { link } = core;
    const isLive = link.phase === 'live';
    return Math.min(
      core.login?.deadline ?? Infinity,
      core.logout?.deadline ?? Infinity,
      link.deadline(),
      core.state === 'CONNECTED' ? link.quietUntil : Infinity,
      core.calls.deadline(),
      core.replica.missingDeadline(),
      isLive ? core.restore.deadline() : Infinity,
      isLive ? core.confirmation.deadline() : Infinity,
    );
  }
}

function handleWoken(core: Core): void {
  if (core.link.isStale(core.now)) lose(core, `no answer while ${core.link.phase}`, {});
  core.retryNow();
  handleTimer(core);
  if (core.link.phase !== 'live' || !core.link.startProbe(core.now)) return;
  core.out.message({ is: 'ping', value: {} });
}

function handleTimer(core: Core): void {
  const now = core.now;
  const link = core.link;
  if (core.login && core.login.deadline <= now) {
    const tries = link.attempts + (link.phase === 'waiting' ? 0 : 1);
    const end = link.lastEnd === '' ? '' : `; the last attempt ended with: ${link.lastEnd}`;
    const text = `no answer to the login within ${LOGIN_TIMEOUT_MS} ms and ${tries} attempts${end}`;
    endLogin(core, 'timedOut', timedOut(text, core.link.phase === 'greeting'));
  }
  if (core.logout && core.logout.deadline <= now) finishLogout(core);
  if (link.isAttemptOver(now)) lose(core, `no answer while ${link.phase}`, {});
  if (link.isSilent(now)) lose(core, 'the server has fallen silent', {}, true);
  if (core.state === 'CONNECTED' && link.quietUntil <= now) core.move('interrupted');
  if (link.isRetryDue(now)) attempt(core);
  for (const held of core.calls.expired(now)) {
    const { call, id, wasSent } = held;
    const isDown = link.lostAt < Infinity;
    const since = isDown
      ? `the link has been down for ${Math.round(now - link.lostAt)} ms`
      : 'the link is up';
    if (isDown && call.is === 'writeUserAttributes') {
      core.replica.wroteLater(call);
      held.purpose = 'overtaken';
    }
    // What the application wants for its own user is still done.
    const isKept = isDown && (held.purpose !== 'application' || call.is === 'renewToken');
    const then = isKept
      ? '; done when it is back'
      : wasSent
        ? '; it may have been done all the same'
        : '';
    core.out.fail(
      id,
      timedOut(
        `${wasSent ? 'no answer' : 'not sent'} within ${CALL_TIMEOUT_MS} ms; ${since}${then}`,
        wasSent,
      ),
    );
    held.id = 0;
  }
  for (const event of core.replica.expireMissing(now)) core.out.emit(event);
}
